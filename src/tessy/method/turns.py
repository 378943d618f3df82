"""The rules of Algorithm 1: what to keep of a chunk, and who writes next. Pure; no I/O.

A turn has three steps: the model whose turn it is continues the text (`Chunk`); its boundary
predictor judges the new text together with the pending text (`Passage` → `Judgement`); `settle`
decides what is kept (paper, section 2.2 and Algorithm 1).

Three rules, each tested under its name:

*Purity*: a word is committed only if the predictor judged it to be the writer's kind, or if
Progress forced it, and then it is marked. A word that is incomplete, or that the predictor has not
decided, stays pending: the same model continues from it, and it is judged again.

*Progress*: every turn adds a word, lengthens the pending text (which is bounded), or hands over.
After an empty turn the other model's first word is kept, whatever the predictor says. If that model
writes nothing at all, the sample fails (`no_progress`) instead of going on forever.

*Seams*: only whole units (see `tessy.method.words`) are kept at a hand-over. So with deterministic
models, and a predictor that judges a word by the text before it, the result does not depend on the
size of the chunks. And the next writer does not lengthen the last word: if its text would, that
text is discarded, and it writes again after a blank.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

from tessy.method.judgement import Judgement, Passage
from tessy.method.trajectory import Outcome, Part, Role, Trajectory, Turn
from tessy.method.words import Unit, complete, joins_words, units

LOOKAHEAD_WORDS = 8
"""Complete words that a predictor may leave undecided; older ones count as settled."""


class Finish(StrEnum):
    """Why a model stopped writing."""

    LENGTH = "length"
    """It wrote as many tokens as the call asked for."""
    ENDED = "ended"
    """It ended its text, or the thinking: end marker, stop token or end of text."""


class Chunk(NamedTuple):
    """What a model wrote in one turn, without markers.

    Attributes:
        text: The text, cut off at an end marker.
        finish: Why the model stopped.
        tokens: Tokens that it generated, as its server counts them.
        ids: Their ids, where the server returns them.
        asked: The maximum number of tokens that the call asked for.
        retracted: Characters at the end of the pending text that turned out to be the beginning of
            an end marker, and so are not text.
    """

    text: str
    finish: Finish
    tokens: int
    ids: tuple[int, ...] | None = None
    asked: int = 0
    retracted: int = 0


def passage(trajectory: Trajectory, chunk: Chunk, judged: int = 0) -> Passage:
    """The passage to judge: pending and new text, with the committed text as context.

    Args:
        trajectory: The state before the turn.
        chunk: What the model wrote.
        judged: Characters of the passage's text that were judged while it was being written.
    """
    text = _written(trajectory, chunk)
    return Passage(
        role=trajectory.role,
        context=trajectory.thinking,
        text=text,
        final=chunk.finish is Finish.ENDED,
        judged=min(judged, len(text)),
    )


def settle(trajectory: Trajectory, chunk: Chunk, judgement: Judgement) -> Turn:
    """Decide what to keep of a chunk of thinking, what to discard, and who writes next.

    Args:
        trajectory: The state before the turn.
        chunk: What the model wrote.
        judgement: The predictor's judgement of `passage(trajectory, chunk)`.

    Returns:
        The turn to apply.
    """
    if lengthens_word(trajectory, chunk.text):
        return _after_a_blank(trajectory, chunk)
    text = _written(trajectory, chunk)
    final = chunk.finish is Finish.ENDED
    found = units(text)
    words = complete(text, found, final=final)
    boundary = _snap(words, judgement.boundary)
    if boundary is None and judgement.final and not _is_needed(trajectory, words):
        boundary = _snap(found, judgement.boundary)
    if boundary is None:
        settled = max(judgement.settled, judgement.boundary or 0)
        return _no_boundary(trajectory, chunk, text, words, settled)
    if boundary == _first_word_start(found) and trajectory.span_kept == 0:
        return _nothing_of_its_kind(trajectory, chunk, text, words)
    return _turn(
        trajectory,
        chunk,
        Outcome.HANDED_OVER,
        text,
        kept=boundary,
        discarded_from=boundary,
        confidence=judgement.confidence,
    )


def lengthens_word(trajectory: Trajectory, text: str) -> bool:
    """Whether new text would lengthen the last word before the seam (*Seams*).

    Args:
        trajectory: The state before the turn.
        text: The beginning of what the model wrote.
    """
    begins = not trajectory.span_kept and not trajectory.pending
    return begins and joins_words(trajectory.thinking, text)


def _after_a_blank(trajectory: Trajectory, chunk: Chunk) -> Turn:
    """Discard a chunk; the model writes again, after a blank that becomes its own."""
    return Turn(
        role=trajectory.role,
        part=Part.THINKING,
        outcome=Outcome.WENT_ON,
        pending=" ",
        discarded=chunk.text,
        tokens=chunk.tokens,
        discarded_tokens=chunk.tokens,
        asked=chunk.asked,
    )


def _written(trajectory: Trajectory, chunk: Chunk) -> str:
    pending = trajectory.pending
    return pending[: len(pending) - chunk.retracted] + chunk.text


def _no_boundary(
    trajectory: Trajectory, chunk: Chunk, text: str, words: list[Unit], settled: int
) -> Turn:
    """All text that can be judged is the writer's kind: it continues, ends, or wrote nothing."""
    if chunk.finish is Finish.ENDED:
        end = len(text.rstrip())
        empty = not end and not trajectory.thinking.strip()
        outcome = Outcome.EMPTY if empty else Outcome.CLOSED
        return _turn(trajectory, chunk, outcome, text, kept=end, discarded_from=end)
    if len(words) > LOOKAHEAD_WORDS:
        settled = max(settled, words[-LOOKAHEAD_WORDS - 1].word_end)
    kept = max((word.word_end for word in words if word.word_end <= settled), default=0)
    if not chunk.text:  # it will not complete a pending word: the other model writes next
        return _turn(trajectory, chunk, Outcome.EMPTY, text, kept=kept, discarded_from=kept)
    return _turn(trajectory, chunk, Outcome.WENT_ON, text, kept=kept, discarded_from=len(text))


