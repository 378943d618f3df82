"""The card of a trained student: README.md beside its epochs, and in the folder of the last."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import jinja2

from tessy._version import __version__
from tessy.training.epochs import Epoch
from tessy.training.learning_curve import CurvePoint, shown
from tessy.training.losses import Losses
from tessy.training.prepare import DataCounts
from tessy.training.settings import SFTSettings

CARD_FILE = "README.md"
_LIBRARIES = ("torch", "transformers", "trl", "peft")


def card(
    settings: SFTSettings,
    dataset: str,
    counts: DataCounts,
    losses: Losses,
    epochs: Sequence[Epoch],
    evaluation: Sequence[CurvePoint] = (),
) -> str:
    """Write a card in Markdown, with the metadata that Hugging Face reads.

    Args:
        settings: How it was trained.
        dataset: Where the samples come from.
        counts: What happened to them.
        losses: At each step.
        epochs: All of them.
        evaluation: Those that were evaluated, the untrained model as epoch 0.
    """
    source = resources.files("tessy.training").joinpath("card.md.jinja").read_text("utf-8")
    environment = jinja2.Environment(
        undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True, autoescape=False
    )
    return environment.from_string(source).render(
        base=_name(settings.model),
        is_id=not Path(settings.model).is_dir(),
        dataset=_name(dataset),
        settings=_shown(settings),
        lora=settings.lora,
        counts=counts,
        losses=losses,
        epochs=epochs,
        asked=_name(settings.eval.questions) if settings.eval else None,
        evaluation=evaluation,
        groups=list(evaluation[0].groups) if evaluation else [],
        estimate=shown,
        cell=_cell,
        versions={"tessy": __version__} | {n: importlib.metadata.version(n) for n in _LIBRARIES},
    )


def _name(source: str) -> str:
    """An id, or the last part of a path: the card is read elsewhere."""
    path = Path(source)
    if not path.exists():
        return source
    return path.parent.name if path.name == "dataset.jsonl" else path.name


def _cell(text: str) -> str:
    """Text that does not end its table cell."""
    return text.replace("|", "\\|").replace("\n", " ")


def _shown(settings: SFTSettings) -> dict[str, Any]:
    tree = settings.identity()
    tree.pop("model")
    if "chat_template" in tree:
        tree["chat_template"] = Path(tree["chat_template"]).name
    if lora := tree.pop("lora", None):
        tree |= {f"lora.{name}": value for name, value in lora.items()}
    return {name: value for name, value in tree.items() if value != {}}
