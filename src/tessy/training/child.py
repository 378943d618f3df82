"""A process that does a piece of work for a training, and ends when the training is to end.

A training has threads of torch and signal handlers of its own; an event loop with handlers beside
them would be in their way, so what needs one is done by another process.
"""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

_STOP_S = 10.0


def run(command: Sequence[str], given: bytes, log: Path) -> int:
    """Run a command to its end.

    Ctrl-C and SIGTERM are handed on to it as SIGINT, once; a second one kills it. Its standard
    input stays open as long as this process lives: it ends when it reads the end of it.

    Args:
        command: The command.
        given: What it reads first.
        log: Where its output goes; appended.

    Returns:
        Its exit code; that of a signal is negative.

    Raises:
        KeyboardInterrupt: This process was asked to stop; the command has ended.
    """
    child = _Child()
    with log.open("ab") as output, child.stoppable():
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
            start_new_session=True,  # Ctrl-C is for us; we hand it on
        )
        try:
            child.begin(process)
            assert process.stdin is not None
            with suppress(BrokenPipeError):  # it ended before it read: its exit code says why
                process.stdin.write(given)
                process.stdin.flush()
            code = process.wait()
        finally:
            _end(process)
    if child.asked:
        raise KeyboardInterrupt
    return code


def stop_with_parent() -> None:
    """In a child: stop as at Ctrl-C when standard input ends.

    The parent holds the other end open as long as it lives, so nobody works on for a parent that
    was killed.
    """

    def watch() -> None:
        while os.read(0, 1):  # not through sys.stdin, whose lock would be held at the end
            pass
        os.kill(os.getpid(), signal.SIGINT)

    signal.signal(signal.SIGINT, signal.default_int_handler)  # under nohup it would be ignored
    threading.Thread(target=watch, daemon=True).start()


def _end(process: subprocess.Popen[bytes]) -> None:
    assert process.stdin is not None
    with suppress(BrokenPipeError):
        process.stdin.close()
    try:
        process.wait(_STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


class _Child:
    """Hands on what this process is told.

    Attributes:
        asked: How often it was asked to stop.
    """

    def __init__(self) -> None:
        self.asked = 0
        self._told = False
        self._process: subprocess.Popen[bytes] | None = None

    def begin(self, process: subprocess.Popen[bytes]) -> None:
        """There is a process now; it may have to stop already."""
        self._process = process
        self._tell()

    @contextmanager
    def stoppable(self) -> Iterator[None]:
        """Listen to Ctrl-C and SIGTERM, where that can be done (in the main thread)."""
        before: dict[int, Any] = {}
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                before[number] = signal.signal(number, self._stop)
        try:
            yield
        finally:
            for each, handler in before.items():
                signal.signal(each, handler)

    def _stop(self, number: int, frame: Any) -> None:
        self.asked += 1
        self._tell()

    def _tell(self) -> None:
        if self._process is None or not self.asked:
            return
        if self.asked > 1:
            self._process.kill()
        elif not self._told:
            self._told = True
            self._process.send_signal(signal.SIGINT)
