"""What each epoch is asked: the questions and settings of its evaluation, checked before training.

An evaluation is that of `tessy eval` (`tessy.evaluation`); only the model changes from one to the
next.
"""

from __future__ import annotations

import asyncio
import importlib.util
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tessy.data import questions
from tessy.data.questions import Questions
from tessy.errors import ConfigError, MissingExtra
from tessy.evaluation.collect import groups_of
from tessy.evaluation.settings import EvaluationConfig, load
from tessy.settings import StrictSettings
from tessy.synthesis.tools import check_columns, verifier_of
from tessy.training.settings import EvalSettings, SFTSettings

_DECIDING = ("limits", "verify", "samples_per_question", "seed")
"""Settings that decide what an evaluation comes to, besides those of the model."""
_ANY_MODEL = "gguf:model.gguf"


class Sitting(StrictSettings):
    """One evaluation, as the process that does it is told."""

    source: str
    """The questions."""
    config: EvaluationConfig
    """Of the run that evaluates."""
    group: str | None
    """The questions' column by whose value to group."""
    limit: int | None
    """Only so many questions."""
    out: Path
    """The run's folder."""


@dataclass(frozen=True, slots=True)
class Exam:
    """What each epoch is asked, and how.

    Attributes:
        settings: As they were given.
        config: Of a run that evaluates some model.
        count: Questions.
        digest: Of the questions' file.
        base: The model that is trained.
        export_dtype: What the matrices of each epoch's GGUF file are kept in.
    """

    settings: EvalSettings
    config: EvaluationConfig
    count: int
    digest: str
    base: str
    export_dtype: str

    def asked(self) -> dict[str, Any]:
        """All that the figures of one curve must have in common, as JSON."""
        tree = self.config.identity()
        of_the_model = ("sampling", "template_args", "system_prompt")
        return {
            "questions": self.digest,
            "limit": self.settings.limit,
            "group": self.settings.group,
            "model": self.base,
            "export_dtype": self.export_dtype,
            **{name: tree[name] for name in _DECIDING},
            **{name: tree["student"][name] for name in of_the_model},
        }

    def sitting(self, gguf: Path, tokenizer: Path, out: Path) -> Sitting:
        """The evaluation of one epoch.

        Args:
            gguf: The epoch's file for llama.cpp.
            tokenizer: The folder of its tokenizer.
            out: The run's folder.
        """
        changed = {"model": f"gguf:{gguf.resolve()}", "tokenizer": str(tokenizer.resolve())}
        student = self.config.student.model_copy(update=changed)
        return Sitting(
            source=self.settings.questions,
            config=self.config.model_copy(update={"student": student}),
            group=self.settings.group,
            limit=self.settings.limit,
            out=out,
        )


def set_exam(settings: SFTSettings, out: Path) -> Exam | None:
    """Read and check what each epoch will be asked; None if nothing is.

    Args:
        settings: Of the training.
        out: Its folder.

    Raises:
        InputError: The questions, their verifier or the settings of evaluation can't be used.
        MissingExtra: llama.cpp's server, or what the verifier needs, is not installed.
        SandboxError: The verifier runs programs, and there is no isolation for them.
    """
    chosen = settings.eval
    if chosen is None:
        return None
    if importlib.util.find_spec("xllamacpp") is None:
        raise MissingExtra(
            "evaluating epochs needs xllamacpp, llama.cpp's server", hint="pip install xllamacpp"
        )
    if "," in str(out.resolve()):  # in the name of a model it stands between servers
        raise ConfigError(
            f"{out.resolve()}: epochs can't be evaluated in a folder with a comma in its path",
            hint="give another --out",
        )
    config = _config(chosen, settings.template_args)
    asked = questions.read(chosen.questions, limit=chosen.limit)
    groups_of(asked, chosen.group)
    with ThreadPoolExecutor(1) as pool:  # the caller may have an event loop of its own
        pool.submit(asyncio.run, _check_verifier(config, asked)).result()
    return Exam(
        settings=chosen,
        config=config,
        count=len(asked.good),
        digest=asked.digest,
        base=settings.model,
        export_dtype=settings.export_dtype,
    )


async def _check_verifier(config: EvaluationConfig, read: Questions) -> None:
    async with verifier_of(config) as verifier:
        assert verifier is not None
        check_columns(verifier, read)


def _config(chosen: EvalSettings, template_args: dict[str, Any]) -> EvaluationConfig:
    """The settings of `tessy eval`, with the arguments of the training's template.

    Raises:
        ConfigError: The file is missing or no TOML, or has a setting that is unknown or wrong.
    """
    config = load(
        chosen.config,
        {
            "student.model": _ANY_MODEL,
            "verify": chosen.verify,
            "samples_per_question": chosen.samples_per_question,
        },
    )
    student = config.student
    own = {} if student.template_args else {"template_args": template_args}
    return config.model_copy(
        update={"student": student.model_copy(update={"tokenizer": None, "format": None, **own})}
    )
