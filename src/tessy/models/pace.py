"""How fast a server answers, alone, and what its KV cache holds."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Iterable
from dataclasses import dataclass
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
_CACHE = re.compile(r"^vllm:cache_config_info\{[^\n]*", re.M)
_FACT = re.compile(r'\b(block_size|num_gpu_blocks)="(\d{1,12})"')


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
        None if the server does not stream, or its model ends before a second token.

    Raises:
        ModelError: The server failed.
    """
    if not client.capabilities.streams:
        return None
    prompt, firsts, others = LONG_PROMPT, [], []
    for number in range(STREAMS + 1):
        request = Request(prompt, max_tokens=_TOKENS, sampling=_GREEDY, seed=0)
        began = time.monotonic()
        first_s, last_s = 0.0, 0.0
        before = 0
        async with client.stream(request) as events:
            async for _ in events:
                last_s = time.monotonic() - began
                if not first_s:
                    first_s, before = last_s, events.completion().tokens
        if number and first_s:  # the first one fills the cache
            firsts.append(first_s)
            if (more := events.completion().tokens - before) > 0:
                others.append((last_s - first_s) / more)
        prompt += _TURN.format(number)
    return ServerPace(median(firsts), median(others)) if others else None


async def cache_tokens(client: Client) -> int | None:
    """The tokens that a server's KV cache holds, from vLLM's metrics; None if it does not say."""
    try:
        line = _CACHE.search(await client.get_text("/metrics"))
    except ModelError:
        return None
    facts = dict(_FACT.findall(line[0])) if line else {}
    return int(facts["block_size"]) * int(facts["num_gpu_blocks"]) if len(facts) == 2 else None


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
    kinds = config.get("layer_types")
    heads: Any = config.get("num_attention_heads")
    try:
        full = [kind for kind in kinds if kind == "full_attention"] if kinds else None
        layers = config["num_hidden_layers"] if full is None else len(full)
        of_head = config.get("head_dim") or config["hidden_size"] // heads
        found = layers * 2 * (config.get("num_key_value_heads") or heads) * of_head * _BYTES
    except (KeyError, TypeError, ZeroDivisionError):
        return None
    return found if type(found) is int and found > 0 else None
