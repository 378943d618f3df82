"""Evaluating the untrained model and each epoch as it ends: a curve that grows during training.

An evaluation is that of `tessy eval`, a run in `eval/epoch-N/`; only the model changes from one to
the next. An epoch in `evaluation.json` is done. Any other is evaluated when the training is started
again, from where its run was stopped.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from tessy.data.files import open_file
from tessy.display import Say, count_of
from tessy.errors import ConfigError, MissingExtra, RunMismatch, TessyError, TrainingError
from tessy.evaluation.evaluate import EvalResult, evaluate, groups_of
from tessy.evaluation.settings import EvaluationConfig
from tessy.evaluation.settings import load as load_config
from tessy.runs.identity import differences
from tessy.runs.progress import Progress, Show
from tessy.synthesis.verification import read_verifiable
from tessy.tracking.log import RunLog
from tessy.training.dataset import question_key
from tessy.training.epochs import GGUF_FILE, Epoch, add_gguf
from tessy.training.folder import SFTFolder
from tessy.training.learning_curve import (
    CURVE_FILE,
    UNTRAINED,
    CurvePoint,
    LearningCurve,
    point,
    read_curve,
)
from tessy.training.plots import plot_curve
from tessy.training.settings import EvalSettings, SFTSettings
from tessy.training.signals import on_signal
from tessy.verifiers.limits import VerifierSettings
from tessy.verifiers.registry import load

if TYPE_CHECKING:
    from tessy.training.student import Student

_OF_THE_RUN = ("limits", "verify", "samples_per_question", "seed")
_OF_THE_MODEL = ("sampling", "template_args", "system_prompt")
"""Settings of a run, and of its model, that decide the scores: the same for all of a curve."""
_ANY_MODEL = "gguf:model.gguf"
_APPEND = os.O_WRONLY | os.O_CREAT | os.O_APPEND


class EpochEvaluator:
    """Evaluates the models of a training; questions and settings are checked at once.

    Args:
        asked: The questions and settings, as they were given.
        settings: Of the training.
        folder: Of the training.
        say: Is called with a line about progress.
        log: Of the scores.

    Attributes:
        config: Of the run that evaluates; the model of each epoch is filled in.
        keys: Of its questions; see `dataset.question_key`.

    Raises:
        InputError: The questions, their verifier or the settings of the evaluation can't be used.
        MissingExtra: llama.cpp's server, or what the verifier needs, is not installed.
        SandboxError: The verifier runs programs, and they can't be isolated here.
        RunMismatch: Earlier epochs were evaluated with other questions or settings.
    """

    def __init__(
        self,
        asked: EvalSettings,
        settings: SFTSettings,
        folder: SFTFolder,
        say: Say,
        log: RunLog,
    ) -> None:
        self._asked, self._settings, self._folder = asked, settings, folder
        self._say, self._log = say, log
        _check_server(folder.path)
        self.config = _config(asked, settings.template_args)
        limits = VerifierSettings(unsafe_no_sandbox=not self.config.sandbox)
        verifier = load(self.config.verify, limits)
        questions = read_verifiable(verifier, asked.questions, limit=asked.limit)
        groups_of(questions, asked.group)
        self._count = questions.count
        self.keys = frozenset(question_key(question.messages) for question in questions)
        shared = self._shared(questions.digest)
        self._curve = read_curve(folder.path) or LearningCurve(shared, ())
        if different := differences(self._curve.asked, shared):
            raise RunMismatch(
                f"{folder.path} holds evaluations with other settings:\n  "
                + "\n  ".join(different),
                hint=f"use those settings, or evaluate again: {self._how_to_forget()}",
            )

    @property
    def points(self) -> tuple[CurvePoint, ...]:
        """Epochs that were evaluated, in order."""
        return self._curve.epochs

    def evaluate_untrained(self, student: Student) -> None:
        """Evaluate the model before it is trained, unless that is done.

        Raises:
            TrainingError: The evaluation failed.
            KeyboardInterrupt: It was asked to stop.
        """
        if self._done(UNTRAINED):
            return
        folder = self._folder.evaluations / "untrained"
        if not (folder / GGUF_FILE).is_file():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            student.weights().save_pretrained(folder)
            student.tokenizer.save_pretrained(folder)
            add_gguf(folder, self._settings.export_dtype)
            for path in folder.glob("*.safetensors*"):
                path.unlink()
        self._evaluate(UNTRAINED, None, folder)
        shutil.rmtree(folder)

    def evaluate_epoch(self, epoch: Epoch) -> None:
        """Evaluate an epoch, unless that is done.

        Raises:
            TrainingError: The evaluation failed.
            RunMismatch: Its evaluation is that of another training.
            KeyboardInterrupt: It was asked to stop.
        """
        if done := self._done(epoch.number):
            if done.loss != epoch.loss:
                raise RunMismatch(
                    f"{self._folder.path / CURVE_FILE}: epoch {epoch.number} is that of "
                    f"another training: its loss was {done.loss}, and is {epoch.loss} now",
                    hint=f"evaluate again: {self._how_to_forget()}",
                )
            return
        if epoch.gguf is None:  # it was trained without `eval` and `export`
            add_gguf(epoch.folder, self._settings.export_dtype)
        self._evaluate(epoch.number, epoch.loss, epoch.folder)

    def _shared(self, digest: str) -> dict[str, Any]:
        """What all scores of one curve must have in common, as JSON."""
        tree = self.config.identity()
        return {
            "questions": digest,
            "limit": self._asked.limit,
            "group": self._asked.group,
            "model": self._settings.model,
            "export_dtype": self._settings.export_dtype,
            **{name: tree[name] for name in _OF_THE_RUN},
            **{name: tree["student"][name] for name in _OF_THE_MODEL},
        }

    def _done(self, number: int) -> CurvePoint | None:
        return next((each for each in self.points if each.epoch == number), None)

    def _how_to_forget(self) -> str:
        return f"remove {self._folder.evaluations} and {self._folder.path / CURVE_FILE}"

    def _evaluate(self, number: int, loss: float | None, model: Path) -> None:
        """Evaluate the model in a folder, and put it into the curve."""
        name = f"epoch {number}" if number else "the untrained model"
        self._curve.write(self._folder.path)
        self._say(f"evaluating {name} on {count_of(self._count, 'question')}")
        try:
            result = self._run(model, self._folder.evaluations / f"epoch-{number}")
        except TessyError as error:
            raise _failed(name, str(error)) from error
        if result.run.stopped:
            raise KeyboardInterrupt
        if not result.scores.whole.samples:
            counts = [f"{count} {reason.value}" for reason, count in result.run.failed.items()]
            raise _failed(name, f"no sample could be measured: {', '.join(counts)}")
        made = point(number, loss, result.scores)
        points = sorted((*self.points, made), key=lambda each: each.epoch)
        self._curve = replace(self._curve, epochs=tuple(points))
        self._curve.write(self._folder.path)
        plot_curve(self.points, self._folder.path)
        self._log.log(made.figures())
        self._say(made.line(self._settings.epochs))

    def _run(self, model: Path, out: Path) -> EvalResult:
        changed = {
            "model": f"gguf:{(model / GGUF_FILE).resolve()}",
            "tokenizer": str(model.resolve()),
        }
        student = self.config.student.model_copy(update=changed)
        out.parent.mkdir(exist_ok=True)
        log_file = out.with_name(out.name + ".log")
        # The run has its own handlers, and removes them at its end: those of the training return.
        with (
            on_signal(signal.default_int_handler),
            os.fdopen(open_file(log_file, _APPEND), "a", encoding="utf-8") as log,
        ):
            return evaluate(
                self._asked.questions,
                config=self.config.model_copy(update={"student": student}),
                out=out.resolve(),
                group=self._asked.group,
                limit=self._asked.limit,
                retry_failed=True,
                progress=Progress(Show.PLAIN, Console(file=log, width=120)),
            )


def _failed(name: str, why: str) -> TrainingError:
    return TrainingError(
        f"the evaluation of {name} failed: {why}",
        hint="fix it and run the same command: what is trained and evaluated stays done",
    )


def _check_server(folder: Path) -> None:
    if importlib.util.find_spec("xllamacpp") is None:
        raise MissingExtra(
            "evaluating epochs needs xllamacpp, llama.cpp's server", hint="pip install xllamacpp"
        )
    if "," in str(folder.resolve()):  # in a model's address it separates servers
        raise ConfigError(
            f"{folder.resolve()}: epochs can't be evaluated in a folder with a comma in its path",
            hint="give another --out",
        )


def _config(asked: EvalSettings, template_args: dict[str, Any]) -> EvaluationConfig:
    """The settings of `tessy eval`, with the arguments of the training's template."""
    config = load_config(
        asked.config,
        {
            "student.model": _ANY_MODEL,
            "verify": asked.verify,
            "samples_per_question": asked.samples_per_question,
        },
    )
    changed: dict[str, Any] = {"tokenizer": None, "format": None}
    if not config.student.template_args:
        changed["template_args"] = template_args
    return config.model_copy(update={"student": config.student.model_copy(update=changed)})
