"""Ctrl-C, SIGTERM and SIGHUP: a run stops cleanly, and the same command resumes it."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any

from tessy.event_loop import leave_closed_terminal, stopping_signals


async def until_stopped(work: Coroutine[Any, Any, None], *, catch_signals: bool) -> bool:
    """Run `work` until it is done or the user stops it; returns whether the user stopped it.

    Args:
        work: What to do.
        catch_signals: Signals stop it. They can only be caught in the main thread; elsewhere they
            are not.
    """
    task, loop = asyncio.create_task(work), asyncio.get_running_loop()
    stopped = False

    def stop() -> None:
        nonlocal stopped
        stopped = True
        leave_closed_terminal()
        task.cancel()

    before: dict[signal.Signals, Any] = {}
    with suppress(NotImplementedError, RuntimeError, ValueError):
        for number in stopping_signals() if catch_signals else ():
            handler = signal.getsignal(number)
            loop.add_signal_handler(number, stop)
            before[number] = handler
    try:
        await task
    except asyncio.CancelledError:
        if not stopped:
            task.cancel()
            raise
    finally:
        for number, handler in before.items():
            loop.remove_signal_handler(number)
            signal.signal(number, handler)
    return stopped
