"""Trajectories: what is written for one question, and by whom.

A trajectory is the fold of its turns: only `Trajectory.apply(turn)` changes its text, so a journal
that keeps the turns can rebuild it, and every number about it is derived.

Text is canonical: the thinking and the answer contain no model's markers (docs/method.md).
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
        """The role that writes after a hand-over."""
        return Role.TEACHER if self is Role.STUDENT else Role.STUDENT


class Part(StrEnum):
    """Which part of the response is being written."""

    THINKING = "thinking"
    ANSWER = "answer"


class Outcome(StrEnum):
    """How a turn ended."""

    WENT_ON = "went_on"
    """No text of the other kind was found, or none that can follow: the same model continues."""
    HANDED_OVER = "handed_over"
    """Text of the other kind was found and discarded: the roles switch."""
    EMPTY = "empty"
    """The model wrote nothing that could be kept: the roles switch."""
    CLOSED = "closed"
    """The model ended this part of the response."""
    CUT_OFF = "cut_off"
    """A limit ended this part of the response, as the settings say (`on_thinking_limit`)."""


class Failure(StrEnum):
    """Why a sample failed; docs/failures.md says what to do about each."""

    BAD_QUESTION = "bad_question"
    """The line of the question is malformed (only with `--skip-bad`)."""
    BAD_PROMPT = "bad_prompt"
    """The chat template does not show a message as it is, or text would become a control token."""
    THINKING_LIMIT = "thinking_limit"
    """The thinking did not end within `limits.thinking_tokens`."""
    ANSWER_LIMIT = "answer_limit"
    """The answer did not end within `limits.answer_tokens`."""
    CONTEXT_LIMIT = "context_limit"
    """Prompt and response do not fit into a model's context."""
    REPETITION = "repetition"
    """The text repeats itself."""
    NO_PROGRESS = "no_progress"
    """Neither model writes anything."""
    EMPTY_ANSWER = "empty_answer"
    """The model that was to answer wrote nothing."""
    MARKER = "marker"
    """The answer contains a marker of thinking, so the two could not be told apart."""
    REFUSED = "refused"
    """A server refused the request (4xx, or its content filter)."""
    MODEL_ERROR = "model_error"
    """A call failed at every attempt: connection, timeout, 5xx or a garbled body."""
    PREDICTOR_ERROR = "predictor_error"
    """The boundary predictor raised an error or broke its protocol."""
    REJECTED = "rejected"
    """The verifier accepted none of the attempts (`verify`, `attempts`)."""
    VERIFIER_ERROR = "verifier_error"
    """The verifier failed or could not use its reference, so the answer could not be checked."""
    UNSCORED = "unscored"
    """The teacher gave no candidate a readable score (Teacher-Score), or the question (judge)."""
    CANCELLED = "cancelled"
    """Its client left before its end, or the server was stopped (only with `tessy serve`)."""

    def __repr__(self) -> str:
        """As it is written in files, also in a count of failures that is printed."""
        return repr(self.value)


UNMEASURED = (
    Failure.MODEL_ERROR,
    Failure.REFUSED,
    Failure.CANCELLED,
    Failure.PREDICTOR_ERROR,
    Failure.VERIFIER_ERROR,
    Failure.BAD_QUESTION,
    Failure.BAD_PROMPT,
)
"""Failures that say nothing about the model that was to answer. In an evaluation, every other one
counts as a wrong answer."""


class SampleFailed(Exception):
    """A sample or a draft ends without an answer; the scheduler records it as a failure.

    Args:
        failure: The documented reason.
        detail: What happened, in a sentence.
    """

    def __init__(self, failure: Failure, detail: str) -> None:
        super().__init__(f"{failure}: {detail}")
        self.failure = failure
        self.detail = detail


class Span(NamedTuple):
    """A stretch of text with one author.

    Attributes:
        role: The author.
        start: Offset of its first character within its part (thinking or answer).
        end: Offset after its last character.
        forced: Kept only to guarantee *Progress*; see `tessy.method.turns`.
        tolerated: Of the other model's kind, but too short for a hand-over; see
            `tessy.method.judging`.
    """

    role: Role
    start: int
    end: int
    forced: bool = False
    tolerated: bool = False


class UndecidedSpan(NamedTuple):
    """What is known of a span of the other kind that may be too short for a hand-over.

    Words are judged with the words after them, so a later judgement may differ: what was decided
    stays decided when a request ends (*Replay*). Offsets are into the pending text.

    Attributes:
        start: The start of the span.
        begin: From where on the text is read as `foreign` says.
        judged: Characters from there on that are judged.
        foreign: The span is not known to end; otherwise it ends at `begin`, if the next word is
            the writer's.
        confidence: See `Turn.confidence`.
    """

    start: int
    begin: int
    judged: int
    foreign: bool
    confidence: float | None

    def moved(self, by: int) -> UndecidedSpan:
        """The same in a text that begins `by` characters later."""
        return self._replace(start=self.start - by, begin=self.begin - by)


