"""The time model of an engine: steps, prefix cache, API servers; and its loop, in virtual time."""

from __future__ import annotations

import asyncio
import selectors
from contextlib import aclosing
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tessy.testing import LoopScript, ScriptedServer
from tessy.testing.engine import (
    BLOCK_TOKENS,
    ApiServers,
    Emitted,
    EngineRequest,
    EngineTimes,
    KVCache,
    Scheduler,
)
from tessy.testing.engine_loop import EngineLoop
from tessy.testing.tokens import ScriptedToken

TIMES = EngineTimes(
    decode_s=0.006,
    sequence_s=0.001,
    prefill_s=0.02,
    prefill_token_s=0.0001,
    core_step_s=0.001,
    core_request_s=0.015,
    api_request_s=0.004,
    api_token_s=0.001,
)


def request(prompt, count, name="t"):
    """A request that writes `count` tokens."""
    tokens = (ScriptedToken(f"{name}{n}", b"x") for n in range(count))
    writes = (Emitted("x", token, n == count - 1) for n, token in enumerate(tokens))
    return EngineRequest(list(prompt), writes)


# --- steps


def test_a_step_takes_what_the_slower_of_chip_and_core_needs():
    step_s = TIMES.step_s
    assert step_s(sequences=4, admitted=0, prefill_tokens=0) == pytest.approx(0.010)
    assert step_s(sequences=4, admitted=1, prefill_tokens=10) == pytest.approx(0.020)  # no graph
    assert step_s(sequences=4, admitted=2, prefill_tokens=10) == pytest.approx(0.031)  # the core
    assert step_s(sequences=4, admitted=1, prefill_tokens=1000) == pytest.approx(0.110)  # the chip


def test_a_slowed_engine_only_takes_longer():
    slow = TIMES.slowed(3)
    assert slow.step_s(sequences=4, admitted=2, prefill_tokens=10) == pytest.approx(3 * 0.031)
    assert slow.api_request_s == pytest.approx(0.012)
    assert replace(slow, **{name: getattr(TIMES, name) for name in _TIMES_OF}) == TIMES


_TIMES_OF = [name for name in EngineTimes.__dataclass_fields__ if name.endswith("_s")]


@given(
    st.integers(1, 4),
    st.lists(st.tuples(st.floats(0, 5), st.floats(0, 1), st.booleans()), max_size=30),
)
def test_an_api_server_does_one_thing_after_the_other(count, work):
    servers, now, ends = ApiServers(count), 0.0, {}
    for wait, takes, _ in work:
        now += wait
        server = servers.least_busy()
        done = servers.serve(server, now, takes)
        assert done == pytest.approx(max(now, ends.get(server, 0.0)) + takes)
        ends[server] = done
    assert servers.busy_s == pytest.approx(sum(takes for _, takes, _ in work))


# --- the prefix cache

TEXTS = st.tuples(st.sampled_from("ab"), st.integers(1, 60)).map(lambda text: [text[0]] * text[1])
OPERATIONS = st.lists(st.tuples(st.sampled_from(("begin", "grow", "release")), TEXTS), max_size=60)


def usable(prompt, texts):
    """Tokens of the whole blocks that a prompt shares with texts, without its last token."""
    shared = max((_common(prompt, text) for text in texts), default=0)
    return min(shared, len(prompt) - 1) // BLOCK_TOKENS * BLOCK_TOKENS


def _common(one, other):
    return next(
        (n for n, (a, b) in enumerate(zip(one, other, strict=False)) if a != b),
        min(len(one), len(other)),
    )


@given(OPERATIONS, st.integers(1, 12) | st.none())
def test_the_cache_keeps_within_its_size_and_hits_only_what_is_there(operations, size):
    cache = KVCache(None if size is None else size * BLOCK_TOKENS)
    held, seen = [], []
    for what, text in operations:
        if what == "begin":
            now = [prompt for _, prompt in held]
            if (blocks := cache.begin(text)) is None:
                assert size is not None
                continue
            assert blocks.cached % BLOCK_TOKENS == 0
            assert usable(text, now) <= blocks.cached <= usable(text, seen)  # held: never evicted
            assert cache.evicted or blocks.cached == usable(text, seen)
            held.append((blocks, list(text)))
            seen.append(list(text))
        elif held and what == "grow":
            blocks, written = held[-1]
            for token in text:
                if not cache.grow(blocks, token):
                    assert size is not None
                    break
                written.append(token)
            seen.append(list(written))
            assert len(blocks.chain) * BLOCK_TOKENS + len(blocks.tail) == len(written)
        elif held:
            cache.release(held.pop(0)[0])
        assert size is None or cache.blocks <= size
    for blocks, _ in held:
        cache.release(blocks)
    if size is not None:  # nothing is lost: what is not held can all be used again
        assert cache.begin(["c"] * (size * BLOCK_TOKENS - 1)) is not None


