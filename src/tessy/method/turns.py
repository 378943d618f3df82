"""The rules of Algorithm 1: what to keep of a chunk, and who writes next. Pure; no I/O.

A turn has three steps: the model whose turn it is continues the text (`Chunk`); its boundary
predictor judges the new text together with the pending text (`Passage` → `Judgement`); `settle`
decides what is kept (paper, section 2.2 and Algorithm 1).

Three rules, each tested under its name:

*Purity*: a word is committed only if the predictor judged it to be the writer's kind; if Progress
forced it; or if it is in a span of the other kind that is shorter than the settings want for a
hand-over, which is then tolerated (`tessy.method.judging`). Words of the last two kinds are marked.
A word that is incomplete, or that is not decided, stays pending: the same model continues from it,
and it is judged again.

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

from tessy.method.judgement import Judgement
from tessy.method.trajectory import Outcome, Part, Role, Trajectory, Turn, UndecidedSpan
from tessy.method.words import Unit, complete, joins_words, start_of_word, units

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


def written(trajectory: Trajectory, chunk: Chunk) -> str:
    """The text of the turn that is to be judged: pending and new text.

    Args:
        trajectory: The state before the turn.
        chunk: What the model wrote.
    """
    pending = trajectory.pending
    return pending[: len(pending) - chunk.retracted] + chunk.text


def settle(trajectory: Trajectory, chunk: Chunk, judgement: Judgement) -> Turn:
    """Decide what to keep of a chunk of thinking, what to discard, and who writes next.

    Args:
        trajectory: The state before the turn.
        chunk: What the model wrote.
        judgement: What is known of `written(trajectory, chunk)`; see `tessy.method.judging`.

    Returns:
        The turn to apply.
    """
    if lengthens_word(trajectory, chunk.text):
        return _after_a_blank(trajectory, chunk)
    text = written(trajectory, chunk)
    final = chunk.finish is Finish.ENDED
    found = units(text)
    words = complete(text, found, final=final)
    boundary = start_of_word(words, judgement.boundary)
    if boundary is None and judgement.final and not _is_needed(trajectory, words):
        boundary = start_of_word(found, judgement.boundary)
    if boundary is None:
        return _no_boundary(trajectory, chunk, text, words, judgement)
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
        tolerated=judgement.tolerated,
        waits=judgement.waits,
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


def _no_boundary(
    trajectory: Trajectory, chunk: Chunk, text: str, words: list[Unit], judgement: Judgement
) -> Turn:
    """All that is decided stays with the writer: it continues, ends, or wrote nothing."""
    if chunk.finish is Finish.ENDED:
        end = len(text.rstrip())
        empty = not end and not trajectory.thinking.strip()
        outcome, kept, end = (Outcome.EMPTY if empty else Outcome.CLOSED), end, end
    else:
        settled = max(judgement.settled, judgement.boundary or 0)
        if len(words) > LOOKAHEAD_WORDS:
            settled = max(settled, words[-LOOKAHEAD_WORDS - 1].word_end)
        if judgement.waits is not None:
            settled = min(settled, judgement.waits.start)
        kept = max((word.word_end for word in words if word.word_end <= settled), default=0)
        if chunk.text:
            outcome, end = Outcome.WENT_ON, len(text)
        else:  # it will not complete a pending word: the other model writes next
            outcome, end = Outcome.EMPTY, kept
    return _turn(
        trajectory,
        chunk,
        outcome,
        text,
        kept=kept,
        discarded_from=end,
        tolerated=judgement.tolerated,
        waits=judgement.waits,
    )


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
    tolerated: tuple[tuple[int, int], ...] = (),
    waits: UndecidedSpan | None = None,
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
        tolerated=tuple((start, min(end, kept)) for start, end in tolerated if start < kept),
        waits=waits.moved(kept) if waits and pending else None,
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