class Turn(NamedTuple):
    """One generate-then-rollback step: `pending + generated = kept + new pending + discarded`.

    The new pending text may also be a blank that nobody generated, for the seam before it; see
    `tessy.method.turns`.

    Attributes:
        role: Whose turn it was.
        part: The part that was being written.
        outcome: How it ended.
        kept: Text committed by this turn.
        pending: Text generated but not yet judged; the same role continues from it.
        discarded: Text rolled back.
        forced: `kept` is kept only for *Progress*.
        tokens: Tokens that the model generated in this turn.
        pending_tokens: Tokens of `pending`.
        discarded_tokens: Tokens rolled back, including tokens that were pending before.
        ids: Token ids that the model generated, where its server returns them.
        asked: The maximum number of tokens that the call asked for.
        confidence: The predictor's probability that the text at the boundary is of the other kind;
            None if it gives none.
        tolerated: Spans of `kept` that are of the other kind, but too short for a hand-over.
        waits: What is known of such a span in `pending` that is not decided.
        copied: `kept` was written in another draft, and its tokens count as generated there.
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
    tolerated: tuple[tuple[int, int], ...] = ()
    waits: UndecidedSpan | None = None
    copied: bool = False


class DraftKey(NamedTuple):
    """Identifies a draft of a sample.

    Attributes:
        attempt: The number of the attempt, from 0.
        number: The number of the draft in that attempt, from 0.
    """

    attempt: int
    number: int


class Rejection(NamedTuple):
    """Why a draft was rejected; all of its tokens count as discarded.

    Attributes:
        why: The reason, in words.
        failure: The failure, if the draft failed.
    """

    why: str
    failure: Failure | None = None


@dataclass(frozen=True, slots=True)
class Discard:
    """Text that a turn rolled back, and its offset: where it would have been."""

    role: Role
    part: Part
    at: int
    text: str


@dataclass(slots=True)
class Trajectory:
    """The state of one draft of a sample: the fold of its turns.

    *Provenance* is kept here: spans grow only together with the text that they cover, so they
    always partition it, and every character has exactly one author.
    """

    thinking: str = ""
    answer: str = ""
    spans: dict[Part, list[Span]] = field(
        default_factory=lambda: {Part.THINKING: [], Part.ANSWER: []}
    )
    discards: list[Discard] = field(default_factory=list)
    asked: list[int] = field(default_factory=list)
    """The maximum number of tokens that each turn asked for, in order."""
    confidence: list[tuple[int, float]] = field(default_factory=list)
    """Offset and confidence of each hand-over whose predictor gave a confidence."""
    part: Part = Part.THINKING
    done: bool = False
    role: Role = Role.STUDENT
    pending: str = ""
    pending_tokens: int = 0
    waits: UndecidedSpan | None = None
    idle: int = 0
    """Consecutive hand-overs with no text kept between them."""
    span_kept: int = 0
    """Characters committed since the last hand-over."""
    turns: int = 0
    generated: dict[Role, int] = field(default_factory=lambda: dict.fromkeys(Role, 0))
    discarded: dict[Role, int] = field(default_factory=lambda: dict.fromkeys(Role, 0))
    copied: dict[Role, int] = field(default_factory=lambda: dict.fromkeys(Role, 0))
    """Tokens kept that were generated in another draft."""
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
        """Whether the thinking is still being written."""
        return self.part is Part.THINKING

    @property
    def text(self) -> str:
        """The committed text of the part that is being written."""
        return self.thinking if self.part is Part.THINKING else self.answer

    @property
    def tokens(self) -> dict[Role, int]:
        """Tokens kept, by role."""
        return {role: self.generated[role] - self.discarded[role] for role in Role}

    def apply(self, turn: Turn) -> None:
        """Add a turn: commit its text and update the state."""
        self.turns += 1
        self.asked.append(turn.asked)
        self.generated[turn.role] += turn.tokens
        self.copied[turn.role] += turn.tokens if turn.copied else 0
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
        begin, at = len(self.text), 0
        if turn.part is Part.THINKING:
            self.thinking += turn.kept
        else:
            self.answer += turn.kept
        for start, end in turn.tolerated:
            self._add(Span(turn.role, begin + at, begin + start, turn.forced), turn.part)
            self._add(Span(turn.role, begin + start, begin + end, tolerated=True), turn.part)
            at = end
        self._add(Span(turn.role, begin + at, begin + len(turn.kept), turn.forced), turn.part)
        self.span_kept += len(turn.kept)

    def _add(self, span: Span, part: Part) -> None:
        """Add a span that begins where the last one ends."""
        spans = self.spans[part]
        last = spans[-1] if spans else None
        if span.start == span.end:
            return
        if last and last == span._replace(start=last.start, end=last.end):
            spans[-1] = span._replace(start=last.start)
        else:
            spans.append(span)

    def _move_on(self, turn: Turn) -> None:
        switches = turn.outcome in (Outcome.HANDED_OVER, Outcome.EMPTY)
        self.pending = turn.pending
        self.pending_tokens = turn.pending_tokens
        self.waits = turn.waits
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
