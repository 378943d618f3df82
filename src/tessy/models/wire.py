"""Request and response bodies of `/v1/completions`, built and parsed only here. No I/O."""

from __future__ import annotations

import reprlib
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


_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 120
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
        session: The header `X-Session-ID`, by which a load balancer can keep a trajectory where its
            prefix is cached.
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
    session: str = ""

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


class Bounds(NamedTuple):
    """The most that an answer may hold; more is a failed call, however much more would come.

    Generous for any server that does what it was asked: several events a token, characters of the
    longest tokens, fields that we did not ask for, and the prompt again (llama.cpp repeats it).

    Attributes:
        asked: The tokens that the request asks for.
        tokens: Ids, events with text, and tokens in the server's own count.
        characters: Characters of text.
        lines: Lines of a stream: two for an event, or for a comment that keeps it alive.
        whole_bytes: Bytes of a whole answer, or of one line of a stream.
        stream_bytes: Bytes of a stream.
    """

    asked: int
    tokens: int
    characters: int
    lines: int
    whole_bytes: int
    stream_bytes: int

    @classmethod
    def of(cls, request: Request, sent_bytes: int) -> Bounds:
        """The bounds for the answer to a request whose body has `sent_bytes` bytes."""
        asked = request.max_tokens
        extra = 65_536 + 4 * sent_bytes
        return cls(
            asked,
            64 + 2 * asked,
            1024 + 128 * asked,
            1024 + 4 * asked,
            extra + 1024 * asked,
            4 * extra + 4096 * asked,
        )

    def check(self, count: int, most: int, what: str) -> None:
        """Make sure that an answer holds no more than it may.

        Raises:
            BadResponse: It holds `count` of something, and `most` are allowed.
        """
        if count > most:
            raise BadResponse(
                f"asked for {self.asked:,} tokens, and the answer has {count:,} {what}"
            )


