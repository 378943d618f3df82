"""Evaluating epochs: refused before anything is trained, done once, resumed."""

from __future__ import annotations

import json
import re

import pytest

from tessy.config import Sampling
from tessy.errors import (
    ConfigError,
    DataError,
    InputError,
    MissingExtra,
    RunMismatch,
    TrainingError,
)
from tessy.evaluation.settings import SAMPLING, load
from tessy.settings.loading import load_settings
from tessy.tracking.log import RunLog
from tessy.training import evaluator
from tessy.training.epochs import Epoch
from tessy.training.evaluator import EpochEvaluator
from tessy.training.folder import SFTFolder
from tessy.training.settings import Export, SFTSettings
from tessy.training.train import train
from training.made import sample, settings, student, write

ROWS = [sample(number) for number in range(4)]
QUESTIONS = [
    {"id": f"q{number}", "prompt": f"What is {number}?", "answer": str(number), "verifier": "exact"}
    for number in range(2)
]
SHORT = "concurrency = 2\n[limits]\nthinking_tokens = 8\nanswer_tokens = 4\n"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder with a model, data, questions and settings of their evaluation."""
    folder = tmp_path_factory.mktemp("evaluated")
    student(folder / "model")
    write(folder / "d.jsonl", ROWS)
    write(folder / "q.jsonl", QUESTIONS)
    (folder / "eval.toml").write_text(SHORT)
    return folder


def evaluated(made, **more):
    asked = {"questions": str(made / "q.jsonl"), "config": str(made / "eval.toml"), **more}
    return settings(made / "model", epochs=1, eval=asked)


def an_evaluator(settings, out):
    return EpochEvaluator(settings.eval, settings, SFTFolder(out), print, RunLog((), print))


# --- Settings -----------------------------------------------------------------------------------


def test_what_is_evaluated_is_exported(made):
    assert evaluated(made).export is Export.GGUF
    assert settings(made / "model").export is Export.NONE
    with pytest.raises(ConfigError, match="export = 'none': epochs are evaluated as GGUF"):
        load_settings(
            SFTSettings, None, {"model": "m", "eval": {"questions": "q"}, "export": "none"}
        )


def test_an_evaluation_may_be_asked_for_in_a_training_that_goes_on(made):
    assert evaluated(made).identity() == settings(made / "model", epochs=1).identity()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[eval]\nsamples_per_question = 2", "eval.questions is not given"),
        ('[eval]\nquestions = "q"\nrun = 2', "eval.run: there is no such setting"),
        ('[eval]\nquestions = "q"\nsamples_per_question = 0', "eval.samples_per_question = 0"),
        ('eval = "q.jsonl"', "eval = 'q.jsonl'"),
    ],
)
def test_a_bad_table_is_named(tmp_path, text, said):
    (tmp_path / "sft.toml").write_text(f'model = "m"\n{text}\n')
    with pytest.raises(ConfigError, match=re.escape(said)):
        load_settings(SFTSettings, tmp_path / "sft.toml")


def test_options_are_put_over_a_table(tmp_path):
    path = tmp_path / "sft.toml"
    path.write_text('model = "m"\n[eval]\nquestions = "q"\nsamples_per_question = 2\n')
    found = load_settings(SFTSettings, path, {"eval": {"samples_per_question": 5}}).eval
    assert (found.questions, found.samples_per_question) == ("q", 5)


# --- What is asked ------------------------------------------------------------------------------


def test_an_epoch_is_asked_as_tessy_eval_asks(made):
    chosen = settings(made / "model", eval={"questions": str(made / "q.jsonl")})
    config = an_evaluator(chosen, made / "out").config
    assert config.student.sampling == SAMPLING
    assert (config.verify, config.samples_per_question, config.method) == (
        *("auto", 1, "student-only"),
    )


def test_a_file_of_settings_counts_but_for_the_model(made, tmp_path):
    path = tmp_path / "eval.toml"
    path.write_text(
        'verify = "number"\nseed = 7\n[student]\nmodel = "http://x/v1"\nformat = "plain"\n'
        "[student.sampling]\ntemperature = 0\n"
    )
    config = an_evaluator(
        evaluated(made, config=str(path), samples_per_question=3), made / "out"
    ).config
    assert not config.student.model.startswith("http")
    assert (config.student.tokenizer, config.student.format) == (None, None)
    assert config.student.sampling == Sampling(temperature=0, top_p=0.95, top_k=20)
    assert (config.verify, config.seed, config.samples_per_question) == ("number", 7, 3)
    other = an_evaluator(evaluated(made, config=str(path), verify="exact"), made / "out")
    assert other.config.verify == "exact"


def test_a_file_means_the_same_to_tessy_eval(made, tmp_path):
    path = tmp_path / "eval.toml"
    path.write_text(
        'verify = "number"\nsamples_per_question = 3\nseed = 7\nanswer_by = "teacher"\n'
        '[student]\nmodel = "http://x/v1"\n[student.sampling]\ntemperature = 0\n'
    )
    ours = an_evaluator(evaluated(made, config=str(path)), made / "out").config
    theirs = load(path, {})
    assert theirs.student.model == "http://x/v1"
    assert ours == theirs.model_copy(update={"student": ours.student})
    assert ours.student == theirs.student.model_copy(update={"model": ours.student.model})


def test_the_arguments_of_the_template_are_those_of_the_training(made):
    chosen = evaluated(made).model_copy(update={"template_args": {"enable_thinking": True}})
    assert an_evaluator(chosen, made / "out").config.student.template_args == {
        "enable_thinking": True
    }


BAD = [
    ({"questions": "nowhere.jsonl"}, DataError, "nowhere.jsonl"),
    ({"verify": "nothing"}, ConfigError, "'nothing' is no verifier"),
    ({"verify": "choice:letter"}, DataError, "2 of 2 questions can't be verified by choice"),
    ({"group": "kind"}, InputError, "2 questions have no column 'kind'"),
    ({"config": "nothing.toml"}, ConfigError, "nothing.toml: no such configuration file"),
]


@pytest.mark.parametrize("line", ['{"prompt": 3}', '{"prompt": "2 + 2?", "answer": "?"}'])
def test_no_option_is_named_that_training_does_not_have(made, tmp_path, line):
    questions = tmp_path / "q.jsonl"
    questions.write_text('{"prompt": "1 + 1?", "answer": 2}\n' + line + "\n")
    chosen = evaluated(made, questions=str(questions), verify="number")
    with pytest.raises(DataError) as error:
        train(made / "d.jsonl", chosen, tmp_path / "out")
    assert f"{questions}:2" in str(error.value)
    assert "--skip-bad" not in error.value.hint


@pytest.mark.parametrize(("change", "error", "said"), BAD)
def test_what_can_not_be_asked_is_refused_before_training(made, tmp_path, change, error, said):
    with pytest.raises(error, match=said):
        train(made / "d.jsonl", evaluated(made, **change), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_bad_setting_of_evaluation_is_named(made, tmp_path):
    path = tmp_path / "eval.toml"
    path.write_text("[limits]\nthinking = 8\n")
    with pytest.raises(ConfigError, match=r"eval\.toml: limits\.thinking: there is no such") as c:
        an_evaluator(evaluated(made, config=str(path)), tmp_path / "out")
    assert "thinking_tokens" in c.value.hint


def test_a_folder_that_no_address_can_name_is_refused(made, tmp_path):
    with pytest.raises(ConfigError, match="with a comma in its path"):
        train(made / "d.jsonl", evaluated(made), tmp_path / "one,two")


def test_without_a_server_for_epochs_there_is_none(made, tmp_path, monkeypatch):
    monkeypatch.setattr(evaluator.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match="xllamacpp"):
        train(made / "d.jsonl", evaluated(made), tmp_path / "out")


def test_a_model_that_llama_cpp_would_not_take_is_refused_before_training(made, tmp_path):
    folder = student(tmp_path / "model")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "hidden_act": "gelu"}))
    chosen = evaluated(made).model_copy(update={"model": str(folder)})
    with pytest.raises(ConfigError, match="no GGUF can be made"):
        train(made / "d.jsonl", chosen, tmp_path / "out")
    assert not (tmp_path / "out" / "state").exists()


# --- Evaluated ----------------------------------------------------------------------------------


def test_a_failed_evaluation_is_named_and_gone_on_with(made, tmp_path):
    """A training that is done is evaluated afterwards; what failed is fixed, and resumes."""
    out, said = tmp_path / "out", []
    plain = train(made / "d.jsonl", settings(made / "model", epochs=1), out)
    assert plain.evaluation == ()
    assert plain.epochs[0].gguf is None
    stranger = out / "eval" / "epoch-1" / "stranger.txt"
    stranger.parent.mkdir(parents=True)
    stranger.touch()
    with pytest.raises(TrainingError, match=r"of epoch 1 failed: .*holds stranger\.txt") as caught:
        train(made / "d.jsonl", evaluated(made), out, say=said.append)
    assert "the same command" in caught.value.hint
    stranger.unlink()
    seen = []
    done = train(made / "d.jsonl", evaluated(made), out, say=seen.append)
    assert [each.epoch for each in done.evaluation] == [0, 1]
    assert [each.loss for each in done.evaluation] == [None, done.epochs[0].loss]
    assert done.epochs[0].gguf == out / "epoch-1" / "model.gguf"
    assert done.losses == plain.losses
    assert "evaluating the untrained model on 2 questions" in said
    assert "evaluating the untrained model on 2 questions" not in seen
    assert "| 1 | 0.0% (0.0–65.8) |" in (out / "README.md").read_text()
    before = (out / "evaluation.json").stat().st_mtime_ns
    again = train(made / "d.jsonl", evaluated(made), out)
    assert again == done
    assert (out / "evaluation.json").stat().st_mtime_ns == before
    with pytest.raises(RunMismatch, match="samples_per_question: 1 then, 2 now") as refused:
        train(made / "d.jsonl", evaluated(made, samples_per_question=2), out)
    assert str(out / "evaluation.json") in refused.value.hint
    with pytest.raises(RunMismatch, match="epoch 1 is that of another training"):
        an_evaluator(evaluated(made), out).evaluate_epoch(Epoch(1, out / "epoch-1", 0.25))
