"""Asking predictors for many trajectories at once.

A quick predictor is asked at once, on the event loop. A slow one (`batched`) is asked in a
thread, for all passages that have gathered while its last batch was judged. So the loop never
waits for it, and a busy run makes large batches by itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from tessy.boundary.protocol import Predictor
from tessy.errors import PredictorError
from tessy.method.judgement import Judgement, Passage
from tessy.method.trajectory import Role

_LARGEST_BATCH = 64
_GATHERING_S = 0.001
"""How long an idle predictor waits for more before it judges the first."""


class PredictorBatcher:
    """Has passages judged by the predictor of their role. `close` it at the end.

    Args:
        predictors: By role; both may be the same object.
    """

    def __init__(self, predictors: Mapping[Role, Predictor]) -> None:
        self._predictors = dict(predictors)
        self._waiting: dict[Role, list[tuple[Passage, asyncio.Future[Judgement]]]] = {}
        self._tasks: dict[Role, asyncio.Task[None]] = {}
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="predictor")

    def close(self) -> None:
        """Judge nothing more."""
        for task in self._tasks.values():
            task.cancel()
        self._thread.shutdown(wait=False, cancel_futures=True)

    def judges_partial_words(self, role: Role) -> bool:
        """Whether the predictor of a role is asked about words that are not complete."""
        return bool(getattr(self._predictors[role], "judges_partial_words", False))

    async def judge(self, passage: Passage) -> Judgement:
        """The judgement of one passage; that of a quick predictor comes without waiting.

        Raises:
            PredictorError: The predictor raised, or its judgement makes no sense.
        """
        role, predictor = passage.role, self._predictors[passage.role]
        if not predictor.batched:
            return _judge(predictor, (passage,))[0]
        future: asyncio.Future[Judgement] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(role, []).append((passage, future))
        if role not in self._tasks or self._tasks[role].done():
            self._tasks[role] = asyncio.create_task(self._work(role))
        return await future

    async def _work(self, role: Role) -> None:
        """Judge what waits, batch by batch, until nothing does."""
        loop, waiting = asyncio.get_running_loop(), self._waiting[role]
        await asyncio.sleep(_GATHERING_S)
        while waiting:
            batch, waiting[:] = waiting[:_LARGEST_BATCH], waiting[_LARGEST_BATCH:]
            passages = [passage for passage, _ in batch]
            try:
                judgements = await loop.run_in_executor(
                    self._thread, _judge, self._predictors[role], passages
                )
            except PredictorError as error:
                for _, future in batch:
                    if not future.done():
                        future.set_exception(PredictorError(str(error)))
            else:
                for (_, future), judgement in zip(batch, judgements, strict=True):
                    if not future.done():
                        future.set_result(judgement)


def _judge(predictor: Predictor, passages: Sequence[Passage]) -> Sequence[Judgement]:
    """Ask a predictor and check what it says.

    Raises:
        PredictorError: It raised, or broke its protocol; that holds for all passages.
    """
    try:
        judgements = predictor.judge(passages)
        if len(judgements) != len(passages):
            raise PredictorError(
                f"predictor {predictor.name}: {len(judgements)} judgements of {len(passages)} "
                "passages"
            )
        for judgement, passage in zip(judgements, passages, strict=True):
            length = len(passage.text)
            if not 0 <= judgement.settled <= length or not 0 <= (judgement.boundary or 0) <= length:
                raise PredictorError(
                    f"predictor {predictor.name}: {judgement} is outside a text of {length} "
                    "characters"
                )
    except PredictorError:
        raise
    except Exception as error:  # it may be the user's code: anything may happen
        raise PredictorError(f"predictor {predictor.name}: {error!r}") from error
    return judgements
