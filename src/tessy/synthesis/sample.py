"""A sample while it is written: its drafts, of which one becomes its response.

Most methods write one draft. Others write several: candidates to choose from, attempts that a
verifier rejects, texts that only serve another (a reference answer, the words of a judge). Each is
a trajectory of its own, and its turns are in the journal. So a sample goes on where it was,
whichever drafts it has: a method opens the same drafts in the same order again, and finds them as
far as they were written (*Replay*).
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from tessy.data.record import RejectedDraft
from tessy.errors import TessyError
from tessy.method.trajectory import (
    DraftKey,
    Failure,
    Outcome,
    Rejection,
    Role,
    SampleFailed,
    Trajectory,
    Turn,
)
from tessy.models.session import ModelSession
from tessy.models.templates import Messages
from tessy.runs.journal import Written
from tessy.runs.plan import Job
from tessy.synthesis.context import RunContext
from tessy.verifiers.protocol import Verdict, VerdictOutcome


@dataclass(slots=True, eq=False)
class Draft:
    """One draft of a sample.

    Attributes:
        sample: Whose draft it is.
        key: Which of them.
        messages: What the models answer.
        auxiliary: It only serves other drafts and can't become the response.
        trajectory: What is written so far.
        rejection: Why it is not the response, once that is known; nothing more is written then.
        sessions: The models that have written to it since this start.
    """

    sample: Sample
    key: DraftKey
    messages: Messages
    auxiliary: bool = False
    trajectory: Trajectory = field(default_factory=Trajectory)
    rejection: Rejection | None = None
    sessions: dict[Role, ModelSession] = field(default_factory=dict)
    _span_tokens: int = 0

    @property
    def context(self) -> RunContext:
        """The run's."""
        return self.sample.context

    @property
    def seed(self) -> int:
        """The seed of the next call: a function of run, sample, draft and turn (*Replay*)."""
        job, (attempt, number) = self.sample.job, self.key
        draft = f"{attempt}.{number}/" if attempt or number else ""
        key = f"{self.context.config.seed}/{job.id}/{job.failures}/{draft}{self.trajectory.turns}"
        return int.from_bytes(hashlib.blake2b(key.encode(), digest_size=4).digest())

    async def session(self, role: Role) -> ModelSession:
        """The session of one model; it has seen what an earlier start wrote."""
        if role not in self.sessions:
            model = self.context.models[role]
            session = self.sessions[role] = ModelSession(model, self.messages, self.sample.job.id)
            await session.replay(self.sample.written.turns.get(self.key, ()))
        return self.sessions[role]

    async def commit(self, turn: Turn) -> None:
        """Add a turn to the trajectory, and show it to its model and the journal."""
        before = self.trajectory.pending
        self.trajectory.apply(turn)
        self._span_tokens += turn.tokens - turn.discarded_tokens
        if turn.outcome is Outcome.HANDED_OVER:
            self.context.sizes.handed_over(turn.role, self._span_tokens)
            self._span_tokens = 0
        if (session := self.sessions.get(turn.role)) is not None:
            await session.observe(before, turn, self.trajectory)
        self.context.counters.turn(turn)
        self.sample.note(self.key, turn)

    def reject(self, why: str, failure: Failure | None = None, *, note: bool = True) -> None:
        """Make this draft one that is not the response; its text stays in the trace.

        Args:
            why: In words.
            failure: The reason, if it failed.
            note: Take it down in the journal.
        """
        if self.rejection is None:
            self.rejection = Rejection(why, failure)
            self.context.counters.reject(self.trajectory)
            if note:
                self.sample.note(self.key, self.rejection)

    def close(self) -> None:
        """Give back what its models hold."""
        for session in self.sessions.values():
            session.close()


