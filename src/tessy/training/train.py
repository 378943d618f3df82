"""Training a student: `tessy sft`, and the same as a function.

    student      what is trained; refused early if it can't be
    prepare      every row checked, rendered and put into tokens with labels
    fit          TRL's SFTTrainer on them
    epochs       of each epoch a whole model, and a GGUF file if asked for
    losses       loss.json, loss.png
    evaluate     of each epoch how many questions it answers rightly, if some are given
    card         README.md

The same command goes on where it was stopped or killed: from the last state that was whole
(*Resumed*: what comes out is what would have come out).
"""

from __future__ import annotations

import time
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tessy.display import Say
from tessy.errors import MissingExtra
from tessy.training import losses as curves
from tessy.training.card import CARD_FILE, card
from tessy.training.curve import Point
from tessy.training.data import digest_of
from tessy.training.epochs import Epoch, OnEpoch, keep, kept
from tessy.training.evaluate import Evaluator
from tessy.training.exam import set_exam
from tessy.training.folder import SFTFolder
from tessy.training.prepare import Counts, is_prepared, prepare, read_counts
from tessy.training.settings import PATIENCE_S, SFTSettings

if TYPE_CHECKING:
    from tessy.training.fit import Progress
    from tessy.training.student import Student

_PICTURE_EVERY_S = 60.0
"""Epochs of a small model take less time than a picture of them."""


@dataclass(frozen=True, slots=True)
class Trained:
    """What came out.

    Attributes:
        folder: Where it lies.
        epochs: Those whose folder is there; the last one's is the result.
        counts: What became of the rows.
        losses: At each step.
        evaluation: The learning curve, from the untrained model; empty without questions, and in
            other processes than the first.
    """

    folder: Path
    epochs: tuple[Epoch, ...]
    counts: Counts
    losses: curves.Losses
    evaluation: tuple[Point, ...] = ()


def train(
    dataset: str | Path,
    settings: SFTSettings,
    out: Path,
    *,
    on_epoch: OnEpoch = lambda _: None,
    say: Say = lambda _: None,
) -> Trained:
    """Train a student on a data set.

    Args:
        dataset: A run's folder, a `.jsonl` or `.parquet` file, or a data set on Hugging Face.
        settings: How.
        out: A new folder, or one in which the same training was stopped.
        on_epoch: Told of each epoch whose folder is there, in order, in the first process only;
            when a training goes on, of those that were there before, too.
        say: Told what is going on, in a line.

    Returns:
        The epochs, losses and counts.

    Raises:
        MissingExtra: torch, transformers, trl or another library of the extra is not installed.
        DataError: The data set can't be read, rows of it are bad, or nothing is left of it.
        ConfigError: The model can't be used, or the settings do not fit it.
        RunMismatch: `out` holds something else.
        RunLocked: Another process is training in `out`.
        TrainingError: The loss is not a number, or the evaluation of an epoch failed.
        InputError: The questions to evaluate with can't be used.
        KeyboardInterrupt: It was asked to stop; a state was saved.
    """
    _need_extra()
    from accelerate import PartialState

    from tessy.training.quiet import quiet  # torch is heavy: only now
    from tessy.training.student import find_student

    process, folder = PartialState(timeout=timedelta(seconds=PATIENCE_S)), SFTFolder(out)
    main = process.is_main_process
    say = say if main else _silent
    exam = set_exam(settings, out) if main else None
    with quiet(), folder.locked() if main else nullcontext():
        student = find_student(settings)
        evaluator = Evaluator(exam, folder, settings, say) if exam else None
        if main:
            _prepare(dataset, folder, student, settings, say)
        if evaluator:
            evaluator.untrained(student.tokenizer)
        process.wait_for_everyone()
        counts = read_counts(folder.path)
        tell = on_epoch if main else _silent
        work = _Work(folder, settings, student, tell, evaluator, say, main)
        work.go(counts)
        process.wait_for_everyone()
        if main:
            work.finish(str(dataset), counts)
    return Trained(out, tuple(work.epochs), counts, work.losses, work.evaluation)


def _silent(_: Any) -> None:
    pass


def _need_extra() -> None:
    try:
        import accelerate  # noqa: F401
        import datasets  # noqa: F401
        import matplotlib  # noqa: F401
        import peft  # noqa: F401
        import torch  # noqa: F401
        import transformers  # noqa: F401
        import trl  # noqa: F401
    except ImportError as error:
        raise MissingExtra(
            f"training needs {error.name}", hint="pip install 'tessy[train]'"
        ) from None


