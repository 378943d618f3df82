"""From P(style) of words to the judgement of a passage; the same for every network."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from tessy.method.judgement import Judgement, Passage
from tessy.method.trajectory import Role
from tessy.method.words import Unit, is_neutral


def decide(
    passage: Passage,
    words: Sequence[Unit],
    scores: Iterable[float],
    threshold: float,
    unsure: Sequence[float],
) -> Judgement:
    """The first word that is not of the writer's kind.

    A word of punctuation never makes a boundary, and neither does one without a score.

    Args:
        passage: The passage.
        words: The complete words that are still to judge, in offsets into
            `passage.text[passage.judged:]`.
        scores: P(style) of these words, in order; NaN for a word without one. No more of them are
            taken than needed.
        threshold: A word above it counts as style.
        unsure: While `k` complete words follow a word, it stays undecided if its P(style) is
            nearer to the threshold than `unsure[k]`; with more words, or in a final passage,
            it is decided.
    """
    begin, wants_style = passage.judged, passage.role is Role.STUDENT
    settled = begin
    for follow, word, score in zip(range(len(words) - 1, -1, -1), words, scores, strict=False):
        text = passage.text[begin + word.word_start : begin + word.word_end]
        if not is_neutral(text) and not math.isnan(score):
            waits = not passage.final and follow < len(unsure)
            if waits and abs(score - threshold) < unsure[follow]:
                break
            if (score > threshold) != wants_style:
                boundary = begin + word.word_start
                confidence = 1 - score if wants_style else score
                return Judgement(boundary, boundary, confidence=confidence)
        settled = begin + word.word_end
    return Judgement(None, settled)
