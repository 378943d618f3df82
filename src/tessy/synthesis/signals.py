"""Ctrl-C and SIGTERM: a run stops in good order, and the same command goes on."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any


async def until_stopped(work: Coroutine[Any, Any, None]) -> bool:
    """Do work until it is done or the user stops it; returns whether the user did.

    Signals are caught where that is possible: in the main thread.
    """
    task, loop = asyncio.create_task(work), asyncio.get_running_loop()
    stopped = False

    def stop() -> None:
        nonlocal stopped
        stopped = True
        task.cancel()

    caught = []
    with suppress(NotImplementedError, RuntimeError, ValueError):
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop)
            caught.append(number)
    try:
        await task
    except asyncio.CancelledError:
        if not stopped:
            task.cancel()
            raise
    finally:
        for number in caught:
            loop.remove_signal_handler(number)
    return stopped
