"""Ctrl-C, SIGTERM and SIGHUP, during a part of a training."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from tessy.event_loop import stopping_signals

Handler = Callable[[int, FrameType | None], object]


@contextmanager
def on_signal(handler: Handler) -> Iterator[None]:
    """Have a handler called at Ctrl-C, SIGTERM and SIGHUP while the context is open.

    Only the main thread can have handlers; in any other this does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, handler) for number in stopping_signals()}
    try:
        yield
    finally:
        for number, usual in before.items():
            signal.signal(number, usual)
