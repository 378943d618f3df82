"""Request and response bodies of `/v1/completions`, built and parsed only here. No I/O."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

import orjson

from tessy.config import Sampling
from tessy.errors import BadResponse, NotAStream


@dataclass(frozen=True, slots=True)
class EncodedPrompt:
    """A prompt that is already JSON, so that a long one is not encoded again for each call.

    Attributes:
        parts: The parts of the JSON value, to be joined. They are read when the body is built.
        tokens: The number of its token ids; None for text.
    """

    parts: tuple[bytes | bytearray, ...]
    tokens: int | None = None


Prompt = str | Sequence[int] | EncodedPrompt


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a server can do beyond OpenAI's own parameters, as found by `models.probe`.

    Attributes:
        served_name: The model's name on the server.
        context_tokens: Longest prompt and generation together, in tokens; None if not reported.
        root: Where the server loaded the weights from, if it reports that, as vLLM does.
        extensions: It takes `top_k`, `min_p` and `stop_token_ids`.
        id_prompts: It takes prompts of token ids.
        return_ids: Request fields that make it return the generated ids; empty if it can't.
        streams: It streams.
        intervals: It takes the number of tokens in an event of a stream.
        schemas: It takes a JSON schema for the generated text.
        tokenizes: It has llama.cpp's `/tokenize`, which can treat special tokens as text.
        counts_cached: It reports prefix-cache hits.
    """

    served_name: str = ""
    context_tokens: int | None = None
    root: str = ""
    extensions: bool = False
    id_prompts: bool = False
    return_ids: dict[str, bool] = field(default_factory=dict)
    streams: bool = True
    intervals: bool = False
    schemas: bool = False
    tokenizes: bool = False
    counts_cached: bool = False

    def differences(self, other: Capabilities) -> list[str]:
        """The differences from another server that affect calls, one line each."""
        mine, theirs = asdict(self), asdict(other)
        names = {"served_name": "their model"}
        return [
            f"{names.get(key, key)} ({mine[key]}, {theirs[key]})"
            for key in mine
            if mine[key] != theirs[key] and key not in ("context_tokens", "root", "counts_cached")
        ]


class Request(NamedTuple):
    """One call.

    Attributes:
        prompt: Text or token ids.
        max_tokens: The maximum number of tokens to generate.
        sampling: How to draw them.
        seed: The seed of the server's random numbers.
        stop: Texts at which to stop.
        stop_token_ids: Token ids at which to stop.
        add_special_tokens: For text prompts: the server adds its begin-of-text token.
        return_ids: Ask for the generated ids, if the server can return them.
        show_special: Include special tokens in the text, so that `stop` can match them.
        event_tokens: Tokens in an event of a stream, if the server takes that.
        schema: A JSON schema for the generated text, if the server takes one.
    """

    prompt: Prompt
    max_tokens: int
    sampling: Sampling
    seed: int
    stop: tuple[str, ...] = ()
    stop_token_ids: tuple[int, ...] = ()
    add_special_tokens: bool = True
    return_ids: bool = False
    show_special: bool = False
    event_tokens: int = 1
    schema: dict[str, Any] | None = None

    @property
    def prompt_tokens(self) -> int | None:
        """The number of ids in the prompt; None if it is text."""
        if isinstance(self.prompt, EncodedPrompt):
            return self.prompt.tokens
        return None if isinstance(self.prompt, str) else len(self.prompt)


class Completion(NamedTuple):
    """The result of a call.

    Attributes:
        text: The generated text; it may be empty, which is not an error.
        finish: The server's `finish_reason`: `length`, `stop`, `content_filter`, …
        tokens: Generated tokens.
        prompt_tokens: Tokens of the prompt; None if the server does not report them.
        cached_tokens: Prompt tokens from the prefix cache; None if the server does not report them.
        ids: The generated ids, where the server returns them.
    """

    text: str
    finish: str
    tokens: int
    prompt_tokens: int | None = None
    cached_tokens: int | None = None
    ids: tuple[int, ...] | None = None


def body(request: Request, server: Capabilities, *, stream: bool) -> bytes:
    """Build the body of a request.

    Args:
        request: The request.
        server: What the server can do; fields that it does not take are left out.
        stream: Ask for a stream.
    """
    sampling = request.sampling
    fields: dict[str, Any] = {
        "model": server.served_name,
        "max_tokens": request.max_tokens,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "seed": request.seed % 2**31,
    }
    if request.stop:
        fields["stop"] = list(request.stop[:4])
    if server.extensions:
        fields |= {"top_k": sampling.top_k or -1, "min_p": sampling.min_p}
        if request.stop_token_ids:
            fields["stop_token_ids"] = list(request.stop_token_ids)
        if request.prompt_tokens is None:
            fields["add_special_tokens"] = request.add_special_tokens
        if request.show_special:
            fields["skip_special_tokens"] = False
    if request.return_ids:
        fields |= server.return_ids
    if request.schema and server.schemas:  # vLLM and SGLang take the first, llama.cpp the second
        schema = {"name": "answer", "schema": request.schema}
        fields["response_format"] = {"type": "json_schema", "json_schema": schema}
        fields["json_schema"] = request.schema
    if stream:
        fields |= {"stream": True, "stream_options": {"include_usage": True}}
        if server.intervals and request.event_tokens > 1 and request.return_ids:
            fields["stream_interval"] = request.event_tokens
    prompt = request.prompt
    parts = prompt.parts if isinstance(prompt, EncodedPrompt) else (orjson.dumps(prompt),)
    return b"".join((b'{"prompt":', *parts, b",", orjson.dumps(fields)[1:]))