def test_the_least_recently_used_block_goes_first_and_the_end_of_a_text_before_its_beginning():
    cache = KVCache(4 * BLOCK_TOKENS)
    old, new = ["old"] * 33, ["new"] * 17
    for text in (old, new):
        held = cache.begin(text)
        cache.release(held)
    other = cache.begin(["other"] * 17)  # takes two blocks; one was free
    assert cache.evicted == 0 or cache.blocks <= 4
    cache.release(other)
    assert cache.begin(old).cached == BLOCK_TOKENS


# --- the scheduler


REQUESTS = st.lists(
    st.tuples(st.integers(0, 12), TEXTS, st.integers(1, 60), st.none() | st.integers(1, 10)),
    min_size=1,
    max_size=12,
)


@settings(deadline=None)
@given(REQUESTS, st.integers(1, 8), st.integers(8, 64), st.integers(9, 20))
def test_every_token_is_written_once_whatever_the_limits(asked, batch, batch_tokens, blocks):
    """Also: within the limits; nothing for a client that left; no sequence waits for ever."""
    times = replace(
        TIMES, batch=batch, batch_tokens=batch + batch_tokens, cache_tokens=blocks * BLOCK_TOKENS
    )
    scheduler = Scheduler(times)
    coming = sorted(
        ((at, request(text, count, f"{n}-"), len(text), count, leaves)
         for n, (at, text, count, leaves) in enumerate(asked)),
        key=lambda each: each[0],
    )  # fmt: skip
    got = {each[1]: [] for each in coming}
    now = 0
    while now < 5000:
        while coming and coming[0][0] <= now:
            scheduler.add(coming.pop(0)[1])
        step = scheduler.plan()
        if step is None and not coming:
            break
        now += 1
        if step is None:
            continue
        assert 0 < step.sequences <= batch
        assert step.prefill_tokens == sum(step.chunks.values())
        assert step.sequences - len(step.chunks) + step.prefill_tokens <= times.batch_tokens
        assert step.seconds == times.step_s(
            sequences=step.sequences, admitted=step.admitted, prefill_tokens=step.prefill_tokens
        )
        for each, written in scheduler.finish(step):
            assert each.held is not None or each.gone or scheduler.preempted
            got[each].append(written)
        for n, each in enumerate(got):
            leaves = asked_of(asked, n)[3]
            if leaves is not None and len(got[each]) >= leaves and not each.gone:
                each.gone = True
        assert scheduler.cache.blocks <= blocks
    assert now < 5000, "some request was never finished"
    for n, (each, written) in enumerate(got.items()):
        _, text, count, leaves = asked_of(asked, n)
        assert len(written) == (count if leaves is None else min(count, leaves))
        assert [w.token.key for w in written] == each.prompt[len(text) :]
        assert (not written) or written[-1].last is (len(written) == count)


def asked_of(asked, n):
    """The n-th of what was asked, in the order in which it came."""
    return sorted(asked, key=lambda each: each[0])[n]


def test_what_arrives_during_a_step_is_in_the_step_after_the_next():
    scheduler = Scheduler(TIMES)
    scheduler.add(request("a" * 20, 9))
    assert scheduler.plan().admitted == 1  # nothing runs, so nothing is scheduled ahead
    scheduler.add(request("b" * 20, 9))
    assert scheduler.plan().admitted == 0
    assert scheduler.plan().admitted == 1


def test_a_request_that_is_too_long_for_one_step_takes_several():
    scheduler = Scheduler(replace(TIMES, batch_tokens=16))
    scheduler.add(request("a" * 40, 1))
    steps = []
    while step := scheduler.plan():
        steps.append((step.prefill_tokens, len(scheduler.finish(step))))
    assert steps == [(16, 0), (16, 0), (8, 1)]


