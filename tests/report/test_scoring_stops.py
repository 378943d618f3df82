"""One call that fails stops scoring: what is under way is kept, and nothing more is asked."""

from __future__ import annotations

import asyncio
import datetime
from contextlib import asynccontextmanager

import pytest

from made_runs import STUDENT, Made, answer, last, write_run
from tessy.errors import Refused, ServerFailure
from tessy.models.templates import from_tokenizer
from tessy.models.tokenizers import LocalTokenizer
from tessy.report.scoring import TextScorer, score_runs
from tessy.report.source import open_runs
from tessy.testing import build_tokenizer

AT_ONCE = 3
SAMPLES = 8


class Answers:
    """Answers calls, but not the first one; the others end after that one has failed."""

    def __init__(self, later: Exception | None) -> None:
        self.asked = 0
        self.failing = True
        self._later = later
        self._failed = asyncio.Event()

    async def logprobs(self, ids):
        self.asked += 1
        if self.failing:
            if self.asked == 1:
                await asyncio.sleep(0)
                self._failed.set()
                raise ServerFailure("broken")
            await self._failed.wait()
            if self._later:
                raise self._later
        return [None, *[-1.0] * (len(ids) - 1)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return build_tokenizer(tmp_path_factory.mktemp("tokenizer"), flavour="qwen3")


@pytest.fixture
def run(tmp_path):
    turns = [last(STUDENT, "Okay.", 1), answer("It is so.", 2)]
    samples = [Made(f"q{number}", turns, prompt=f"Is it {number}?") for number in range(SAMPLES)]
    return write_run(tmp_path / "run", samples)


async def scored(run, answers: Answers, folder):
    """Score a run."""

    @asynccontextmanager
    async def opened(say):
        date = datetime.date(2026, 1, 2)
        format_ = from_tokenizer(folder, name="x", arguments={}, date=date)
        yield TextScorer(
            "name", "key", format_, LocalTokenizer(folder), None, AT_ONCE, answers.logprobs
        )

    (source,) = open_runs([run])
    questions = {sample.question for sample in source.samples()}
    _, found = await score_runs([source], questions, opened, print)
    return found[source.label]


@pytest.mark.parametrize(("later", "kept"), [(None, AT_ONCE - 1), (Refused("not now"), 0)])
async def test_nothing_more_is_asked_once_a_call_failed(run, folder, later, kept):
    """Calls that are under way are answered then, or refused."""
    answers = Answers(later)
    with pytest.raises(ServerFailure):
        await scored(run, answers, folder)
    assert answers.asked == AT_ONCE
    answers.failing = False
    assert len((await scored(run, answers, folder)).sums) == SAMPLES
    assert answers.asked == AT_ONCE + SAMPLES - kept
