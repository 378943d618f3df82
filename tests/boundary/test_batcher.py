"""`PredictorBatcher`: one predictor asked from many trajectories at once.

A batched predictor here waits for a gate in its thread, so the test and not the clock says what
has gathered while a batch is being judged.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field

import pytest

from tessy.boundary.batcher import PredictorBatcher
from tessy.errors import Outage, PredictorError
from tessy.method.judgement import Judgement, Passage
from tessy.method.trajectory import Role

PATIENCE_S = 20


def by_length(passages: Sequence[Passage]) -> list[Judgement]:
    """The text is a number: where the boundary is."""
    return [Judgement(int(passage.text), 0) for passage in passages]


@dataclass
class Gated:
    """Judges when it is let to; takes down what it was asked, and by which thread."""

    rule: Callable[[Sequence[Passage]], Sequence[Judgement]] = by_length
    name: str = "gated"
    batched: bool = True
    gate: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    began: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(0))
    loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.get_running_loop)
    batches: list[list[str]] = field(default_factory=list)
    threads: set[int] = field(default_factory=set)

    def judge(self, passages: Sequence[Passage]) -> Sequence[Judgement]:
        self.batches.append([passage.text for passage in passages])
        self.threads.add(threading.get_ident())
        self.loop.call_soon_threadsafe(self.began.release)
        assert self.gate.acquire(timeout=PATIENCE_S), "nobody opened the gate"
        return self.rule(passages)

    def open(self, times: int = 1) -> None:
        self.gate.release(times)

    def __deepcopy__(self, _: object) -> Gated:
        return self


@dataclass
class Direct:
    rule: Callable[[Sequence[Passage]], Sequence[Judgement]]
    name: str = "direct"
    batched: bool = False
    threads: set[int] = field(default_factory=set)
    sizes: list[int] = field(default_factory=list)

    def judge(self, passages: Sequence[Passage]) -> Sequence[Judgement]:
        self.threads.add(threading.get_ident())
        self.sizes.append(len(passages))
        return self.rule(passages)


def passage(number: int, role: Role = Role.STUDENT) -> Passage:
    """A passage whose text, of 100 characters, is a number."""
    return Passage(role, "", f"{number:0100}")


def start(
    batcher: PredictorBatcher, *numbers: int, role: Role = Role.STUDENT
) -> list[asyncio.Task[Judgement]]:
    return [asyncio.create_task(batcher.judge(passage(number, role))) for number in numbers]


async def boundaries(tasks: Sequence[asyncio.Task[Judgement]]) -> list[int | None]:
    async with asyncio.timeout(PATIENCE_S):
        return [judgement.boundary for judgement in await asyncio.gather(*tasks)]


async def began(predictor: Gated) -> None:
    async with asyncio.timeout(PATIENCE_S):
        await predictor.began.acquire()


def both(predictor) -> PredictorBatcher:
    return PredictorBatcher(dict.fromkeys(Role, predictor))


# --- Batches ------------------------------------------------------------------------------------


async def test_what_gathers_while_a_batch_is_judged_is_the_next_batch():
    predictor = Gated()
    with closing(both(predictor)) as batcher:
        first = start(batcher, 1)
        await began(predictor)
        more = start(batcher, *range(2, 40))
        await asyncio.sleep(0)
        predictor.open(2)
        assert await boundaries(first + more) == list(range(1, 40))
    assert [len(batch) for batch in predictor.batches] == [1, 38]
    assert [int(text) for text in predictor.batches[1]] == list(range(2, 40))
    assert len(predictor.threads) == 1
    assert threading.get_ident() not in predictor.threads


async def test_what_is_ready_at_once_is_one_batch_and_the_loop_goes_on_meanwhile():
    predictor = Gated()
    with closing(both(predictor)) as batcher:
        tasks = start(batcher, *range(10))
        await began(predictor)  # it is judging, and this loop runs
        assert not any(task.done() for task in tasks)
        predictor.open()
        assert await boundaries(tasks) == list(range(10))
    assert [len(batch) for batch in predictor.batches] == [10]


async def test_no_batch_is_larger_than_64_and_the_order_is_kept():
    predictor = Gated()
    with closing(both(predictor)) as batcher:
        tasks = start(batcher, *[number % 90 for number in range(150)])
        predictor.open(3)
        assert await boundaries(tasks) == [number % 90 for number in range(150)]
    assert [len(batch) for batch in predictor.batches] == [64, 64, 22]


async def test_the_roles_do_not_mix():
    student, teacher = Gated(), Gated(lambda passages: [Judgement(None, 7) for _ in passages])
    with closing(PredictorBatcher({Role.STUDENT: student, Role.TEACHER: teacher})) as batcher:
        one = start(batcher, 1, 2)
        other = start(batcher, 3, 4, role=Role.TEACHER)
        student.open()
        teacher.open()
        assert await boundaries(one) == [1, 2]
        assert await boundaries(other) == [None, None]
    assert [len(batch) for batch in student.batches + teacher.batches] == [2, 2]
    assert student.threads == teacher.threads


async def test_it_works_again_after_it_was_idle():
    predictor = Gated()
    predictor.open(3)
    with closing(both(predictor)) as batcher:
        for number in range(3):
            assert await boundaries(start(batcher, number)) == [number]
    assert len(predictor.batches) == 3


async def test_a_quick_predictor_is_asked_directly():
    predictor = Direct(by_length)
    with closing(both(predictor)) as batcher:
        assert await boundaries(start(batcher, 3, 1, 2)) == [3, 1, 2]
    assert predictor.sizes == [1, 1, 1]
    assert predictor.threads == {threading.get_ident()}


# --- What goes wrong ----------------------------------------------------------------------------


def raises(passages: Sequence[Passage]) -> list[Judgement]:
    raise KeyError("oops")


BROKEN = {
    "raises": (raises, "KeyError('oops')"),
    "too few": (lambda passages: by_length(passages)[:-1], "judgements of "),
    "too many": (lambda passages: [*by_length(passages), Judgement(0, 0)], "judgements of "),
    "none": (lambda passages: None, "NoneType"),
    "no judgement": (lambda passages: [None] * len(passages), "NoneType"),
    "a lazy one": (lambda passages: (Judgement(0, 0) for _ in passages), "generator"),
    "no numbers": (lambda passages: [Judgement("1", "2") for _ in passages], "str"),
    "settled": (lambda passages: [Judgement(None, 101) for _ in passages], "100 characters"),
    "before": (lambda passages: [Judgement(None, -1) for _ in passages], "100 characters"),
    "boundary": (lambda passages: [Judgement(101, 0) for _ in passages], "100 characters"),
    "negative": (lambda passages: [Judgement(-1, 0) for _ in passages], "100 characters"),
}
broken = pytest.mark.parametrize("kind", BROKEN)


@broken
async def test_a_quick_predictor_that_is_broken(kind):
    rule, message = BROKEN[kind]
    with pytest.raises(PredictorError, match="predictor direct: ") as error:
        await both(Direct(rule)).judge(passage(1))
    assert message in str(error.value)


@broken
async def test_a_broken_batch_fails_those_who_waited_for_it_and_nobody_else(kind):
    rule, message = BROKEN[kind]
    predictor = Gated()
    with closing(both(predictor)) as batcher:
        fine = start(batcher, 1, 2)
        await began(predictor)
        bad = start(batcher, 3, 4, 5)
        await asyncio.sleep(0)
        predictor.open()
        assert await boundaries(fine) == [1, 2]
        await began(predictor)
        predictor.rule = rule
        later = start(batcher, 6, 7)
        await asyncio.sleep(0)
        predictor.open()
        async with asyncio.timeout(PATIENCE_S):
            errors = await asyncio.gather(*bad, return_exceptions=True)
        await began(predictor)
        predictor.rule = by_length
        predictor.open()
        assert await boundaries(later) == [6, 7]
    assert [type(error) for error in errors] == [PredictorError] * 3
    assert all(message in str(error) for error in errors)
    assert [len(batch) for batch in predictor.batches] == [2, 3, 2]


async def test_offsets_at_the_very_ends_are_fine():
    for judgement in (Judgement(0, 0), Judgement(100, 100), Judgement(None, 100)):
        predictor = Direct(lambda passages, made=judgement: [made])
        with closing(both(predictor)) as batcher:
            assert await batcher.judge(passage(0)) == judgement


async def test_a_waiter_that_leaves_takes_nobody_with_it():
    predictor = Gated()
    with closing(both(predictor)) as batcher:
        tasks = start(batcher, 1, 2, 3)
        await began(predictor)
        later = start(batcher, 4, 5, 6)
        await asyncio.sleep(0)
        tasks[1].cancel()  # it is being judged
        later[0].cancel()  # it waits
        await asyncio.sleep(0)
        predictor.open(2)
        assert await boundaries([tasks[0], tasks[2], *later[1:]]) == [1, 3, 5, 6]
        assert tasks[1].cancelled()
        assert later[0].cancelled()
        predictor.open()
        assert await boundaries(start(batcher, 7)) == [7]


async def test_a_predictor_that_hangs_keeps_nothing_from_ending():
    predictor = Gated()
    with closing(both(predictor)) as batcher:
        (waiting,) = start(batcher, 1)
        await began(predictor)
        assert [t.daemon for t in threading.enumerate() if t.name == "predictor"][-1]
    with pytest.raises(asyncio.CancelledError):
        await waiting
    predictor.open()


async def test_an_outage_reaches_those_who_waited():
    def gone(passages):
        raise Outage("gone", hint="start it")

    with closing(both(Gated(gone))) as batcher:
        batcher._predictors[Role.STUDENT].open(2)
        for outcome in await asyncio.gather(*start(batcher, 1, 2), return_exceptions=True):
            assert type(outcome) is Outage
            assert outcome.hint == "start it"
    with pytest.raises(Outage):
        await both(Direct(gone)).judge(passage(1))


async def test_a_waiter_that_leaves_a_batch_that_fails():
    predictor = Gated(raises)
    with closing(both(predictor)) as batcher:
        tasks = start(batcher, 1, 2)
        await began(predictor)
        tasks[0].cancel()
        await asyncio.sleep(0)
        predictor.open()
        with pytest.raises(PredictorError, match="oops"):
            await tasks[1]
        assert tasks[0].cancelled()
