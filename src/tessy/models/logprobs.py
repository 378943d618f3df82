"""Log-probabilities of a prompt's tokens, from servers that return them.

vLLM has the field `prompt_logprobs` for this; others have OpenAI's old `echo` with `logprobs`.
llama.cpp's server has neither. Both generate at least one token, which is discarded.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from enum import StrEnum
from typing import Any

from tessy.errors import BadResponse, Refused
from tessy.models.client import Client
from tessy.models.wire import shown


class LogprobsField(StrEnum):
    """The field of a request that asks for a prompt's log-probabilities."""

    PROMPT_LOGPROBS = "prompt_logprobs"
    ECHO = "echo"


_FIELDS: dict[LogprobsField, dict[str, Any]] = {
    LogprobsField.PROMPT_LOGPROBS: {"prompt_logprobs": 0},
    LogprobsField.ECHO: {"echo": True, "logprobs": 1},
}
_SHORT = [5, 6, 7, 8]
_ROUNDED = 0.01
"""Log-probabilities are up to 0, or a little more where a server rounds."""


async def logprobs_field(client: Client) -> LogprobsField | None:
    """Try which field a server supports; None if it supports neither.

    Raises:
        ModelError: The server can't be reached.
    """
    for field in LogprobsField:
        try:
            answer = await client.post("/v1/completions", _asked(client, _SHORT, field))
            found = _read(answer, client, _SHORT, field)
        except (Refused, BadResponse):
            continue
        if all(isinstance(value, float) for value in found[1:]):
            return field
    return None


async def prompt_logprobs(
    client: Client, ids: Sequence[int], field: LogprobsField
) -> list[float | None]:
    """The natural log-probability of each id given the ids before it; None for the first.

    Raises:
        Refused: The server refused the request, for example because it is too long.
        BadResponse: The response has no log-probabilities.
        ModelError: The call failed for good.
    """

    async def attempt(client: Client) -> list[float | None]:
        answer = await client.post_once("/v1/completions", _asked(client, ids, field))
        return _read(answer, client, ids, field)

    return await client.call().run(attempt)


def _asked(client: Client, ids: Sequence[int], field: LogprobsField) -> dict[str, Any]:
    asked = {"model": client.served_name, "prompt": list(ids), "max_tokens": 1}
    return {**asked, "temperature": 0.0, **_FIELDS[field]}


def _read(
    answer: Any, client: Client, ids: Sequence[int], field: LogprobsField
) -> list[float | None]:
    """The log-probabilities in an answer; raises BadResponse if there are none."""
    try:
        choice = answer["choices"][0]
        if field is LogprobsField.PROMPT_LOGPROBS:
            return _listed(choice["prompt_logprobs"], ids)
        return _echoed(choice["logprobs"]["token_logprobs"], ids)
    except (KeyError, IndexError, TypeError, AttributeError, ValueError) as error:
        raise BadResponse(
            f"{client.base_url}: no log-probabilities of the prompt in the answer ({error!r})"
        ) from None


def _listed(listed: list[Any], ids: Sequence[int]) -> list[float | None]:
    """Parse vLLM's field: for each token except the first, an object by token id."""
    if not isinstance(listed, list) or len(listed) != len(ids):
        raise ValueError(f"{len(listed)} of {len(ids)} tokens")
    rest = zip(ids[1:], listed[1:], strict=True)
    return [None, *(_logprob(each[str(token)]["logprob"]) for token, each in rest)]


def _echoed(values: list[Any], ids: Sequence[int]) -> list[float | None]:
    """Parse OpenAI's field: values of the prompt's tokens, then of the generated tokens."""
    if not isinstance(values, list) or len(values) < len(ids):
        raise ValueError(f"{len(values)} of {len(ids)} tokens")
    return [None, *(_logprob(value) for value in values[1 : len(ids)])]


def _logprob(value: Any) -> float:
    if type(value) not in (float, int) or not math.isfinite(value) or value > _ROUNDED:
        raise ValueError(f"not a log-probability: {shown(value)}")
    return float(value)
