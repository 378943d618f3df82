"""What a run has to do, and what of it is done. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from tessy.config import Config
from tessy.data.questions import BadLine, Question, Questions
from tessy.method.trajectory import Failure, Turn
from tessy.runs.counters import Tally


@dataclass(frozen=True, slots=True)
class Job:
    """One sample to be written.

    Attributes:
        position: Its place in the order of the questions.
        id: Unique in the run.
        question: What to ask.
        attempt: How often it failed before.
    """

    position: int
    id: str
    question: Question
    attempt: int = 0


@dataclass(frozen=True, slots=True)
class Assigned:
    """A sample that is given to be written.

    Attributes:
        job: The sample.
        turns: Those that an earlier start wrote of it; None if none did.
        seconds: Spent on them,
        requests: and calls.
    """

    job: Job
    turns: Sequence[Turn] | None = None
    seconds: float = 0.0
    requests: int = 0


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be done at one start of a run.

    Attributes:
        jobs: Samples to write, in the order of the questions.
        bad: Bad lines to record as failures.
        again: Of the jobs, the ids of those that failed at an earlier start.
        tally: The counts to begin with.
    """

    jobs: tuple[Job, ...]
    bad: tuple[BadLine, ...]
    again: tuple[str, ...]
    tally: Tally


def plan(
    read: Questions,
    config: Config,
    ended: Mapping[str, Failure | None],
    attempts: Mapping[str, int],
    *,
    retry: Collection[Failure],
) -> Plan:
    """Decide what is to be done.

    Args:
        read: All questions.
        config: The run's settings.
        ended: Samples that ended at an earlier start, with the reason of those that failed.
        attempts: How often samples failed before they were last written anew.
        retry: Write samples anew that failed for one of these reasons.
    """
    wanted = list(_jobs(read, config, attempts))
    again = [job for job in wanted if ended.get(job.id) in retry]
    again_ids = {job.id for job in again}
    over = {sample_id: end for sample_id, end in ended.items() if sample_id not in again_ids}
    jobs = [
        Job(job.position, job.id, job.question, job.attempt + (job.id in again_ids))
        for job in wanted
        if job.id not in over
    ]
    bad = [line for line in read.bad if line.id not in over]
    failed = Counter(reason for reason in over.values() if reason is not None)
    tally = Tally(
        total=len(over) + len(jobs) + len(bad),
        finished=len(over) - failed.total(),
        failed=failed,
        ended_before=len(over) + len(bad),
    )
    return Plan(tuple(jobs), tuple(bad), tuple(job.id for job in again), tally)


def _jobs(read: Questions, config: Config, attempts: Mapping[str, int]) -> Iterator[Job]:
    """Every sample that the run should end."""
    several = config.samples_per_question
    for question in read.good:
        for index in range(several):
            sample_id = f"{question.id}#{index}" if several > 1 else question.id
            position = question.number * several + index
            yield Job(position, sample_id, question, attempts.get(sample_id, 0))
