"""Style: at which words the pen changes hands, what was discarded, what Progress forced.

The journal keeps text that was discarded with its author and its place. In the thinking a
student's was discarded as capability and a teacher's as style; a whole answer is discarded
when it can't be kept. Confidence is that of the predictor at the boundaries that it found, where
the journal has it (`confidence`: pairs of offset and probability).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from tessy.method.trajectory import Part, Role
from tessy.report.figures.bags import WORD
from tessy.report.figures.sample import Sample

BINS = 10
"""Of the confidence, from 0 to 1."""
_MOST = 15


class Why(StrEnum):
    """Why text was discarded."""

    CAPABILITY = "the student wrote capability"
    STYLE = "the teacher wrote style"
    ANSWER = "an answer that could not be kept"


@dataclass(frozen=True, slots=True)
class Discarded:
    """Text of one kind that was discarded.

    Attributes:
        times: How often.
        words: How many words of it.
        first: The most frequent first words, which the predictor called the other kind.
    """

    times: int
    words: int
    first: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Forced:
    """Spans that Progress forced.

    Attributes:
        spans: How many.
        samples: In how many samples.
        words: The most frequent texts, in lower case.
    """

    spans: int
    samples: int
    words: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Style:
    """What is told of a run's style.

    Attributes:
        samples: Finished and failed ones.
        opening: The words with which an author takes over in the thinking, by author.
        closing: The words before it hands over.
        discarded: By why.
        forced: By author.
        confidence: Boundaries by the predictor's probability, in `BINS` bins; None if the
            journal does not have it.
        mean_confidence: None likewise.
    """

    samples: int
    opening: Mapping[Role, tuple[tuple[str, int], ...]]
    closing: Mapping[Role, tuple[tuple[str, int], ...]]
    discarded: Mapping[Why, Discarded]
    forced: Mapping[Role, Forced]
    confidence: tuple[int, ...] | None
    mean_confidence: float | None


def _counters() -> dict[Role, Counter[str]]:
    return {role: Counter() for role in Role}


@dataclass(slots=True)
class StyleCounts:
    """Takes down the style of each sample."""

    samples: int = 0
    _opening: dict[Role, Counter[str]] = field(default_factory=_counters)
    _closing: dict[Role, Counter[str]] = field(default_factory=_counters)
    _forced: dict[Role, Counter[str]] = field(default_factory=_counters)
    _with_forced: Counter[Role] = field(default_factory=Counter)
    _discarded: dict[Why, Counter[str]] = field(default_factory=lambda: {w: Counter() for w in Why})
    _discarded_words: Counter[Why] = field(default_factory=Counter)
    _bins: list[int] = field(default_factory=lambda: [0] * BINS)
    _sure: float = 0.0

    def add(self, sample: Sample) -> None:
        """Take down a sample."""
        self.samples += 1
        self._hand_overs(sample)
        for role in {stretch.role for stretch in sample.stretches if stretch.forced}:
            self._with_forced[role] += 1
        for stretch, text in sample.texts():
            if stretch.forced:
                self._forced[stretch.role][text.strip().lower()] += 1
        for discard in sample.trace.get("discards") or ():
            why = _why(discard["role"], discard["part"])
            self._discarded[why][_first(discard["text"])] += 1
            self._discarded_words[why] += len(discard["text"].split())
        for _, sure in sample.trace.get("confidence") or ():
            self._bins[min(int(sure * BINS), BINS - 1)] += 1
            self._sure += sure

    def _hand_overs(self, sample: Sample) -> None:
        before: Role | None = None
        last = ""
        for stretch, text in sample.texts():
            if stretch.part is not Part.THINKING:
                break
            if before is not None and stretch.role is not before:
                self._opening[stretch.role][_first(text)] += 1
                self._closing[before][_last(last)] += 1
            before, last = stretch.role, text

    def style(self) -> Style:
        """What it all comes to."""
        boundaries = sum(self._bins)
        return Style(
            samples=self.samples,
            opening={role: _top(self._opening[role]) for role in Role},
            closing={role: _top(self._closing[role]) for role in Role},
            discarded={
                why: Discarded(counted.total(), self._discarded_words[why], _top(counted))
                for why, counted in self._discarded.items()
            },
            forced={
                role: Forced(counted.total(), self._with_forced[role], _top(counted))
                for role, counted in self._forced.items()
            },
            confidence=tuple(self._bins) if boundaries else None,
            mean_confidence=self._sure / boundaries if boundaries else None,
        )


def _why(role: str, part: str) -> Why:
    if part == Part.ANSWER:
        return Why.ANSWER
    return Why.CAPABILITY if role == Role.STUDENT else Why.STYLE


def _first(text: str) -> str:
    """The first word; of text without any letter or digit, what stands there instead."""
    if found := WORD.search(text):
        return found[0].lower()
    return "".join(text.split(maxsplit=1)[:1])


def _last(text: str) -> str:
    """The last word, likewise."""
    end = "".join(text.rsplit(maxsplit=1)[-1:])
    found = WORD.findall(end)
    return found[-1].lower() if found else end


def _top(counted: Counter[str]) -> tuple[tuple[str, int], ...]:
    found = sorted(((w, n) for w, n in counted.items() if w), key=lambda pair: (-pair[1], pair[0]))
    return tuple(found[:_MOST])
