"""In the run's process: starts trackers, tells them figures, and ends them in time."""

from __future__ import annotations

import asyncio
import math
import os
import re
import secrets
import signal
import subprocess
import sys
import threading
import time
import tomllib
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

import orjson

from tessy.data.files import read_bytes
from tessy.data.remote import RemotePath, is_place_at_url
from tessy.display import Say
from tessy.errors import ConfigError, MissingExtra, meant
from tessy.tracking import trackers
from tessy.tracking.trackers import FAILED, FINISHED, STOPPED, TRACKERS, Figures, LoggedRun

ID_FILE = "tracker-id"
CLOSE_S = 20.0
"""Seconds that trackers have at the end."""
_EVERY_S = 15.0
_SERVER = {"wandb": "WANDB_BASE_URL", "mlflow": "MLFLOW_TRACKING_URI"}
"""Environment variables with the addresses of servers."""


class Counted(Protocol):
    """What is counted while samples are written; the step is how many ended."""

    @property
    def ended(self) -> int:
        """Samples that ended."""

    def figures(self) -> Figures:
        """All counts."""


class RunLog:
    """Tells trackers the figures of a run. As a context, it closes them at the end.

    Once it is made, nothing that happens to a tracker raises an error.

    Args:
        log_to: The trackers, each as `NAME` or `NAME:PLACE`.
        say: Is called with a line about a tracker; from another thread, too.

    Attributes:
        step: The last that was logged.

    Raises:
        ConfigError: There is no such tracker.
        MissingExtra: Its library is not installed.
    """

    def __init__(self, log_to: str | Iterable[str], say: Say) -> None:
        names = [log_to] if isinstance(log_to, str) else log_to
        self._asked = [_parsed(name) for name in dict.fromkeys(names)]
        self._say = say
        self._trackers: list[_TrackerProcess] = []
        self._state, self.step = FINISHED, 0

    def open(self, out: str | Path, settings: Path, *, shard: str | None = None) -> None:
        """Start the trackers.

        Args:
            out: The run's folder, or its URL.
            settings: The file of its settings.
            shard: `I/N`, if this process writes only that one: it is logged as a run of its own.
        """
        if not self._asked:
            return
        name = (RemotePath(str(out)) if is_place_at_url(out) else Path(out).resolve()).name
        own = kept_id(out) if shard is None else f"{kept_id(out)}-{shard.replace('/', '-')}"
        title = name if shard is None else f"{name} {shard}"
        for tracker, place in self._asked:
            try:
                tree = tomllib.loads(settings.read_text("utf-8"))
                run = LoggedRun(own, title, name if shard else None, str(out), tree, place)
                self._trackers.append(_TrackerProcess(tracker, run, self._say))
            except (OSError, ValueError) as error:
                self._say(f"{tracker}: nothing is logged: {error}")

    def log(self, figures: Figures, step: int | None = None) -> None:
        """Log figures.

        Args:
            figures: What is no finite number is left out.
            step: By default the last one.
        """
        self.step = self.step if step is None else step
        known = {
            name: value
            for name, value in figures.items()
            if isinstance(value, int | float) and math.isfinite(value)
        }
        for tracker in self._trackers:
            tracker.tell({"step": self.step, "figures": known})

    def end(self, figures: Figures, step: int, *, stopped: bool) -> None:
        """Log the last figures of a run, and note whether it was stopped."""
        self.log(figures, step)
        self._state = STOPPED if stopped else FINISHED

    @asynccontextmanager
    async def following(self, counts: Counted) -> AsyncIterator[None]:
        """Log counts every few seconds while the context is open, and at its end."""

        async def follow() -> None:
            while True:
                self.log(counts.figures(), counts.ended)
                await asyncio.sleep(_EVERY_S)

        task = asyncio.create_task(follow())
        try:
            yield
        finally:
            task.cancel()
            self.log(counts.figures(), counts.ended)

    def close(self) -> None:
        """Tell the trackers the state, and wait until they have written all, but not for long."""
        trackers, self._trackers = self._trackers, []
        for tracker in trackers:
            tracker.end(self._state)
        until = time.monotonic() + CLOSE_S
        try:
            for tracker in trackers:
                tracker.wait(until)
        finally:
            for tracker in trackers:
                tracker.kill()

    def __enter__(self) -> RunLog:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if kind is not None:
            stopped = issubclass(kind, KeyboardInterrupt | asyncio.CancelledError)
            self._state = STOPPED if stopped else FAILED
        self.close()

    async def __aenter__(self) -> RunLog:
        return self

    async def __aexit__(self, *raised: Any) -> None:
        await asyncio.to_thread(self.__exit__, *raised)


