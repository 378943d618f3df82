"""Signals stop a run in an orderly way, and are left as they were."""

from __future__ import annotations

import asyncio
import os
import signal

import pytest

from tessy.event_loop import stopping_signals
from tessy.synthesis.signals import until_stopped

STOPPING = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]


async def forever() -> None:
    await asyncio.Event().wait()


@pytest.fixture
def hangup_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("number", STOPPING)
async def test_a_signal_stops_it_and_its_handler_comes_back(number):
    before = signal.getsignal(number)
    asyncio.get_running_loop().call_soon(os.kill, os.getpid(), number)
    async with asyncio.timeout(20):
        assert await until_stopped(forever(), catch_signals=True)
    assert signal.getsignal(number) == before


@pytest.mark.usefixtures("hangup_ignored")
async def test_under_nohup_a_hangup_stays_ignored():
    assert stopping_signals() == (signal.SIGINT, signal.SIGTERM)

    async def work() -> None:
        os.kill(os.getpid(), signal.SIGHUP)
        await asyncio.sleep(0)

    assert not await until_stopped(work(), catch_signals=True)
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN


async def test_without_being_asked_no_signal_is_touched():
    before = [signal.getsignal(number) for number in STOPPING]

    async def work() -> None:
        assert [signal.getsignal(number) for number in STOPPING] == before

    assert not await until_stopped(work(), catch_signals=False)
