"""What the index keeps of a sample that ended. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tessy.data.record import MARKERS
from tessy.method.trajectory import Failure

_BEGINNING = 200
"""Characters of a question that a list shows."""


@dataclass(frozen=True, slots=True)
class Facts:
    """A row of a list; in the order of the index's columns.

    Attributes:
        position: In the order of the questions.
        id: Unique in the run.
        reason: Of a failure; None if it finished.
        share: The teacher's share of the tokens kept, 0 to 1; None if there are none.
        tokens: Kept, of both models.
        discarded: Tokens discarded, of both models.
        hand_overs: Changes of author in the thinking.
        seconds: From its first call to its end.
        question: How the last message of the user begins.
    """

    position: int
    id: str
    reason: Failure | None
    share: float | None
    tokens: int
    discarded: int
    hand_overs: int
    seconds: float
    question: str


def facts(
    position: int, sample_id: str, reason: Failure | None, seconds: float, record: dict[str, Any]
) -> Facts:
    """What a list shows of a record.

    Args:
        position: In the order of the questions.
        sample_id: Unique in the run.
        reason: Of a failure.
        seconds: As the journal has them.
        record: A line of dataset.jsonl or failures.jsonl.
    """
    stats = record["stats"]
    tokens = stats["student_tokens"] + stats["teacher_tokens"]
    asked = [message["content"] for message in record["messages"] if message["role"] == "user"]
    return Facts(
        position=position,
        id=sample_id,
        reason=reason,
        share=stats["teacher_tokens"] / tokens if tokens else None,
        tokens=tokens,
        discarded=stats["student_discarded_tokens"] + stats["teacher_discarded_tokens"],
        hand_overs=stats["hand_overs"],
        seconds=seconds,
        question=_beginning(asked[-1]) if asked else "",
    )


def _beginning(text: str) -> str:
    """How a text begins, on one line."""
    line = " ".join(text[: 4 * _BEGINNING].split())
    return line if len(line) <= _BEGINNING else line[:_BEGINNING] + "…"


def searchable(record: dict[str, Any]) -> str:
    """What is searched of a record: the question and the response, without the markers."""
    texts = [message["content"] for message in record["messages"]]
    if "method" not in record:  # a failure; else these are the question's columns
        texts += [record["content"], record["detail"]]
    text = "\n".join(texts)
    for marker in MARKERS:
        text = text.replace(marker, " ")
    return text
