"""The rules of Algorithm 1: what to keep of a chunk, and who goes next. Pure; no I/O.

A turn in three steps: the model whose turn it is continues the text (`Chunk`); what it wrote,
with what was pending, is shown to its boundary predictor (`Passage` → `Judgement`); `settle`
decides what is kept (paper, section 2.2 and Algorithm 1).

Three rules, each tested under its name:

*Purity*: a word is committed only if the predictor judged it the writer's kind, or Progress
forced it, and then it is marked. A word that is not complete yet, or that the predictor wants
to see more of, stays pending: the same model goes on from it and it is judged again.

*Progress*: every turn adds a word, lengthens the pending text (which is bounded), or hands over;
two empty turns in a row cannot happen, since after an empty turn the other model's first word
is kept whatever the predictor says. If that model writes nothing at all, the sample fails
(`no_progress`) instead of going on forever.

*Seams*: only whole units (see `tessy.method.words`) are kept at a hand-over, so for a deterministic
model and a predictor that judges a word by what precedes it, the text that comes out does not
depend on the size of the chunks.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

from tessy.method.judgement import Judgement, Passage
from tessy.method.trajectory import Outcome, Part, Role, Trajectory, Turn
from tessy.method.words import Unit, complete, units

LOOKAHEAD_WORDS = 8
"""Complete words that a predictor may leave undecided; older ones count as settled."""


class Finish(StrEnum):
    """Why a model stopped writing."""

    LENGTH = "length"
    """It used up the tokens it was asked for."""
    ENDED = "ended"
    """It ended its text, or the thinking: end marker, stop token or end of text."""


class Chunk(NamedTuple):
    """What a model wrote in one turn, without any marker.

    Attributes:
        text: The text; what follows an end marker is cut off already.
        finish: Why it stopped.
        tokens: How many tokens it generated, as its server counts them.
        ids: Their ids, where the server returns them.
        asked: How many it was asked for at most.
        retracted: Characters at the end of the pending text that the chunk shows to have been
            the beginning of an end marker, and so no text.
    """

    text: str
    finish: Finish
    tokens: int
    ids: tuple[int, ...] | None = None
    asked: int = 0
    retracted: int = 0


def passage(trajectory: Trajectory, chunk: Chunk, judged: int = 0) -> Passage:
    """What the predictor has to judge: pending and new text, after the committed text.

    Args:
        trajectory: The state before the turn.
        chunk: What the model wrote.
        judged: Characters of it that were judged already, while it was being written.
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
    """Decide what is kept of a chunk of thinking, what is discarded and who goes on.

    Args:
        trajectory: The state before the turn.
        chunk: What the model wrote.
        judgement: The predictor's judgement of `passage(trajectory, chunk)`.

    Returns:
        The turn to apply.
    """
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


def _written(trajectory: Trajectory, chunk: Chunk) -> str:
    pending = trajectory.pending
    return pending[: len(pending) - chunk.retracted] + chunk.text


def _no_boundary(
    trajectory: Trajectory, chunk: Chunk, text: str, words: list[Unit], settled: int
) -> Turn:
    """All that can be judged is the writer's kind: it goes on, ends, or has fallen silent."""
    if chunk.finish is Finish.ENDED:
        end = len(text.rstrip())
        empty = not end and not trajectory.thinking.strip()
        outcome = Outcome.EMPTY if empty else Outcome.CLOSED
        return _turn(trajectory, chunk, outcome, text, kept=end, discarded_from=end)
    if len(words) > LOOKAHEAD_WORDS:
        settled = max(settled, words[-LOOKAHEAD_WORDS - 1].word_end)
    kept = max((word.word_end for word in words if word.word_end <= settled), default=0)
    if not chunk.text:  # it will not complete a pending word: the other model goes on
        return _turn(trajectory, chunk, Outcome.EMPTY, text, kept=kept, discarded_from=kept)
    return _turn(trajectory, chunk, Outcome.WENT_ON, text, kept=kept, discarded_from=len(text))


def _nothing_of_its_kind(
    trajectory: Trajectory, chunk: Chunk, text: str, words: list[Unit]
) -> Turn:
    """The very first word is the other kind: hand over, unless Progress needs that word."""
    if trajectory.idle == 0:
        return _turn(trajectory, chunk, Outcome.HANDED_OVER, text, kept=0, discarded_from=0)
    end = next(word.word_end for word in words if word.word_end > word.word_start)
    return _turn(
        trajectory, chunk, Outcome.HANDED_OVER, text, kept=end, discarded_from=end, forced=True
    )


def _is_needed(trajectory: Trajectory, words: list[Unit]) -> bool:
    """Whether Progress wants the first word, whatever its kind, and it is not complete yet."""
    first = any(word.word_end > word.word_start for word in words)
    return trajectory.idle > 0 and trajectory.span_kept == 0 and not first


def _snap(words: list[Unit], boundary: int | None) -> int | None:
    """Move a boundary back to the start of the word it falls into; None if that is not there."""
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

    What is between stays pending. Tokens are shared out by characters.
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
    """The turn that commits a whole answer: nobody judges it, nothing is rolled back."""
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
    """The turn that discards a whole answer, since the sample fails with it."""
    return Turn(
        role=role,
        part=Part.ANSWER,
        outcome=Outcome.EMPTY,
        discarded=chunk.text,
        tokens=chunk.tokens,
        discarded_tokens=chunk.tokens,
    )


def close_thinking(trajectory: Trajectory) -> Turn:
    """The turn that ends the thinking at its limit (`limits.on_thinking_limit = "answer"`).

    Pending text was never judged, so it goes (*Purity*).
    """
    return Turn(
        role=trajectory.role,
        part=Part.THINKING,
        outcome=Outcome.CUT_OFF,
        discarded=trajectory.pending,
        discarded_tokens=trajectory.pending_tokens,
    )
