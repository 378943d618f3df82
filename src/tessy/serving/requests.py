"""A request's body, checked: what a client asks for. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import orjson

from tessy.data.messages import REASONING, conversation
from tessy.serving.parameters import (
    MOST_CHOICES,
    ChatBody,
    PromptBody,
    RequestBody,
    checked,
)
from tessy.serving.refusals import ApiError, refused
from tessy.synthesis.context import ResponseForm

MODEL = "tessy"
"""The name of the server's own method, and of a request that names none."""
_THINKING = ("reasoning", REASONING)
Conversation = tuple[dict[str, str], ...]


@dataclass(frozen=True, slots=True)
class AskedChoice:
    """One of the responses that a request asks for.

    Attributes:
        index: Its index among the response's choices.
        messages: The conversation that it responds to.
        seed_key: What its seeds are derived from: the messages, and its number among their choices.
    """

    index: int
    messages: Conversation
    seed_key: str


@dataclass(frozen=True, slots=True)
class ServedRequest:
    """What a client asks for.

    Attributes:
        chat: It is a chat, whose thinking and answer are apart; else all is one text.
        model: The model's name.
        conversations: A chat's messages, or each prompt as one message of the user.
        n: Choices for each of them.
        seed: The seed; None for the server's own.
        sampling: How both models draw tokens, where it differs from the settings.
        form: Longest response, stop texts, and the schema of the answer.
        stream: Send it while it is written.
        include_usage: End the stream with the usage.
        spans: Say who wrote what.
    """

    chat: bool
    model: str
    conversations: tuple[Conversation, ...]
    n: int = 1
    seed: int | None = None
    sampling: dict[str, float] = field(default_factory=dict)
    form: ResponseForm = field(default_factory=ResponseForm)
    stream: bool = False
    include_usage: bool = False
    spans: bool = False

    def choices(self) -> Iterator[AskedChoice]:
        """The responses that it asks for, in order."""
        for place, messages in enumerate(self.conversations):
            digest = hashlib.blake2b(orjson.dumps(messages), digest_size=16).hexdigest()
            for number in range(self.n):
                yield AskedChoice(place * self.n + number, messages, f"{digest}#{number}")


def chat_request(raw: bytes) -> ServedRequest:
    """Read a request to `/v1/chat/completions`.

    Raises:
        ApiError: It can't be read, or asks for what can't be done.
    """
    body = checked(ChatBody, _object(raw))
    both = body.max_tokens, body.max_completion_tokens
    if None not in both and both[0] != both[1]:
        raise refused("max_tokens", f"it is {both[0]}, and max_completion_tokens {both[1]}")
    tokens = body.max_completion_tokens or body.max_tokens
    return _request(body, chat=True, conversations=(_messages(body.messages),), tokens=tokens)


def prompt_request(raw: bytes) -> ServedRequest:
    """Read a request to `/v1/completions`: each prompt is one message of the user.

    Raises:
        ApiError: As `chat_request`.
    """
    body = checked(PromptBody, _object(raw))
    prompts = [body.prompt] if isinstance(body.prompt, str) else body.prompt
    for prompt in prompts:
        if not prompt.strip():
            raise refused("prompt", "it is empty")
    asked = tuple(({"role": "user", "content": prompt},) for prompt in prompts)
    return _request(body, chat=False, conversations=asked, tokens=body.max_tokens)


def _request(
    body: RequestBody, *, chat: bool, conversations: tuple[Conversation, ...], tokens: int | None
) -> ServedRequest:
    count = (body.n or 1) * len(conversations)
    if count > MOST_CHOICES:
        raise refused("n", f"{count} choices, and at most {MOST_CHOICES} are possible")
    options = body.stream_options
    if options is not None and not body.stream:
        raise refused("stream_options", "they are for stream = true")
    stop = [body.stop] if isinstance(body.stop, str) else body.stop or []
    return ServedRequest(
        chat=chat,
        model=body.model or MODEL,
        conversations=conversations,
        n=body.n or 1,
        seed=body.seed,
        sampling=_sampling(body),
        form=ResponseForm(tokens, tuple(dict.fromkeys(stop)), _schema(body.response_format)),
        stream=bool(body.stream),
        include_usage=bool(options and options.include_usage),
        spans=bool(body.tessy and body.tessy.spans),
    )


def _object(raw: bytes) -> dict[str, Any]:
    """The JSON object of a body."""
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise ApiError(400, f"the body is not JSON: {error}", code="invalid_json") from None
    if not isinstance(body, dict):
        raise ApiError(400, "the body is not a JSON object", code="invalid_json")
    return body


def _messages(messages: list[Any]) -> Conversation:
    """The conversation, as the questions of a run are checked."""
    try:
        return conversation([_usual(each) for each in messages], "messages", last="user")
    except ValueError as error:
        raise ApiError(400, str(error), param="messages", code="invalid_value") from None


def _usual(message: Any) -> Any:
    """A message as tessy names it: a developer is the system.

    Earlier thinking, which clients send back with a response, is left out, as chat templates of
    reasoning models do.
    """
    if not isinstance(message, dict):
        return message
    made = {name: value for name, value in message.items() if name not in _THINKING}
    if made.get("role") == "developer":
        made["role"] = "system"
    return made


def _sampling(body: RequestBody) -> dict[str, float]:
    found = {name: getattr(body, name) for name in ("temperature", "top_p", "top_k", "min_p")}
    if found["top_k"] is not None:
        found["top_k"] = max(found["top_k"], 0)  # some say -1 for all
    return {name: value for name, value in found.items() if value is not None}


def _schema(given: dict[str, Any] | None) -> dict[str, Any] | None:
    """The JSON schema of the answer; None for any text."""
    kind = (given or {}).get("type")
    if given is None or kind == "text":
        return None
    if kind == "json_object":
        return {"type": "object"}
    if kind != "json_schema":
        said = f"its type is text, json_object or json_schema, not {kind!r:.100}"
        raise refused("response_format", said, code="invalid_value")
    schema = (given.get("json_schema") or {}) if isinstance(given.get("json_schema"), dict) else {}
    if not isinstance(schema.get("schema"), dict) or not schema["schema"]:
        raise refused("response_format", "json_schema.schema is missing", code="invalid_value")
    found: dict[str, Any] = schema["schema"]
    from jsonschema import Draft202012Validator, SchemaError

    try:
        Draft202012Validator.check_schema(found)
    except SchemaError as error:
        said = f"json_schema.schema is none: {error.message}"
        raise refused("response_format", said, code="invalid_value") from None
    return found


def keeps_to(schema: dict[str, Any], answer: str) -> str | None:
    """Why an answer does not keep to a JSON schema; None if it does.

    A model's server may take a schema, and ignore what it can't use of it.
    """
    from jsonschema import Draft202012Validator, ValidationError
    from referencing.exceptions import Unresolvable

    try:
        Draft202012Validator(schema).validate(orjson.loads(answer))
    except orjson.JSONDecodeError as error:
        return f"it is not JSON: {error}"
    except ValidationError as error:
        return str(error.message)
    except Unresolvable as error:
        return f"the schema refers to what is not there: {error}"
    return None
