"""Which of the teacher's short style spans the student would write, too."""

from __future__ import annotations

import datetime
import json
import math
from contextlib import asynccontextmanager

import pytest

from commands import run as command
from made_runs import STUDENT, TEACHER, Made, answer, last, turn, write_run
from tessy import lab
from tessy.errors import InputError, Refused
from tessy.models.templates import from_tokenizer
from tessy.models.tokenizers import LocalTokenizer
from tessy.report.scoring import TextScorer
from tessy.report.scoring.shared import shared_spans
from tessy.report.source import open_runs
from tessy.testing import build_tokenizer


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return build_tokenizer(tmp_path_factory.mktemp("tokenizer"), flavour="qwen3")


def short(text, *spans):
    """The teacher's last turn, with tolerated spans: words of the text."""
    places = [(text.index(word), text.index(word) + len(word)) for word in spans]
    return last(TEACHER, text, 9)._replace(tolerated=tuple(places))


@pytest.fixture
def made(tmp_path):
    """A run: two samples with short spans, and one without."""
    teachers = [
        [turn(STUDENT, "Okay.", 1), short(" 1 So 2 Thus 3", " So", " Thus")],
        [turn(STUDENT, "Okay.", 1), short(" 1 so, 2", " so,")],
        [last(STUDENT, "Okay.", 1)],
    ]
    samples = [
        Made(f"q{number}", [*turns, answer("2", 1)], prompt=f"Is it {number}?")
        for number, turns in enumerate(teachers)
    ]
    return write_run(tmp_path / "run", samples)


def scorer(folder, logprob):
    """A scorer whose log-probability of a token is a function of its text."""

    @asynccontextmanager
    async def opened(say):
        format_ = from_tokenizer(folder, name="x", arguments={}, date=datetime.date(2026, 1, 2))
        tokenizer = LocalTokenizer(folder)

        async def logprobs(ids):
            found = [await tokenizer.tokens([one]) for one in ids]
            return [None, *(logprob("".join(t.text for t in tokens)) for tokens in found[1:])]

        yield TextScorer("name", "key", format_, tokenizer, None, 2, logprobs)

    return opened


async def test_spans_are_gathered_with_the_probability_of_all_their_tokens(made, folder):
    (run,) = open_runs([made])
    spans = await shared_spans(run, scorer(folder, lambda text: -0.5 * len(text)), 9, print)
    found = {span.words: sorted(span.probabilities) for span in spans}
    assert found == {
        "so": pytest.approx([math.exp(-0.5 * 4), math.exp(-0.5 * 3)]),
        "thus": pytest.approx([math.exp(-0.5 * 5)]),
    }
    assert [span.words for span in spans] == ["so", "thus"]


async def test_no_more_samples_are_scored_than_asked_for(made, folder):
    (run,) = open_runs([made])
    spans = await shared_spans(run, scorer(folder, lambda text: -1.0), 1, print)
    assert {span.words: len(span.probabilities) for span in spans} == {"so": 1, "thus": 1}


async def test_a_student_that_refuses_all_is_an_error(made, folder):
    def refuses(text):
        raise Refused("no")

    (run,) = open_runs([made])
    with pytest.raises(InputError, match="could score none of 2 samples"):
        await shared_spans(run, scorer(folder, refuses), 9, print)


@pytest.fixture
def faithful(tmp_path):
    return write_run(tmp_path / "run", [Made("q", [last(STUDENT, "Okay.", 1), answer("2", 1)])])


async def test_a_run_without_short_spans_says_how_to_get_them(faithful, folder):
    (run,) = open_runs([faithful])
    with pytest.raises(InputError) as raised:
        await shared_spans(run, scorer(folder, lambda text: -1.0), 9, print)
    assert "--min-style-words 2" in raised.value.hint


def test_the_command_prints_settings_that_a_run_takes(made, tmp_path):
    done = command("predictor", "shared", made, "--student-weights", lab.folder("student"))
    assert done.code == 0, done.err
    _, _, toml = done.out.partition("[handover]")
    config = tmp_path / "run.toml"
    config.write_text("[handover]" + toml.replace("[]", '["so"]'))
    (tmp_path / "q.jsonl").write_text(json.dumps({"prompt": "?"}) + "\n")
    questions, out = tmp_path / "q.jsonl", tmp_path / "out"
    asked = command("synth", questions, "--out", out, "--config", config)
    assert "no student is given" in asked.err


def test_the_command_wants_a_student(made):
    done = command("predictor", "shared", made)
    assert done.code != 0
    assert "no student is given" in done.err
