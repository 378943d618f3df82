"""Measuring predictors on labelled segments: `tessy predictor evaluate`.

label    the predictor walks through each segment as synthesis would (`walk`)
count    how far that is from the segment's own labels (`metrics`)
group    all figures again by model, subject and position
time     decisions a second on one core, in batches, with a full window
"""

from __future__ import annotations

import math
import os
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import cycle, islice
from pathlib import Path

from tessy.boundary.protocol import Predictor
from tessy.boundary.training.metrics import LabelCounts, Labelling, MeasuredFigure, figures
from tessy.boundary.training.segments import Segment
from tessy.boundary.training.walk import counted, labellings, truth
from tessy.display import Say, count_of
from tessy.errors import DataError
from tessy.method.judgement import Passage
from tessy.method.trajectory import Role
from tessy.method.words import units

BATCH = 32
"""Passages in a batch when time is taken."""
CHUNK_WORDS = 15
"""Words of a passage when time is taken; a chunk of 20 tokens has about as many."""
_CONTEXT_WORDS = 400
_TIMED_S = 1.0
_TIMED_SEGMENTS = 400
_GROUPS: dict[str, Callable[[Segment], str]] = {
    "model": lambda segment: segment.model,
    "subject": lambda segment: segment.subject,
    "position": lambda segment: ("beginning", "middle", "end")[min(2, int(segment.position * 3))],
}


@dataclass(frozen=True, slots=True)
class Group:
    """The figures of some segments.

    Attributes:
        segments: The number of segments.
        figures: All of `metrics.FIGURES`.
    """

    segments: int
    figures: dict[str, MeasuredFigure]


@dataclass(frozen=True, slots=True)
class Speed:
    """How quick a predictor is.

    Attributes:
        batch: Passages in a batch.
        milliseconds: The time of a batch divided by its passages; the median of some batches.
        decisions_a_second: Passages per second.
    """

    batch: int
    milliseconds: float
    decisions_a_second: float


@dataclass(frozen=True, slots=True)
class PredictorEvaluation:
    """One predictor's figures.

    Attributes:
        predictor: The predictor's name.
        whole: The figures of all segments.
        groups: The figures of groups, by `model`, `subject` or `position`, and the value of it.
        speed: How quick it is; None if no time was taken.
        labels: Its labelling of each segment, in order.
    """

    predictor: str
    whole: Group
    groups: dict[str, dict[str, Group]]
    speed: Speed | None
    labels: list[Labelling] = field(repr=False)


def evaluate(
    predictor: Predictor,
    segments: Sequence[Segment],
    *,
    samples: int = 1000,
    timed: bool = True,
    say: Say = lambda _: None,
) -> PredictorEvaluation:
    """Measure a predictor.

    Args:
        predictor: The predictor to measure.
        segments: Labelled segments.
        samples: Bootstrap samples.
        timed: Take its time, too.
        say: Prints a line about what is going on.

    Raises:
        PredictorError: The predictor failed.
    """
    say(f"{predictor.name}: {count_of(len(segments), 'segment')}")
    labels = labellings(predictor, segments)
    took = speed(predictor, segments) if timed else None
    return _evaluation(predictor.name, segments, labels, samples, took)


def evaluate_labels(
    name: str, labelled: Sequence[Segment], segments: Sequence[Segment], *, samples: int = 1000
) -> PredictorEvaluation:
    """Measure other labels of the same segments: an annotator's, or a second reader's.

    Args:
        name: The name that is shown for them.
        labelled: Segments with the labels to measure; other segments in it don't count.
        segments: Segments with the labels that are taken for right.
        samples: Bootstrap samples.

    Raises:
        DataError: `labelled` lacks a segment, or has another text for it.
    """
    there = {segment.id: segment for segment in labelled}
    for segment in segments:
        if segment.id not in there or there[segment.id].text != segment.text:
            raise DataError(
                f"{name} has no labels of segment {segment.id}",
                hint="annotate the segments of the gold file: tessy predictor annotate GOLD …",
            )
    labels = [truth(there[segment.id]) for segment in segments]
    return _evaluation(name, segments, labels, samples, None)


def _evaluation(
    name: str,
    segments: Sequence[Segment],
    labels: list[Labelling],
    samples: int,
    took: Speed | None,
) -> PredictorEvaluation:
    counts = counted(segments, labels)
    groups: dict[str, dict[str, Group]] = {}
    for title, value_of in _GROUPS.items():
        members: dict[str, list[LabelCounts]] = defaultdict(list)
        for segment, each in zip(segments, counts, strict=True):
            members[value_of(segment) or "not known"].append(each)
        groups[title] = {value: _group(members[value], samples) for value in sorted(members)}
    return PredictorEvaluation(name, _group(counts, samples), groups, took, labels)


def _group(counts: Sequence[LabelCounts], samples: int) -> Group:
    return Group(len(counts), figures(counts, samples=samples))


def speed(predictor: Predictor, segments: Sequence[Segment]) -> Speed:
    """Take the time of decisions on one core, with as much context as a window holds.

    Args:
        predictor: The predictor to time; for a classifier on a server, the time of its answers.
        segments: Contexts and chunks are made of their text.
    """
    batches = _timed_batches("\n\n".join(s.text for s in islice(cycle(segments), _TIMED_SEGMENTS)))
    took: list[float] = []
    with _one_core():
        predictor.judge(next(batches))
        began = time.perf_counter()
        while time.perf_counter() - began < _TIMED_S or len(took) < 3:
            passages = next(batches)
            at = time.perf_counter()
            predictor.judge(passages)
            took.append(time.perf_counter() - at)
    each = sorted(took)[len(took) // 2] / BATCH
    return Speed(BATCH, 1000 * each, 1 / each if each else math.inf)


def _timed_batches(text: str) -> Iterator[list[Passage]]:
    """Batches of passages, without end; one comes again late, since a predictor may cache it."""
    words = units(text)
    last = len(words) - _CONTEXT_WORDS - CHUNK_WORDS - 1
    starts = cycle(range(0, max(last, 1), 3))
    while True:
        batch = []
        for start in islice(starts, BATCH):
            end = min(start + _CONTEXT_WORDS, len(words) - CHUNK_WORDS - 1)
            context = text[words[start].start : words[end].start]
            chunk = text[words[end].start : words[end + CHUNK_WORDS].start]
            batch.append(Passage(Role.TEACHER, context, chunk))
        yield batch


@contextmanager
def _one_core() -> Iterator[None]:
    """Keep all threads of this process on one core meanwhile; on Linux only."""
    tasks = Path("/proc/self/task")
    if not hasattr(os, "sched_setaffinity") or not tasks.is_dir():
        yield
        return
    before = os.sched_getaffinity(0)
    _pin(tasks, {min(before)})
    try:
        yield
    finally:
        _pin(tasks, before)


def _pin(tasks: Path, cores: set[int]) -> None:
    for task in tasks.iterdir():
        with suppress(OSError):  # a thread that has just ended
            os.sched_setaffinity(int(task.name), cores)
