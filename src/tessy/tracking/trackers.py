"""In a tracker's process: W&B, MLflow and TensorBoard.

    python -m tessy.tracking.trackers NAME   logs a run; the first line of input is a `LoggedRun`,
                                             the others are figures and, last, the state at the
                                             end; lines of output are for the user

Lines of input are objects of JSON.
"""

from __future__ import annotations

import os
import re
import signal
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from itertools import chain
from queue import SimpleQueue
from typing import Any, Protocol

import orjson

from tessy.display import Say
from tessy.event_loop import stopping_signals

Figures = Mapping[str, float]
"""Figures by name; `/` in names makes groups of charts."""
FINISHED, STOPPED, FAILED, CRASHED = "finished", "stopped", "failed", "crashed"
"""The states of a run at its end; `CRASHED` if it was killed before it could tell one."""
_ORPHANED_S = 60.0
"""Seconds that a tracker has to end when the run's process is gone."""
_FLUSH_S = 15
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

        mlflow.end_run()  # of an attempt to open it that failed
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
        """Log figures; names of groups may have characters that MLflow refuses."""
        import mlflow

        named = {re.sub(r"[^\w/.: -]", "_", name): value for name, value in figures.items()}
        mlflow.log_metrics(named, step=step)

    def close(self, state: str) -> None:
        """End."""
        import mlflow

        mlflow.end_run({FINISHED: "FINISHED", STOPPED: "KILLED"}.get(state, "FAILED"))


class TensorBoard:
    """TensorBoard; its place is a folder of runs, by default the run's own."""

    def open(self, run: LoggedRun) -> str:
        """Begin a file of events, beside those of earlier starts."""
        from tensorboard.summary.writer.event_file_writer import EventFileWriter

        folder = run.place or f"{run.out}/tensorboard"
        several = run.place or run.group  # runs, or shards of one
        own = f"{folder}/{run.name.replace('/', '-')}-{run.id}" if several else folder
        self._writer = EventFileWriter(own, flush_secs=_FLUSH_S)
        return f"tensorboard --logdir {folder}"

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
                break
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
    """Run a tracker until its input ends."""
    answer = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a library prints
    for number in stopping_signals():  # the end of the input ends it
        signal.signal(number, signal.SIG_IGN)
    lines = SimpleQueue[bytes]()

    def read() -> None:
        for line in sys.stdin.buffer:
            lines.put(line)
        lines.put(b"")
        time.sleep(_ORPHANED_S)
        os._exit(1)

    threading.Thread(target=read, daemon=True).start()

    def say(line: str) -> None:
        with suppress(OSError):  # the run was killed, so nobody listens
            print(line, file=answer, flush=True)

    track(TRACKERS[sys.argv[1]](), iter(lines.get, b""), say)
    os._exit(0)  # all is written, and what libraries do at an exit may take long


if __name__ == "__main__":
    main()
