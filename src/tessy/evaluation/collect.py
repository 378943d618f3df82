"""What became of each sample, from a run's journal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson

from tessy.data.questions import Questions
from tessy.errors import InputError
from tessy.evaluation.measure import Run, Standing, standing_of
from tessy.runs.folder import RunFolder
from tessy.runs.reader import EndedSample, JournalReader
from tessy.verifiers.protocol import VerdictOutcome

_STANDINGS = {
    VerdictOutcome.RIGHT: Standing.RIGHT,
    VerdictOutcome.WRONG: Standing.WRONG,
    VerdictOutcome.NO_ANSWER: Standing.NO_ANSWER,
    VerdictOutcome.ERROR: Standing.UNMEASURED,
}


def runs_of(folder: RunFolder, read: Questions, *, several: bool, group: str | None) -> list[Run]:
    """Every sample of some questions that ended.

    Args:
        folder: The run's.
        read: The questions; the run may have answered others, too, with a larger limit.
        several: There are several samples of each: their ids end in `#` and a number.
        group: The question's column by whose value to group.
    """
    asked = {question.id for question in read.good}
    groups = groups_of(read, group)
    with JournalReader(folder) as reader:
        return [run for run in _runs(reader, groups, several=several) if run.question in asked]


def groups_of(read: Questions, column: str | None) -> dict[str, str]:
    """The group of each question.

    Raises:
        InputError: A question has no such column.
    """
    if column is None:
        return {}
    without = [question.id for question in read.good if column not in question.extra]
    if without:
        there = sorted({name for question in read.good for name in question.extra})
        raise InputError(
            f"{len(without)} questions have no column {column!r} to group by, such as {without[0]}",
            hint=f"there are {', '.join(there) or 'no other columns'}",
        )
    return {question.id: str(question.extra[column]) for question in read.good}


def _runs(reader: JournalReader, groups: dict[str, str], *, several: bool) -> Iterator[Run]:
    for entry in reader.ended():
        question = entry.id.rpartition("#")[0] if several else entry.id
        made = orjson.loads(entry.record)
        stats = made["stats"]
        lost = stats["student_discarded_tokens"] if entry.failure is not None else 0
        yield Run(
            question=question,
            group=groups.get(question, ""),
            standing=_standing(entry, made),
            thinking_tokens=stats["thinking_tokens"],
            answer_tokens=stats["answer_tokens"] + lost,
        )


def _standing(entry: EndedSample, made: dict[str, Any]) -> Standing:
    if entry.failure is not None:
        return standing_of(entry.failure)
    return _STANDINGS[VerdictOutcome(made["verdict"]["outcome"])]
