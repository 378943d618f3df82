"""Which of several teachers writes a sample (docs/teachers.md). Pure.

It depends on the settings, the question and the number of the attempt alone, so a sample that is
resumed, here or in another process, has the same teacher (*Replay*).
"""

from __future__ import annotations

from tessy.config import VOTE, Config
from tessy.data.messages import cut
from tessy.data.questions import Question
from tessy.errors import InputError, meant
from tessy.models.replicas import ranked


def check_question(config: Config, question: Question) -> None:
    """Check that a question names its teacher, if it has to.

    Raises:
        InputError: It does not; the message says what it has instead.
    """
    column = config.route
    if column is None or column == VOTE:
        return
    if column not in question.extra:
        there = ", ".join(question.columns or question.extra) or "its question"
        raise InputError(
            f"it has no column {column!r} to name its teacher: "
            f"{meant(column, [*question.extra, VOTE])}only {there} is there"
        )
    named, names = question.extra[column], sorted(config.teachers)
    if named not in names:
        near = meant(named, names) if isinstance(named, str) else ""
        raise InputError(f"{column} is {cut(repr(named))}: {near}teachers are {', '.join(names)}")


def teacher_of(config: Config, question: Question, sample: str, attempt: int) -> str | None:
    """The name of the teacher that writes an attempt at a sample; None if there is only one.

    With `vote`, each teacher comes once in a round. Which comes first differs from sample to
    sample, so that all have about as much to do.

    Args:
        config: The settings, checked.
        question: The question, checked.
        sample: The sample's id.
        attempt: The number of the attempt, from 0.
    """
    if config.route is None:
        return None
    if config.route != VOTE:
        return str(question.extra[config.route])
    names = [*config.teachers]  # in any order
    return names[ranked(sample, names)[attempt % len(names)]]


def teachers_of(config: Config, question: Question) -> set[str | None]:
    """The teachers that may write samples of a question; see `teacher_of`."""
    rounds = len(config.teachers) if config.route == VOTE else 1
    return {teacher_of(config, question, question.id, attempt) for attempt in range(rounds)}


def attempts_of(config: Config) -> int:
    """The most attempts at a sample: with `vote`, the setting is a number of rounds."""
    return config.attempts * (len(config.teachers) if config.route == VOTE else 1)
