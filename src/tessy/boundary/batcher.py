"""Calls boundary predictors for many trajectories at once.

A fast predictor is called right away, on the event loop. A slow one (`batched`) is called in a
thread, with all passages that gathered while it judged its last batch. So the loop never waits for
it, and the busier the run, the larger the batches.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from queue import SimpleQueue

from tessy.boundary.protocol import Predictor
from tessy.errors import Outage, PredictorError
from tessy.method.judgement import Judgement, Passage
from tessy.method.judging import Judging
from tessy.method.trajectory import Role

_LARGEST_BATCH = 64
_GATHERING_S = 0.001
"""How long an idle predictor waits for more passages after the first."""


@dataclass(slots=True)
class Waits:
    """A mean of waiting times."""

    count: int = 0
    seconds: float = 0.0

    def add(self, seconds: float) -> None:
        """Add a time."""
        self.count += 1
        self.seconds += seconds

    def clear(self) -> None:
        """Begin again."""
        self.count, self.seconds = 0, 0.0

    @property
    def mean_s(self) -> float:
        """The mean in seconds; 0 without any."""
        return self.seconds / self.count if self.count else 0.0


class PredictorBatcher:
    """Sends passages to the predictor of their role. `close` it after use.

    Args:
        predictors: The predictors by role; both may be the same object.

    Attributes:
        waits: How long passages waited for slow predictors.
    """

    def __init__(self, predictors: Mapping[Role, Predictor]) -> None:
        self._predictors = dict(predictors)
        self._waiting: dict[Role, list[tuple[Passage, asyncio.Future[Judgement]]]] = {}
        self._tasks: dict[Role, asyncio.Task[None]] = {}
        self._thread: _Thread | None = None
        self.waits = Waits()

    def close(self) -> None:
        """Stop judging; passages that wait are dropped."""
        for task in self._tasks.values():
            task.cancel()
        if self._thread is not None:
            self._thread.calls.put(None)

    def judges_partial_words(self, role: Role) -> bool:
        """Whether the predictor of a role judges incomplete words; see `Predictor`."""
        return bool(getattr(self._predictors[role], "judges_partial_words", False))

    async def judge(self, passage: Passage) -> Judgement:
        """Judge one passage; a fast predictor is called without yielding to the event loop.

        Raises:
            PredictorError: The predictor raised an error, or its judgement makes no sense.
            Outage: The predictor's server is gone.
        """
        role, predictor = passage.role, self._predictors[passage.role]
        if not predictor.batched:
            return _judge(predictor, (passage,))[0]
        loop = asyncio.get_running_loop()
        began = loop.time()
        future: asyncio.Future[Judgement] = loop.create_future()
        self._waiting.setdefault(role, []).append((passage, future))
        if role not in self._tasks or self._tasks[role].done():
            self._tasks[role] = asyncio.create_task(self._work(role))
        judgement = await future
        self.waits.add(loop.time() - began)
        return judgement

    async def judge_text(self, judging: Judging, text: str, *, final: bool) -> Judgement:
        """Judge a text with as many questions as that takes.

        Args:
            judging: What is known of it so far.
            text: The text; see `Judging.ask`.
            final: No text will follow.

        Raises:
            PredictorError: The predictor raised an error, or its judgement makes no sense.
            Outage: The predictor's server is gone.
        """
        question: Passage | None = judging.ask(text, final=final)
        while question is not None:
            question = judging.take(await self.judge(question))
        return judging.judgement

    async def _work(self, role: Role) -> None:
        """Judge batches until no passage waits."""
        waiting = self._waiting[role]
        if self._thread is None:
            self._thread = _Thread()
        await asyncio.sleep(_GATHERING_S)
        while waiting:
            batch, waiting[:] = waiting[:_LARGEST_BATCH], waiting[_LARGEST_BATCH:]
            passages = [passage for passage, _ in batch]
            try:
                judgements = await self._thread.judge(self._predictors[role], passages)
            except (PredictorError, Outage) as error:
                for _, future in batch:
                    if not future.done():
                        future.set_exception(type(error)(str(error), hint=error.hint))
            except BaseException:  # `close`: nobody will judge these, or those that wait
                for _, future in (*batch, *waiting):
                    future.cancel()
                raise
            else:
                for (_, future), judgement in zip(batch, judgements, strict=True):
                    if not future.done():
                        future.set_result(judgement)


class _Thread(threading.Thread):
    """The thread in which slow predictors are called, one batch at a time.

    It is a daemon: a predictor that hangs does not keep the program from ending.
    """

    def __init__(self) -> None:
        super().__init__(name="predictor", daemon=True)
        self.calls: SimpleQueue[
            tuple[Future[Sequence[Judgement]], Predictor, Sequence[Passage]] | None
        ] = SimpleQueue()
        self.start()

    async def judge(self, predictor: Predictor, passages: Sequence[Passage]) -> Sequence[Judgement]:
        """See `_judge`."""
        future: Future[Sequence[Judgement]] = Future()
        self.calls.put((future, predictor, passages))
        return await asyncio.wrap_future(future)

    def run(self) -> None:
        """Call predictors until the batcher is closed."""
        while (call := self.calls.get()) is not None:
            future, predictor, passages = call
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(_judge(predictor, passages))
                except BaseException as error:
                    future.set_exception(error)


def _judge(predictor: Predictor, passages: Sequence[Passage]) -> Sequence[Judgement]:
    """Call a predictor and check its judgements.

    Raises:
        PredictorError: It raised an error or broke its protocol; all passages fail.
        Outage: Its server is gone.
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
    except (PredictorError, Outage):
        raise
    except Exception as error:  # the user's code can raise anything
        raise PredictorError(f"predictor {predictor.name}: {error!r}") from error
    return judgements