def _nothing_of_its_kind(
    trajectory: Trajectory, chunk: Chunk, text: str, words: list[Unit]
) -> Turn:
    """The very first word is of the other kind: hand over, and keep it only for Progress."""
    if trajectory.idle == 0:
        return _turn(trajectory, chunk, Outcome.HANDED_OVER, text, kept=0, discarded_from=0)
    end = next(word.word_end for word in words if word.word_end > word.word_start)
    return _turn(
        trajectory, chunk, Outcome.HANDED_OVER, text, kept=end, discarded_from=end, forced=True
    )


def _is_needed(trajectory: Trajectory, words: list[Unit]) -> bool:
    """Whether Progress needs the first word, whatever its kind, and it is incomplete."""
    first = any(word.word_end > word.word_start for word in words)
    return trajectory.idle > 0 and trajectory.span_kept == 0 and not first


def _snap(words: list[Unit], boundary: int | None) -> int | None:
    """Move a boundary back to the start of its word; None if that word is not in `words`."""
    if boundary is None:
        return None
    for word in words:
        if boundary < word.end and word.word_end > word.word_start:
            return word.start
    return None


def _first_word_start(words: list[Unit]) -> int:
    return next(word.start for word in words if word.word_end > word.word_start)


def _turn(
    trajectory: Trajectory,
    chunk: Chunk,
    outcome: Outcome,
    text: str,
    *,
    kept: int,
    discarded_from: int,
    forced: bool = False,
    confidence: float | None = None,
) -> Turn:
    """Build the turn that keeps `text[:kept]` and discards `text[discarded_from:]`.

    The text between them stays pending. Tokens are divided in proportion to characters.
    """
    pending, discarded = text[kept:discarded_from], text[discarded_from:]
    each = (trajectory.pending_tokens + chunk.tokens) / max(len(text), 1)
    return Turn(
        role=trajectory.role,
        part=Part.THINKING,
        outcome=outcome,
        kept=text[:kept],
        pending=pending,
        discarded=discarded,
        forced=forced,
        tokens=chunk.tokens,
        pending_tokens=round(each * len(pending)),
        discarded_tokens=round(each * len(discarded)),
        ids=chunk.ids,
        asked=chunk.asked,
        confidence=None if confidence is None else round(confidence, 3),
    )


def answer_turn(chunk: Chunk, role: Role = Role.STUDENT) -> Turn:
    """The turn that commits a whole answer, which is not judged or rolled back."""
    return Turn(
        role=role,
        part=Part.ANSWER,
        outcome=Outcome.CLOSED,
        kept=chunk.text.strip(),
        tokens=chunk.tokens,
        ids=None,
        asked=chunk.asked,
    )


def rejected_answer(chunk: Chunk, role: Role = Role.STUDENT) -> Turn:
    """The turn that discards a whole answer, with which the sample fails."""
    return Turn(
        role=role,
        part=Part.ANSWER,
        outcome=Outcome.EMPTY,
        discarded=chunk.text,
        tokens=chunk.tokens,
        discarded_tokens=chunk.tokens,
    )


def hand_over(trajectory: Trajectory) -> Turn:
    """The turn that hands over where a method says so, and not a predictor.

    Pending text is an incomplete word, which the other model can't complete, so it is discarded.
    """
    return Turn(
        role=trajectory.role,
        part=Part.THINKING,
        outcome=Outcome.HANDED_OVER,
        discarded=trajectory.pending,
        discarded_tokens=trajectory.pending_tokens,
    )


def close_thinking(trajectory: Trajectory) -> Turn:
    """The turn that ends the thinking at its limit (`limits.on_thinking_limit = "answer"`).

    Pending text was never judged, so it is discarded (*Purity*).
    """
    return Turn(
        role=trajectory.role,
        part=Part.THINKING,
        outcome=Outcome.CUT_OFF,
        discarded=trajectory.pending,
        discarded_tokens=trajectory.pending_tokens,
    )
