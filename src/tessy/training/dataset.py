"""Samples to train on: rows of a run, or of JSONL, Parquet or a Hugging Face data set.

A sample is a row with `messages`, `{role, content}` each, of which the last is the assistant's;
`spans` say who wrote which characters of it (docs/record.md). If the last message has its thinking
in `reasoning_content`, that is put into its content, as records have it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tessy.data.messages import REASONING, conversation
from tessy.data.record import MARKERS, THINK_CLOSE, THINK_OPEN, check_spans
from tessy.data.rows import row_bytes
from tessy.runs.records import rows_of, run_in
from tessy.runs.reviews import Decision, read_reviews, rejects
from tessy.training.masks import LossPart, WeightRun, character_weights, checked_weights


@dataclass(frozen=True, slots=True)
class TrainSample:
    """One sample.

    Attributes:
        messages: The conversation; the last message is the response.
        runs: The weight of each character of the response.
    """

    messages: tuple[dict[str, str], ...]
    runs: tuple[WeightRun, ...]

    @property
    def content(self) -> str:
        """The response."""
        return self.messages[-1]["content"]


def read_rows(source: str | Path) -> Iterator[tuple[str, Any]]:
    """Read the rows of a data set or a run; see `tessy.runs.records.rows_of`.

    Samples that a reader rejected in `tessy view` are left out.
    """
    run = run_in(source)
    reviews = {} if run is None else read_reviews(run.path)
    for where, row in rows_of(source, what="samples"):
        if not reviews or not rejects(reviews.get(row["id"]), row["messages"][-1]["content"]):
            yield where, row


def rejected_in(source: str | Path) -> int:
    """How many samples of a run a reader rejected."""
    run = run_in(source)
    reviews = {} if run is None else read_reviews(run.path)
    if not any(review.decision is Decision.REJECTED for review in reviews.values()):
        return 0
    return sum(
        rejects(reviews.get(row["id"]), row["messages"][-1]["content"])
        for _, row in rows_of(source, what="samples")
    )


def digest_of(source: str | Path) -> str:
    """SHA-256 of all rows of a data set; arguments and errors as those of `read_rows`."""
    digest = hashlib.sha256()
    for _, row in read_rows(source):
        digest.update(row_bytes(row))
    return digest.hexdigest()


def question_key(messages: Sequence[Mapping[str, str]]) -> bytes:
    """By what a question is known in training data and in an evaluation: its last message."""
    return hashlib.blake2b(messages[-1]["content"].strip().encode(), digest_size=16).digest()


def sample_of(row: Any, loss: frozenset[LossPart]) -> TrainSample:
    """Make a sample of a row.

    Args:
        row: As `read_rows` yields it.
        loss: The parts that carry loss; in a row with `weights`, as `tessy export --mask` writes
            them, these say it.

    Raises:
        ValueError: It is no sample; the message says why.
    """
    if isinstance(row, ValueError):
        raise row
    if not isinstance(row, dict):
        raise ValueError(f"a sample is an object, not {type(row).__name__}")
    messages = conversation(row.get("messages"), "messages", last="assistant")
    if len(messages) == 1:
        raise ValueError("`messages` hold a response and no question")
    spans = row.get("spans")
    if REASONING in messages[-1]:
        _put_thinking_in(messages[-1], spans)
    if isinstance(weights := row.get("weights"), list):
        if loss != {LossPart.RESPONSE}:
            raise ValueError("it has `weights`, which say what carries loss: leave --loss out")
        return TrainSample(messages, tuple(checked_weights(messages[-1]["content"], weights)))
    if spans is None:  # without spans to count them, blanks at the ends are no text
        messages[-1]["content"] = messages[-1]["content"].strip()
    else:
        check_spans(messages[-1]["content"], spans)
    return TrainSample(messages, tuple(character_weights(messages[-1]["content"], spans, loss)))


def _put_thinking_in(response: dict[str, str], spans: object) -> None:
    """Put the thinking of `reasoning_content` into the content, between the markers."""
    thinking, answer = response.pop(REASONING).strip("\n"), response["content"]
    if spans is not None:
        raise ValueError(f"the response has {REASONING}, and `spans` that don't count it")
    if any(marker in thinking + answer for marker in MARKERS):
        raise ValueError(f"the response has {REASONING}, and <think> in its text: keep one")
    response["content"] = THINK_OPEN + thinking + THINK_CLOSE + answer.lstrip("\n")