def _parsed(text: str) -> tuple[str, str]:
    """A tracker's name and place, as the user wrote them."""
    name, _, place = text.partition(":")
    if name not in TRACKERS:
        raise ConfigError(
            f"--log-to {text}: there is no tracker {name}",
            hint=f"{meant(name, TRACKERS)}{', '.join(TRACKERS)}",
        )
    if "://" in place and name in _SERVER:
        raise ConfigError(
            f"--log-to {text}: {place} is no name",
            hint=f"the environment variable {_SERVER[name]} has the server's address",
        )
    if getattr(find_spec(name), "origin", None) is None:  # W&B makes a folder of its name
        raise MissingExtra(f"--log-to {text} needs {name}", hint=f"pip install {name}")
    return name, place


def kept_id(out: str | Path) -> str:
    """The id by which trackers know the run in a folder or at a URL; it is made at the first call.

    If it can't be kept there, the next start is another run for trackers.
    """
    made = secrets.token_hex(4)
    with suppress(OSError):  # RemoteError is one
        if is_place_at_url(out):
            there = RemotePath(f"{str(out).rstrip('/')}/{ID_FILE}")
            if (kept := there.read(len(made))) is None:
                there.write(made.encode())
        else:
            path = Path(out) / ID_FILE
            with suppress(FileExistsError), path.open("xb") as file:
                file.write(made.encode())
            kept = read_bytes(path, len(made))
        if kept and re.fullmatch(rb"[0-9a-f]{8}", kept):
            return kept.decode()
    return made


class _TrackerProcess:
    """A tracker.

    Args:
        name: Its name.
        run: The run.
        say: Is called with its lines.

    Raises:
        OSError: The process can't be started.
    """

    def __init__(self, name: str, run: LoggedRun, say: Say) -> None:
        self._name, self._say = name, say
        self._ending = False
        self._process = subprocess.Popen(
            [sys.executable, "-m", trackers.__name__, name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C reaches only the run's process
        )
        assert self._process.stdin is not None
        self._pipe = self._process.stdin.fileno()
        with suppress(OSError):  # `_listen` says that it ended
            self._process.stdin.write(orjson.dumps(run) + b"\n")
            self._process.stdin.flush()
        os.set_blocking(self._pipe, False)
        self._listening = threading.Thread(target=self._listen, daemon=True)
        self._listening.start()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            for line in lines:
                self._say(f"{self._name}: {line.decode(errors='replace').strip()}")
        if not self._ending:
            self._say(f"{self._name}: its process ended; nothing more is logged there")

    def tell(self, said: dict[str, Any]) -> None:
        """Send a line, unless the pipe is full or nobody reads it any more."""
        with suppress(OSError):
            os.write(self._pipe, orjson.dumps(said) + b"\n")

    def end(self, state: str) -> None:
        """Tell the state; nothing follows."""
        self.tell({"state": state})
        self._ending = True
        assert self._process.stdin is not None
        with suppress(OSError):
            self._process.stdin.close()

    def wait(self, until: float) -> None:
        """Wait for its end.

        Args:
            until: When to leave it, as `time.monotonic` tells it.
        """
        try:
            self._process.wait(max(0.0, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            self._say(
                f"{self._name}: not waited for after {CLOSE_S:.0f} s; its last figures may be "
                "missing"
            )

    def kill(self) -> None:
        """End it, with its own processes, if it is there."""
        if self._process.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        self._listening.join(1.0)
