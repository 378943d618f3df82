"""Labelling whole texts with a predictor, as synthesis uses it.

A predictor only finds where the writer's own kind of text ends. So a text is walked through in
turns, as in Algorithm 1: it is the student's up to its boundary, then the teacher's up to the next
one, and so on. A word that each role's judgement gives to the other role goes to the second role
that is asked (*Progress*, see `tessy.method.turns`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from tessy.boundary.protocol import Predictor, Scorer
from tessy.boundary.training.metrics import LabelCounts, Labelling, count
from tessy.boundary.training.segments import Segment, is_style, spans_of
from tessy.method.judgement import Judgement, Passage
from tessy.method.trajectory import Role
from tessy.method.words import Unit, is_neutral, units

_LARGEST_BATCH = 64


@dataclass(slots=True)
class _Walk:
    """A text whose first `len(style)` words are labelled.

    Attributes:
        segment: The text with its context.
        words: The words of the text.
        style: Whether each labelled word is style.
        role: The writer of the words that come next.
        idle: The other role got no word.
    """

    segment: Segment
    words: list[Unit]
    style: list[bool] = field(default_factory=list)
    role: Role = Role.STUDENT
    idle: bool = False

    @property
    def done(self) -> bool:
        return len(self.style) == len(self.words)

    def passage(self) -> Passage:
        start = self.words[len(self.style)].start
        context = self.segment.before + self.segment.text[:start]
        return Passage(self.role, context, self.segment.text[start:], final=True)

    def take(self, judgement: Judgement) -> None:
        """Label the words before a boundary, and hand over."""
        at, mine = len(self.style), self.role is Role.STUDENT
        end = len(self.words)
        if judgement.boundary is not None:
            offset = self.words[at].start + judgement.boundary
            end = next((i for i in range(at, end) if self.words[i].end > offset), end)
        if end == at and self.idle:
            end += 1
        self.style += [mine] * (end - at)
        self.idle = end == at
        self.role = self.role.other


def walk(predictor: Predictor, segments: Sequence[Segment]) -> list[list[bool]]:
    """Whether each word of each text is style, by a predictor's judgements.

    Args:
        predictor: The predictor of both roles.
        segments: Texts with their context; their labels don't matter.

    Returns:
        For each segment, whether each word of `tessy.method.words.units(segment.text)` is style.
    """
    walks = [_Walk(segment, units(segment.text)) for segment in segments]
    while open_ := [each for each in walks if not each.done]:
        for first in range(0, len(open_), _LARGEST_BATCH):
            batch = open_[first : first + _LARGEST_BATCH]
            judgements = predictor.judge([each.passage() for each in batch])
            for each, judgement in zip(batch, judgements, strict=True):
                each.take(judgement)
    return [each.style for each in walks]


def labellings(predictor: Predictor, segments: Sequence[Segment]) -> list[Labelling]:
    """A predictor's labelling of segments, with P(style) if it is a `Scorer`."""
    kinds = walk(predictor, segments)
    if not isinstance(predictor, Scorer):
        return [_labelling(segment, style) for segment, style in zip(segments, kinds, strict=True)]
    scores: list[Sequence[float]] = []
    for first in range(0, len(segments), _LARGEST_BATCH):
        batch = segments[first : first + _LARGEST_BATCH]
        scores += predictor.style([Passage(Role.TEACHER, s.before, s.text, True) for s in batch])
    return list(map(_labelling, segments, kinds, scores))


def truth(segment: Segment) -> Labelling:
    """The labelling that a segment itself has."""
    return _labelling(segment, is_style(segment, units(segment.text)))


def counted(segments: Sequence[Segment], labels: Sequence[Labelling]) -> list[LabelCounts]:
    """Count, for each segment, how far a labelling is from the segment's own."""
    return [
        count(truth(segment), labelling, len(segment.text))
        for segment, labelling in zip(segments, labels, strict=True)
    ]


def _labelling(
    segment: Segment, style: Sequence[bool], scores: Sequence[float] | None = None
) -> Labelling:
    words = units(segment.text)
    counting = [
        index
        for index, word in enumerate(words)
        if not is_neutral(segment.text[word.word_start : word.word_end])
    ]
    return Labelling(
        kinds=[style[index] for index in counting],
        spans=spans_of(words, style),
        scores=None if scores is None else [scores[index] for index in counting],
    )
