"""The scheduler: so many samples at once, each a task of its own, so no call delays another.

*Exactly once*: every job given to it ends as one record or one failure with a reason, or is left
as it is when the run stops. A failure is classified here, once: what a model or a predictor
raised becomes a `Failure`; anything that is not the fault of one sample (a server that is gone, a
journal that can't be written, a bug) stops the run.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

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
from tessy.method.trajectory import Failure, Role, SampleFailed
from tessy.runs.journal import Ending, Written
from tessy.runs.plan import Job
from tessy.synthesis.context import RunContext
from tessy.synthesis.methods import attempts, method_of
from tessy.synthesis.methods.method import Method
from tessy.synthesis.sample import Sample

CHECKPOINT_S = 2.0


async def write_samples(
    context: RunContext, jobs: Iterable[Job], *, worker: int | None = None
) -> None:
    """Write samples, as many at once as the settings say.

    Args:
        context: The run's.
        jobs: What to write.
        worker: The number of this process, if it is one of several.

    Raises:
        Outage, JournalError: The run has to stop; unfinished samples stay in the journal.
    """
    method, waiting = method_of(context.config), iter(jobs)
    begun = await context.journal.unfinished()

    async def work() -> None:
        for job in waiting:
            written = await context.journal.take_up(job.id) if job.id in begun else Written()
            await write_sample(Sample(context, job, written), method)

    try:
        async with asyncio.TaskGroup() as group:
            checkpoints = group.create_task(_checkpoints(context, worker))
            async with asyncio.TaskGroup() as workers:
                for _ in range(context.config.concurrency):
                    workers.create_task(work())
            checkpoints.cancel()
    except BaseExceptionGroup as errors:
        raise first_of(errors) from None


async def _checkpoints(context: RunContext, worker: int | None) -> None:
    while True:
        await asyncio.sleep(CHECKPOINT_S)
        await context.journal.checkpoint()
        if worker is not None:
            await context.journal.count(worker, context.snapshot())


async def write_sample(sample: Sample, method: Method) -> None:
    """Write a sample to its end, and end it in the journal.

    Raises:
        Outage: No sample can be written any more.
        JournalError: It can't be kept.
    """
    context, job = sample.context, sample.job
    failure, detail = None, ""
    context.counters.running += 1
    try:
        await attempts.write(sample, method)
    except SampleFailed as failed:
        failure, detail = failed.failure, failed.detail
    except Refused as error:
        _stop_if_shut_out(error)
        failure, detail = Failure.REFUSED, str(error)
    except PredictorError as error:
        failure, detail = Failure.PREDICTOR_ERROR, str(error)
    except ModelError as error:
        await _stop_if_gone(context, error)
        failure, detail = Failure.MODEL_ERROR, f"{type(error).__name__}: {error}"
    finally:
        sample.close()
    made = _record(sample, method, failure, detail)
    trace = record.trace(sample.trajectory, sample.others)
    await context.journal.end(
        Ending(job.position, job.id, failure, made, trace, sample.seconds, sample.requests)
    )
    context.counters.running -= 1
    context.counters.end(failure)


async def _stop_if_gone(context: RunContext, error: ModelError) -> None:
    """Stop the run if a server is gone, instead of failing all samples.

    Raises:
        Outage: One is.
    """
    if not isinstance(error, Unreachable | ServerFailure | TimedOut):
        return
    for role, model in context.models.items():
        if not await model.servers.is_alive():
            raise Outage(
                f"the {role}'s server {model.servers.base_url} is gone: {error}",
                hint="start it again, then the same command: the run goes on where it was",
            )


def _stop_if_shut_out(error: Refused) -> None:
    """Stop the run if a key is not accepted any more, or a model is not served any more.

    Raises:
        Outage: That is so.
    """
    if error.status in (401, 403, 404):
        raise Outage(str(error), hint="fix it, then the same command: the run goes on")


def _record(sample: Sample, method: Method, failure: Failure | None, detail: str) -> dict[str, Any]:
    context, job = sample.context, sample.job
    if failure is not None:
        return record.failed(
            job.id, job.question, sample.trajectory, failure, detail, others=sample.others
        )
    names = {role.value: model.name for role, model in context.models.items()}
    if method.judged:
        names |= {f"{role}_predictor": context.config.predictor_of(role) for role in Role}
    return record.finished(
        job.id,
        job.question,
        sample.trajectory,
        method=context.config.method,
        models=names,
        seed=context.config.seed,
        others=sample.others,
        verdict=asdict(sample.verdict) if sample.verdict else None,
    )


def first_of(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    """The first error in nested groups: what went wrong first is what the user should read."""
    inner = errors.exceptions[0]
    return first_of(inner) if isinstance(inner, BaseExceptionGroup) else inner
