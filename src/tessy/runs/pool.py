"""The pool: so many trajectories at once, each a task of its own, so no call stalls another.

*Exactly once*: every job given to it ends as one record or one failure with a reason, or is left
as it is when the run stops. A failure is classified here, once: what a voice or a predictor
raised becomes a `Failure`; anything that is not one sample's (a server that is gone, a journal
that can't be written, a mistake of ours) stops the run.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Iterator
from typing import Any

from tessy import record
from tessy.boundary.judge import Judge
from tessy.config import Config
from tessy.cooperate import SampleFailed, Session
from tessy.errors import (
    ModelError,
    Outage,
    PredictorError,
    Refused,
    ServerFailure,
    TimedOut,
    Unreachable,
)
from tessy.methods import METHODS
from tessy.models.voice import ContextFull, Model
from tessy.runs.journal import Ending, Journal
from tessy.runs.plan import Job
from tessy.runs.tally import Tally
from tessy.trajectory import Failure, Role, Trajectory, Turn

CHECKPOINT_S = 2.0


class Pool:
    """Writes samples.

    Args:
        config: The run's settings.
        models: By role.
        streamed: Roles whose thinking is read as a stream.
        judge: Judges passages.
        journal: Keeps what is written.
        tally: Counts it.
    """

    def __init__(
        self,
        config: Config,
        models: dict[Role, Model],
        streamed: frozenset[Role],
        judge: Judge,
        journal: Journal,
        tally: Tally,
    ) -> None:
        self._config = config
        self._models = models
        self._streamed = streamed
        self._eager = frozenset(role for role in Role if judge.is_eager(role))
        self._judge = judge
        self._journal = journal
        self._tally = tally
        self._method = METHODS[config.method]
        self._names = {role.value: model.name for role, model in models.items()}
        self._names |= {f"{role}_predictor": config.predictor_of(role) for role in Role}

    async def run(self, jobs: Iterable[Job], begun: set[str]) -> None:
        """Write all samples.

        Args:
            jobs: What to write.
            begun: Those of which the journal has turns.

        Raises:
            Outage, JournalError: The run has to stop; what is under way stays in the journal.
        """
        waiting = iter(jobs)
        try:
            async with asyncio.TaskGroup() as group:
                checkpoints = group.create_task(self._checkpoints())
                async with asyncio.TaskGroup() as workers:
                    for _ in range(self._config.concurrency):
                        workers.create_task(self._work(waiting, begun))
                checkpoints.cancel()
        except BaseExceptionGroup as errors:
            raise _first(errors) from None

    async def _checkpoints(self) -> None:
        while True:
            await asyncio.sleep(CHECKPOINT_S)
            await self._journal.checkpoint()

    async def _work(self, waiting: Iterator[Job], begun: set[str]) -> None:
        for job in waiting:
            self._tally.running += 1
            try:
                await self._write(job, job.id in begun)
            finally:
                self._tally.running -= 1

    async def _write(self, job: Job, begun: bool) -> None:
        started = time.monotonic()
        voices = {role: model.join(job.question.messages) for role, model in self._models.items()}
        trajectory, earlier_s, earlier_requests = Trajectory(), 0.0, 0
        if begun:
            unfinished = await self._journal.take_up(job.id)
            earlier_s, earlier_requests = unfinished.seconds, unfinished.requests
            trajectory = Trajectory.replay(unfinished.turns)

        def spent() -> tuple[float, int]:
            requests = sum(voice.requests for voice in voices.values())
            return earlier_s + time.monotonic() - started, earlier_requests + requests

        def note(turn: Turn) -> None:
            self._tally.turn(turn)
            self._tally.requests = sum(m.client.traffic.requests for m in self._models.values())
            self._journal.note(job.id, turn, *spent())

        session = Session(
            sample_id=job.id,
            config=self._config,
            voices=voices,
            ask=self._judge.ask,
            record=note,
            streamed=self._streamed,
            eager=self._eager,
            attempt=job.attempt,
            trajectory=trajectory,
        )
        try:
            if begun:
                for voice in voices.values():
                    await voice.replay(unfinished.turns)
            await self._method(session)
            failure, detail = None, ""
        except SampleFailed as failed:
            failure, detail = failed.failure, failed.detail
        except ContextFull as error:
            failure, detail = Failure.CONTEXT_LIMIT, str(error)
        except Refused as error:
            self._stop_if_shut_out(error)
            failure, detail = Failure.REFUSED, str(error)
        except PredictorError as error:
            failure, detail = Failure.PREDICTOR_ERROR, str(error)
        except ModelError as error:
            await self._stop_if_gone(error)
            failure, detail = Failure.MODEL_ERROR, f"{type(error).__name__}: {error}"
        trace = record.trace(trajectory)
        made = self._record(job, trajectory, failure, detail)
        ending = Ending(job.position, job.id, failure, made, trace, *spent())
        await self._journal.end(ending)
        self._tally.end(failure)

    async def _stop_if_gone(self, error: ModelError) -> None:
        """A server that is gone is no sample's fault: the run stops instead of failing them all."""
        if not isinstance(error, Unreachable | ServerFailure | TimedOut):
            return
        for role, model in self._models.items():
            if not await model.client.is_alive():
                raise Outage(
                    f"the {role}'s server {model.client.base_url} is gone: {error}",
                    hint="start it again, then the same command: the run goes on where it was",
                )

    @staticmethod
    def _stop_if_shut_out(error: Refused) -> None:
        """Nor is a key that is not taken any more, or a model that is not served any more."""
        if error.status in (401, 403, 404):
            raise Outage(str(error), hint="mend it, then the same command: the run goes on")

    def _record(
        self,
        job: Job,
        trajectory: Trajectory,
        failure: Failure | None,
        detail: str,
    ) -> dict[str, Any]:
        if failure is not None:
            return record.failed(job.id, job.question, trajectory, failure, detail)
        return record.finished(
            job.id,
            job.question,
            trajectory,
            method=self._config.method,
            models=self._names,
            seed=self._config.seed,
        )


def _first(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    """The first error in nested groups: what went wrong first is what the user should read."""
    inner = errors.exceptions[0]
    return _first(inner) if isinstance(inner, BaseExceptionGroup) else inner
