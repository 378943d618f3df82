"""The scheduler: writes many samples at once, each in a task, so that no call delays another.

*Exactly once*: every job ends as one record or as one failure with a reason, or stays unfinished
when the run stops. Errors are classified here: an error of a model or a predictor becomes a
`Failure` of its sample; anything that concerns more than one sample (a server that is down, a
journal that can't be written, a bug) stops the run.
"""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import Any

from tessy.data import record
from tessy.errors import (
    ContextExceeded,
    ModelError,
    Outage,
    PredictorError,
    Refused,
)
from tessy.method.trajectory import Failure, Role, SampleFailed
from tessy.models.replicas import GONE
from tessy.runs.written import Ending
from tessy.synthesis.context import RunContext
from tessy.synthesis.methods import attempts, method_of
from tessy.synthesis.methods.method import Method
from tessy.synthesis.sample import Sample
from tessy.synthesis.shards import ShardQueue
from tessy.synthesis.watch import watch

CHECKPOINT_S = 2.0
_OURS = "run the same command, which starts it again"
"""What to do about a server that tessy started itself."""


async def write_shards(context: RunContext, queue: ShardQueue) -> None:
    """Write the samples of some shards, at most `concurrency` at once.

    Args:
        context: The run's context.
        queue: The shards.

    Raises:
        Outage: No sample can be written any more; unfinished ones stay in the journal.
        JournalError: A journal can't be written.
    """
    method = method_of(context.config)

    async def work() -> None:
        while (taken := await queue.take()) is not None:
            shard, job, written = taken
            await write_sample(Sample(context, shard.journal, job, written), method)
            await queue.leave(shard)

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(each) for each in (_checkpoints(queue), watch(context))]
            async with asyncio.TaskGroup() as workers:
                for _ in range(context.config.concurrency):
                    workers.create_task(work())
            for task in tasks:
                task.cancel()
    except BaseExceptionGroup as errors:
        raise first_of(errors) from None
    finally:
        await queue.close()


async def _checkpoints(queue: ShardQueue) -> None:
    while True:
        await asyncio.sleep(CHECKPOINT_S)
        for shard in list(queue.open):
            await shard.checkpoint()


async def write_sample(sample: Sample, method: Method) -> None:
    """Write a sample to its end, and record the end in the journal.

    Raises:
        Outage: No sample can be written any more.
        JournalError: The journal can't be written.
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
        too_long = isinstance(error, ContextExceeded)
        failure, detail = Failure.CONTEXT_LIMIT if too_long else Failure.REFUSED, str(error)
    except PredictorError as error:
        failure, detail = Failure.PREDICTOR_ERROR, str(error)
    except ModelError as error:
        await _stop_if_gone(context, error)
        failure, detail = Failure.MODEL_ERROR, f"{type(error).__name__}: {error}"
    finally:
        sample.close()
        context.gate.leave(job.position)
        context.counters.running -= 1
    await sample.journal.end(ending_of(sample, method, failure, detail))
    context.counters.end(failure)


def ending_of(sample: Sample, method: Method, failure: Failure | None, detail: str) -> Ending:
    """The end of a sample, for a journal.

    Args:
        sample: The sample.
        method: How it was written.
        failure: Why it failed; None if it is finished.
        detail: What happened, in a sentence.
    """
    made = _record(sample, method, failure, detail)
    trace = record.trace(sample.trajectory, sample.others)
    position, sample_id = sample.job.position, sample.job.id
    return Ending(position, sample_id, failure, made, trace, sample.seconds, sample.requests)


async def _stop_if_gone(context: RunContext, error: ModelError) -> None:
    """Stop the run if a server is down, instead of failing every sample.

    Raises:
        Outage: A server is down.
    """
    if not isinstance(error, GONE):
        return
    for each, model in context.opened.items():
        if not await model.servers.is_alive():
            is_url = context.config.address_of(each).startswith(("http://", "https://"))
            start = "start it again, then run the same command" if is_url else _OURS
            raise Outage(
                f"{model.called}'s server {model.servers.base_url} is gone: {error}",
                hint=f"{start}: it resumes the run",
            )


def _stop_if_shut_out(error: Refused) -> None:
    """Stop the run if its API key is no longer accepted, or a model is no longer served there.

    Raises:
        Outage: The server answered 401, 403 or 404, or redirects.
    """
    if error.status in (401, 403, 404) or 300 <= error.status < 400:
        raise Outage(str(error), hint="fix it, then run the same command: it resumes the run")


def _record(sample: Sample, method: Method, failure: Failure | None, detail: str) -> dict[str, Any]:
    context, job = sample.context, sample.job
    verdict = asdict(sample.verdict) if sample.verdict else None
    if failure is not None:
        return record.failed(
            job.id,
            job.question,
            sample.trajectory,
            failure,
            detail,
            others=sample.others,
            teacher=sample.teacher,
            verdict=verdict,
        )
    names = {role.value: model.name for role, model in context.models.items()}
    if sample.teacher is not None:
        names["teacher_name"] = sample.teacher
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
        verdict=verdict,
    )


def first_of(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    """The first error in nested groups, which is the cause of the others."""
    inner = errors.exceptions[0]
    return first_of(inner) if isinstance(inner, BaseExceptionGroup) else inner
