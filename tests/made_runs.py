"""Runs made by hand, turn by turn, and written by the same code as real ones."""

from __future__ import annotations

import asyncio
import datetime
from dataclasses import asdict, dataclass, field
from pathlib import Path

import tomli_w

from tessy.data import record
from tessy.data.questions import Question
from tessy.method.trajectory import Failure, Outcome, Part, Role, Trajectory, Turn
from tessy.runs.folder import RunFolder
from tessy.runs.written import Ending
from tessy.verifiers.protocol import Verdict, VerdictOutcome
from written import journals_of

STUDENT, TEACHER = Role.STUDENT, Role.TEACHER


def turn(role, kept, tokens, discarded="", gone=0, *, forced=False, outcome=Outcome.HANDED_OVER):
    """A turn of thinking with `tokens` tokens, of which `gone` are those of `discarded`."""
    return Turn(
        role, Part.THINKING, outcome, kept=kept, discarded=discarded, forced=forced,
        tokens=tokens, discarded_tokens=gone,
    )  # fmt: skip


def last(role, kept, tokens):
    """The turn that ends the thinking."""
    return turn(role, kept, tokens, outcome=Outcome.CLOSED)


def answer(text, tokens, role=STUDENT):
    return Turn(role, Part.ANSWER, Outcome.CLOSED, kept=text, tokens=tokens)


@dataclass
class Made:
    """A sample to write."""

    id: str
    turns: list
    prompt: str = "What?"
    failure: Failure | None = None
    detail: str = "as it was made"
    seconds: float = 1.0
    requests: int = 1
    trace: dict = field(default_factory=dict)
    verdict: str | None = None
    said: str = ""


def _verdict(made: Made) -> dict:
    return asdict(Verdict(VerdictOutcome(made.verdict), detail=made.said))


def ending(position: int, made: Made, method: str) -> Ending:
    trajectory = Trajectory.replay(made.turns)
    messages = ({"role": "user", "content": made.prompt},)
    question = Question(position, made.id.split("#")[0], messages)
    if made.failure is None:
        models = {"student": "small", "teacher": "large"}
        written = record.finished(
            made.id,
            question,
            trajectory,
            method=method,
            models=models,
            seed=0,
            verdict=_verdict(made) if made.verdict else None,
        )
    else:
        written = record.failed(
            made.id,
            question,
            trajectory,
            made.failure,
            made.detail,
            verdict=_verdict(made) if made.verdict else None,
        )
    trace = {**record.trace(trajectory), **made.trace}
    return Ending(
        position, made.id, made.failure, written, trace, made.seconds, made.requests
    )  # fmt: skip


def write_run(folder: Path, samples: list[Made], *, method="tessy", **settings) -> Path:
    """Write a run's folder as `tessy synth` does."""

    async def write() -> None:
        async with journals_of(RunFolder(folder)) as journals:
            for position, made in enumerate(samples):
                await journals.of(made.id).end(ending(position, made, method))

    asyncio.run(write())
    about = {"questions": "q.jsonl", "date": datetime.date(2026, 1, 2), "digest": "0"}
    settings = {"method": method, "run": about, **settings}
    RunFolder(folder).settings.write_text(tomli_w.dumps(settings), encoding="utf-8")
    return folder