def parse(raw: bytes) -> Completion:
    """Parse the body of a response that is not a stream.

    Raises:
        BadResponse: It is not JSON, or not a completion.
    """
    answer = _json(raw)
    try:
        choice = answer["choices"][0]
        return _completion(choice["text"], choice, answer, _ids(choice, answer))
    except (KeyError, IndexError, TypeError) as error:
        raise BadResponse(f"no completion in the answer ({error!r}): {_shown(raw)}") from None


class Event(NamedTuple):
    """An event of a stream that contains text.

    Attributes:
        text: The text.
        ids: The ids generated since the last event with text; None if the server sends none.
    """

    text: str
    ids: tuple[int, ...] | None


class StreamParser:
    """Parses a body of server-sent events (WHATWG), as model servers send them.

    Attributes:
        finish: The server's `finish_reason`, once it has arrived.
        usage: The server's token counts, once they have arrived.
        rest: Ids since the last event with text.
    """

    def __init__(self) -> None:
        self.finish: str | None = None
        self.usage: dict[str, Any] = {}
        self.rest: list[int] = []
        self._cut = b""  # an incomplete line
        self._is_json: bool | None = None  # the body is one JSON value, not events

    def feed(self, data: bytes) -> list[Event]:
        """Add a part of the body, cut anywhere; returns its events that contain text.

        Raises:
            BadResponse: A line is not an event of a completion.
        """
        if self._is_json is None and (start := data.lstrip()):
            self._is_json = start.startswith(b"{")
        lines = (self._cut + data).split(b"\n")
        self._cut = lines.pop()
        if self._is_json:
            self._cut = b"\n".join((*lines, self._cut))
            return []
        events = []
        for line in lines:
            if line.startswith(b"data:"):
                if (event := self._event(line[5:].strip())) is not None:
                    events.append(event)
            elif line.strip() and not line.startswith((b":", b"event:", b"id:", b"retry:")):
                raise BadResponse(f"not an event: {_shown(line.strip())}")
        return events

    def _event(self, data: bytes) -> Event | None:
        if data == b"[DONE]":
            return None
        try:
            event = orjson.loads(data)
            self.usage = event.get("usage") or self.usage
            choices = event.get("choices")
            if not choices and "error" not in event:
                return None
            choice = choices[0]
            text = choice["text"] or ""
            self.finish = choice.get("finish_reason") or self.finish
            if (ids := choice.get("token_ids")) is None and "__verbose" in event:
                ids = _ids(choice, event)
            if ids:
                self.rest += ids
        except (KeyError, IndexError, TypeError, AttributeError, ValueError) as error:
            raise BadResponse(f"no text in an event ({error!r}): {_shown(data)}") from None
        if not isinstance(text, str):
            raise BadResponse(f"the text is not a string: {_shown(data)}")
        if not text:
            return None
        told, self.rest = self.rest, []
        return Event(text, None if ids is None else tuple(told))

    def check_end(self) -> None:
        """Make sure that the body was a complete stream.

        Raises:
            BadResponse: The stream was cut short.
            NotAStream: The body is a whole completion, not a stream.
        """
        if self._is_json:
            parse(self._cut)
            raise NotAStream("the server sent a whole response instead of a stream")
        if self.finish is None:
            raise BadResponse("the stream was cut short")


def _completion(
    text: Any, choice: dict[str, Any], answer: dict[str, Any], ids: tuple[int, ...] | None
) -> Completion:
    if not isinstance(text, str):
        raise TypeError("the text is not a string")
    usage = answer.get("usage") or {}
    tokens = usage.get("completion_tokens")
    if tokens is None:
        tokens = len(ids) if ids is not None else max(1, len(text) // 4) if text else 0
    return Completion(
        text=text,
        finish=str(choice.get("finish_reason") or "length"),
        tokens=int(tokens),
        prompt_tokens=usage.get("prompt_tokens"),
        cached_tokens=(usage.get("prompt_tokens_details") or {}).get("cached_tokens"),
        ids=ids,
    )


def _ids(choice: dict[str, Any], answer: dict[str, Any]) -> tuple[int, ...] | None:
    """The generated ids: vLLM puts them into the choice, llama.cpp into its verbose part."""
    ids = choice.get("token_ids")
    if ids is None and isinstance(verbose := answer.get("__verbose"), dict):
        ids = verbose.get("tokens")
    return tuple(ids) if isinstance(ids, list) else None


def _json(raw: bytes) -> Any:
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise BadResponse(f"not JSON ({error}): {_shown(raw)}") from None


def _shown(raw: bytes) -> str:
    text = raw[:200].decode("utf-8", "backslashreplace")
    return repr(text) + ("…" if len(raw) > 200 else "")
