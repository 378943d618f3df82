"""Segments: short pieces of reasoning traces, with their style marked or still to be marked.

A predictor is trained and measured on segments of about 60 words. A segment file is JSONL, one
`Segment` a line, in the order in which they were drawn. `spans` are the style: half-open character
offsets into `text`, whole words, in order, never touching.
"""

from __future__ import annotations

import hashlib
import random
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from importlib import resources
from itertools import pairwise
from pathlib import Path
from typing import Any

import orjson
from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from tessy.data.rows import rows
from tessy.errors import DataError, bad_rows
from tessy.method.words import Unit, units

DEFAULT_WORDS = 60
"""Words of a segment."""
DEFAULT_BEFORE = 120
"""Words of context before a segment; with its own words they fill a window of 200 tokens."""


class ReasoningTrace(BaseModel):
    """The thinking of one answer of one model.

    Attributes:
        id: An id that is unique in its data set.
        thinking: The text between the thinking markers.
        model: The model that wrote it; "" if not known.
        subject: The subject of the question; "" if not known.
        source: The data set that it is from.
        question: The question, or its id: traces of one question are on one side of a split.
    """

    model_config = ConfigDict(frozen=True)

    id: str
    thinking: str
    model: str = ""
    subject: str = ""
    source: str = ""
    question: str = ""


class Segment(BaseModel):
    """A piece of a trace.

    Attributes:
        id: A hash of the trace and the place in it.
        text: The text that is labelled; it starts and ends with a word.
        spans: Its style, half-open character offsets into `text`; None if not labelled yet.
        before: The words before it, with the blanks between: context, never labelled.
        trace: The id of its trace.
        model: The model that wrote it.
        subject: The subject of the question.
        source: The data set that the trace is from.
        question: The question of the trace, or its id.
        position: Where in the thinking it starts, from 0 (first word) to 1.
        annotator: The reader, model or predictor that labelled it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    text: str
    spans: tuple[tuple[int, int], ...] | None = None
    before: str = ""
    trace: str = ""
    model: str = ""
    subject: str = ""
    source: str = ""
    question: str = ""
    position: float = 0.0
    annotator: str = ""

    @model_validator(mode="after")
    def _spans_fit(self) -> Segment:
        if not self.text.strip():
            raise ValueError("the text is empty")
        for start, end in self.spans or ():
            if not 0 <= start < end <= len(self.text):
                raise ValueError(
                    f"span [{start}, {end}) is outside the text (0 to {len(self.text)}), or empty"
                )
        for (_, end), (start, _) in pairwise(self.spans or ()):
            if start < end:
                raise ValueError(
                    f"the span at {start} begins before the one before it ends ({end})"
                )
        return self


def is_style(segment: Segment, words: Sequence[Unit]) -> list[bool]:
    """Whether each word of a labelled segment is style: whether most of its characters are.

    Args:
        segment: A segment with spans.
        words: `units(segment.text)`.
    """
    found = []
    for word in words:
        inside = sum(
            max(0, min(end, word.word_end) - max(start, word.word_start))
            for start, end in segment.spans or ()
        )
        found.append(2 * inside > word.word_end - word.word_start)
    return found


def spans_of(words: Sequence[Unit], style: Sequence[bool]) -> tuple[tuple[int, int], ...]:
    """The longest runs of style words, as half-open character offsets."""
    spans: list[tuple[int, int]] = []
    previous = False
    for word, kind in zip(words, style, strict=True):
        if word.word_start == word.word_end:
            continue
        if kind and previous:
            spans[-1] = (spans[-1][0], word.word_end)
        elif kind:
            spans.append((word.word_start, word.word_end))
        previous = kind
    return tuple(spans)


# --- Drawing ------------------------------------------------------------------------------------


def draw(
    traces: Sequence[ReasoningTrace],
    count: int,
    *,
    words: int = DEFAULT_WORDS,
    before: int = DEFAULT_BEFORE,
    seed: int = 0,
) -> list[Segment]:
    """Draw segments at random, evenly over models, subjects and positions, without overlap.

    Each pair of subject and model gives about as many as any other, if it has enough text, and in
    each a third comes from the beginning, middle and end of traces.

    Args:
        traces: The traces to draw from.
        count: The number of segments; fewer are drawn if the text is used up.
        words: The length of a segment in words; at the end of a trace at least half of it.
        before: Words of context before each segment.
        seed: The same seed and traces give the same segments.
    """
    chance = random.Random(f"{seed}:segments")
    cells: dict[tuple[str, str, int], list[tuple[ReasoningTrace, int]]] = defaultdict(list)
    for trace in traces:
        length = len([word for word in units(trace.thinking) if word.word_end > word.word_start])
        starts = range(chance.randrange(words) if length > 2 * words else 0, length, words)
        for start in starts:
            if 2 * (length - start) >= min(words, length):
                third = min(3 * start // max(length - words, 1), 2)
                cells[trace.subject, trace.model, third].append((trace, start))
    for cell in cells.values():
        chance.shuffle(cell)
    order = sorted(cells)
    chance.shuffle(order)
    drawn: list[tuple[ReasoningTrace, int]] = []
    while len(drawn) < count and order:
        for key in order:
            if len(drawn) < count:
                drawn.append(cells[key].pop())
        order = [key for key in order if cells[key]]
    return [cut(trace, start, words, before) for trace, start in drawn]


def cut(trace: ReasoningTrace, start: int, words: int, before: int) -> Segment:
    """A segment of a trace.

    Args:
        trace: The trace.
        start: Its first word, from 0.
        words: Its length in words; less at the end of the trace.
        before: Words of context before it.
    """
    text = trace.thinking
    found = [word for word in units(text) if word.word_end > word.word_start]
    first, last = found[start], found[min(start + words, len(found)) - 1]
    context = found[max(start - before, 0)]
    return Segment(
        id=hashlib.sha256(f"{trace.id}\n{start}\n{words}".encode()).hexdigest()[:12],
        text=text[first.word_start : last.word_end],
        before=text[context.word_start : first.word_start],
        trace=trace.id,
        model=trace.model,
        subject=trace.subject,
        source=trace.source,
        question=trace.question,
        position=round(start / max(len(found) - words, start, 1), 3),
    )


# --- Files --------------------------------------------------------------------------------------


def read_segments(path: Path, *, labelled: bool = True) -> list[Segment]:
    """Read a segment file.

    Args:
        path: JSONL.
        labelled: Each segment must have spans.

    Raises:
        DataError: There is no such file, it is empty, or lines are no segments; the message
            names up to 20 of them.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such file", hint="tessy predictor annotate makes one")
    segments: list[Segment] = []
    bad: list[tuple[str, str]] = []
    for where, row in rows(path, what="segments"):
        try:
            if isinstance(row, ValueError):
                raise row
            segment = Segment.model_validate(row)
            if labelled and segment.spans is None:
                raise ValueError("it has no spans: it is not labelled")
        except (ValidationError, ValueError) as error:
            bad.append((where, _reason(error)))
        else:
            segments.append(segment)
    if bad:
        raise DataError("\n".join([f"{len(bad)} bad lines", *bad_rows(bad)]))
    if not segments:
        raise DataError(f"{path}: there is no segment in it")
    return segments


