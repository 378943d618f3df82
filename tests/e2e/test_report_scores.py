"""Likelihood under the student: by a server and by weights, kept, resumed, and equal."""

from __future__ import annotations

import asyncio
import datetime
import shutil
import sqlite3

import orjson
import pytest

from commands import tessy
from made_runs import STUDENT, TEACHER, Made, answer, last, turn, write_run
from scoring_server import ScoringServer, logprobs
from tessy.models.templates import from_tokenizer
from tessy.models.tokenizers import LocalTokenizer, PromptPiece
from tessy.report.scoring import open_weights, score_runs, scorers
from tessy.report.source import open_runs
from tessy.testing import EchoScript, ScriptedServer
from tiny_models import write_model

SAMPLES = [
    Made(
        f"q{number}",
        [turn(STUDENT, "Okay, so", 2), turn(TEACHER, f" {number} + {number}", 3, " well", 1),
         last(STUDENT, " maybe.", 1), answer(f"It is {2 * number}.", 2)],
        prompt=f"What is {number} + {number}?",
    )
    for number in range(4)
]  # fmt: skip


@pytest.fixture(scope="module")
def student(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("student"), "qwen3", 1)


@pytest.fixture
def run(tmp_path):
    return write_run(tmp_path / "run", SAMPLES)


@pytest.fixture(scope="module")
def expected(student):
    return asyncio.run(by_one_pass(student))


async def by_one_pass(student):
    """Written out: each piece tokenised, one forward pass, sums by author."""
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(student, dtype=torch.float32).eval()
    tokenizer = LocalTokenizer(student)
    format_ = from_tokenizer(student, name="x", arguments={}, date=datetime.date(2026, 1, 2))
    sums = {"student": [0.0, 0], "teacher": [0.0, 0], "answer": [0.0, 0]}
    for number in range(4):
        ids, authors = [], []
        asked = {"role": "user", "content": f"What is {number} + {number}?"}
        parts = [(piece, None) for piece in format_.opening([asked])]
        parts += [
            (PromptPiece("Okay, so"), "student"),
            (PromptPiece(f" {number} + {number}"), "teacher"),
        ]
        parts += [(PromptPiece(" maybe."), "student"), (format_.closing(), None)]
        parts += [(PromptPiece(f"It is {2 * number}."), "answer")]
        for piece, author in parts:  # byte-level words: no token crosses a blank
            found = await tokenizer.encode(piece)
            ids += found
            authors += [author] * len(found)
        for author, value in zip(authors, logprobs(model, ids), strict=True):
            if author:
                sums[author][0] -= value
                sums[author][1] += 1
    sums["all"] = [sum(column) for column in zip(*sums.values(), strict=True)]
    return {author: total / count for author, (total, count) in sums.items()}


def told(path):
    scores = orjson.loads(path.read_bytes())["scores"]
    (only,) = scores["runs"].values()
    return {name: figure["value"] for name, figure in only["nll"].items()}, only, scores["scorer"]


@pytest.mark.parametrize("way", ["prompt_logprobs", "echo"])
async def test_a_server_scores_and_is_not_asked_twice(run, student, expected, way, tmp_path):
    numbers = tmp_path / "report.json"
    async with ScoringServer(student, way) as server:
        command = ["report", run, "--student", server.url, "--student-tokenizer", student]
        done = await tessy(*command, "--json", numbers, "--scored", "2")
        assert done.code == 0, done.err
        assert told(numbers)[1]["samples"] == 2
        assert server.asked == 2
        done = await tessy(*command, "--json", numbers)
        assert server.asked == 4, "two of them were known"
        found, only, scorer = told(numbers)
        assert found == pytest.approx(expected, rel=1e-4)
        assert (only["samples"], only["left_out"]) == (4, {})
        assert way in scorer
        done = await tessy(*command, "--json", numbers)
        assert server.asked == 4
    assert told(numbers)[0] == found


