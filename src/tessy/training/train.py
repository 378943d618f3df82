"""Training a student: `tessy sft`, and the same as a function.

    student      what is trained; refused early if it can't be
    prepare      every row checked, rendered, and encoded with labels
    evaluator    how many questions the untrained model and each epoch answer correctly, if asked
    trainer      TRL's SFTTrainer; at the end of each epoch it keeps a whole model
    card         README.md

The same command resumes a training that was stopped or killed, from the last complete state
(*Resumed*: the result is the one that an uninterrupted training would have had).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tessy.data.files import write_atomically
from tessy.data.remote import shown_url
from tessy.display import Say, count_of
from tessy.errors import MissingExtra, install_hint
from tessy.runs.records import lacking_in
from tessy.tracking.log import RunLog
from tessy.training.card import CARD_FILE, card
from tessy.training.dataset import digest_of, rejected_in
from tessy.training.epochs import Epoch, add_gguf
from tessy.training.evaluator import EpochEvaluator
from tessy.training.folder import SFTFolder
from tessy.training.learning_curve import CurvePoint
from tessy.training.losses import Losses, TrainState, read_state
from tessy.training.plots import plot_losses
from tessy.training.prepare import DataCounts, is_prepared, prepare, read_counts
from tessy.training.settings import PATIENCE_S, Export, SFTSettings

if TYPE_CHECKING:
    from tessy.training.student import Student


@dataclass(frozen=True, slots=True)
class SFTResult:
    """The result of a training.

    Attributes:
        folder: Of the training.
        epochs: Those whose folder is there; the last one is the result.
        counts: What happened to the rows.
        losses: At each step.
        evaluation: The learning curve, from the untrained model; empty without questions, and in
            other processes than the first.
    """

    folder: Path
    epochs: tuple[Epoch, ...]
    counts: DataCounts
    losses: Losses
    evaluation: tuple[CurvePoint, ...] = ()


def train(
    dataset: str | Path,
    settings: SFTSettings,
    out: Path,
    *,
    on_epoch: Callable[[Epoch], None] = lambda _: None,
    log_to: str | Sequence[str] = (),
    say: Say = lambda _: None,
) -> SFTResult:
    """Train a student on a data set.

    Args:
        dataset: A run's folder, a `.jsonl` or `.parquet` file, or a data set on Hugging Face.
        settings: How.
        out: A new folder, or one in which the same training was stopped.
        on_epoch: Is called with each epoch whose folder is there, in order, in the first process
            only; when a training resumes, also with epochs that were there before.
        log_to: Trackers for losses and scores, as `tessy.synthesize` takes them.
        say: Is called with a line about progress.

    Raises:
        MissingExtra: torch, transformers, trl or another library of the extra is not installed.
        DataError: The data set can't be read, rows of it are bad, or nothing is left of it.
        ConfigError: The model can't be used, the settings do not fit it, or there is no such
            tracker.
        RunMismatch: `out` holds something else.
        RunLocked: Another process is training in `out`.
        TrainingError: The loss is not finite.
        InputError: The questions to evaluate with can't be used.
        TrainingError: The evaluation of an epoch failed.
        KeyboardInterrupt: It was asked to stop; a state was saved.
    """
    _need_extra()
    log = RunLog(log_to, say)
    from accelerate import PartialState  # torch is heavy: imported only now

    from tessy.training.student import load_student
    from tessy.training.trainer import EpochCallback, fit, quiet_libraries

    process, folder = PartialState(timeout=timedelta(seconds=PATIENCE_S)), SFTFolder(out)
    main = process.is_main_process
    if not main:
        on_epoch = say = _ignore
        log = RunLog((), say)
    evaluator = None
    if settings.eval and main:
        evaluator = EpochEvaluator(settings.eval, settings, folder, say, log)
    with quiet_libraries(), log, folder.locked() if main else nullcontext():
        student = load_student(settings)
        if main:
            _prepare(dataset, folder, student, say, evaluator)
            log.open(out, folder.settings)
        if evaluator:
            evaluator.evaluate_untrained(student)
        process.wait_for_everyone()

        def finished(epoch: Epoch) -> None:
            on_epoch(epoch)
            if evaluator:
                evaluator.evaluate_epoch(epoch)

        counts, checkpoint = read_counts(out), folder.checkpoint()
        state = read_state(checkpoint) if checkpoint else None
        if state:
            log.step = state.step
            for epoch in _epochs(folder, state):
                if main and settings.export is Export.GGUF and epoch.gguf is None:
                    add_gguf(epoch.folder, settings.export_dtype)  # it was trained without
                    say(f"wrote {epoch.gguf}")
                finished(epoch)
        if state and state.is_done:
            say("nothing was left to train")
        else:
            if state:
                say(f"resuming after step {state.step} of {state.steps}")
            callback = EpochCallback(student, folder, finished, say, log, main=main)
            fit(student, folder, callback, checkpoint, longest=counts.longest)
            process.wait_for_everyone()
        checkpoint = folder.checkpoint()
        assert checkpoint is not None  # of the last step
        state = read_state(checkpoint)
        points = evaluator.points if evaluator else ()
        result = SFTResult(out, _epochs(folder, state), counts, state.losses, points)
        if main:
            _finish(result, settings, str(dataset), folder)
    return result


def _ignore(_: Any) -> None:
    pass


def _need_extra() -> None:
    for name in ("accelerate", "datasets", "matplotlib", "peft", "torch", "transformers", "trl"):
        if find_spec(name) is None:
            raise MissingExtra(f"training needs {name}", hint=install_hint("train"))


def _prepare(
    dataset: str | Path,
    folder: SFTFolder,
    student: Student,
    say: Say,
    evaluator: EpochEvaluator | None,
) -> None:
    """Write tokens and settings to the folder, or make sure that those there are the same."""
    if folder.checkpoint() and is_prepared(folder.path):
        digest = digest_of(dataset)
    else:
        limit, loss = student.limit(), student.settings.trained
        test = evaluator.keys if evaluator else frozenset[bytes]()
        counts = prepare(dataset, folder.path, student.renderer(), loss, limit, test)
        digest = counts.digest
        say(
            f"{counts.kept} of {count_of(counts.rows, 'sample')}, {counts.tokens} tokens, of which "
            f"{counts.trained_tokens} carry loss; the longest has {counts.longest}"
        )
        if lacking := lacking_in(dataset):
            name = shown_url(str(dataset))
            say(f"warning: {name} is not complete: {lacking}, and short responses end first")
        if rejected := rejected_in(dataset):
            say(f"  left out: {count_of(rejected, 'more sample')}, rejected in tessy view")
        if others := counts.not_right:
            say(f"  not right among them: {others} (tessy export RUN --right leaves them out)")
        if counts.tested:
            say(
                f"warning: the training data has {counts.tested:,} of the {len(test):,} questions "
                "of the evaluation, so its scores are not about new questions"
            )
        if counts.too_long:
            say(f"  {counts.too_long} left out: longer than {limit.tokens} tokens")
        if counts.cut:
            say(f"  {counts.cut} cut at {limit.tokens} tokens")
        if counts.nothing_trained:
            say(f"  {counts.nothing_trained} left out: none of their tokens carries loss")
    folder.begin(student.settings.identity(), str(dataset), digest)
    folder.tidy()


def _epochs(folder: SFTFolder, state: TrainState) -> tuple[Epoch, ...]:
    """Epochs that were trained, but for those whose folder the user removed."""
    losses = state.losses.epochs()
    epochs = [Epoch(n, folder.epoch(n), losses[n]) for n in range(1, state.epochs + 1)]
    return tuple(epoch for epoch in epochs if epoch.folder.is_dir())


def _finish(result: SFTResult, settings: SFTSettings, dataset: str, folder: SFTFolder) -> None:
    """Write losses and card, and remove what only resuming needs."""
    result.losses.write(folder.path)
    plot_losses(result.losses, folder.path)
    text = card(
        settings, dataset, result.counts, result.losses, result.epochs, evaluation=result.evaluation
    )
    for path in (folder.path, *(epoch.folder for epoch in result.epochs[-1:])):
        write_atomically(path / CARD_FILE, text.encode())
    folder.finish()
