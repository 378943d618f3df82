"""The pool: so many trajectories at once, each a task of its own, so no call stalls another.

*Exactly once*: every job given to it ends as one record or one failure with a reason, or is left
as it is when the run stops. A failure is classified here, once: what a voice or a predictor
raised becomes a `Failure`; anything that is not one sample's (a server that is gone, a journal
that can't be written, a mistake of ours) stops the run.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict
from typing import Any, Protocol

from tessy.boundary.batcher import Judge
from tessy.config import Config
from tessy.data import record
from tessy.errors import (
    ModelError,
    Outage,
    PredictorError,
    Refused,
    ServerFailure,
    TimedOut,
    Unreachable,
)
from tessy.method.chunks import ChunkSizes
from tessy.method.trajectory import Failure, Role, SampleFailed, Turn
from tessy.models.session import Model
from tessy.runs.counters import Tally
from tessy.runs.journal import Ending, Journal
from tessy.runs.plan import Assigned, Job
from tessy.synthesis.methods import attempts, method_of
from tessy.synthesis.sample import Sample
from tessy.verifiers.protocol import Verifier

CHECKPOINT_S = 2.0


class Desk(Protocol):
    """Where samples come from, and where what is written of them goes."""

    async def next(self) -> Assigned | None:
        """A sample to write; None if there is none any more."""
        ...

    def note(self, sample_id: str, turn: Turn, seconds: float, requests: int) -> None:
        """Take down a turn of a sample, and what was spent on it so far."""
        ...

    async def end(self, ending: Ending) -> None:
        """Take in how a sample ended; see `Journal.end`."""
        ...

    async def checkpoint(self) -> None:
        """Keep what was noted."""
        ...


class OwnDesk:
    """The desk of a run that is written by one process: the plan's jobs, and the journal.

    Args:
        jobs: What to write.
        begun: Of them, those of which the journal has turns.
        journal: Keeps what is written.
        tally: Counts it.
        requests: How many calls were made.
    """

    def __init__(
        self,
        jobs: Iterable[Job],
        begun: set[str],
        journal: Journal,
        tally: Tally,
        requests: Callable[[], int],
    ) -> None:
        self._jobs = iter(jobs)
        self._begun = begun
        self._journal = journal
        self._tally = tally
        self._requests = requests

    async def next(self) -> Assigned | None:
        """See `Desk.next`."""
        if (job := next(self._jobs, None)) is None:
            return None
        self._tally.running += 1
        return await assigned(job, self._begun, self._journal)

    def note(self, sample_id: str, turn: Turn, seconds: float, requests: int) -> None:
        """See `Desk.note`."""
        self._tally.turn(turn)
        self._tally.requests = self._requests()
        self._journal.note(sample_id, turn, seconds, requests)

    async def end(self, ending: Ending) -> None:
        """See `Desk.end`."""
        await self._journal.end(ending)
        self._tally.running -= 1
        self._tally.end(ending.failure)

    async def checkpoint(self) -> None:
        """See `Desk.checkpoint`."""
        await self._journal.checkpoint()


async def assigned(job: Job, begun: set[str], journal: Journal) -> Assigned:
    """A job, with what an earlier start wrote of it."""
    if job.id not in begun:
        return Assigned(job)
    there = await journal.take_up(job.id)
    return Assigned(job, there.turns, there.seconds, there.requests)


class Pool:
    """Writes samples.

    Args:
        config: The run's settings.
        models: By role.
        streamed: Roles whose thinking is read as a stream.
        judge: Judges passages.
        desk: Gives samples, and takes what is written of them.
        verifier: Checks answers, if the settings name one.
    """

    def __init__(
        self,
        config: Config,
        models: dict[Role, Model],
        streamed: frozenset[Role],
        judge: Judge,
        desk: Desk,
        verifier: Verifier | None = None,
    ) -> None:
        self._config = config
        self._models = models
        self._streamed = streamed
        self._judge = judge
        self._desk = desk
        self._verifier = verifier
        self._sizes = ChunkSizes({role: config.of(role).chunk for role in Role})
        self._method = method_of(config)
        self._names = {role.value: model.name for role, model in models.items()}
        self._eager: frozenset[Role] = frozenset()
        if self._method.judged:
            self._eager = frozenset(role for role in Role if judge.is_eager(role))
            self._names |= {f"{role}_predictor": config.predictor_of(role) for role in Role}

    async def run(self, checkpoint_s: float = CHECKPOINT_S) -> None:
        """Write samples for as long as the desk gives some.

        Args:
            checkpoint_s: Seconds between two checkpoints.

        Raises:
            Outage, JournalError: The run has to stop; what is under way stays at the desk.
        """
        try:
            async with asyncio.TaskGroup() as group:
                checkpoints = group.create_task(self._checkpoints(checkpoint_s))
                async with asyncio.TaskGroup() as workers:
                    for _ in range(self._config.concurrency):
                        workers.create_task(self._work())
                checkpoints.cancel()
        except BaseExceptionGroup as errors:
            raise first_of(errors) from None

    async def _checkpoints(self, every_s: float) -> None:
        while True:
            await asyncio.sleep(every_s)
            await self._desk.checkpoint()

    async def _work(self) -> None:
        while given := await self._desk.next():
            await self._write(given)

    async def _write(self, given: Assigned) -> None:
        job, started = given.job, time.monotonic()

        def spent() -> tuple[float, int]:
            seconds = time.monotonic() - started
            return given.seconds + seconds, given.requests + sample.requests

        def note(turn: Turn) -> None:
            self._desk.note(job.id, turn, *spent())

        sample = Sample(
            id=job.id,
            position=job.position,
            question=job.question,
            config=self._config,
            models=self._models,
            ask=self._judge.ask,
            record=note,
            verifier=self._verifier,
            streamed=self._streamed,
            eager=self._eager,
            sizes=self._sizes,
            attempt=job.attempt,
            written=given.turns or (),
        )
        with sample:
            failure, detail = await self._outcome(sample)
            made = self._record(sample, failure, detail)
            trace = record.trace(sample.shown, sample.others)
            await self._desk.end(Ending(job.position, job.id, failure, made, trace, *spent()))

    async def _outcome(self, sample: Sample) -> tuple[Failure | None, str]:
        """Write a sample; returns why it failed, if it did.

        Raises:
            Outage: No sample can be written any more.
        """
        try:
            await attempts.write(sample, self._method)
        except SampleFailed as failed:
            return failed.failure, failed.detail
        except Refused as error:
            self._stop_if_shut_out(error)
            return Failure.REFUSED, str(error)
        except PredictorError as error:
            return Failure.PREDICTOR_ERROR, str(error)
        except ModelError as error:
            await self._stop_if_gone(error)
            return Failure.MODEL_ERROR, f"{type(error).__name__}: {error}"
        return None, ""

    async def _stop_if_gone(self, error: ModelError) -> None:
        """A server that is gone is no sample's fault: the run stops instead of failing them all."""
        if not isinstance(error, Unreachable | ServerFailure | TimedOut):
            return
        for role, model in self._models.items():
            if not await model.servers.is_alive():
                raise Outage(
                    f"the {role}'s server {model.servers.base_url} is gone: {error}",
                    hint="start it again, then the same command: the run goes on where it was",
                )

    @staticmethod
    def _stop_if_shut_out(error: Refused) -> None:
        """Nor is a key that is not taken any more, or a model that is not served any more."""
        if error.status in (401, 403, 404):
            raise Outage(str(error), hint="mend it, then the same command: the run goes on")

    def _record(self, sample: Sample, failure: Failure | None, detail: str) -> dict[str, Any]:
        shown, others = sample.shown, sample.others
        if failure is not None:
            return record.failed(sample.id, sample.question, shown, failure, detail, others=others)
        return record.finished(
            sample.id,
            sample.question,
            shown,
            method=self._config.method,
            models=self._names,
            seed=self._config.seed,
            others=others,
            verdict=asdict(sample.verdict) if sample.verdict else None,
        )


def first_of(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    """The first error in nested groups: what went wrong first is what the user should read."""
    inner = errors.exceptions[0]
    return first_of(inner) if isinstance(inner, BaseExceptionGroup) else inner