def parse(raw: bytes, bounds: Bounds) -> Completion:
    """Parse the body of a response that is not a stream.

    Args:
        raw: The body.
        bounds: The most that it may hold.

    Raises:
        BadResponse: It is not JSON, or not a completion that ended or reached its length.
    """
    answer = read_json(raw)
    try:
        if answer.get("error"):
            raise BadResponse(f"an error instead of a completion: {_shown(raw)}")
        choice = answer["choices"][0]
        text = choice["text"]
        if type(text) is not str:
            raise TypeError("the text is not a string")
        ids = _ids(choice, answer)
        finish = finish_of(choice.get("finish_reason"))
        guess = min(max(1, len(text) // 4), bounds.asked) if text else 0
        return completion(text, finish, ids, answer.get("usage"), guess, bounds)
    except (KeyError, IndexError, TypeError, AttributeError) as error:
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

    Args:
        bounds: The most that the stream may hold.

    Attributes:
        finish: The server's `finish_reason`, once it has arrived.
        usage: The server's token counts, once they have arrived; not checked.
        rest: Ids since the last event with text; what they are is not checked.
    """

    def __init__(self, bounds: Bounds) -> None:
        self.finish: Any = None
        self.usage: Any = None
        self.rest: list[int] = []
        self._bounds = bounds
        self._left = bounds.lines
        self._cut = bytearray()  # an incomplete line
        self._is_json: bool | None = None  # the body is one JSON value, not events

    def feed(self, data: bytes) -> list[Event]:
        """Add a part of the body, cut anywhere; returns its events that contain text.

        Raises:
            BadResponse: A line is not an event of a completion, or there is too much of it.
        """
        if self._is_json is None and (start := data.lstrip()):
            self._is_json = start.startswith(b"{")
        lines = data.split(b"\n")
        last = lines.pop()
        if self._is_json or not lines:
            self._cut += data
            self._bounds.check(len(self._cut), self._bounds.whole_bytes, "bytes in a line")
            return []
        if self._cut:
            lines[0] = bytes(self._cut) + lines[0]
            self._cut.clear()
        if last:
            self._cut += last
        self._left -= len(lines)
        if self._left < 0:
            most = self._bounds.lines
            self._bounds.check(most - self._left, most, "lines, or more")
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
            if event.get("error"):
                raise BadResponse(f"an error in the stream: {_shown(data)}")
            if (usage := event.get("usage")) is not None:
                self.usage = usage
            choices = event.get("choices")
            if not choices and (choices is None or type(choices) is list):
                return None
            choice = choices[0]
            text = choice["text"]
            if finish := choice.get("finish_reason"):
                self.finish = finish
            if (ids := choice.get("token_ids")) is None and "__verbose" in event:
                ids = _ids(choice, event)
            if ids:
                self.rest += ids
        except (KeyError, IndexError, TypeError, AttributeError, ValueError) as error:
            raise BadResponse(f"no text in an event ({error!r}): {_shown(data)}") from None
        if type(text) is not str and text is not None:
            raise BadResponse(f"the text is not a string: {_shown(data)}")
        if not text:
            return None
        told, self.rest = self.rest, []
        return Event(text, None if ids is None else tuple(told))

    def check_end(self) -> str:
        """Make sure that the body was a complete stream; returns how it ended (`finish_of`).

        Raises:
            BadResponse: The stream was cut short, or its end was none of the model's.
            NotAStream: The body is a whole completion, not a stream.
        """
        if self._is_json:
            parse(bytes(self._cut), self._bounds)
            raise NotAStream("the server sent a whole response instead of a stream")
        if self.finish is None:
            rest = f", after {_shown(bytes(self._cut))}" if self._cut else ""
            raise BadResponse(f"the stream was cut short: it ends without a finish_reason{rest}")
        return finish_of(self.finish)


_ENDED = ("stop", "eos_token", "stop_sequence", "eos", "stop_token", "end_turn")
_LENGTH = ("length", "max_tokens", "model_length")
_FILTERED = "content_filter"


def finish_of(reason: Any) -> str:
    """What a `finish_reason` means: `stop`, `length` or `content_filter`.

    Most servers say `stop` and `length`. TGI has `eos_token` and `stop_sequence` of its own,
    Together `eos`, Mistral `model_length`; gateways pass on `end_turn` and `max_tokens`.

    Raises:
        BadResponse: It is none of these: the text was cut off (vLLM's `abort` and `error`, for
            example), or nobody knows whether it was.
    """
    if reason in _ENDED:
        return "stop"
    if reason in _LENGTH:
        return "length"
    if reason == _FILTERED:
        return _FILTERED
    if reason is None:
        raise BadResponse("the answer has no finish_reason")
    raise BadResponse(f"the answer ended with finish_reason {shown(reason)}")


def completion(
    text: str,
    finish: str,
    ids: list[int] | None,
    usage: Any,
    guess: int,
    bounds: Bounds,
) -> Completion:
    """A completion with the server's token counts.

    Args:
        text: Its text.
        finish: How it ended; see `finish_of`.
        ids: Its ids, as they came, where the server returns them.
        usage: The server's token counts, as they came.
        guess: Tokens if neither counts nor ids tell.
        bounds: The most that it may hold.

    Raises:
        BadResponse: Its counts or ids are not what they should be, or too many.
    """
    known = None if ids is None else checked_ids(ids)
    tokens = guess if known is None else len(known)
    prompt_tokens = cached_tokens = None
    bounds.check(len(text), bounds.characters, "characters")
    bounds.check(tokens, bounds.tokens, "tokens" if known is None else "ids")
    if usage is not None:
        usage = _dict(usage, "usage")
        details = _dict(usage.get("prompt_tokens_details"), "prompt_tokens_details")
        tokens = _count(usage, "completion_tokens") or tokens
        prompt_tokens = _count(usage, "prompt_tokens")
        cached_tokens = _count(details, "cached_tokens")
        bounds.check(tokens, bounds.tokens, "tokens")
    return Completion(text, finish, tokens, prompt_tokens, cached_tokens, known)


def _dict(value: Any, name: str) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise BadResponse(f"{name} is not an object: {shown(value)}")
    return value


def _count(counts: dict[str, Any], name: str) -> int | None:
    value = counts.get(name)
    if value is None or (type(value) is int and 0 <= value < _MOST):
        return value
    raise BadResponse(f"{name} is not a count: {shown(value)}")


_MOST = 2**31
"""Larger than any token id, or any count of tokens in one call."""


def checked_ids(ids: Any) -> tuple[int, ...]:
    """Make sure that a list of a server holds token ids.

    Raises:
        BadResponse: It does not.
    """
    if type(ids) is list:
        for each in ids:
            if type(each) is not int or not 0 <= each < _MOST:
                break
        else:
            return tuple(ids)
    raise BadResponse(f"these are not token ids: {shown(ids)}")


def _ids(choice: dict[str, Any], answer: dict[str, Any]) -> Any:
    """The generated ids: vLLM puts them into the choice, llama.cpp into its verbose part."""
    ids = choice.get("token_ids")
    if ids is None and isinstance(verbose := answer.get("__verbose"), dict):
        ids = verbose.get("tokens")
    return ids


def read_json(raw: bytes) -> Any:
    """Parse a body as JSON.

    Raises:
        BadResponse: It is not JSON (RFC 8259: no NaN, no lone surrogates), or nested too deeply.
    """
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise BadResponse(f"not JSON ({error}): {_shown(raw)}") from None


def shown(value: Any) -> str:
    """A value of an answer in a message, shortened, however large it is."""
    return _SHORT.repr(value)


def _shown(raw: bytes) -> str:
    text = raw[:200].decode("utf-8", "backslashreplace")
    return repr(text) + ("…" if len(raw) > 200 else "")
