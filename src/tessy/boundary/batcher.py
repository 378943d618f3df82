"""Asking predictors from many trajectories at once.

A quick predictor is asked at once, on the event loop. A slow one (`batched`) is asked in a
thread, for whatever trajectories have gathered while its last batch was being judged; so the
loop never waits for it, and a busy run makes large batches by itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Self

from tessy.boundary.protocol import Judgement, Passage, Predictor
from tessy.errors import PredictorError
from tessy.method.trajectory import Role

_LARGEST_BATCH = 64
_GATHERING_S = 0.001
"""How long an idle predictor waits for more before it judges the first."""


Tell = Callable[[Judgement | PredictorError], None]
"""Is given a judgement, or why there is none."""


class Judge:
    """Judges passages by the predictor of their role.

    Args:
        predictors: By role; both may be the same object.
    """

    def __init__(self, predictors: Mapping[Role, Predictor]) -> None:
        self._predictors = dict(predictors)
        self._waiting: dict[Role, list[tuple[Passage, Tell]]] = {role: [] for role in Role}
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

    def is_eager(self, role: Role) -> bool:
        """Whether the predictor of a role may be sure of words that are not complete."""
        return bool(getattr(self._predictors[role], "eager", False))

    def ask(self, passage: Passage, tell: Tell) -> None:
        """Have one passage judged.

        Args:
            passage: What to judge.
            tell: Is given the judgement, or a `PredictorError`: the predictor raised, or its
                judgement makes no sense. A quick predictor's is told before this returns.
        """
        predictor = self._predictors[passage.role]
        if not predictor.batched:
            tell(_ask(predictor, (passage,))[0])
            return
        self._waiting[passage.role].append((passage, tell))
        task = self._tasks.get(passage.role)
        if task is None or task.done():
            self._tasks[passage.role] = asyncio.create_task(self._work(passage.role))

    async def judge(self, passage: Passage) -> Judgement:
        """The judgement of one passage.

        Raises:
            PredictorError: As `ask` tells it.
        """
        return await judged(self.ask, passage)

    async def _work(self, role: Role) -> None:
        waiting = self._waiting[role]
        await asyncio.sleep(_GATHERING_S)
        while waiting:
            batch, waiting[:] = waiting[:_LARGEST_BATCH], waiting[_LARGEST_BATCH:]
            passages = [passage for passage, _ in batch]
            loop = asyncio.get_running_loop()
            told = await loop.run_in_executor(self._thread, _ask, self._predictors[role], passages)
            for (_, tell), judgement in zip(batch, told, strict=True):
                tell(judgement)


async def judged(ask: Callable[[Passage, Tell], None], passage: Passage) -> Judgement:
    """Ask for one judgement, and wait for it.

    Raises:
        PredictorError: That was told.
    """
    future: asyncio.Future[Judgement | PredictorError] = asyncio.get_running_loop().create_future()
    ask(passage, lambda told: None if future.done() else future.set_result(told))
    told = await future
    if isinstance(told, PredictorError):
        raise told
    return told


def _ask(predictor: Predictor, passages: Sequence[Passage]) -> Sequence[Judgement | PredictorError]:
    """Ask a predictor and check what it says; one that raises says that of all passages."""
    try:
        judgements = predictor.judge(passages)
        if len(judgements) != len(passages):
            raise PredictorError(
                f"predictor {predictor.name}: {len(judgements)} judgements of {len(passages)} "
                "passages"
            )
        for judgement, passage in zip(judgements, passages, strict=True):
            length = len(passage.text)
            boundary = judgement.boundary
            if not 0 <= judgement.settled <= length or not 0 <= (boundary or 0) <= length:
                raise PredictorError(
                    f"predictor {predictor.name}: {judgement} is outside a text of {length} "
                    "characters"
                )
    except PredictorError as error:
        return [error] * len(passages)
    except Exception as error:
        wrapped = PredictorError(f"predictor {predictor.name}: {error!r}")
        wrapped.__cause__ = error
        return [wrapped] * len(passages)
    return judgements
