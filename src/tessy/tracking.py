"""The figures of a run or a training, logged to W&B, MLflow or TensorBoard (`--log-to`).

Each tracker is a process of its own, so nothing that its library prints, breaks or waits for
reaches the run. Figures go to it through a pipe that is never waited for; at the end it has
`_CLOSE_S` seconds to write the rest.

    python -m tessy.tracking NAME   runs a tracker; its first line of input is a `LoggedRun`, the
                                    others are figures and, last, the state at the end; its lines
                                    of output are for the user

Lines of input are objects of JSON.
"""

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
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from itertools import chain
from pathlib import Path
from queue import SimpleQueue
from types import TracebackType
from typing import Any, Protocol

import orjson

from tessy.data.files import read_bytes
from tessy.data.remote import RemotePath, is_place_at_url
from tessy.display import Say
from tessy.errors import ConfigError, MissingExtra, meant
from tessy.event_loop import stopping_signals

Figures = Mapping[str, float]
"""Figures by name; `/` in names makes groups of charts."""
FINISHED, STOPPED, FAILED, CRASHED = "finished", "stopped", "failed", "crashed"
"""The states of a run at its end; `CRASHED` if it was killed before it could tell one."""
ID_FILE = "tracker-id"
_EVERY_S = 15.0
_CLOSE_S = 20.0
_FIT_IN = 500
"""Characters of an error that are shown, and of a setting in MLflow, which has a limit."""


@dataclass(frozen=True, slots=True)
class LoggedRun:
    """What a tracker is told of a run before its figures.

    Attributes:
        id: By which a resumed run is found again.
        name: As trackers show it.
        group: The name that all shards of a run share.
        out: The run's folder, or its URL.
        settings: Those in `run.toml` or `sft.toml`, which have no keys.
        place: What the user wrote after the tracker's name and `:`; may be empty.
    """

    id: str
    name: str
    group: str | None
    out: str
    settings: dict[str, Any]
    place: str = ""


class Counted(Protocol):
    """What is counted while samples are written; the step is how many ended."""

    @property
    def ended(self) -> int:
        """Samples that ended."""

    def figures(self) -> Figures:
        """All counts."""


# --- In the run's process -----------------------------------------------------------------------


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

    def open(self, out: str | Path, settings: dict[str, Any], *, shard: str | None = None) -> None:
        """Start the trackers.

        Args:
            out: The run's folder, or its URL.
            settings: As `LoggedRun.settings`.
            shard: `I/N`, if this process writes only that one: it is logged as a run of its own.
        """
        if not self._asked:
            return
        name = (RemotePath(str(out)) if is_place_at_url(out) else Path(out).resolve()).name
        own = kept_id(out) if shard is None else f"{kept_id(out)}-{shard.replace('/', '-')}"
        title = name if shard is None else f"{name} {shard}"
        for tracker, place in self._asked:
            run = LoggedRun(own, title, name if shard else None, str(out), settings, place)
            try:
                self._trackers.append(_TrackerProcess(tracker, run, self._say))
            except OSError as error:
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
        until = time.monotonic() + _CLOSE_S
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
            [sys.executable, "-m", "tessy.tracking", name],
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
        for line in self._process.stdout:
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
                f"{self._name}: not waited for after {_CLOSE_S:.0f} s; its last figures may be "
                "missing"
            )

    def kill(self) -> None:
        """End it, with its own processes, if it is there."""
        if self._process.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        self._listening.join(1.0)


# --- In a tracker's process ---------------------------------------------------------------------


class Tracker(Protocol):
    """Where figures are logged."""

    def open(self, run: LoggedRun) -> str:
        """Begin to log a run, or go on with it; returns a line that says where it can be seen."""

    def log(self, step: int, figures: Figures) -> None:
        """Log figures."""

    def close(self, state: str) -> None:
        """End, in one of the states."""


class Wandb:
    """Weights & Biases; its place is `PROJECT` or `ENTITY/PROJECT`."""

    def open(self, run: LoggedRun) -> str:
        """Begin or resume; without a login or a server what is logged is kept in a folder."""
        import wandb

        entity, _, project = run.place.rpartition("/")
        start = partial(
            wandb.init,
            entity=entity or None,
            project=project or None,
            id=run.id,
            name=run.name,
            group=run.group,
            config=run.settings,
            resume="allow",
            settings=wandb.Settings(console="off", init_timeout=30),
        )
        why = ""
        try:
            self._run = start()
        except wandb.Error as error:
            self._run, why = start(mode="offline"), f" ({_in_a_line(error)})"
        self._run.define_metric("*", step_metric="step")
        return self._run.url or f"wandb sync {self._run.settings.sync_dir} uploads it later{why}"

    def log(self, step: int, figures: Figures) -> None:
        """Log figures; W&B's own step could not go back, as that of a resumed training does."""
        self._run.log({"step": step, **figures})

    def close(self, state: str) -> None:
        """End; 255 is what W&B itself notes at Ctrl-C."""
        self._run.summary["state"] = state
        self._run.finish(exit_code={FINISHED: 0, STOPPED: 255}.get(state, 1))


