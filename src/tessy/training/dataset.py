"""Samples to train on: rows of a run, or of JSONL, Parquet or a Hugging Face data set.

A sample is a row with `messages`, `{role, content}` each, of which the last is the assistant's;
`spans` say who wrote which characters of it (docs/record.md).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tessy.data.files import dataset_of
from tessy.data.record import THINK_CLOSE, THINK_OPEN
from tessy.data.rows import conversation, row_bytes, rows
from tessy.training.masks import LossPart, WeightRun, character_weights, check_spans


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
    """Read the rows of a data set, as `tessy.data.rows.rows` does.

    Args:
        source: A run's folder, a `.jsonl` or `.parquet` file, or a data set on Hugging Face.

    Raises:
        DataError: There is no such source, or it can't be read.
    """
    return rows(dataset_of(source), what="samples")


def digest_of(source: str | Path) -> str:
    """SHA-256 of all rows of a data set; arguments and errors as those of `read_rows`."""
    digest = hashlib.sha256()
    for _, row in read_rows(source):
        digest.update(row_bytes(row))
    return digest.hexdigest()


def sample_of(row: Any, loss: frozenset[LossPart]) -> TrainSample:
    """Make a sample of a row.

    Args:
        row: As `read_rows` yields it.
        loss: The parts that carry loss.

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
    if (thinking := messages[-1].pop("reasoning_content", None)) is not None:
        if spans is not None or THINK_CLOSE.strip() in messages[-1]["content"]:
            raise ValueError("the response has its thinking twice: in `reasoning_content`, too")
        content = f"{THINK_OPEN}{thinking.strip()}{THINK_CLOSE}{messages[-1]['content'].strip()}"
        messages[-1]["content"] = content
    if spans is None:  # without spans to count them, blanks at the ends are no text
        messages[-1]["content"] = messages[-1]["content"].strip()
    else:
        check_spans(messages[-1]["content"], spans)
    return TrainSample(messages, tuple(character_weights(messages[-1]["content"], spans, loss)))
