"""How fast a server answers, alone, and what its KV cache holds."""

from __future__ import annotations

import asyncio
import json
import math
import re
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

from tessy.config import Sampling
from tessy.data.files import read_bytes
from tessy.errors import ModelError
from tessy.models.client import Client
from tessy.models.probe import LONG_PROMPT
from tessy.models.stream import FASTEST_S
from tessy.models.wire import Request

STREAMS = 5
"""Streams whose median is the pace of a server."""
_TOKENS = 32
_OWN_SHARE = 0.75
"""Share of the events that come on their own where a server does not hold them back."""
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

    The prompt grows from stream to stream by a sentence, as it does at a hand-over. Where the
    tokens of a stream come together, so that their times say nothing, its whole time is compared
    with that of streams of one token.

    Returns:
        None if the server does not stream, fails, or its model ends before a second token; or if
        its tokens come together and take no longer than one of them.
    """
    if not client.capabilities.streams:
        return None
    streams = await _measured(client, _TOKENS)
    pace = pace_of(streams)
    return pace or pace_by_length(streams, await _measured(client, 1) if streams else [])


@dataclass(frozen=True, slots=True)
class TimedStream:
    """When the events of a stream arrived.

    Attributes:
        arrivals: Seconds from the request to each event, at least one.
        first: Tokens in the first event.
        tokens: Tokens in all events.
    """

    arrivals: tuple[float, ...]
    first: int
    tokens: int

    @property
    def token_s(self) -> float | None:
        """Seconds for each token after the first event; None if their times don't say it."""
        gaps = [later - earlier for earlier, later in pairwise(self.arrivals)]
        own = sum(gap >= FASTEST_S for gap in gaps)
        if self.tokens <= self.first or own < _OWN_SHARE * len(gaps):
            return None
        return (self.arrivals[-1] - self.arrivals[0]) / (self.tokens - self.first)


def pace_of(streams: Sequence[TimedStream]) -> ServerPace | None:
    """The pace of a server whose tokens arrive one after the other; None if most do not."""
    known = [each for stream in streams if (each := stream.token_s) is not None]
    if not known or 2 * len(known) < len(streams):
        return None
    return ServerPace(median(stream.arrivals[0] for stream in streams), median(known))


def pace_by_length(
    streams: Sequence[TimedStream], short: Sequence[TimedStream]
) -> ServerPace | None:
    """The pace of a server by what longer streams take longer.

    Args:
        streams: Streams of several tokens.
        short: Streams of one token.

    Returns:
        None if they take no longer, or end before a second token.
    """
    if not short:
        return None
    firsts = [stream.arrivals[-1] for stream in short]
    first_s = median(firsts)
    each = [(s.arrivals[-1] - first_s) / (s.tokens - 1) for s in streams if s.tokens > 1]
    if not each or median(stream.arrivals[-1] for stream in streams) <= max(firsts):
        return None
    return ServerPace(first_s, median(each))


async def _measured(client: Client, tokens: int) -> list[TimedStream]:
    """A few streams, without one that fills the cache and those in which nothing came."""
    prompt, streams = LONG_PROMPT, []
    for number in range(STREAMS + 1):
        request = Request(prompt, max_tokens=tokens, sampling=_GREEDY, seed=0)
        try:
            found = await client.call().run(partial(_streamed, request=request))
        except ModelError:  # such as a prompt that is too long for its context
            break
        if number and found:
            streams.append(found)
        prompt += _TURN.format(number)
    return streams


async def _streamed(client: Client, request: Request) -> TimedStream | None:
    """One stream; None if nothing comes.

    Raises:
        ModelError: The server failed.
    """
    began, first, arrivals = time.monotonic(), 0, []
    async with client.stream(request) as events:
        async for _ in events:
            arrivals.append(time.monotonic() - began)
            first = first or max(1, events.completion().tokens)
    tokens = events.completion().tokens
    return TimedStream(tuple(arrivals), first, tokens) if arrivals else None


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