@pytest.mark.parametrize("window", [5, 512])
async def test_weights_say_the_same(run, student, expected, window, monkeypatch):
    monkeypatch.setattr(scorers, "WINDOW", window)
    (source,) = open_runs([run])
    questions = {sample.question for sample in source.samples()}

    def opened(say):
        return open_weights(student, None, datetime.date(2026, 1, 2), say)

    name, scores = await score_runs([source], questions, opened, print)
    assert "transformers" in name
    found = scores[source.label].sums
    for author, mean in expected.items():
        nll = sum(sums.nll[author] for _, sums in found)
        count = sum(sums.tokens[author] for _, sums in found)
        assert nll / count == pytest.approx(mean, rel=1e-4)


async def test_weights_by_the_command_line(run, student, expected, tmp_path):
    numbers, text = tmp_path / "report.json", tmp_path / "report.md"
    command = ["report", run, "--student-weights", student, "--json", numbers]
    done = await tessy(*command, "--markdown", text, OMP_NUM_THREADS="1")
    assert done.code == 0, done.err
    assert told(numbers)[0] == pytest.approx(expected, rel=1e-3)
    assert "| thinking, the teacher's spans | " in text.read_text()


async def test_what_was_scored_before_the_server_broke_is_kept(run, student, expected, tmp_path):
    numbers, settings = tmp_path / "report.json", tmp_path / "settings.toml"
    settings.write_text("[student]\nretries = 0\n")
    async with ScoringServer(student, "prompt_logprobs") as server:
        server.fails_after = 2
        command = ["report", run, "--student", server.url, "--student-tokenizer", student]
        command += ["--config", settings, "--json", numbers]
        done = await tessy(*command)
        assert done.code == 1
        assert done.err.splitlines()[-1].startswith("error: ") or "hint: " in done.err
        assert "Traceback" not in done.err
        assert not numbers.exists()
        assert server.asked == 2
        server.fails_after = None
        done = await tessy(*command)
        assert done.code == 0, done.err
        assert server.asked == 4
    assert told(numbers)[0] == pytest.approx(expected, rel=1e-4)


async def test_texts_that_do_not_fit_are_left_out_and_counted(run, student, tmp_path):
    numbers = tmp_path / "report.json"
    async with ScoringServer(student, "echo", context=20) as server:
        command = ["report", run, "--student", server.url, "--student-tokenizer", student]
        done = await tessy(*command, "--json", numbers, "--markdown", tmp_path / "r.md")
    assert done.code == 0, done.err
    found, only, _ = told(numbers)
    assert only["left_out"] == {"longer than the student's context": 4}
    assert found["all"] is None
    assert "4 samples were not scored: longer than" in (tmp_path / "r.md").read_text()


async def test_a_server_that_can_t_score_is_told_at_once(run, student):
    async with ScriptedServer(EchoScript("hi"), tokenizer=student) as server:
        command = ["report", run, "--student", server.url, "--student-tokenizer", student]
        done = await tessy(*command)
    assert done.code == 2
    assert "returns no log-probabilities of a prompt" in done.err
    assert "--student-weights" in done.err
    assert not (run / "report.html").exists()


async def test_another_text_has_another_score(run, student, tmp_path):
    """A sample that was written again under the same id is scored again."""
    async with ScoringServer(student, "echo") as server:
        options = ["--student", server.url, "--student-tokenizer", student]
        await tessy("report", run, *options)
        turns = [last(STUDENT, "Okay.", 1), answer("Six.", 1)]
        changed = Made("q3", turns, prompt=SAMPLES[3].prompt)
        other = await asyncio.to_thread(write_run, tmp_path / "other", [*SAMPLES[:3], changed])
        shutil.copy(run / "scores.sqlite", other / "scores.sqlite")
        done = await tessy("report", other, *options)
        assert done.code == 0, done.err
        assert server.asked == 5
    with sqlite3.connect(other / "scores.sqlite") as connection:
        assert connection.execute("select count(*) from scores").fetchone() == (5,)
