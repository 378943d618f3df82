"""Evaluations and runs of judges made by hand, and written by the same code as real ones."""

from __future__ import annotations

import asyncio
import datetime
import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

import tomli_w

from made_runs import answer, last
from tessy.data import record
from tessy.data.questions import Question
from tessy.method.trajectory import Failure, Role, Trajectory
from tessy.runs.folder import RunFolder
from tessy.runs.written import Ending
from tessy.verifiers.protocol import Verdict
from written import journals_of

S = Role.STUDENT


def question_rows(count: int, **more) -> list[dict]:
    """Questions with ids and texts of their own."""
    return [{"id": f"q{n}", "prompt": f"What is {n} and {n}?", **more} for n in range(count)]


def write_rows(path: Path, rows: Iterable[dict]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path


def read_rows(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def write_evaluation(
    folder: Path, rows: list[dict], samples, *, several=1, thinking="hm", **settings
) -> Path:
    """Write the run of an evaluation.

    Args:
        folder: The run's folder.
        rows: The questions.
        samples: Of each question by its id, what became of its samples: True for right, False for
            wrong, a number or text for a judge's answer, or a `Failure`. Those that are missing
            have not ended.
        several: Samples of each question.
        thinking: The thinking of each.
        **settings: Of the run.
    """

    async def write() -> None:
        async with journals_of(RunFolder(folder)) as journals:
            for number, row in enumerate(rows):
                question = Question(
                    number, row["id"], ({"role": "user", "content": row["prompt"]},)
                )
                for index, end in enumerate(samples.get(row["id"], ())):
                    name = f"{row['id']}#{index}" if several > 1 else row["id"]
                    at = number * several + index
                    made = _ending(at, name, question, end, thinking)
                    await journals.of(name).end(made)

    asyncio.run(write())
    about = {"questions": "q.jsonl", "date": datetime.date(2026, 1, 2), "digest": "0"}
    about["models"] = {"student": "small"}
    usual = {"method": "student-only", "verify": "number", "samples_per_question": several}
    tree = {**usual, **settings, "run": about}
    tree = {key: value for key, value in tree.items() if value is not None}
    RunFolder(folder).settings.write_text(tomli_w.dumps(tree), "utf-8")
    return folder


def write_ratings(folder: Path, rows: list[dict], answers) -> Path:
    """Write the run of a judge; as `write_evaluation`."""
    return write_evaluation(folder, rows, answers, method="judge", verify=None)


def _ending(position: int, name: str, question: Question, end: object, thinking: str) -> Ending:
    said = end if isinstance(end, str) else "It is 7."
    trajectory = Trajectory.replay([last(S, thinking, 3), answer(said, 2)])
    trace = record.trace(trajectory)
    if isinstance(end, Failure):
        made = record.failed(name, question, trajectory, end, "as it was made")
        return Ending(position, name, end, made, trace, 1.0, 1)
    verdict = asdict(Verdict.of(end)) if isinstance(end, bool) else None
    made = record.finished(
        name, question, trajectory, method="student-only", models={}, seed=0, verdict=verdict
    )
    return Ending(position, name, None, made, trace, 1.0, 1)
