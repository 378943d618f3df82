"""Style: at which words a model hands over, what was discarded, what *Progress* forced.

The journal keeps discarded text with its author and its place. In the thinking, a student's text
was discarded as capability and a teacher's as style; a whole answer is discarded when it can't be
kept. Confidence is that of the predictor at the boundaries it found, where the journal has it
(`confidence`: pairs of offset and probability).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import pairwise

from tessy.method.trajectory import Part, Role
from tessy.report.figures.sample import ReportSample
from tessy.report.figures.words import WORD

BINS = 10
"""Of the confidence, from 0 to 1."""
_MOST = 15
"""Words that are named."""

Top = tuple[tuple[str, int], ...]
"""The most frequent words and how often each occurs."""


class Why(StrEnum):
    """Why text was discarded."""

    CAPABILITY = "the student wrote capability"
    STYLE = "the teacher wrote style"
    ANSWER = "an answer that could not be kept"


@dataclass(frozen=True, slots=True)
class DiscardedText:
    """Text that was discarded for one reason.

    Attributes:
        times: How often.
        words: How many words.
        first: The most frequent first words: those that the predictor called the other kind.
    """

    times: int
    words: int
    first: Top


@dataclass(frozen=True, slots=True)
class MarkedSpans:
    """Spans that were kept although they are of the other kind, for the same reason.

    Attributes:
        spans: How many.
        samples: In how many samples.
        words: The most frequent texts, in lower case.
    """

    spans: int
    samples: int
    words: Top


@dataclass(frozen=True, slots=True)
class Style:
    """The style of a run.

    Attributes:
        samples: Finished and failed ones.
        opening: The words with which an author takes over in the thinking, by author.
        closing: The words before an author hands over, by author.
        discarded: By why.
        forced: For *Progress*, by author.
        tolerated: Too short for a hand-over, by author.
        confidence: Boundaries by the predictor's probability, in `BINS` bins; None if the
            journal does not have it.
        mean_confidence: None likewise.
    """

    samples: int
    opening: Mapping[Role, Top]
    closing: Mapping[Role, Top]
    discarded: Mapping[Why, DiscardedText]
    forced: Mapping[Role, MarkedSpans]
    tolerated: Mapping[Role, MarkedSpans]
    confidence: tuple[int, ...] | None
    mean_confidence: float | None


def _by_role() -> dict[Role, Counter[str]]:
    return {role: Counter() for role in Role}


@dataclass(slots=True)
class StyleCounter:
    """Counts the style of a run's samples."""

    samples: int = 0
    _opening: dict[Role, Counter[str]] = field(default_factory=_by_role)
    _closing: dict[Role, Counter[str]] = field(default_factory=_by_role)
    _marked: dict[tuple[str, Role], Counter[str]] = field(
        default_factory=lambda: defaultdict(Counter)
    )
    _with_marked: Counter[tuple[str, Role]] = field(default_factory=Counter)
    _discarded: dict[Why, Counter[str]] = field(default_factory=lambda: {w: Counter() for w in Why})
    _discarded_words: Counter[Why] = field(default_factory=Counter)
    _bins: list[int] = field(default_factory=lambda: [0] * BINS)
    _confidence: float = 0.0

    def add(self, sample: ReportSample) -> None:
        """Count a sample."""
        self.samples += 1
        thinking = [each for each in sample.texts if each.part is Part.THINKING]
        for before, after in pairwise(thinking):
            if before.role is not after.role:
                self._closing[before.role][_last_word(before.text)] += 1
                self._opening[after.role][_first_word(after.text)] += 1
        marked = [each for each in sample.texts if each.mark]
        self._with_marked.update({(each.mark, each.role) for each in marked})
        for each in marked:
            self._marked[each.mark, each.role][each.text.strip().lower()] += 1
        for discard in sample.trace.get("discards") or ():
            why = _why(discard["role"], discard["part"])
            self._discarded[why][_first_word(discard["text"])] += 1
            self._discarded_words[why] += len(discard["text"].split())
        for _, probability in sample.trace.get("confidence") or ():
            self._bins[min(int(probability * BINS), BINS - 1)] += 1
            self._confidence += probability

    def style(self) -> Style:
        """The style of all samples."""
        boundaries = sum(self._bins)
        return Style(
            samples=self.samples,
            opening={role: _top(words) for role, words in self._opening.items()},
            closing={role: _top(words) for role, words in self._closing.items()},
            discarded={
                why: DiscardedText(words.total(), self._discarded_words[why], _top(words))
                for why, words in self._discarded.items()
            },
            forced=self._spans("forced"),
            tolerated=self._spans("tolerated"),
            confidence=tuple(self._bins) if boundaries else None,
            mean_confidence=self._confidence / boundaries if boundaries else None,
        )

    def _spans(self, mark: str) -> dict[Role, MarkedSpans]:
        found = {}
        for role in Role:
            texts = self._marked[mark, role]
            found[role] = MarkedSpans(texts.total(), self._with_marked[mark, role], _top(texts))
        return found


def _why(role: str, part: str) -> Why:
    if part == Part.ANSWER:
        return Why.ANSWER
    return Why.CAPABILITY if role == Role.STUDENT else Why.STYLE


def _first_word(text: str) -> str:
    """The first word in lower case; of text without letters and digits, its first characters."""
    if found := WORD.search(text):
        return found[0].lower()
    return "".join(text.split(maxsplit=1)[:1])


def _last_word(text: str) -> str:
    """The last word, likewise."""
    end = "".join(text.rsplit(maxsplit=1)[-1:])
    found = WORD.findall(end)
    return found[-1].lower() if found else end


def _top(counts: Counter[str]) -> Top:
    named = ((word, count) for word, count in counts.items() if word)
    return tuple(sorted(named, key=lambda each: (-each[1], each[0]))[:_MOST])
