"""What a client may ask of `/v1/completions`, checked as vLLM checks it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import orjson

OPENAI_FIELDS = frozenset(
    {
        *("model", "prompt", "max_tokens", "temperature", "top_p", "n", "best_of", "seed"),
        *("stop", "stream", "stream_options", "echo", "suffix", "logprobs", "logit_bias"),
        *("frequency_penalty", "presence_penalty", "user"),
    }
)
"""OpenAI's own parameters of a completion; anything else is an extension."""

_NEUTRAL: dict[str, tuple[Any, ...]] = {
    "n": (None, 1),
    "best_of": (None, 1),
    "echo": (None, False),
    "logprobs": (None,),
    "suffix": (None, ""),
    "prompt_logprobs": (None,),
}
_NUMBERS = ("temperature", "top_p", "min_p", "frequency_penalty", "presence_penalty")
_WHOLE = ("seed", "top_k", "min_tokens")
_FLAGS = ("stream", "return_token_ids", "add_special_tokens", "skip_special_tokens")
DEFAULT_MAX_TOKENS = 16


class BadCall(Exception):
    """A request that is turned down.

    Args:
        message: What is wrong with it.
        status: The HTTP status.
        kind: vLLM's name for this sort of error.
    """

    def __init__(self, message: str, *, status: int = 400, kind: str = "BadRequestError") -> None:
        super().__init__(message)
        self.status = status
        self.kind = kind


@dataclass(frozen=True, slots=True)
class Call:
    """One request for a completion.

    Attributes:
        prompt: Text, or token ids.
        max_tokens: Tokens to generate at most.
        stop: Texts at which to stop; they are not shown.
        stop_token_ids: Tokens at which to stop; they are not shown, but their ids are.
        stream: Answer in events.
        stream_interval: Tokens an event, at least; the first goes out alone.
        include_usage: End a stream with an event that tells the usage.
        return_token_ids: Tell the ids of what was generated.
        add_special_tokens: Put before a text prompt what the tokenizer puts there.
        skip_special_tokens: Do not show special tokens.
    """

    prompt: str | list[int]
    max_tokens: int
    stop: tuple[str, ...]
    stop_token_ids: frozenset[int]
    stream: bool
    stream_interval: int
    include_usage: bool
    return_token_ids: bool
    add_special_tokens: bool
    skip_special_tokens: bool


def parse_body(raw: bytes) -> dict[str, Any]:
    """The JSON object of a request.

    Raises:
        BadCall: It is none.
    """
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise BadCall(f"the body is not JSON: {error}") from None
    if not isinstance(body, dict):
        raise BadCall("the body is not a JSON object")
    return body


def parse_call(body: dict[str, Any], *, extensions: bool) -> Call:
    """Check a request and fill in the defaults.

    Args:
        body: The JSON object.
        extensions: Take parameters that OpenAI's API does not have; those unknown here are
            ignored, as in vLLM.

    Raises:
        BadCall: A parameter is missing, of a wrong type, out of bounds or not supported.
    """
    if not extensions and (unknown := body.keys() - OPENAI_FIELDS):
        raise BadCall(f"Unrecognized request argument supplied: {', '.join(sorted(unknown))}")
    for name, allowed in _NEUTRAL.items():
        if body.get(name) not in allowed:
            raise BadCall(f"{name}={body[name]!r} is not supported by the scripted server")
    _check_types(body)
    max_tokens = body.get("max_tokens", DEFAULT_MAX_TOKENS)
    options = body.get("stream_options")
    if options is not None and (not isinstance(options, dict) or not body.get("stream")):
        raise BadCall("stream_options is an object, and only allowed with stream=true")
    return Call(
        prompt=_prompt(body.get("prompt")),
        max_tokens=-1 if max_tokens is None else _positive(max_tokens, "max_tokens"),
        stop=_stop(body.get("stop")),
        stop_token_ids=frozenset(_ids(body.get("stop_token_ids") or [], "stop_token_ids")),
        stream=bool(body.get("stream")),
        stream_interval=_positive(body.get("stream_interval") or 1, "stream_interval"),
        include_usage=bool((options or {}).get("include_usage")),
        return_token_ids=bool(body.get("return_token_ids")),
        add_special_tokens=body.get("add_special_tokens") is not False,
        skip_special_tokens=body.get("skip_special_tokens") is not False,
    )


def _check_types(body: dict[str, Any]) -> None:
    checks: list[tuple[tuple[str, ...], tuple[type, ...], str]] = [
        (_NUMBERS, (int, float), "a number"),
        (_WHOLE, (int,), "an integer"),
        (_FLAGS, (bool,), "true or false"),
    ]
    for names, types, what in checks:
        for name in names:
            value = body.get(name)
            wrong = not isinstance(value, types) or (isinstance(value, bool) and bool not in types)
            if value is not None and wrong:
                raise BadCall(f"{name} is {what}, not {value!r}")
    if (body.get("temperature") or 0) < 0:
        raise BadCall("temperature is at least 0")


def _positive(value: object, name: str) -> int:
    if type(value) is not int or value < 1:
        raise BadCall(f"{name} is an integer of at least 1, not {value!r}")
    return value


def _prompt(value: object) -> str | list[int]:
    if isinstance(value, str):
        prompt: str | list[int] = value
    elif isinstance(value, list) and value and isinstance(value[0], str | list):
        raise BadCall("several prompts in a request are not supported by the scripted server")
    elif isinstance(value, list):
        prompt = _ids(value, "prompt")
    else:
        raise BadCall("prompt is a text or a list of token ids")
    if not prompt:
        raise BadCall("The prompt cannot be empty")
    return prompt


def _ids(value: object, name: str) -> list[int]:
    if not isinstance(value, list) or set(map(type, value)) - {int}:
        raise BadCall(f"{name} is a list of token ids")
    return value


def _stop(value: object) -> tuple[str, ...]:
    texts = [value] if isinstance(value, str) else value or []
    if not isinstance(texts, list) or not all(isinstance(text, str) and text for text in texts):
        raise BadCall("stop is a text or a list of texts, none of them empty")
    return tuple(texts)