def test_the_youngest_gives_way_when_the_cache_is_full_and_starts_again():
    scheduler = Scheduler(replace(TIMES, cache_tokens=4 * BLOCK_TOKENS))
    old, young = request("a" * 16, 40, "old"), request("b" * 16, 20, "young")
    for each in (old, young):
        scheduler.add(each)
    got = {old: 0, young: 0}
    while step := scheduler.plan():
        for each, _ in scheduler.finish(step):
            got[each] += 1
    assert got == {old: 40, young: 20}
    assert scheduler.preempted == 1


# --- the loop, in virtual time


class VirtualLoop(asyncio.SelectorEventLoop):
    """A loop whose clock jumps to the next timer; timers come in steps of a millisecond."""

    def __init__(self):
        self.now = 0.0

        class Jump(selectors.SelectSelector):
            def select(_, timeout=None):
                self.now += timeout or 0.0
                return []

        super().__init__(Jump())

    def time(self):
        return self.now

    def call_at(self, when, *rest, **more):
        return super().call_at(round(when, 3), *rest, **more)


def virtually(main):
    """Run a coroutine in virtual time."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main)


async def read(engine, asked, count=None, *, whole=False):
    """Read tokens of a request; leave after `count`."""
    seen = []
    async with aclosing(engine.run(asked, whole=whole)) as stream:
        async for written in stream:
            seen.append(written.token.key)
            if len(seen) == count:
                break
    return seen, asyncio.get_running_loop().time()


def test_a_request_passes_api_server_prefill_and_steps():
    engine = EngineLoop(TIMES)
    seen, ended_s = virtually(read(engine, request("a" * 20, 3)))
    assert seen == ["t0", "t1", "t2"]
    # 4 ms API server, 20 ms prefill, two steps of 7 ms, 1 ms to send the last token
    assert ended_s == pytest.approx(0.004 + 0.020 + 2 * 0.007 + 0.001)
    stats = engine.stats
    assert (stats.steps, stats.prefill_steps, stats.computed_tokens) == (3, 1, 20)
    assert stats.first_token_s == pytest.approx(0.025)
    assert stats.later_s == pytest.approx(0.014)
    assert stats.api_s == pytest.approx(0.007)


def test_a_client_that_leaves_stops_its_sequence_at_the_next_step():
    engine, asked = EngineLoop(TIMES), request("a" * 20, 100)

    async def main():
        seen, _ = await read(engine, asked, 5)
        await asyncio.sleep(1)
        return seen

    assert virtually(main()) == [f"t{n}" for n in range(5)]
    assert len(asked.prompt) - 20 in (5, 6)
    assert engine.stats.steps <= 7


def test_one_api_server_makes_requests_wait_and_four_do_not():
    async def main(engine):
        made = await asyncio.gather(*(read(engine, request(f"{n:020}", 1)) for n in range(8)))
        return max(ended_s for _, ended_s in made)

    slow = replace(TIMES, api_request_s=0.1, core_request_s=0.0, api_token_s=0.0)
    assert virtually(main(EngineLoop(slow))) == pytest.approx(0.8 + 0.02)
    four = EngineLoop(replace(slow, api_servers=4))
    assert virtually(main(four)) == pytest.approx(0.2 + 0.02)


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 4), st.integers(1, 12), st.booleans())
def test_tokens_arrive_in_order_even_if_timers_do_not(servers, clients, whole):
    times = replace(TIMES.slowed(0.01), api_servers=servers)

    async def main():
        engine = EngineLoop(times)
        asked = [request(f"{n:03}" * 9, 30, f"{n}-") for n in range(clients)]
        return await asyncio.gather(*(read(engine, each, whole=whole) for each in asked))

    for n, (seen, _) in enumerate(virtually(main())):
        assert seen == [f"{n}-{at}" for at in range(30)]


def test_a_server_whose_cache_holds_no_context_is_refused():
    with pytest.raises(ValueError, match="the cache of 4096 tokens holds no context of 65536"):
        ScriptedServer(LoopScript("a "), engine=EngineTimes(cache_tokens=4096))