def is_segment_file(path: Path) -> bool:
    """Whether a file holds segments rather than traces, by its first line."""
    if path.suffix != ".jsonl" or not path.is_file():
        return False
    with path.open("rb") as file:
        first = next((line for line in file if line.strip()), b"")
    try:
        return "<think>" not in Segment.model_validate(orjson.loads(first)).text
    except ValueError:  # of pydantic and orjson
        return False


def gold_file() -> list[Segment]:
    """The gold set that ships: labelled by reading, for evaluation only."""
    with resources.as_file(
        resources.files("tessy.boundary.training").joinpath("gold.jsonl")
    ) as path:
        return read_segments(path)


def _reason(error: ValueError) -> str:
    if isinstance(error, ValidationError):
        found = error.errors()[0]
        place = ".".join(str(part) for part in found["loc"])
        return f"{place}: {found['msg']}" if place else found["msg"].removeprefix("Value error, ")
    return str(error)


def dump(segment: Segment) -> bytes:
    """A segment as a line of a file, without the fields that have their default."""
    row: dict[str, Any] = segment.model_dump(mode="json", exclude_defaults=True)
    return orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE)


def write_segments(path: Path, segments: Iterable[Segment]) -> None:
    """Write a segment file."""
    with path.open("wb") as file:
        file.writelines(dump(segment) for segment in segments)


def split(segments: Sequence[Segment], share: float, seed: int) -> Iterator[list[Segment]]:
    """Split segments in two so that no question, trace or text is on both sides.

    Args:
        segments: The segments to split.
        share: The share of segments in the second part, about, from 0 to 1.
        seed: The same seed gives the same split.

    Yields:
        The first part, then the second.
    """
    groups: dict[str, list[Segment]] = defaultdict(list)
    for segment in segments:
        groups[segment.question or segment.trace or segment.text].append(segment)
    keys = sorted(groups)
    random.Random(f"{seed}:split").shuffle(keys)
    first: list[Segment] = []
    second: list[Segment] = []
    for key in keys:
        short = len(second) < share * len(segments)
        (second if short else first).extend(groups[key])
    yield first
    yield second
