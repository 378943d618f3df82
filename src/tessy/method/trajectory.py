"""Trajectory: what is written for one question, and by whom.

A trajectory is the fold of its turns: `Trajectory.apply(turn)` is the only way in which it
changes, so a journal that keeps the turns can rebuild it, and every number about it is derived.

Text is canonical: the thinking and the answer without any model's markers (docs/method.md).
Offsets are half-open character offsets.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple


class Role(StrEnum):
    """Who writes: the student (style, and the answer) or the teacher (capability)."""

    STUDENT = "student"
    TEACHER = "teacher"

    @property
    def other(self) -> Role:
        """The role that a hand-over gives the turn to."""
        return Role.TEACHER if self is Role.STUDENT else Role.STUDENT


class Part(StrEnum):
    """Which part of the response is being written."""

    THINKING = "thinking"
    ANSWER = "answer"


class Outcome(StrEnum):
    """How a turn ended."""

    WENT_ON = "went_on"
    """No text of the other kind was seen: the same model goes on."""
    HANDED_OVER = "handed_over"
    """Text of the other kind was found and discarded: the roles switch."""
    EMPTY = "empty"
    """The model wrote nothing that could be kept: the roles switch."""
    CLOSED = "closed"
    """The model ended this part of the response."""
    CUT_OFF = "cut_off"
    """A limit ended this part of the response, by the user's wish."""


class Failure(StrEnum):
    """Why a sample failed; docs/failures.md says what to do about each."""

    BAD_QUESTION = "bad_question"
    """The question's line is malformed (only with `--skip-bad`)."""
    THINKING_LIMIT = "thinking_limit"
    """The thinking did not end within `limits.thinking_tokens`."""
    ANSWER_LIMIT = "answer_limit"
    """The answer did not end within `limits.answer_tokens`."""
    CONTEXT_LIMIT = "context_limit"
    """Prompt and response do not fit a model's context."""
    REPETITION = "repetition"
    """The text repeats itself."""
    NO_PROGRESS = "no_progress"
    """Neither model writes anything."""
    EMPTY_ANSWER = "empty_answer"
    """The student ended the answer without writing one."""
    MARKER = "marker"
    """The answer holds a marker of thinking, so nobody could tell it from the thinking."""
    REFUSED = "refused"
    """A server refused the request (4xx, or its content filter)."""
    MODEL_ERROR = "model_error"
    """A call failed at every attempt: connection, time-out, 5xx or a garbled body."""
    PREDICTOR_ERROR = "predictor_error"
    """The boundary predictor raised, or broke its protocol."""
    REJECTED = "rejected"
    """The verifier accepted none of the attempts (`verify`, `attempts`)."""
    VERIFIER_ERROR = "verifier_error"
    """The verifier broke, or could not use its reference: nobody knows if the answer is right."""
    UNSCORED = "unscored"
    """The teacher gave none of the candidates a score that can be read (Teacher-Score)."""


