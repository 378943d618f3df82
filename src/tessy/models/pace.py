"""How fast a server answers, alone, and what its KV cache holds."""

from __future__ import annotations

import asyncio
import json
import math
import re
import time
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from tessy.config import Sampling
from tessy.data.files import read_bytes
from tessy.errors import ModelError
from tessy.models.client import Client
from tessy.models.probe import LONG_PROMPT
from tessy.models.wire import Request

STREAMS = 5
"""Streams whose median is the pace of a server."""
_TOKENS = 32
_TURN = "and {} more, which makes this a little longer than it was, as a turn of the other model. "
_GREEDY = Sampling(temperature=0.0, top_p=1.0, top_k=0)
_BYTES = 2
"""Bytes of a number in the KV cache (bfloat16, float16): servers store it so unless told."""
_MOST_BYTES = 1 << 20
_MOST = 1 << 20
"""A number of a model above which it is none."""
_CACHE = re.compile(r"^vllm:cache_config_info\{[^\n]*", re.M)
_FACT = re.compile(r'\b(kv_cache_size_tokens|block_size|num_gpu_blocks)="(\d{1,12})"')


@dataclass(frozen=True, slots=True)
class ServerPace:
    """How fast a server answers when nothing else is asked of it.

    Attributes:
        first_token_s: Seconds to the first token, where all but the last words of the prompt are
            cached: what a hand-over costs.
        token_s: Seconds for each further token.
    """

    first_token_s: float
    token_s: float


async def measure(client: Client) -> ServerPace | None:
    """Measure a server with a few short streams, one after the other; their medians count.

    The prompt grows from stream to stream by a sentence, as it does at a hand-over.

    Returns:
        None if the server does not stream, fails, or its model ends before a second token.
    """
    if not client.capabilities.streams:
        return None
    prompt, firsts, others = LONG_PROMPT, [], []
    for number in range(STREAMS + 1):
        request = Request(prompt, max_tokens=_TOKENS, sampling=_GREEDY, seed=0)
        try:
            found = await client.call().run(partial(_streamed, request=request))
        except ModelError:  # such as a prompt that is too long for its context
            break
        if number and found:  # the first one fills the cache
            firsts.append(found.first_token_s)
            others.append(found.token_s)
        prompt += _TURN.format(number)
    return ServerPace(median(firsts), median(others)) if firsts else None


async def _streamed(client: Client, request: Request) -> ServerPace | None:
    """The pace of one stream; None if it has no second token.

    Raises:
        ModelError: The server failed.
    """
    began, first_s, last_s, before = time.monotonic(), 0.0, 0.0, 0
    async with client.stream(request) as events:
        async for _ in events:
            last_s = time.monotonic() - began
            if not before:
                first_s, before = last_s, max(1, events.completion().tokens)
    more = events.completion().tokens - before
    return ServerPace(first_s, (last_s - first_s) / more) if before and more > 0 else None


async def cache_tokens(client: Client) -> int | None:
    """The tokens that a server's KV cache holds, from vLLM's metrics; None if it does not say."""
    try:
        metrics = await client.get_text("/metrics")
    except ModelError:
        return None
    return sum(map(_tokens_in, _CACHE.findall(metrics))) or None  # one for each engine


def _tokens_in(line: str) -> int:
    """The tokens in one engine's facts; 0 if they don't say.

    Newer vLLMs say them. With layers of several kinds, blocks × their size is another number
    (vLLM #51163).
    """
    facts = {name: int(value) for name, value in _FACT.findall(line)}
    blocks = facts.get("block_size", 0) * facts.get("num_gpu_blocks", 0)
    return facts.get("kv_cache_size_tokens") or blocks


async def kv_bytes(folders: Iterable[Path]) -> int | None:
    """Bytes of KV cache a token, from the first `config.json` in some folders.

    Returns:
        None if there is none, or it does not say.
    """
    for folder in folders:
        try:
            raw = await asyncio.to_thread(read_bytes, folder / "config.json", _MOST_BYTES)
            return kv_bytes_of(json.loads(raw))
        except (OSError, ValueError, RecursionError):
            continue
    return None


def kv_bytes_of(config: Any) -> int | None:
    """Bytes of KV cache a token: a key and a value for each layer and head that attends to all.

    Layers with a sliding window or without attention hold next to nothing in a long text.

    Args:
        config: A model's `config.json`, in Hugging Face's form.

    Returns:
        None if it does not say, or its cache has another form (latent attention).
    """
    if not isinstance(config, dict):
        return None
    config = config.get("text_config") or config
    if not isinstance(config, dict) or config.get("kv_lora_rank"):
        return None
    kinds, heads = config.get("layer_types"), config.get("num_attention_heads")
    layers = config.get("num_hidden_layers")
    if isinstance(kinds, list) and kinds:
        layers = kinds.count("full_attention")
    facts: list[Any] = [layers, config.get("num_key_value_heads") or heads, config.get("head_dim")]
    if facts[-1] is None:
        width = config.get("hidden_size")
        facts[-1] = width // heads if type(width) is type(heads) is int and heads else None
    known = [fact for fact in facts if type(fact) is int and 0 < fact < _MOST]
    return math.prod(known) * 2 * _BYTES if len(known) == len(facts) else None
