"""The samples of a run, in the order of the questions. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from tessy.config import Config
from tessy.data.questions import Question
from tessy.method.trajectory import Failure

WRITTEN_AGAIN = tuple(reason for reason in Failure if reason is not Failure.BAD_QUESTION)
"""Failures that `--retry-failed` writes again: a bad line stays bad."""


@dataclass(frozen=True, slots=True)
class Job:
    """One sample to write.

    Attributes:
        position: Its position in the order of the questions, from 0.
        id: Its id, unique in the run.
        question: The question.
        failures: How often it failed and was then written again.
        seed_key: What its seeds are derived from; by default its id.
    """

    position: int
    id: str
    question: Question
    failures: int = 0
    seed_key: str | None = None


def question_of(sample_id: str, several: int) -> str:
    """The id of a sample's question.

    Args:
        sample_id: The sample's id, as `jobs` makes it.
        several: How many samples each question has.
    """
    return sample_id.rpartition("#")[0] if several > 1 else sample_id


def jobs(questions: Iterable[Question], config: Config) -> Iterator[Job]:
    """All samples of some questions, ended or not.

    Args:
        questions: The questions.
        config: The run's settings.
    """
    several = config.samples_per_question
    for question in questions:
        for index in range(several):
            sample_id = f"{question.id}#{index}" if several > 1 else question.id
            yield Job(question.number * several + index, sample_id, question)
