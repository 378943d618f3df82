"""The event loop of tessy's commands, tuned for many small events.

It is uvloop's where uvloop is installed: a streamed token costs a third of what it costs on
asyncio's own loop. Python's garbage collector skips objects that already exist, and runs rarely:
turns and spans form no cycles, so it would find nothing (docs/log.md).
"""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import stat
from collections.abc import Callable, Collection, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, TypeVar

T = TypeVar("T")
_COLLECT_AT = 50_000
"""The collector runs after this many new objects (Python's default: 700)."""


def run_loop(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine like `asyncio.run`, then restore the collector's settings."""
    new_loop: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop
    with suppress(ImportError):  # Windows has none
        import uvloop

        new_loop = uvloop.new_event_loop
    thresholds = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(_COLLECT_AT, 50, 100)
    try:
        with asyncio.Runner(loop_factory=new_loop) as runner:
            return runner.run(main)
    finally:
        gc.set_threshold(*thresholds)
        gc.unfreeze()


def run_anywhere(main: Coroutine[Any, Any, T]) -> T:
    """Like `run_loop`, but in a thread if an event loop is already running, as in a notebook."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return run_loop(main)
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(run_loop, main).result()


async def cancel_all(tasks: Collection[asyncio.Task[Any]]) -> None:
    """Cancel tasks that have not ended, and wait for their ends, whatever they are."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def stopping_signals() -> tuple[signal.Signals, ...]:
    """The signals that stop a command in an orderly way: Ctrl-C, SIGTERM and SIGHUP.

    SIGHUP (the terminal was closed) is left out if it is ignored, as under `nohup`.
    """
    ignored = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    return (signal.SIGINT, signal.SIGTERM, *(() if ignored else (signal.SIGHUP,)))


def leave_closed_terminal() -> None:
    """Send output nowhere if its terminal was closed: each write would fail."""
    for descriptor in (1, 2):
        with suppress(OSError):
            if stat.S_ISCHR(os.fstat(descriptor).st_mode) and not os.isatty(descriptor):
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, descriptor)
                os.close(nowhere)
