"""Boundaries that readers corrected in `tessy view`, as segments to train a predictor on.

A thinking is cut into segments of 60 words. Those with a word whose kind the reader turned are
taken, since the reader has read them; if the reader says that all was read, all are.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from tessy.boundary.training.segments import (
    DEFAULT_BEFORE,
    DEFAULT_WORDS,
    ReasoningTrace,
    Segment,
    cut,
    is_style,
    spans_of,
)
from tessy.data.record import THINK_CLOSE, THINK_OPEN
from tessy.errors import DataError
from tessy.method.words import units
from tessy.runs.folder import RunFolder
from tessy.runs.reader import JournalReader
from tessy.runs.reviews import BOUNDARIES, Correction, digest, read_corrections

READER = "reader"
"""Who labelled the segments."""
Spans = Iterable[tuple[int, int]]


def corrected_segments(run: Path) -> list[Segment]:
    """The segments of a run that readers corrected.

    Args:
        run: The run's folder.

    Raises:
        DataError: There are none.
        JournalError: The run, or the file of corrections, can't be read.
    """
    corrections = read_corrections(run)
    found: list[Segment] = []
    with JournalReader(RunFolder(run)) as reader:
        for sample_id, correction in corrections.items():
            entry = reader.ended_sample(sample_id)
            if entry is not None:
                found += segments_of(entry.record, correction)
    if not found:
        raise DataError(
            f"{run / BOUNDARIES}: no corrected boundary of this run is in it",
            hint="tessy view RUN, a sample, Correct boundaries; or give a segment file",
        )
    return found


def segments_of(record: dict[str, Any], correction: Correction) -> Iterator[Segment]:
    """The segments of a sample that its reader has read; none if it is of another response.

    Args:
        record: The sample's, as in dataset.jsonl or failures.jsonl.
        correction: What the reader marked.
    """
    failed = "content" in record and "method" not in record
    content = record["content"] if failed else record["messages"][-1]["content"]
    if digest(content) != correction.text:
        return
    thinking = content.removeprefix(THINK_OPEN).partition(THINK_CLOSE)[0]
    written = _student(record["spans"], len(THINK_OPEN), len(THINK_OPEN) + len(thinking))
    words = [word for word in units(thinking) if word.word_end > word.word_start]
    asked = [each["content"] for each in record["messages"] if each["role"] == "user"]
    trace = ReasoningTrace(id=record["id"], thinking=thinking, question=(asked or [""])[-1])
    for start in range(0, len(words), DEFAULT_WORDS):
        segment = cut(trace, start, DEFAULT_WORDS, DEFAULT_BEFORE)
        at = words[start].word_start
        said, had = (_within(segment, at, spans) for spans in (correction.style, written))
        if correction.whole or said.spans != had.spans:
            yield said.model_copy(update={"annotator": READER})


def _student(spans: Iterable[dict[str, Any]], start: int, end: int) -> list[tuple[int, int]]:
    """What the student wrote between two offsets, from the first of them on."""
    return [
        (max(span["start"], start) - start, min(span["end"], end) - start)
        for span in spans
        if span["role"] == "student" and span["end"] > start and span["start"] < end
    ]


def _within(segment: Segment, at: int, spans: Spans) -> Segment:
    """A segment with the words that are style, whole.

    Args:
        segment: The segment.
        at: Where it begins.
        spans: What is style, as offsets into the thinking.
    """
    length = len(segment.text)
    inside = [(max(a - at, 0), min(b - at, length)) for a, b in spans if a - at < length and b > at]
    marked = segment.model_copy(update={"spans": tuple(inside)})
    words = units(segment.text)
    return marked.model_copy(update={"spans": spans_of(words, is_style(marked, words))})
