"""What `tessy eval` takes from its options, from a file, and from nobody."""

from __future__ import annotations

import pytest

from tessy.config import OnWrong, Sampling
from tessy.errors import ConfigError
from tessy.evaluation.settings import SAMPLING, load
from tessy.synthesis.methods import method_of


def test_nothing_but_a_model_is_measured_as_the_paper_does():
    found = load(None, {"student.model": "lab:student"})
    assert found.student.sampling == SAMPLING
    assert (found.verify, found.samples_per_question) == ("auto", 1)
    assert (found.method, found.on_wrong) == ("student-only", OnWrong.KEEP_JUDGED)


def test_options_are_put_over_a_file_and_a_file_over_what_is_usual(tmp_path):
    path = tmp_path / "eval.toml"
    path.write_text(
        'verify = "number"\nsamples_per_question = 4\n[student]\nmodel = "lab:student"\n'
        "[student.sampling]\ntemperature = 0\ntop_k = 5\n"
    )
    found = load(path, {"student.sampling.top_k": 7, "verify": None})
    assert found.student.sampling == Sampling(temperature=0, top_p=0.95, top_k=7)
    assert (found.verify, found.samples_per_question) == ("number", 4)
    assert found.student.model == "lab:student"
    assert load(path, {"verify": "exact", "samples_per_question": 1}).verify == "exact"


def test_a_file_of_synthesis_serves_whatever_its_method_needs(tmp_path):
    """Settings that are of synthesis only neither stop an evaluation nor change it."""
    path = tmp_path / "run.toml"
    path.write_text(
        'method = "teacher-score"\ncandidates = 9\nanswer_by = "teacher"\nattempts = 3\n'
        'prompts = {score = "{question} {answer} N"}\n'
        'teacher_only_system_prompt = "Be brief."\non_wrong = "fail"\npredictor = "lexicon"\n'
        '[student]\nmodel = "lab:student"\n[teacher]\nmodel = "lab:teacher"\n'
    )
    found = load(path, {})
    assert found == load(None, {"student.model": "lab:student"})
    method_of(found)  # raises if a setting is of no use


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "student.model is not given"),
        ("[student]\nformat = 'plain'", "student.model is not given"),
        ("student = 3", "student = 3"),
        ("[student]\nmodel = 'lab:student'\nsampling = 3", "student.sampling = 3"),
        ("[student]\nmodel = 'lab:student'\n[limit]\nx = 1", "limit: there is no such setting"),
        ("[student]\nmodel = 'lab:student'\ntokeniser = 'x'", "student.tokeniser"),
    ],
)
def test_what_cannot_be_used_is_named(tmp_path, text, said):
    path = tmp_path / "eval.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=said):
        load(path, {})


def test_no_model_and_no_file_is_said_with_what_to_give():
    with pytest.raises(ConfigError, match=r"student\.model is not given") as refused:
        load(None, {"student.model": None})
    assert "--model" in refused.value.hint
