"""Asking a server how probable the tokens of a prompt are, where it can say.

vLLM does with `prompt_logprobs`; others with OpenAI's old `echo` and `logprobs`. llama.cpp's
server does neither. Either way one token has to be generated, and is discarded.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Any

import orjson

from tessy.errors import BadResponse, Refused
from tessy.models.client import Client


class Way(StrEnum):
    """How a server tells the probabilities of a prompt."""

    PROMPT_LOGPROBS = "prompt_logprobs"
    ECHO = "echo"


_FIELDS: dict[Way, dict[str, Any]] = {
    Way.PROMPT_LOGPROBS: {"prompt_logprobs": 0},
    Way.ECHO: {"echo": True, "logprobs": 1},
}
_SHORT = [5, 6, 7, 8]


async def way_of(client: Client) -> Way | None:
    """Which way a server knows, found out by asking; None if it knows none.

    Raises:
        ModelError: It can't be reached.
    """
    for way in Way:
        try:
            found = await prompt_logprobs(client, _SHORT, way)
        except (Refused, BadResponse):
            continue
        if all(isinstance(value, float) for value in found[1:]):
            return way
    return None


async def prompt_logprobs(client: Client, ids: Sequence[int], way: Way) -> list[float | None]:
    """Natural logarithm of each id's probability after those before it; None for the first.

    Raises:
        Refused: The server does not take the request, for example since it is too long.
        BadResponse: It answered without them.
        ModelError: It failed for good.
    """
    asked: dict[str, Any] = {"model": client.served_name, "prompt": list(ids), "max_tokens": 1}
    raw: bytes = await client.post("/v1/completions", {**asked, "temperature": 0.0, **_FIELDS[way]})
    try:
        choice = orjson.loads(raw)["choices"][0]
        read = _listed if way is Way.PROMPT_LOGPROBS else _echoed
        return read(choice, ids)
    except (KeyError, IndexError, TypeError, AttributeError, ValueError) as error:
        raise BadResponse(
            f"{client.base_url}: no log-probabilities of the prompt in the answer ({error!r})"
        ) from None


def _listed(choice: dict[str, Any], ids: Sequence[int]) -> list[float | None]:
    """vLLM: a list with, for each token but the first, an object by token id."""
    listed = choice["prompt_logprobs"]
    if len(listed) != len(ids):
        raise ValueError(f"{len(listed)} of {len(ids)} tokens")
    rest = zip(ids[1:], listed[1:], strict=True)
    return [None, *(float(each[str(token)]["logprob"]) for token, each in rest)]


def _echoed(choice: dict[str, Any], ids: Sequence[int]) -> list[float | None]:
    """OpenAI's: those of the prompt's tokens come first, then those of what was generated."""
    values = choice["logprobs"]["token_logprobs"]
    if len(values) < len(ids):
        raise ValueError(f"{len(values)} of {len(ids)} tokens")
    return [None, *(float(value) for value in values[1 : len(ids)])]