class SampleFailed(Exception):
    """A sample, or a draft of one, ends without an answer. It is data: the pool makes it a failure.

    Args:
        failure: The documented reason.
        detail: What exactly, in a sentence.
    """

    def __init__(self, failure: Failure, detail: str) -> None:
        super().__init__(f"{failure}: {detail}")
        self.failure = failure
        self.detail = detail


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of text with one author.

    Attributes:
        role: The author.
        start: Offset of the first character in its part (thinking or answer).
        end: Offset after the last.
        forced: Kept only so that the trajectory goes on; see Progress in `tessy.method.turns`.
    """

    role: Role
    start: int
    end: int
    forced: bool = False


class Turn(NamedTuple):
    """One generate-then-rollback step: `pending + generated = kept + new pending + discarded`.

    Attributes:
        role: Whose turn it was.
        part: What was being written.
        outcome: How it ended.
        kept: Text committed by this turn.
        pending: Text generated but not yet judged; the same role goes on from it.
        discarded: Text rolled back.
        forced: `kept` is kept only for Progress.
        tokens: Tokens that the model generated in this turn.
        pending_tokens: Tokens of `pending`.
        discarded_tokens: Tokens rolled back, counting those that were pending before.
        ids: The model's own token ids for what it generated, where its server returns them.
        asked: Tokens that it was asked for at most.
        confidence: The probability of the other kind at the boundary, where its predictor says it.
    """

    role: Role
    part: Part
    outcome: Outcome
    kept: str = ""
    pending: str = ""
    discarded: str = ""
    forced: bool = False
    tokens: int = 0
    pending_tokens: int = 0
    discarded_tokens: int = 0
    ids: tuple[int, ...] | None = None
    asked: int = 0
    confidence: float | None = None


class DraftKey(NamedTuple):
    """Which draft of a sample.

    Attributes:
        attempt: Which attempt at the sample, from 0.
        number: Its place among the drafts of that attempt, from 0.
    """

    attempt: int
    number: int


class Rejection(NamedTuple):
    """Why a draft is not the response of its sample; all of its tokens count as discarded.

    Attributes:
        why: In words.
        failure: The reason, if the draft failed.
    """

    why: str
    failure: Failure | None = None


@dataclass(frozen=True, slots=True)
class Discard:
    """Text that a turn rolled back, and where it would have stood."""

    role: Role
    part: Part
    at: int
    text: str


@dataclass(slots=True)
class Trajectory:
    """The state of one draft of a sample, mostly its only one: the fold of its turns.

    *Provenance* is kept here: spans grow only together with the text that they cover, so they
    always partition it and every character has exactly one author.
    """

    thinking: str = ""
    answer: str = ""
    spans: dict[Part, list[Span]] = field(
        default_factory=lambda: {Part.THINKING: [], Part.ANSWER: []}
    )
    discards: list[Discard] = field(default_factory=list)
    asked: list[int] = field(default_factory=list)
    """Tokens that each turn asked for at most, in order."""
    confidence: list[tuple[int, float]] = field(default_factory=list)
    """Where it was handed over, and how sure the predictor was, where it says so."""
    part: Part = Part.THINKING
    done: bool = False
    role: Role = Role.STUDENT
    pending: str = ""
    pending_tokens: int = 0
    idle: int = 0
    """Hand-overs in a row between which nothing was written."""
    span_kept: int = 0
    """Characters committed since the last hand-over."""
    turns: int = 0
    generated: dict[Role, int] = field(default_factory=lambda: dict.fromkeys(Role, 0))
    discarded: dict[Role, int] = field(default_factory=lambda: dict.fromkeys(Role, 0))
    thinking_tokens: int = 0
    answer_tokens: int = 0
    ended: Outcome | None = None
    """How the thinking ended."""

    @classmethod
    def replay(cls, turns: Iterable[Turn]) -> Trajectory:
        """Rebuild a trajectory from its turns (*Replay*)."""
        trajectory = cls()
        for turn in turns:
            trajectory.apply(turn)
        return trajectory

    @property
    def is_thinking(self) -> bool:
        """Whether the thinking has not ended yet."""
        return self.part is Part.THINKING

    @property
    def text(self) -> str:
        """The text of the part that is being written."""
        return self.thinking if self.part is Part.THINKING else self.answer

    @property
    def tokens(self) -> dict[Role, int]:
        """Tokens kept, by author."""
        return {role: self.generated[role] - self.discarded[role] for role in Role}

    def apply(self, turn: Turn) -> None:
        """Add a turn: its kept text with its author, and the state it leads to."""
        self.turns += 1
        self.asked.append(turn.asked)
        self.generated[turn.role] += turn.tokens
        self.discarded[turn.role] += turn.discarded_tokens
        self.role = turn.role
        self._commit(turn)
        if turn.outcome is Outcome.HANDED_OVER and turn.confidence is not None:
            self.confidence.append((len(self.text), turn.confidence))
        if turn.discarded.strip():
            self.discards.append(Discard(turn.role, turn.part, len(self.text), turn.discarded))
        net = turn.tokens - turn.discarded_tokens
        if turn.part is Part.THINKING:
            self.thinking_tokens += net
        else:
            self.answer_tokens += net
        self._move_on(turn)

    def _commit(self, turn: Turn) -> None:
        if not turn.kept:
            return
        start, end = len(self.text), len(self.text) + len(turn.kept)
        if turn.part is Part.THINKING:
            self.thinking += turn.kept
        else:
            self.answer += turn.kept
        spans = self.spans[turn.part]
        last = spans[-1] if spans else None
        if last and last.role is turn.role and last.forced == turn.forced:
            spans[-1] = Span(turn.role, last.start, end, turn.forced)
        else:
            spans.append(Span(turn.role, start, end, turn.forced))
        self.span_kept += len(turn.kept)

    def _move_on(self, turn: Turn) -> None:
        switches = turn.outcome in (Outcome.HANDED_OVER, Outcome.EMPTY)
        self.pending = turn.pending
        self.pending_tokens = turn.pending_tokens
        if switches:
            self.idle = 0 if self.span_kept else self.idle + 1
            self.span_kept = 0
            self.role = turn.role.other
        elif turn.outcome in (Outcome.CLOSED, Outcome.CUT_OFF):
            if turn.part is Part.THINKING:
                self.part, self.ended = Part.ANSWER, turn.outcome
            else:
                self.done = True
            self.idle = self.span_kept = 0
