"""`transformers:FOLDER-OR-HUB-ID`: any token classifier with two labels, style and capability.

The published predictors (METHOD: `CoopReason/Boundary_Predictor_…`) label token i with what
token i+1 will be; `?shift=1` reads them so.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from tessy.boundary.protocol import Judgement, Passage
from tessy.errors import ConfigError, MissingExtra
from tessy.trajectory import Role
from tessy.words import complete, units

WINDOW_TOKENS = 200
"""What the classifier sees, cut from the left (the published window)."""


class TransformersPredictor:
    """A token classifier of Hugging Face's transformers.

    Args:
        place: A folder or a hub id.
        shift: Its label at a token speaks of the next token.

    Raises:
        MissingExtra: torch or transformers is not installed.
        ConfigError: There is no token classifier with two labels and a fast tokenizer there.
    """

    batched = True

    def __init__(self, place: str, *, shift: bool = False) -> None:
        try:
            import torch
            from transformers import AutoModelForTokenClassification, AutoTokenizer
        except ImportError:
            raise MissingExtra(
                f"transformers:{place} needs torch and transformers",
                hint="pip install 'tessy[train]'",
            ) from None
        try:
            self._tokenizer: Any = AutoTokenizer.from_pretrained(place)
            self._model: Any = AutoModelForTokenClassification.from_pretrained(place)
        except Exception as error:  # whatever a broken file makes of itself
            raise ConfigError(f"transformers:{place}: {error}") from None
        if not self._tokenizer.is_fast:
            raise ConfigError(f"transformers:{place}: it has no fast tokenizer")
        self._torch = torch
        self._style = _style_label(place, self._model.config.id2label)
        self._shift = shift
        self._model.to("cuda" if torch.cuda.is_available() else "cpu").eval()
        self._tokenizer.padding_side = "right"
        if self._tokenizer.pad_token is None:  # any token will do: it is masked
            any_token = self._tokenizer.convert_ids_to_tokens(0)
            self._tokenizer.pad_token = self._tokenizer.eos_token or any_token
        self.name = f"transformers:{place}" + ("?shift=1" if shift else "")

    def judge(self, passages: Sequence[Passage]) -> list[Judgement]:
        """Judge passages in one forward pass; see `Predictor.judge`."""
        texts = [self._window(passage) for passage in passages]
        batch = self._tokenizer(
            [context + passage.text for context, passage in zip(texts, passages, strict=True)],
            return_offsets_mapping=True,
            return_tensors="pt",
            padding=True,
            add_special_tokens=False,
        )
        offsets = batch.pop("offset_mapping").tolist()
        if batch["input_ids"].numel():
            with self._torch.inference_mode():
                logits = self._model(**batch.to(self._model.device)).logits
            style = logits.argmax(-1).eq(self._style).tolist()
        else:  # not a single token: models fail at that
            style = [[] for _ in passages]
        masks = batch["attention_mask"].tolist()
        return [
            self._judgement(passage, len(context), labels, spans, mask)
            for passage, context, labels, spans, mask in zip(
                passages, texts, style, offsets, masks, strict=True
            )
        ]

    def _window(self, passage: Passage) -> str:
        """The end of the context that, with the text, fills the window."""
        context = passage.context[-8 * WINDOW_TOKENS :]
        encoded = self._tokenizer(
            context + passage.text, return_offsets_mapping=True, add_special_tokens=False
        )
        starts = [start for start, _ in encoded["offset_mapping"]]
        if len(starts) <= WINDOW_TOKENS:
            return context
        return context[min(starts[-WINDOW_TOKENS], len(context)) :]

    def _judgement(
        self,
        passage: Passage,
        begin: int,
        labels: list[bool],
        offsets: list[list[int]],
        mask: list[int],
    ) -> Judgement:
        """The first complete word with a token of the other kind."""
        words = complete(passage.text, units(passage.text), final=passage.final)
        settled = words[-1].word_end if words else 0
        wants_style = passage.role is Role.STUDENT
        last = sum(mask) - 1
        for index in range(last + 1):
            if self._shift and index == 0:
                continue  # nothing speaks of the first token
            start, end = (offset - begin for offset in offsets[index])
            source = index - 1 if self._shift else index
            if end <= 0 or labels[source] == wants_style:
                continue
            at = max(start, 0)
            while at < len(passage.text) and passage.text[at].isspace():
                at += 1
            if at < min(end, settled):
                return Judgement(at, at)
        return Judgement(None, settled)


def _style_label(place: str, labels: dict[int, str]) -> int:
    """Which label is style: what their names say, else 1 of two (0 is capability)."""
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
    """Whether a label's name means style or capability; None if it tells neither."""
    negated = re.search(r"(^|[-_ ])(no|non|not)([-_ ]|style|capability)", label) is not None
    if "style" in label:
        return not negated
    return negated if "capability" in label else None
