"""`transformers:FOLDER-OR-HUB-ID`: any token classifier with two labels, style and capability.

A folder that `tessy predictor train` wrote has its own settings. For any other classifier the names
of the labels decide which is style. `?shift=1`: the label at token i is about token i+1, as with
the published predictors (`CoopReason/Boundary_Predictor_…`; docs/method.md).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tessy.boundary.classifier import ClassifierPredictor
from tessy.boundary.settings import ClassifierSettings, read_settings
from tessy.errors import ConfigError, MissingExtra, install_hint


class TorchNetwork:
    """Runs a token classifier of transformers; on the GPU if there is one.

    Args:
        model: A token classifier of transformers.
        pad: The token that shorter rows are padded with; it is masked.
        style: Which of its two labels is style.
    """

    def __init__(self, model: Any, pad: int, style: int) -> None:
        import torch

        self._torch = torch
        self.model = model.to("cuda" if torch.cuda.is_available() else "cpu").eval()
        self._pad, self._style = pad, style

    def __call__(self, ids: Sequence[Sequence[int]]) -> list[list[float]]:
        """See `Network`."""
        width = max(map(len, ids), default=0)
        if not width:  # models fail without a single token
            return [[] for _ in ids]
        torch, device = self._torch, self.model.device
        rows = [[*row, *[self._pad] * (width - len(row))] for row in ids]
        mask = [[1] * len(row) + [0] * (width - len(row)) for row in ids]
        with torch.inference_mode():
            logits = self.model(
                input_ids=torch.tensor(rows, device=device),
                attention_mask=torch.tensor(mask, device=device),
            ).logits.float()
        odds = logits[..., self._style] - logits[..., 1 - self._style]
        return [row[: len(own)] for row, own in zip(odds.tolist(), ids, strict=True)]


def load(address: str) -> ClassifierPredictor:
    """Load a predictor.

    Args:
        address: A folder or a hub id; with `?shift=1` or `?shift=0` if its settings don't say
            whether its labels are shifted.

    Raises:
        ConfigError: Another option follows the `?`.
        MissingExtra: torch or transformers is not installed.
        ConfigError: It is no token classifier with two labels and a fast tokenizer.
    """
    place, _, option = address.partition("?")
    if option not in ("", "shift=0", "shift=1"):
        raise ConfigError(f"transformers:{address}: {option!r} is no option", hint="?shift=1")
    try:
        import torch  # noqa: F401  transformers is imported without it, too
        from transformers import AutoModelForTokenClassification, AutoTokenizer
        from transformers.utils import logging
    except ImportError:
        raise MissingExtra(
            f"transformers:{place} needs torch and transformers", hint=install_hint("train")
        ) from None
    logging.disable_progress_bar()
    try:
        tokenizer: Any = AutoTokenizer.from_pretrained(place)
        model: Any = AutoModelForTokenClassification.from_pretrained(place)
    except Exception as error:  # a broken file may raise anything
        raise ConfigError(f"transformers:{place}: {error}") from None
    if not tokenizer.is_fast:
        raise ConfigError(f"transformers:{place}: it has no fast tokenizer")
    settings = read_settings(Path(place))
    if settings is None:
        settings = ClassifierSettings(style=style_label(place, model.config.id2label))
    if option:
        settings = settings.model_copy(update={"shift": int(option[-1])})
    name = f"transformers:{place}" + ("?shift=1" if option == "shift=1" else "")
    network = TorchNetwork(model, tokenizer.pad_token_id or 0, settings.style)
    return ClassifierPredictor(name, tokenizer.backend_tokenizer, network, settings)


def style_label(place: str, labels: dict[int, str]) -> int:
    """Which label is style: by their names, else label 1.

    Args:
        place: The classifier, for messages.
        labels: Name of each label.

    Raises:
        ConfigError: There are not two labels, or both names mean the same.
    """
    if len(labels) != 2:
        raise ConfigError(f"transformers:{place} has {len(labels)} labels, not two")
    says = {index: _says_style(label.lower()) for index, label in labels.items()}
    style = [index for index in labels if says[index] is True]
    other = [index for index in labels if says[index] is False]
    if len(style) > 1 or len(other) > 1:
        names = " or ".join(repr(label) for label in labels.values())
        raise ConfigError(
            f"transformers:{place}: which of its labels is style, {names}?",
            hint="name them capability and style in its config.json",
        )
    if style:
        return style[0]
    return next(index for index in labels if index not in other) if other else 1


def _says_style(label: str) -> bool | None:
    """Whether the name of a label means style (True) or capability (False); None if neither."""
    negated = re.search(r"(^|[-_ ])(no|non|not)([-_ ]|style|capability)", label) is not None
    if "style" in label:
        return not negated
    return negated if "capability" in label else None
