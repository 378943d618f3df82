"""Evaluating the untrained model and each epoch as it ends: a curve that grows while one trains.

    exam      what is asked; read and checked before anything is trained
    sitting   one evaluation, a run like any other, in `eval/epoch-N/`
    child     the process that it is done in
    curve     evaluation.json and evaluation.png

An epoch in `evaluation.json` is done; any other is evaluated, from where it was cut off, when the
training is started again.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

import orjson

from tessy.display import Say
from tessy.errors import RunMismatch, TrainingError
from tessy.evaluation.evaluate import RESULTS
from tessy.runs.folder import differences
from tessy.training import child, curve
from tessy.training.curve import UNTRAINED, Point
from tessy.training.epochs import GGUF_FILE, Epoch
from tessy.training.exam import Exam
from tessy.training.folder import SFTFolder
from tessy.training.gguf import write_gguf
from tessy.training.settings import SFTSettings

_TAIL = 1500


class Evaluator:
    """Evaluates what a training comes to.

    Args:
        exam: What is asked.
        folder: Of the training.
        settings: Of the training.
        say: Told what is going on.

    Raises:
        RunMismatch: Other questions were asked of earlier epochs, or in another way.
    """

    def __init__(self, exam: Exam, folder: SFTFolder, settings: SFTSettings, say: Say) -> None:
        self._exam, self._folder, self._settings, self._say = exam, folder, settings, say
        self._asked = exam.asked()
        self._points: dict[int, Point] = {}
        if there := curve.read(folder.path):
            asked, points = there
            if different := differences(asked, self._asked):
                raise RunMismatch(
                    f"{folder.path} holds evaluations with other settings:\n  "
                    + "\n  ".join(different),
                    hint=f"give those, or evaluate anew: {self._how_to_forget()}",
                )
            self._points = {each.epoch: each for each in points}

    @property
    def points(self) -> tuple[Point, ...]:
        """Epochs that were evaluated, in order."""
        return tuple(self._points[number] for number in sorted(self._points))

    def untrained(self, tokenizer: Any) -> None:
        """Evaluate the model before it is trained, unless that is done.

        Args:
            tokenizer: The student's.

        Raises:
            TrainingError: The evaluation failed.
            KeyboardInterrupt: It was asked to stop.
        """
        if UNTRAINED in self._points:
            return
        scratch = self._folder.evaluations / "untrained"
        if not (scratch / GGUF_FILE).is_file():
            self._write_untrained(scratch, tokenizer)
        self._evaluate(UNTRAINED, None, scratch)
        shutil.rmtree(scratch)

    def epoch(self, epoch: Epoch) -> None:
        """Evaluate an epoch, unless that is done.

        Raises:
            TrainingError: The evaluation failed.
            RunMismatch: Its evaluation is that of another training.
            KeyboardInterrupt: It was asked to stop.
        """
        if done := self._points.get(epoch.number):
            if done.loss != epoch.loss:
                raise RunMismatch(
                    f"{self._folder.path / curve.JSON_FILE}: epoch {epoch.number} is that of "
                    f"another training: its loss was {done.loss}, and is {epoch.loss} now",
                    hint=f"evaluate anew: {self._how_to_forget()}",
                )
            return
        if epoch.gguf is None:  # it was trained before anybody asked for one
            self._write_gguf(epoch.folder)
        self._evaluate(epoch.number, epoch.loss, epoch.folder)

    def _how_to_forget(self) -> str:
        return f"remove {self._folder.evaluations} and {self._folder.path / curve.JSON_FILE}"

    def _evaluate(self, number: int, loss: float | None, model: Path) -> None:
        """Evaluate the model in a folder, and put it into the curve."""
        out = self._folder.evaluations / f"epoch-{number}"
        out.parent.mkdir(exist_ok=True)
        curve.write(self._asked, self.points, self._folder.path)
        name = f"epoch {number}" if number else "the untrained model"
        self._say(f"evaluating {name} on {self._exam.count} questions")
        self._sit(name, self._exam.sitting(model / GGUF_FILE, model, out.resolve()), out)
        tree = orjson.loads((out / RESULTS).read_bytes())
        self._points[number] = curve.point(number, loss, tree)
        curve.write(self._asked, self.points, self._folder.path)
        curve.draw(self.points, self._folder.path)
        self._say(curve.line(self._points[number], self._settings.epochs))

    def _sit(self, name: str, sitting: Any, out: Path) -> None:
        log = out.with_name(out.name + ".log")
        before = log.stat().st_size if log.exists() else 0
        given = sitting.model_dump_json().encode() + b"\n"
        code = child.run([sys.executable, "-m", "tessy.training.sitting"], given, log)
        if code:
            said = log.read_bytes()[before:][-_TAIL:].decode("utf-8", "replace").strip()
            how = f"exit code {code}" if code > 0 else f"signal {-code}"
            raise TrainingError(
                f"the evaluation of {name} failed ({how}, {log}): {said or 'no word'}",
                hint="mend it, then the same command: what is trained and evaluated stays done",
            )

    def _write_untrained(self, scratch: Path, tokenizer: Any) -> None:
        from tessy.training.student import load_weights

        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir(parents=True)
        load_weights(self._settings).save_pretrained(scratch)
        tokenizer.save_pretrained(scratch)
        self._write_gguf(scratch)
        for path in scratch.glob("*.safetensors*"):
            path.unlink()

    def _write_gguf(self, folder: Path) -> None:
        part = folder / (GGUF_FILE + ".part")
        write_gguf(folder, part, dtype=self._settings.export_dtype)
        part.replace(folder / GGUF_FILE)