def _prepare(
    dataset: str | Path, folder: SFTFolder, student: Student, settings: SFTSettings, say: Say
) -> None:
    """Have tokens and settings in the folder, or make sure that those there are the same."""
    if folder.checkpoint() and is_prepared(folder.path):
        digest = digest_of(dataset)
    else:
        renderer, limit = student.renderer(settings), student.limit(settings)
        counts = prepare(dataset, folder.path, renderer, settings.trained, limit)
        digest = counts.digest
        _say_counts(counts, limit.tokens, say)
    folder.begin(settings.identity(), str(dataset), digest)
    folder.tidy()


def _say_counts(counts: Counts, limit: int, say: Say) -> None:
    say(
        f"{counts.kept} of {counts.rows} samples, {counts.tokens} tokens, of which "
        f"{counts.trained_tokens} carry loss; the longest has {counts.longest}"
    )
    if counts.too_long:
        say(f"  {counts.too_long} left out: longer than {limit} tokens")
    if counts.cut:
        say(f"  {counts.cut} cut at {limit} tokens")
    if counts.nothing_trained:
        say(f"  {counts.nothing_trained} left out: no token of them carries loss")


class _Work:
    """One process's part of a training.

    Attributes:
        epochs: Those whose folder is there.
        losses: At each step so far.
    """

    def __init__(
        self,
        folder: SFTFolder,
        settings: SFTSettings,
        student: Student,
        on_epoch: OnEpoch,
        evaluator: Evaluator | None,
        say: Say,
        main: bool,
    ) -> None:
        self.epochs: list[Epoch] = []
        self.losses = curves.Losses(())
        self._folder, self._settings, self._student = folder, settings, student
        self._on_epoch, self._evaluator, self._say, self._main = on_epoch, evaluator, say, main
        self._progress: Progress | None = None
        self._drawn = time.monotonic()

    @property
    def evaluation(self) -> tuple[Point, ...]:
        """Epochs that were evaluated."""
        return self._evaluator.points if self._evaluator else ()

    def go(self, counts: Counts) -> None:
        """Train what is left to be trained."""
        checkpoint = self._folder.checkpoint()
        if checkpoint:
            state = curves.read_state(checkpoint)
            self.losses = state.losses
            for number in range(1, state.epochs + 1):
                if self._folder.epoch(number).is_dir():  # else its user had no more need of it
                    self._add(number)
            if state.is_done:
                return
            self._say(f"going on behind step {state.step} of {state.steps}")
        from tessy.training import fit
        from tessy.training.student import load_weights

        progress = self._progress = fit.Progress(
            self._settings, self._folder, main=self._main, done=self._done, say=self._say
        )
        trainer = fit.trainer(
            load_weights(self._settings),
            self._student.tokenizer,
            self._folder,
            self._settings,
            longest=counts.longest,
        )
        trainer.add_callback(progress)
        with progress.stoppable(alone=trainer.args.world_size == 1):
            trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
        if trainer.state.global_step < trainer.state.max_steps:
            raise KeyboardInterrupt

    def finish(self, dataset: str, counts: Counts) -> None:
        """Write what is said of the whole, and remove what only a resumption needs."""
        curves.write(self.losses, self._folder.path)
        curves.draw(self.losses, self._folder.path)
        text = card(
            self._settings, dataset, counts, self.losses, self.epochs, evaluation=self.evaluation
        )
        for folder in (self._folder.path, *(epoch.folder for epoch in self.epochs[-1:])):
            (folder / CARD_FILE).write_text(text, "utf-8")
        self._folder.finish()

    def _done(self, number: int, checkpoint: Path, log: list[dict[str, Any]]) -> None:
        """An epoch ended: keep its model, and only then mark the state as whole."""
        keep(checkpoint, self._folder.epoch(number), self._student.tokenizer, self._settings)
        self._folder.seal(checkpoint)
        self.losses = curves.from_log(log)
        curves.write(self.losses, self._folder.path)
        if time.monotonic() - self._drawn > _PICTURE_EVERY_S:
            curves.draw(self.losses, self._folder.path)
            self._drawn = time.monotonic()
        loss = self.losses.epochs()[number]
        self._say(f"epoch {number} of {self._settings.epochs}: loss {loss:.4f}")
        if self._progress and self._progress.stopping:  # an evaluation would take its time
            self._say(f"stopping behind epoch {number}, whose state is saved")
            raise KeyboardInterrupt
        self._add(number)

    def _add(self, number: int) -> None:
        folder, loss = self._folder.epoch(number), self.losses.epochs()[number]
        self._on_epoch(kept(folder, number, loss))
        if self._evaluator:
            self._evaluator.epoch(kept(folder, number, loss))
        self.epochs.append(kept(folder, number, loss))  # evaluating may have made its GGUF
