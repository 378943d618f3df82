"""Fewer trajectories at once while the client is late or a cache too small, and no fewer else."""

from __future__ import annotations

import asyncio

from hypothesis import example, given, settings
from hypothesis import strategies as st

from tessy.synthesis.gate import Gate
from tessy.synthesis.pressure import IN_TIME, TOO_LATE, Bound, Pressure, Window

shares = st.one_of(st.none(), st.floats(0, 1))
seconds = st.floats(0, 10)
windows = st.builds(
    Window, late_s=seconds, predictor_s=seconds, token_s=st.none() | st.floats(1e-4, 1), lost=shares
)


@given(st.integers(1, 300), st.lists(windows, max_size=200))
def test_progress_one_may_always_run_and_never_more_than_the_settings_say(most, measured):
    pressure = Pressure(most)
    for window in measured:
        pressure.take(window)
        assert 1 <= pressure.limit <= most


@given(st.integers(1, 300), st.lists(st.floats(0, 0.0099), max_size=50))
def test_nothing_changes_while_the_client_keeps_up(most, late):
    pressure = Pressure(most)
    for late_s in late:
        pressure.take(Window(late_s=late_s, token_s=0.01, lost=0.1))
        assert pressure.limit == most
        assert pressure.bound is Bound.SERVER


def run_windows(pressure, measured, count):
    """The limits in the next windows; what is measured depends on how many run."""
    limits = []
    for _ in range(count):
        pressure.take(measured(pressure.limit))
        limits.append(pressure.limit)
    return limits


@given(st.integers(1, 300), st.lists(seconds, max_size=50), st.floats(0, 0.0099))
def test_as_many_run_while_words_wait_for_a_predictor(most, waits, late_s):
    """One call judges eight passages as fast as one, so fewer at once would only lose time."""
    pressure = Pressure(most)
    for predictor_s in waits:
        pressure.take(Window(late_s=late_s, predictor_s=predictor_s, token_s=0.01, lost=0.1))
        assert pressure.limit == most
        late = predictor_s > 0 and late_s + predictor_s >= 0.01 * TOO_LATE
        assert pressure.bound is (Bound.PREDICTOR if late else Bound.SERVER)


def test_a_run_is_bound_by_its_predictor_before_the_time_of_a_token_is_known():
    pressure = Pressure(8)
    pressure.take(Window(predictor_s=1.1, token_s=None))
    assert pressure.bound is Bound.PREDICTOR
    pressure.take(Window(late_s=1.1, predictor_s=0.001, token_s=None))
    assert pressure.bound is Bound.PREDICTOR
    pressure.take(Window(late_s=1.1, token_s=None))
    assert pressure.bound is Bound.SERVER


def test_more_run_again_while_words_wait_for_a_predictor():
    pressure = Pressure(50)
    pressure.take(Window(late_s=0.02, token_s=0.01))
    assert pressure.limit < 50
    run_windows(pressure, lambda _: Window(predictor_s=0.5, token_s=0.01), 40)
    assert pressure.limit == 50


@given(st.integers(2, 300), st.floats(0.05, 1.0))
def test_a_client_that_is_late_by_its_own_work_finds_how_many_it_can_read(most, part):
    can = most * part

    def measured(running):
        return Window(late_s=0.01 * TOO_LATE * (running / can) ** 2, token_s=0.01)

    pressure = Pressure(most)
    run_windows(pressure, measured, 100)
    limits = run_windows(pressure, measured, 100)
    assert max(limits) <= max(1, can + most / 32 + 2)
    assert min(limits) >= max(1, int(can * 0.6))
    if part < 0.5 and can >= 2:
        assert pressure.bound is Bound.CLIENT
    run_windows(pressure, lambda _: Window(token_s=0.01), 40)
    assert pressure.limit == most
    assert pressure.bound is Bound.SERVER


