"""What scores texts: the student's server, or its weights with transformers where no server can.

With weights, a text is read in windows with the keys and values of those before it, so that only
the logits of one window are in memory: of a vocabulary of 150,000 tokens, those of 15,000 tokens
would be 9 GB.
"""

from __future__ import annotations

import asyncio
import datetime
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tessy.config import Config
from tessy.display import Say
from tessy.errors import ConfigError, MissingExtra, install_hint
from tessy.method.trajectory import Role
from tessy.models.logprobs import logprobs_field, prompt_logprobs
from tessy.models.open import open_one
from tessy.models.templates import ChatFormat, from_tokenizer
from tessy.models.tokenizers import LocalTokenizer, Tokenizer

WINDOW = 512
"""Tokens whose logits are in memory at once."""
_AT_ONCE = 16
"""Texts that each server is asked about at once."""


@dataclass(frozen=True, slots=True)
class TextScorer:
    """Returns how probable the tokens of a text are under the student.

    Attributes:
        name: What a report calls it.
        key: Equal for two scorers only if their scores are.
        format: The student's chat format.
        tokenizer: The student's tokenizer.
        longest: How many ids it takes at most; None if that is not known.
        at_once: How many texts to give it at once.
        logprobs: Returns the natural logarithm of each id's probability after those before it,
            None for the first; raises Refused if it does not take the text, and ModelError.
    """

    name: str
    key: str
    format: ChatFormat
    tokenizer: Tokenizer
    longest: int | None
    at_once: int
    logprobs: Callable[[Sequence[int]], Awaitable[list[float | None]]]


OpenScorer = Callable[[Say], AbstractAsyncContextManager[TextScorer]]
"""Opens a scorer; it closes when the context does."""


@asynccontextmanager
async def open_server(config: Config, date: datetime.date, say: Say) -> AsyncIterator[TextScorer]:
    """Open the student's server as a scorer.

    Args:
        config: Its student is asked; replicas take turns.
        date: The run's, for chat templates that name it.
        say: Called with lines about progress.

    Raises:
        ConfigError: The server can't score, or no tokenizer is known.
        ModelError: It can't be reached.
    """
    async with AsyncExitStack() as stack:
        opened = await open_one(config, Role.STUDENT, date, stack, say)
        for note in opened.notes:
            say(note)
        field = await logprobs_field(opened.client)
        if field is None:
            raise ConfigError(
                f"{opened.client.base_url} returns no log-probabilities of a prompt, so it can't "
                "score",
                hint="serve the student with vLLM, or give --student-weights FOLDER",
            )
        if opened.tokenizer is None:
            raise ConfigError(
                "scoring needs the student's tokenizer", hint="--student-tokenizer FOLDER-OR-ID"
            )
        clients = [replica.client for replica in opened.servers.replicas if replica.up]
        name = opened.client.served_name
        context = opened.capabilities.context_tokens
        turns = itertools.cycle(clients)
        yield TextScorer(
            name=f"{name}, by its server ({field}); chat format: {opened.format.name}",
            key=", ".join(filter(None, (name, opened.capabilities.root, opened.format.name))),
            format=opened.format,
            tokenizer=opened.tokenizer,
            longest=context - 1 if context else None,  # one token is generated
            at_once=config.student.concurrency or _AT_ONCE * len(clients),
            logprobs=lambda ids: prompt_logprobs(next(turns), ids, field),
        )


@asynccontextmanager
async def open_weights(
    folder: Path, tokenizer_folder: Path | None, date: datetime.date, say: Say
) -> AsyncIterator[TextScorer]:
    """Load weights as a scorer, on a GPU if there is one.

    Args:
        folder: A model of transformers.
        tokenizer_folder: Its tokenizer, if that is another one.
        date: The run's, for chat templates that name it.
        say: Called with lines about progress.

    Raises:
        MissingExtra: torch or transformers is not installed.
        ConfigError: The folder holds no causal language model, or no chat template.
    """
    try:
        import torch
        from transformers import AutoModelForCausalLM
    except ImportError:
        raise MissingExtra(
            "--student-weights needs torch and transformers", hint=install_hint("train")
        ) from None
    place = tokenizer_folder or folder
    tokenizer = LocalTokenizer(place)
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
    yield TextScorer(
        name=f"{folder.name}, by transformers; chat format: {format_.name}",
        key=f"{_identity(folder)}, {format_.name}",
        format=format_,
        tokenizer=tokenizer,
        longest=getattr(model.config, "max_position_embeddings", None),
        at_once=1,
        logprobs=lambda ids: asyncio.to_thread(_logprobs, model, list(ids)),
    )


def _logprobs(model: Any, ids: list[int]) -> list[float | None]:
    """See `TextScorer.logprobs`."""
    import torch

    found: list[float | None] = [None]
    past = None
    with torch.inference_mode():
        whole = torch.tensor([ids], device=model.device)
        for start in range(0, len(ids) - 1, WINDOW):
            window = whole[:, start : min(start + WINDOW, len(ids) - 1)]
            out = model(input_ids=window, past_key_values=past, use_cache=True)
            past = out.past_key_values
            logprobs = torch.log_softmax(out.logits[0].float(), dim=-1)
            following = whole[0, start + 1 : start + 1 + window.shape[1], None]
            found += logprobs.gather(1, following)[:, 0].tolist()
    return found


def _identity(folder: Path) -> str:
    """Tells one set of weights from another without reading gigabytes."""
    files = sorted(folder.glob("*.safetensors")) or sorted(folder.glob("*.bin"))
    stats = [(path.name, path.stat()) for path in files]
    parts = (f"{name}:{stat.st_size}:{stat.st_mtime_ns}" for name, stat in stats)
    return f"{folder.resolve()} {' '.join(parts)}"
