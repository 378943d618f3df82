"""Bodies and events of responses. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import orjson

from tessy.data import record
from tessy.data.messages import REASONING
from tessy.method.trajectory import Part
from tessy.serving.choices import WrittenChoice
from tessy.serving.names import ServedModel
from tessy.serving.refusals import ApiError
from tessy.serving.requests import ServedRequest

DONE = b"data: [DONE]\n\n"
STILL_HERE = b": still here\n\n"
_BY_AUTHOR = (
    "student_tokens",
    "teacher_tokens",
    "student_discarded_tokens",
    "teacher_discarded_tokens",
    "hand_overs",
)


def event(value: dict[str, Any]) -> bytes:
    """A server-sent event."""
    return b"data: " + orjson.dumps(value) + b"\n\n"


def usage(choices: Iterable[WrittenChoice], prompts: int = 1) -> dict[str, Any]:
    """The token counts of a response; each model counts its own.

    Args:
        choices: All of its choices.
        prompts: How many prompts they respond to: each counts once.
    """
    found = list(choices)
    each = len(found) // max(prompts, 1) or 1
    prompt = sum(choice.prompt_tokens for choice in found[::each])
    thinking = sum(choice.stats["thinking_tokens"] for choice in found)
    answers = sum(choice.stats["answer_tokens"] + choice.cut_tokens for choice in found)
    return {
        "prompt_tokens": prompt,
        "completion_tokens": thinking + answers,
        "total_tokens": prompt + thinking + answers,
        "completion_tokens_details": {"reasoning_tokens": thinking},
        "tessy": {name: sum(choice.stats[name] for choice in found) for name in _BY_AUTHOR},
    }


class ResponseWriter:
    """Makes the bodies and events of one response.

    Args:
        request: What the client asked for.
        response_id: The response's id.
        created: When it was begun, in seconds since 1970.
    """

    def __init__(self, request: ServedRequest, response_id: str, created: int) -> None:
        self._request = request
        kind = "chat.completion" if request.chat else "text_completion"
        self._envelope = {"id": response_id, "object": kind, "created": created}
        self._envelope["model"] = request.model
        self._of_event = dict(self._envelope)
        if request.chat:
            self._of_event["object"] = "chat.completion.chunk"
        self._parts: dict[int, Part] = {}  # that each choice's last event was of

    def body(self, choices: list[WrittenChoice]) -> dict[str, Any]:
        """The body of a response that is not a stream."""
        return {
            **self._envelope,
            "choices": [self._choice(choice) for choice in choices],
            "usage": usage(choices, len(self._request.conversations)),
        }

    def delta(self, index: int, part: Part, text: str) -> bytes:
        """The event with more text of a choice."""
        before = self._parts.get(index)
        self._parts[index] = part
        if not self._request.chat:
            return self._event(index, {"text": _markers(before, part) + text})
        delta = {"content": text}
        if part is Part.THINKING:
            delta = {REASONING: text, "reasoning": text}
        begin = {"role": "assistant", "content": ""} if before is None else {}
        return self._event(index, {"delta": {**begin, **delta}})

    def end(self, choice: WrittenChoice) -> bytes:
        """The event that ends a choice."""
        fields: dict[str, Any] = {"delta": {}}
        if not self._request.chat:
            last = choice.trajectory.part
            fields = {"text": _markers(self._parts.get(choice.index), last)}
        elif choice.index not in self._parts:
            fields = {"delta": {"role": "assistant", "content": ""}}
        return self._event(choice.index, fields, choice.finish, self._about(choice))

    def usage(self, choices: list[WrittenChoice]) -> bytes:
        """The event with the usage, after the last choice."""
        counts = usage(choices, len(self._request.conversations))
        return event({**self._of_event, "choices": [], "usage": counts})

    def _event(
        self,
        index: int,
        fields: dict[str, Any],
        finish: str | None = None,
        about: dict[str, Any] | None = None,
    ) -> bytes:
        choice = {"index": index, **fields, "logprobs": None, "finish_reason": finish}
        if about:
            choice["tessy"] = about
        usual = {"usage": None} if self._request.include_usage else {}
        return event({**self._of_event, "choices": [choice], **usual})

    def _choice(self, choice: WrittenChoice) -> dict[str, Any]:
        thinking = choice.trajectory.thinking
        if self._request.chat:
            message = {"role": "assistant", "content": choice.answer, "refusal": None}
            text: dict[str, Any] = {"message": message | {REASONING: thinking}}
            text["message"]["reasoning"] = thinking
        else:
            text = {"text": choice.whole}
        made = {"index": choice.index, **text, "logprobs": None, "finish_reason": choice.finish}
        return made | {"tessy": self._about(choice)}

    def _about(self, choice: WrittenChoice) -> dict[str, Any]:
        """What only tessy says of a choice."""
        about: dict[str, Any] = {"id": choice.id}
        if choice.failure is not None:
            about |= {"failure": choice.failure.value, "detail": choice.detail}
        if self._request.spans:
            chat = self._request.chat
            about["spans"] = choice.authors() if chat else choice.whole_authors()
        return about


def _markers(before: Part | None, part: Part) -> str:
    """The markers between two events of a text that has thinking and answer in one."""
    opened = record.THINK_OPEN if before is None else ""
    return opened + (record.THINK_CLOSE if part is Part.ANSWER is not before else "")


def error_event(error: ApiError) -> bytes:
    """The event that ends a stream with an error."""
    return event(error.body())


def model_entry(served: ServedModel, created: int, context_tokens: int) -> dict[str, Any]:
    """What is listed about a model."""
    return {
        "id": served.id,
        "object": "model",
        "created": created,
        "owned_by": "tessy",
        "max_model_len": context_tokens,
        "tessy": {"method": served.method.name, "title": served.method.title},
    }
