"""Has a served model rate questions: a run of the method `judge`."""

from __future__ import annotations

from pathlib import Path

from tessy.errors import TessyError
from tessy.event_loop import run_anywhere
from tessy.runs.counters import RunResult
from tessy.runs.progress import Progress
from tessy.selection.settings import JudgeConfig
from tessy.synthesis.run import asynthesize


class JudgeStopped(Exception):
    """The judge was stopped by a signal, and nothing was written; the same call goes on.

    Attributes:
        run: The judge's run.
    """

    def __init__(self, run: RunResult) -> None:
        super().__init__("the judge was stopped: the same call goes on")
        self.run = run


def rate(
    questions: str | Path,
    *,
    out: str | Path,
    config: JudgeConfig,
    limit: int | None = None,
    skip_bad: bool = False,
    question_column: str | None = None,
    retry_failed: bool = False,
    progress: Progress,
) -> RunResult:
    """Have the judge rate all questions that it has not rated yet.

    Args:
        questions: The questions, as for `tessy.synthesize`.
        out: The folder of the judge's run; an unfinished run in it is resumed.
        config: The judge's settings.
        limit: Use only the first lines.
        skip_bad: Leave out bad lines.
        question_column: The column of the question; None for the one that is there.
        retry_failed: Rate questions again that got no score.
        progress: Shows the progress.

    Returns:
        The counts of the run.

    Raises:
        TessyError: The subclass says why it could not start, or had to stop.
        JudgeStopped: A signal stopped it.
    """
    try:
        run = run_anywhere(
            asynthesize(
                questions,
                out=out,
                config=config,
                limit=limit,
                skip_bad=skip_bad,
                question_column=question_column,
                retry_failed=retry_failed,
                progress=progress,
                catch_signals=True,
            )
        )
    except TessyError as error:
        for before, after in (("the teacher", "the judge"), ("--out", "--judge-out")):
            error.message = error.message.replace(before, after)
            error.hint = error.hint and error.hint.replace(before, after)
        error.args = (error.message,)
        raise
    if run.stopped:
        raise JudgeStopped(run)
    return run
