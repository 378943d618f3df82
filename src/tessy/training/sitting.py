"""The evaluation of one epoch, in a process of its own: `python -m tessy.training.sitting`.

What to do stands in the first line of standard input (`exam.Sitting`, as JSON). The process lives
no longer than its parent: when standard input ends before the evaluation does, it stops as at
Ctrl-C, so that nobody holds the run's folder when the training goes on.
"""

from __future__ import annotations

import sys
import time

import orjson

from tessy.errors import RunLocked, TessyError
from tessy.evaluation.evaluate import RESULTS, evaluate
from tessy.event_loop import run_loop
from tessy.runs.progress import Progress, Show
from tessy.training.child import stop_with_parent
from tessy.training.exam import Sitting

FAILED, STOPPED = 1, 130
_LOCKED_S = 30.0
"""The process of a training that was killed lets go of the folder in this time."""


def main() -> int:
    """Do what standard input says; returns the exit code."""
    sitting = Sitting.model_validate_json(sys.stdin.buffer.readline())
    stop_with_parent()
    try:
        return _sit(sitting)
    except KeyboardInterrupt:
        return STOPPED
    except TessyError as error:
        print(f"error: {error}", *([f"hint: {error.hint}"] if error.hint else []), sep="\n")
        return FAILED


def _sit(sitting: Sitting) -> int:
    deadline = time.monotonic() + _LOCKED_S
    while True:
        try:
            return _evaluate(sitting)
        except RunLocked:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)


def _evaluate(sitting: Sitting) -> int:
    found, result = run_loop(
        evaluate(
            sitting.source,
            sitting.config,
            out=sitting.out,
            group=sitting.group,
            limit=sitting.limit,
            retry_failed=_measured_nothing(sitting),
            progress=Progress(Show.PLAIN),
        )
    )
    if result.stopped:
        return STOPPED
    if not found.whole.runs:
        failed = ", ".join(f"{count} {reason.value}" for reason, count in result.failed.items())
        print(f"error: no sample could be measured: {failed}")
        return FAILED
    return 0


def _measured_nothing(sitting: Sitting) -> bool:
    """An earlier start came to its end and to nothing: ask again."""
    try:
        tree = orjson.loads((sitting.out / RESULTS).read_bytes())
    except (OSError, ValueError):
        return False
    return not tree["runs"]


if __name__ == "__main__":
    sys.exit(main())