@dataclass(slots=True, eq=False)
class Sample:
    """What a method is given.

    Attributes:
        context: The run's.
        job: What to write.
        written: What an earlier start wrote of it.
        drafts: Those of the current attempt, in the order in which they were opened.
        earlier: Those of attempts before it.
        attempt: Which attempt it is, from 0.
        verdict: That of the response, if there is one.
        requests: Calls to models, over all starts.
    """

    context: RunContext
    job: Job
    written: Written = field(default_factory=Written)
    drafts: list[Draft] = field(default_factory=list)
    earlier: list[Draft] = field(default_factory=list)
    attempt: int = 0
    verdict: Verdict | None = None
    requests: int = field(init=False)
    _started: float = field(default_factory=time.monotonic)
    _verdicts: dict[DraftKey, Verdict] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.requests = self.written.requests

    @property
    def messages(self) -> Messages:
        """The question's."""
        return list(self.job.question.messages)

    @property
    def seconds(self) -> float:
        """Time spent on it, over all starts."""
        return self.written.seconds + time.monotonic() - self._started

    def draft(self, messages: Messages | None = None, *, auxiliary: bool = False) -> Draft:
        """Open the next draft, or take it up again where an earlier start left it.

        Args:
            messages: What the models answer; by default the question.
            auxiliary: It only serves other drafts and can't become the response.
        """
        key = DraftKey(self.attempt, len(self.drafts))
        draft = self._restored(key, self.messages if messages is None else messages)
        draft.auxiliary = auxiliary
        self.drafts.append(draft)
        return draft

    def _restored(self, key: DraftKey, messages: Messages) -> Draft:
        trajectory = Trajectory.replay(self.written.turns.get(key, ()))
        rejection = self.written.rejections.get(key)
        return Draft(self, key, messages, trajectory=trajectory, rejection=rejection)

    def note(self, key: DraftKey, entry: Turn | Rejection) -> None:
        """Take down what was written to a draft."""
        self.context.journal.note(self.job.id, key, entry, self.seconds, self.requests)

    def count_request(self) -> None:
        """Count a call to a model."""
        self.requests += 1
        self.context.counters.requests += 1

    async def verify(self, draft: Draft) -> Verdict | None:
        """Have a draft's answer checked, once; None if the run has no verifier.

        Raises:
            TessyError: The verifier can't go on, so no sample can be verified any more.
        """
        verifier = self.context.verifier
        if verifier is None:
            return None
        if draft.key not in self._verdicts:
            try:
                found = await verifier.verify(self.job.question.row, draft.trajectory.answer)
            except TessyError:
                raise
            except Exception as error:  # it may be the user's code: anything may happen
                detail = f"verifier {verifier.name}: {error!r}"
                found = Verdict(VerdictOutcome.ERROR, detail=detail)
            self._verdicts[draft.key] = found
        return self._verdicts[draft.key]

    def choose(self, draft: Draft, why: Callable[[Draft], str]) -> Draft:
        """Make one draft the response: the others of this attempt are rejected.

        Args:
            draft: The response.
            why: What to say of each of the others.
        """
        for other in self.drafts:
            if other is not draft:
                other.reject(why(other))
        return draft

    def fail_attempt(self, failed: SampleFailed, *, last: bool) -> None:
        """Reject the drafts of a failed attempt; of the last, the one that is shown stays.

        The journal needs no rejection of the last ones: after a crash they fail again, and the
        end of the sample follows.
        """
        shown = self.shown if last else None
        for draft in self.drafts:
            if draft is not shown:
                draft.reject(failed.detail, failed.failure, note=not last)

    def begin(self, attempt: int) -> None:
        """Begin an attempt; drafts of those before it become earlier ones."""
        self.close()
        for key in self.written.keys:
            if self.attempt <= key.attempt < attempt and all(d.key != key for d in self.drafts):
                self.drafts.append(self._restored(key, self.messages))
        self.earlier += self.drafts
        self.drafts, self.attempt, self.verdict = [], attempt, None

    def close(self) -> None:
        """Give back what its drafts hold."""
        for draft in self.drafts:
            draft.close()

    @property
    def shown(self) -> Draft | None:
        """The draft that stands for the sample: its response, or else the latest one."""
        own = [draft for draft in self.drafts if not draft.auxiliary]
        left = [draft for draft in own if draft.rejection is None]
        return next((found[-1] for found in (left, own, self.drafts) if found), None)

    @property
    def trajectory(self) -> Trajectory:
        """That of the draft that stands for the sample."""
        return self.shown.trajectory if self.shown else Trajectory()

    @property
    def others(self) -> list[RejectedDraft]:
        """All drafts but the one that stands for the sample."""
        return [*self._others(self.shown)]

    def _others(self, shown: Draft | None) -> Iterable[RejectedDraft]:
        for draft in (*self.earlier, *self.drafts):
            if draft is not shown:
                yield RejectedDraft(draft.trajectory, draft.rejection or Rejection(""))
