"""Plans a start of a run: which samples to write. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from tessy.config import Config
from tessy.data.questions import BadLine, Question, Questions
from tessy.method.trajectory import Failure
from tessy.runs.counters import Counters


@dataclass(frozen=True, slots=True)
class Job:
    """One sample to write.

    Attributes:
        position: Its position in the order of the questions, from 0.
        id: Its id, unique in the run.
        question: The question.
        failures: How often it failed at earlier starts.
    """

    position: int
    id: str
    question: Question
    failures: int = 0


@dataclass(frozen=True, slots=True)
class Plan:
    """The plan of one start of a run.

    Attributes:
        jobs: Samples to write, in the order of the questions.
        bad: Bad lines to record as failures.
        again: Ids of jobs that failed at an earlier start and are written again.
        counters: The counts at the start.
    """

    jobs: tuple[Job, ...]
    bad: tuple[BadLine, ...]
    again: tuple[str, ...]
    counters: Counters


def plan(
    read: Questions,
    config: Config,
    ended: Mapping[str, Failure | None],
    failures: Mapping[str, int],
    *,
    retry: Collection[Failure],
) -> Plan:
    """Decide which samples to write.

    Args:
        read: All questions.
        config: The run's settings.
        ended: Ids of samples that ended at earlier starts, with the reason if a sample failed.
        failures: How often samples failed before they were last written again, by id.
        retry: Reasons; samples that failed for one of them are written again.
    """
    wanted = list(_jobs(read, config, failures))
    again = [job for job in wanted if ended.get(job.id) in retry]
    again_ids = {job.id for job in again}
    over = {sample_id: end for sample_id, end in ended.items() if sample_id not in again_ids}
    jobs = [
        Job(job.position, job.id, job.question, job.failures + (job.id in again_ids))
        for job in wanted
        if job.id not in over
    ]
    bad = [line for line in read.bad if line.id not in over]
    failed = Counter(reason for reason in over.values() if reason is not None)
    counters = Counters(
        total=len(over) + len(jobs) + len(bad),
        finished=len(over) - failed.total(),
        failed=failed,
        ended_before=len(over) + len(bad),
    )
    return Plan(tuple(jobs), tuple(bad), tuple(job.id for job in again), counters)


def _jobs(read: Questions, config: Config, failures: Mapping[str, int]) -> Iterator[Job]:
    """All samples of the run, ended or not."""
    several = config.samples_per_question
    for question in read:
        for index in range(several):
            sample_id = f"{question.id}#{index}" if several > 1 else question.id
            position = question.number * several + index
            yield Job(position, sample_id, question, failures.get(sample_id, 0))
