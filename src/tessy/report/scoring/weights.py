"""A scorer: the student's weights, with transformers; for where no server can score.

A text is read in windows with the keys and values of those before it, so that the logits of one
window at a time are in memory: of a vocabulary of 150,000 tokens, those of 15,000 tokens would be
9 GB.
"""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tessy.display import Say
from tessy.errors import ConfigError, MissingExtra
from tessy.models.templates import ChatFormat, from_tokenizer
from tessy.models.tokenizers import Codec, LocalCodec
from tessy.report.scoring.scorer import Scorer

WINDOW = 512
"""Tokens of which logits are in memory at once."""


class WeightsScorer:
    """Reads texts with a model in this process, one after the other; see `Scorer`."""

    def __init__(self, folder: Path, model: Any, codec: Codec, format_: ChatFormat) -> None:
        self.name = f"{folder.name}, by transformers, in the chat format {format_.name}"
        self.key = f"{_identity(folder)}, {format_.name}"
        self.format, self.codec = format_, codec
        self.longest = getattr(model.config, "max_position_embeddings", None)
        self.at_once = 1
        self._model = model

    async def logprobs(self, ids: Sequence[int]) -> list[float | None]:
        """See `Scorer.logprobs`."""
        return await asyncio.to_thread(self._read, list(ids))

    def _read(self, ids: list[int]) -> list[float | None]:
        import torch

        found: list[float | None] = [None]
        past = None
        with torch.inference_mode():
            whole = torch.tensor([ids], device=self._model.device)
            for start in range(0, len(ids) - 1, WINDOW):
                read = whole[:, start : min(start + WINDOW, len(ids) - 1)]
                out = self._model(input_ids=read, past_key_values=past, use_cache=True)
                past = out.past_key_values
                chances = torch.log_softmax(out.logits[0].float(), dim=-1)
                following = whole[0, start + 1 : start + 1 + read.shape[1], None]
                found += chances.gather(1, following)[:, 0].tolist()
        return found


@asynccontextmanager
async def open_weights(
    folder: Path, tokenizer: Path | None, date: datetime.date, say: Say
) -> AsyncIterator[Scorer]:
    """Load weights as a scorer; on a GPU if there is one.

    Args:
        folder: A model of transformers.
        tokenizer: A folder with its tokenizer, if that is another one.
        date: The run's, for chat templates that name it.
        say: Told what is going on, in a line.

    Raises:
        MissingExtra: torch or transformers is not installed.
        ConfigError: The folder holds no causal language model, or no chat template.
    """
    try:
        import torch
        from transformers import AutoModelForCausalLM
    except ImportError:
        raise MissingExtra(
            "--student-weights needs torch and transformers", hint="pip install 'tessy[train]'"
        ) from None
    place = tokenizer or folder
    codec = LocalCodec(place)
    format_ = from_tokenizer(place, name=place.name, arguments={}, date=date)
    if format_ is None:
        raise ConfigError(
            f"{place} has no chat template", hint="--student-tokenizer FOLDER-OR-ID of one that has"
        )
    say(f"loading {folder}")
    try:
        model = AutoModelForCausalLM.from_pretrained(folder, dtype="auto")
    except (OSError, ValueError) as error:
        first = str(error).strip().splitlines()[0]
        raise ConfigError(f"{folder}: no causal language model: {first}") from None
    model = model.to("cuda" if torch.cuda.is_available() else "cpu").eval()
    yield WeightsScorer(folder, model, codec, format_)


def _identity(folder: Path) -> str:
    """What tells one set of weights from another without reading gigabytes."""
    files = sorted(folder.glob("*.safetensors")) or sorted(folder.glob("*.bin"))
    stats = [(path.name, path.stat()) for path in files]
    parts = (f"{name}:{stat.st_size}:{stat.st_mtime_ns}" for name, stat in stats)
    return f"{folder.resolve()} {' '.join(parts)}"
