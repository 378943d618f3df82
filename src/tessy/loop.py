"""The event loop of tessy's own commands, tuned for many small events.

uvloop's, where it is installed: a streamed token costs a third of what it costs on asyncio's own
loop. And Python's garbage collector looks at what there is now no more: turns and spans make no
cycles, so it would find nothing (docs/performance.md).
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, TypeVar

T = TypeVar("T")
_COLLECT_AT = 50_000
"""New objects after which the collector looks at them (Python's default: 700)."""


def run_loop(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end, as `asyncio.run` does; then the collector is as it was."""
    factory: Callable[[], asyncio.AbstractEventLoop] | None = None
    with suppress(ImportError):  # Windows has none
        import uvloop

        factory = uvloop.new_event_loop
    usual = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(_COLLECT_AT, 50, 100)
    try:
        with asyncio.Runner(loop_factory=factory) as runner:
            return runner.run(main)
    finally:
        gc.set_threshold(*usual)
        gc.unfreeze()
