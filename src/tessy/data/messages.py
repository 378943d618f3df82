"""The messages of a conversation, checked: what is not understood is refused, never dropped."""

from __future__ import annotations

from typing import Any

ROLES = ("system", "user", "assistant")
"""Roles of messages in a conversation."""
REASONING = "reasoning_content"
"""The key of an assistant message's thinking, where it is not in the content."""
_SHAREGPT_ROLES = {"system": "system", "human": "user", "user": "user"} | dict.fromkeys(
    ("gpt", "assistant"), "assistant"
)
_LEAVE = "leave it out"
_INSTEAD = {"tool_calls": "write the conversation without tools"}
_SAME = {"thinking": REASONING, "reasoning": REASONING}
"""Keys of others, and how to write them here."""


def conversation(
    value: Any, column: str, *, last: str, may_end_empty: bool = False
) -> tuple[dict[str, str], ...]:
    """Check the messages of a row.

    A message has `role` and `content`; an assistant's may have `reasoning_content`. Other keys must
    be empty, as data sets that went through Arrow have them.

    Args:
        value: The column's value: a list of `{role, content}`, or of ShareGPT's `{from, value}`.
        column: The column's name, for messages.
        last: The role that the last message must have.
        may_end_empty: The last message may have an empty content.

    Raises:
        ValueError: The value is not such a conversation; the message says why.
    """
    if not isinstance(value, list) or not value:
        raise ValueError(f"{column} must be a list of at least one {{role, content}}")
    made = []
    for index, message in enumerate(value):
        if not isinstance(message, dict):
            raise ValueError(f"{column}[{index}] must be {{role, content}}, not {_kind(message)}")
        is_last = index == len(value) - 1
        place = f"{column}[{index}]"
        made.append(_message(_renamed(message), place, may_be_empty=may_end_empty and is_last))
        if index and made[-1]["role"] == "system" and last == "user":
            raise ValueError(f"{place}.role is system: only the first message may be")
    if made[-1]["role"] != last:
        instead = ": leave the answer out" if last == "user" else ""
        raise ValueError(f"{column} must end with the {last}, not the {made[-1]['role']}{instead}")
    return tuple(made)


def _renamed(message: dict[str, Any]) -> dict[str, Any]:
    """A message of ShareGPT's with the usual keys; any other as it is."""
    if message.get("role") is not None or "from" not in message:
        return message
    rest = {key: value for key, value in message.items() if key not in ("from", "value", "role")}
    sender = message["from"]
    role = _SHAREGPT_ROLES.get(sender, sender) if isinstance(sender, str) else sender
    return {"role": role, "content": message.get("value"), **rest}


def _message(message: dict[str, Any], place: str, *, may_be_empty: bool) -> dict[str, str]:
    role = message.get("role")
    if role not in ROLES:
        raise ValueError(f"{place}.role must be one of {', '.join(ROLES)}, not {cut(repr(role))}")
    for key, value in message.items():
        if key in ("role", "content") or value in (None, "", [], {}):
            continue
        if key == REASONING and role == "assistant" and isinstance(value, str):
            continue
        if key in _SAME and role == "assistant":
            raise ValueError(f"{place}.{key} is not read: write it as {REASONING}")
        raise ValueError(f"{place}.{key} of the {role} is not read: {_INSTEAD.get(key, _LEAVE)}")
    content = _joined(message.get("content"), f"{place}.content")
    if not (may_be_empty and content == ""):
        check_text(content, f"{place}.content")
    made = {"role": role, "content": content}
    if reasoning := message.get(REASONING):
        made[REASONING] = check_text(reasoning, f"{place}.{REASONING}")
    return made


def _joined(content: Any, place: str) -> Any:
    """A content of text parts as one text, a line each as vLLM joins them."""
    if not isinstance(content, list):
        return content
    for index, part in enumerate(content):
        kind = part.get("type") if isinstance(part, dict) else ""
        if kind not in ("text", None) or not isinstance(part.get("text"), str):
            raise ValueError(f"{place}[{index}] is no text: only parts of text are read")
        if any(value is not None for key, value in part.items() if key not in ("type", "text")):
            raise ValueError(f"{place}[{index}] holds more than text: leave that out")
    return "\n".join(part["text"] for part in content)


def check_text(value: Any, name: str) -> str:
    """Check that a value is text and not blank.

    Args:
        value: The value.
        name: Its name, for messages.

    Raises:
        ValueError: It is not; the message names it.
    """
    if not isinstance(value, str):
        raise ValueError(f"{name} must be text, not {_kind(value)}")
    if not value.strip():
        raise ValueError(f"{name} is empty")
    return value


def cut(text: str, length: int = 500) -> str:
    """A text for a message, which may be of any length, cut."""
    return text if len(text) <= length else text[:length] + "…"


def _kind(value: Any) -> str:
    return "null" if value is None else type(value).__name__
