"""Asking predictors from many trajectories at once.

A quick predictor is asked at once, on the event loop. A slow one (`batched`) is asked in a
thread, for whatever trajectories have gathered while its last batch was being judged; so the
loop never waits for it, and a busy run makes large batches by itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Self

from tessy.boundary.protocol import Judgement, Passage, Predictor
from tessy.errors import PredictorError
from tessy.trajectory import Role

_LARGEST_BATCH = 64


class Judge:
    """Judges passages by the predictor of their role.

    Args:
        predictors: By role; both may be the same object.
    """

    def __init__(self, predictors: Mapping[Role, Predictor]) -> None:
        self._predictors = dict(predictors)
        self._waiting: dict[Role, list[tuple[Passage, asyncio.Future[Judgement]]]] = {
            role: [] for role in Role
        }
        self._tasks: dict[Role, asyncio.Task[None]] = {}
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="predictor")

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for task in self._tasks.values():
            task.cancel()
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def judge(self, passage: Passage) -> Judgement:
        """Judge one passage.

        Raises:
            PredictorError: The predictor raised, or its judgement makes no sense.
        """
        predictor = self._predictors[passage.role]
        if not predictor.batched:
            return _ask(predictor, [passage])[0]
        future: asyncio.Future[Judgement] = asyncio.get_running_loop().create_future()
        self._waiting[passage.role].append((passage, future))
        task = self._tasks.get(passage.role)
        if task is None or task.done():
            self._tasks[passage.role] = asyncio.create_task(self._work(passage.role))
        return await future

    async def _work(self, role: Role) -> None:
        waiting = self._waiting[role]
        await asyncio.sleep(0)  # let all that is ready come in
        while waiting:
            batch, waiting[:] = waiting[:_LARGEST_BATCH], waiting[_LARGEST_BATCH:]
            passages = [passage for passage, _ in batch]
            loop = asyncio.get_running_loop()
            try:
                judgements = await loop.run_in_executor(
                    self._thread, _ask, self._predictors[role], passages
                )
            except PredictorError as error:
                for _, future in batch:
                    if not future.done():
                        future.set_exception(error)
                continue
            for (_, future), judgement in zip(batch, judgements, strict=True):
                if not future.done():
                    future.set_result(judgement)


def _ask(predictor: Predictor, passages: Sequence[Passage]) -> Sequence[Judgement]:
    """Ask a predictor and check what it says."""
    try:
        judgements = predictor.judge(passages)
        _check(predictor, passages, judgements)
    except PredictorError:
        raise
    except Exception as error:
        raise PredictorError(f"predictor {predictor.name}: {error!r}") from error
    return judgements


def _check(
    predictor: Predictor, passages: Sequence[Passage], judgements: Sequence[Judgement]
) -> None:
    if len(judgements) != len(passages):
        raise PredictorError(
            f"predictor {predictor.name}: {len(judgements)} judgements of {len(passages)} passages"
        )
    for judgement, passage in zip(judgements, passages, strict=True):
        length = len(passage.text)
        if not 0 <= judgement.settled <= length or not 0 <= (judgement.boundary or 0) <= length:
            raise PredictorError(
                f"predictor {predictor.name}: {judgement} is outside a text of {length} characters"
            )
