"""A sample to export: a record, its shape checked, and numbers about it. Pure."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tessy.training.masks import check_spans

ROLES = ("system", "user", "assistant")
"""Who may speak in a conversation."""


@dataclass(frozen=True, slots=True)
class Sample:
    """A record of a data set that tessy wrote.

    Attributes:
        record: All of it; `docs/record.md`. It is not changed.
    """

    record: dict[str, Any]

    @property
    def id(self) -> str:
        """Its id; unique in its run."""
        return str(self.record["id"])

    @property
    def messages(self) -> list[dict[str, str]]:
        """The conversation; the last message is the assistant's."""
        messages: list[dict[str, str]] = self.record["messages"]
        return messages

    @property
    def content(self) -> str:
        """The response: thinking and answer."""
        return self.messages[-1]["content"]

    @property
    def spans(self) -> list[dict[str, Any]]:
        """Who wrote which characters of the response."""
        spans: list[dict[str, Any]] = self.record["spans"]
        return spans

    @property
    def tokens(self) -> int:
        """Tokens of the response; each model counted its own."""
        stats = self.record["stats"]
        return int(stats["student_tokens"] + stats["teacher_tokens"])

    @property
    def teacher_share(self) -> float:
        """The teacher's share of the response's tokens (paper, Fig. 17)."""
        return float(self.record["stats"]["teacher_tokens"]) / max(1, self.tokens)

    @property
    def forced(self) -> int:
        """Spans that were kept only for Progress."""
        return sum(bool(span.get("forced")) for span in self.spans)


def check(row: Any) -> Sample:
    """Make a sample of a row.

    Args:
        row: What stands in a line; a `ValueError` if it could not be read.

    Raises:
        ValueError: It is no record; the message says what is wrong with it.
    """
    if isinstance(row, ValueError):
        raise row
    if not isinstance(row, dict):
        raise ValueError(f"a record is an object, not {type(row).__name__}")
    for field in ("id", "messages", "spans", "stats"):
        if row.get(field) is None:
            raise ValueError(f"{field} is missing")
    if not isinstance(row["id"], str) or not row["id"]:
        raise ValueError(f"id must be text, not {row['id']!r}")
    content = _conversation(row["messages"])
    check_spans(content, row["spans"])
    _counts(row["stats"])
    return Sample(row)


def _conversation(messages: Any) -> str:
    if not isinstance(messages, list) or len(messages) < 2:
        raise ValueError("messages must be a list with a question and a response")
    for index, message in enumerate(messages):
        if not isinstance(message, dict) or message.get("role") not in ROLES:
            raise ValueError(f"messages[{index}].role must be one of {', '.join(ROLES)}")
        if not isinstance(message.get("content"), str):
            raise ValueError(f"messages[{index}].content must be text")
        if unknown := message.keys() - {"role", "content"}:
            raise ValueError(f"messages[{index}]: {sorted(unknown)[0]} can't be exported")
    if messages[-1]["role"] != "assistant":
        raise ValueError(f"messages must end with the assistant, not the {messages[-1]['role']}")
    return str(messages[-1]["content"])


def _counts(stats: Any) -> None:
    for field in ("student_tokens", "teacher_tokens"):
        value = stats.get(field) if isinstance(stats, Mapping) else None
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            raise ValueError(f"stats.{field} must be a number of tokens, not {value!r}")


def turns(sample: Sample) -> tuple[str, list[tuple[str, str]]] | None:
    """A conversation as formats of pairs have it.

    Returns:
        The system prompt, empty if there is none, and pairs of what the user and the assistant
        said; None if they do not take turns, or a system prompt stands elsewhere than first.
    """
    messages = sample.messages
    system = messages[0]["content"] if messages[0]["role"] == "system" else ""
    said = messages[1:] if messages[0]["role"] == "system" else messages
    wanted = itertools.cycle(("user", "assistant"))
    if not said or any(m["role"] != role for m, role in zip(said, wanted, strict=False)):
        return None
    contents = [message["content"] for message in said]
    return system, list(zip(contents[::2], contents[1::2], strict=True))