@settings(max_examples=20)
@example(300, 1.0)
@given(st.integers(8, 300), st.floats(1, 20))
def test_a_client_that_is_late_because_of_others_is_not_held_back_for_long(most, behind):
    pressure = Pressure(most)
    limits = run_windows(pressure, lambda _: Window(late_s=behind * 0.01, token_s=0.01), 2000)
    assert sum(limits) / len(limits) > 0.8 * most
    assert pressure.bound is Bound.CLIENT


def test_a_cache_that_holds_some_of_the_texts_gets_as_many_as_it_holds():
    def measured(running):
        return Window(token_s=0.01, lost=0.0 if running <= 12 else 0.9)

    pressure = Pressure(50)
    run_windows(pressure, measured, 50)
    limits = run_windows(pressure, measured, 100)
    assert pressure.bound is Bound.CACHE
    assert min(limits) >= 8
    assert sorted(limits)[50] <= 12


def test_a_cache_whose_hits_are_not_known_again_yet_gets_no_more():
    pressure = Pressure(50)
    pressure.take(Window(token_s=0.01, lost=0.9))
    limit = pressure.limit
    assert limit < 50
    assert run_windows(pressure, lambda _: Window(token_s=0.01), 10) == [limit] * 10


def test_a_limit_between_the_two_thresholds_stays():
    pressure = Pressure(50)
    pressure.take(Window(late_s=0.02, token_s=0.01))
    between = Window(late_s=0.01 * (TOO_LATE + IN_TIME) / 2, token_s=0.01)
    assert set(run_windows(pressure, lambda _: between, 10)) == {pressure.limit}


# --- the gate


class Walk:
    """Trajectories that come to the gate again and again until they have made their requests."""

    def __init__(self, requests, limit):
        self.gate = Gate(limit)
        self.left = dict(enumerate(requests))
        self.asking: set[int] = set()
        self.most = 0
        self.order: list[int] = []

    async def trajectory(self, position):
        try:
            while self.left[position]:
                await self.gate.enter(position)
                self.asking.add(position)
                self.most = max(self.most, len(self.asking))
                self.order.append(position)
                await asyncio.sleep(0)
                self.asking.discard(position)
                self.left[position] -= 1
        finally:
            self.asking.discard(position)
            self.gate.leave(position)


@given(st.lists(st.integers(0, 6), min_size=1, max_size=12), st.integers(1, 12))
def test_no_more_than_the_limit_run_and_all_get_through(requests, limit):
    async def main():
        walk = Walk(requests, limit)
        await asyncio.gather(*map(walk.trajectory, walk.left))
        return walk

    walk = asyncio.run(main())
    assert not any(walk.left.values())
    assert walk.most <= limit
    assert walk.gate.running == walk.gate.waiting == 0


@given(
    st.lists(st.integers(1, 20), min_size=2, max_size=12),
    st.lists(st.integers(1, 12), min_size=1, max_size=20),
    st.sets(st.integers(0, 11)),
)
def test_all_others_get_through_under_any_limit_and_cancellation(requests, limits, gone):
    async def main():
        walk = Walk(requests, 12)
        tasks = [asyncio.create_task(walk.trajectory(position)) for position in walk.left]
        for limit in limits:
            walk.gate.limit(limit)
            await asyncio.sleep(0)
        for position in gone & set(walk.left):
            tasks[position].cancel()
        await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 30)
        return walk

    walk = asyncio.run(main())
    assert all(not left or position in gone for position, left in walk.left.items())
    assert walk.gate.running == walk.gate.waiting == 0


async def test_the_earliest_keep_their_places_and_the_others_wait():
    walk = Walk([5] * 6, 6)
    tasks = [asyncio.create_task(walk.trajectory(position)) for position in reversed(range(6))]
    await asyncio.sleep(0)
    walk.gate.limit(2)
    walk.order.clear()
    await asyncio.gather(*tasks)
    first = walk.order[:8]
    assert set(first) == {0, 1}
