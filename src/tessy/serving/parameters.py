"""The parameters of a request: what is honoured, what changes nothing, and what is refused.

A parameter that would change a response is honoured or refused, never ignored: a client that sends
`logprobs` and gets none would draw wrong conclusions.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tessy.errors import meant
from tessy.serving.refusals import ApiError, refused

B = TypeVar("B", bound="RequestBody")
MOST_CHOICES = 128
_MOST_STOPS = 16
_LONGEST_STOP = 1000

_NOTES = frozenset(
    {
        *("user", "metadata", "service_tier", "safety_identifier", "prompt_cache_key"),
        *("prompt_cache_retention", "prediction", "parallel_tool_calls"),
    }
)
"""Parameters that are about the client, its account or speed, not about the response."""

_NO_CHANGE: Mapping[str, tuple[Any, ...]] = {
    "frequency_penalty": (0,),
    "presence_penalty": (0,),
    "repetition_penalty": (1,),
    "logit_bias": ({},),
    "logprobs": (False,),
    "top_logprobs": (0,),
    "tools": ([],),
    "tool_choice": ("none", "auto"),
    "functions": ([],),
    "function_call": ("none", "auto"),
    "modalities": (["text"],),
    "store": (False,),
    "echo": (False,),
    "best_of": (1,),
    "suffix": ("",),
    "min_tokens": (0,),
    "ignore_eos": (False,),
    "stop_token_ids": ([],),
    "chat_template_kwargs": ({},),
    "include_reasoning": (True,),
    "separate_reasoning": (True,),
}
"""Parameters that are refused, but for values with which a response is as without them."""

_INSTEAD = {
    "tools": "no tools can be called: leave them out",
    "functions": "no functions can be called: leave them out",
    "logprobs": "two models write a response, so it has no log-probabilities: leave it out",
    "reasoning_effort": "set it for a model: template_args.reasoning_effort below [teacher]",
    "chat_template_kwargs": "set them for a model: template_args below [student] or [teacher]",
}

Text = Annotated[str, Field(min_length=1)]
StopText = Annotated[str, Field(min_length=1, max_length=_LONGEST_STOP)]


class StreamParameters(BaseModel):
    """Parameters of a stream."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")

    include_usage: bool | None = None
    """End the stream with an event that has the usage."""
    include_obfuscation: bool | None = None
    """Nothing is obfuscated, whatever is asked for."""


class TessyParameters(BaseModel):
    """Parameters that only tessy has."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")

    spans: bool | None = None
    """Say who wrote what."""


class RequestBody(BaseModel):
    """The parameters that both kinds of requests have."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")

    model: Text | None = None
    n: int | None = Field(default=None, ge=1, le=MOST_CHOICES)
    seed: int | None = Field(default=None, ge=-(2**63), lt=2**63)
    stop: StopText | Annotated[list[StopText], Field(max_length=_MOST_STOPS)] | None = None
    max_tokens: int | None = Field(default=None, ge=1)
    temperature: float | None = Field(default=None, ge=0, le=5)
    top_p: float | None = Field(default=None, gt=0, le=1)
    top_k: int | None = Field(default=None, ge=-1)
    min_p: float | None = Field(default=None, ge=0, le=1)
    stream: bool | None = None
    stream_options: StreamParameters | None = None
    response_format: dict[str, Any] | None = None
    tessy: TessyParameters | None = None


class ChatBody(RequestBody):
    """The parameters of `/v1/chat/completions`."""

    messages: list[Any]
    max_completion_tokens: int | None = Field(default=None, ge=1)


class PromptBody(RequestBody):
    """The parameters of `/v1/completions`."""

    prompt: Text | Annotated[list[Text], Field(min_length=1, max_length=MOST_CHOICES)]


def checked(kind: type[B], body: Mapping[str, Any]) -> B:
    """Check the parameters of a request.

    Args:
        kind: The kind of request.
        body: Its body. A parameter that is null is as one that is not there.

    Raises:
        ApiError: One is wrong, or would change the response and can't be honoured.
    """
    known = kind.model_fields
    honoured = {}
    for name, value in body.items():
        if value is None or name in _NOTES:
            continue
        if name in known:
            honoured[name] = value
        elif not any(_same(value, usual) for usual in _NO_CHANGE.get(name, ())):
            raise _not_honoured(name, value, known)
    try:
        return kind.model_validate(honoured)
    except ValidationError as error:
        raise _wrong(error) from None


def _same(value: Any, usual: Any) -> bool:
    """Whether two values of JSON are equal: `true` is not 1, but 1.0 is."""
    return isinstance(value, bool) is isinstance(usual, bool) and value == usual


def _not_honoured(name: str, value: Any, known: Collection[str]) -> ApiError:
    if name in _INSTEAD:
        return refused(name, _INSTEAD[name], code="unsupported_parameter")
    if usual := _NO_CHANGE.get(name):
        said = f"only {usual[0]!r} is possible, not {value!r:.100}"
        return refused(name, said, code="unsupported_value")
    said = f"there is no such parameter, or tessy can't honour it: {meant(name, known)}leave it out"
    return refused(name, said, code="unsupported_parameter")


def _wrong(error: ValidationError) -> ApiError:
    """The error for parameters of the wrong type or out of bounds: the first of them."""
    first = error.errors()[0]
    param = str(first["loc"][0])
    if first["type"] == "missing":
        return refused(param, "it is required", code="missing_required_parameter")
    inner = ".".join(str(part) for part in first["loc"][1:] if isinstance(part, int))
    where = f" (at {inner})" if inner else ""
    if first["type"] == "extra_forbidden":
        return refused(param, f"it has no {first['loc'][-1]!r}", code="unsupported_parameter")
    given = f", not {first['input']!r:.100}" if first["type"] != "too_long" else ""
    said = first["msg"][:1].lower() + first["msg"][1:]
    return refused(param, f"{said}{given}{where}", code="invalid_value")