class MLflow:
    """MLflow; its place is an experiment."""

    def open(self, run: LoggedRun) -> str:
        """Begin, or resume the run that has the id as a tag."""
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "3")  # 7 take minutes
        import mlflow

        if run.place:
            mlflow.set_experiment(run.place)
        known = mlflow.search_runs(
            filter_string=f"tags.tessy_id = '{run.id}'", max_results=1, output_format="list"
        )
        if known:
            mlflow.start_run(known[0].info.run_id)
        else:
            mlflow.start_run(run_name=run.name, tags={"tessy_id": run.id})
            mlflow.log_params(dict(_flat(run.settings)))
        return f"run {run.name} in {mlflow.get_tracking_uri()}"

    def log(self, step: int, figures: Figures) -> None:
        """Log figures."""
        import mlflow

        mlflow.log_metrics(dict(figures), step=step)

    def close(self, state: str) -> None:
        """End."""
        import mlflow

        mlflow.end_run({FINISHED: "FINISHED", STOPPED: "KILLED"}.get(state, "FAILED"))


class TensorBoard:
    """TensorBoard; its place is a folder of runs, by default the run's own."""

    def open(self, run: LoggedRun) -> str:
        """Begin a file of events, beside those of earlier starts."""
        from tensorboard.summary.writer.event_file_writer import EventFileWriter

        own = f"{run.out}/tensorboard"
        folder = f"{run.place}/{run.name.replace('/', '-')}-{run.id}" if run.place else own
        self._writer = EventFileWriter(folder, flush_secs=int(_EVERY_S))
        return f"tensorboard --logdir {run.place or own}"

    def log(self, step: int, figures: Figures) -> None:
        """Log figures."""
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.summary_pb2 import Summary

        values = [Summary.Value(tag=name, simple_value=each) for name, each in figures.items()]
        event = Event(wall_time=time.time(), step=step, summary=Summary(value=values))
        self._writer.add_event(event)

    def close(self, state: str) -> None:
        """End; the format has no place for a state."""
        self._writer.close()


TRACKERS: dict[str, type[Tracker]] = {"wandb": Wandb, "mlflow": MLflow, "tensorboard": TensorBoard}
"""By the names of their packages."""
_SERVER = {"wandb": "WANDB_BASE_URL", "mlflow": "MLFLOW_TRACKING_URI"}
"""Environment variables with the addresses of servers."""


def _flat(tree: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, str]]:
    """Settings by dotted name, as MLflow takes them."""
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{above}{key}.")
        else:
            yield f"{above}{key}", str(value)[:_FIT_IN]


def _in_a_line(error: BaseException) -> str:
    return (" ".join(str(error).split()) or type(error).__name__)[:_FIT_IN]


def track(tracker: Tracker, lines: Iterator[bytes], say: Say) -> None:
    """Log what is told until it ends. The first error is said, and the number of them at the end.

    Args:
        tracker: Where; if it can't be opened, it is tried again with the next figures.
        lines: As in the module's docstring.
        say: Is called with lines for the user.
    """
    errors, opened, state = 0, False, CRASHED

    @contextmanager
    def noted() -> Iterator[None]:
        nonlocal errors
        try:
            yield
        except Exception as error:  # of a library: it may be anything
            errors += 1
            if errors == 1:
                say(f"an error, and the run goes on: {_in_a_line(error)}")

    run = LoggedRun(**orjson.loads(next(lines)))
    for line in chain([b"{}"], lines):  # it is opened before there are figures
        with noted():
            told = orjson.loads(line)
            if "state" in told:
                state = told["state"]
                continue
            if not opened:
                say(tracker.open(run))
                opened = True
            if told:
                tracker.log(told["step"], told["figures"])
    if opened:
        with noted():
            tracker.close(state)
    if errors > 1:
        say(f"{errors:,} errors: figures are missing there")


def main() -> None:
    """Run a tracker; when its input ends it has `_CLOSE_S` seconds, also if the run was killed."""
    answer = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a library prints
    for number in stopping_signals():  # the end of the input ends it
        signal.signal(number, signal.SIG_IGN)
    lines = SimpleQueue[bytes]()

    def read() -> None:
        for line in sys.stdin.buffer:
            lines.put(line)
        lines.put(b"")
        time.sleep(_CLOSE_S)
        os._exit(1)

    threading.Thread(target=read, daemon=True).start()
    say = partial(print, file=answer, flush=True)
    track(TRACKERS[sys.argv[1]](), iter(lines.get, b""), say)
    os._exit(0)  # all is written, and what libraries do at an exit may take long


if __name__ == "__main__":
    main()
