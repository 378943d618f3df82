"""A sample while it is written: its drafts, one of which becomes its response.

Most methods write one draft. Others write several: candidates to choose from, attempts that a
verifier rejects, texts that only help to write another (a reference answer, the score of a judge).
Each draft has its own trajectory, whose turns are in the journal. So any sample can be resumed: its
method opens the same drafts in the same order, and each has the turns that were written before
(*Replay*).
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Protocol

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
from tessy.runs.plan import Job
from tessy.runs.written import Ending, Entry, Written
from tessy.synthesis.context import ANY_FORM, ResponseForm, RunContext
from tessy.synthesis.routing import teacher_of
from tessy.verifiers.protocol import MissingReference, Verdict, VerdictOutcome


class SampleJournal(Protocol):
    """Where a sample's turns and its end are noted; see `tessy.runs.journal.Journal`."""

    def note(
        self, sample_id: str, key: DraftKey, entry: Entry, seconds: float, requests: int
    ) -> None:
        """Note a turn or a rejection."""

    async def end(self, ending: Ending) -> None:
        """End the sample."""


class Listener(Protocol):
    """Hears the text of a response while it is written."""

    def arrived(self, text: str) -> None:
        """Text that will stay, of a call that goes on: all of it since the last turn.

        A call that is made again begins again.

        Raises:
            SampleFailed: It is not what arrived before, which can't be taken back.
        """

    def committed(self, turn: Turn) -> None:
        """A turn was added to the response.

        Raises:
            SampleFailed: Its text is not what arrived before.
        """


@dataclass(slots=True, eq=False)
class Draft:
    """One draft of a sample.

    Attributes:
        sample: The sample.
        key: Identifies the draft in its sample.
        messages: The conversation that the models respond to.
        auxiliary: It only helps to write other drafts and can't become the response.
        trajectory: The text so far.
        rejection: Why it was rejected; None if it was not. Nothing is added to a rejected draft.
        turn: The turn of the draft with this key that this one becomes: it is not in the journal.
        sessions: Sessions of the models that have written to it since this start.
    """

    sample: Sample
    key: DraftKey
    messages: Messages
    auxiliary: bool = False
    trajectory: Trajectory = field(default_factory=Trajectory)
    rejection: Rejection | None = None
    turn: int | None = None
    sessions: dict[Role, ModelSession] = field(default_factory=dict)
    _span_tokens: int = 0

    @property
    def context(self) -> RunContext:
        """The run's context."""
        return self.sample.context

    @property
    def form(self) -> ResponseForm:
        """What is asked of it; nothing if it can't become the response."""
        return ANY_FORM if self.auxiliary else self.context.form

    @property
    def listener(self) -> Listener | None:
        """Who hears its text; None if nobody does, or if it can't become the response."""
        return None if self.auxiliary or self.turn is not None else self.sample.listener

    @property
    def seed(self) -> int:
        """The seed of the next call: a function of run, sample, draft and turn (*Replay*)."""
        job, (attempt, number) = self.sample.job, self.key
        draft = f"{attempt}.{number}/" if attempt or number else ""
        turn = "" if self.turn is None else f"{self.turn}."
        turn += str(self.trajectory.turns)
        name = job.id if job.seed_key is None else job.seed_key
        key = f"{self.context.config.seed}/{name}/{job.failures}/{draft}{turn}"
        return int.from_bytes(hashlib.blake2b(key.encode(), digest_size=4).digest())

    async def session(self, role: Role) -> ModelSession:
        """The session of one model, which includes the turns of earlier starts.

        Raises:
            ModelError: A call to the server's tokenizer failed.
        """
        if role not in self.sessions:
            model = self.context.models[role]
            session = self.sessions[role] = ModelSession(model, self.messages, self.sample.job.id)
            await session.replay(self.sample.written.turns.get(self.key, ()))
        return self.sessions[role]

    async def commit(self, turn: Turn) -> None:
        """Add a turn to the trajectory, its model's session, the counters and the journal.

        Raises:
            ModelError: A call to the server's tokenizer failed.
            SampleFailed: Its text is not what a listener heard before.
        """
        before = self.trajectory.pending
        self.trajectory.apply(turn)
        self._span_tokens += turn.tokens - turn.discarded_tokens
        if self.turn is None:
            self.sample.note(self.key, turn)
            if not turn.copied:
                self.context.counters.turn(turn)
        if (listener := self.listener) is not None:
            listener.committed(turn)
        if turn.outcome is Outcome.HANDED_OVER and not turn.copied:
            self.context.sizes.handed_over(turn.role, self._span_tokens)
        if self.trajectory.role is not turn.role:
            self._span_tokens = 0
        if (session := self.sessions.get(turn.role)) is not None:
            await session.observe(before, turn, self.trajectory)

    def reject(self, why: str, failure: Failure | None = None, *, note: bool = True) -> None:
        """Reject this draft, if it is not rejected yet; its text stays in the trace.

        Args:
            why: The reason, in words.
            failure: The failure, if the draft failed.
            note: Note the rejection in the journal.
        """
        if self.rejection is None:
            self.rejection = Rejection(why, failure)
            others = [each.trajectory for each in self.sample.drafts if each is not self]
            self.context.counters.reject(self.trajectory, others)
            if note:
                self.sample.note(self.key, self.rejection)

    def close(self) -> None:
        """Close its sessions."""
        for session in self.sessions.values():
            session.close()


@dataclass(slots=True, eq=False)
class Sample:
    """A sample while it is written; a method opens its drafts and writes them.

    Attributes:
        context: The run's context, with the teacher of the current attempt if there are several.
        journal: Where it is noted: the journal of its shard, in a run.
        job: What to write.
        written: What earlier starts wrote.
        drafts: The drafts of the current attempt, in order.
        earlier: The drafts of earlier attempts.
        attempt: The number of the current attempt, from 0.
        verdict: The verdict on the response; None without a verifier.
        listener: Hears the response while it is written; None if nobody does.
        requests: Calls to models, over all starts.
    """

    context: RunContext
    journal: SampleJournal
    job: Job
    written: Written = field(default_factory=Written)
    drafts: list[Draft] = field(default_factory=list)
    earlier: list[Draft] = field(default_factory=list)
    attempt: int = 0
    verdict: Verdict | None = None
    listener: Listener | None = None
    requests: int = field(init=False)
    _started: float = field(default_factory=time.monotonic)
    _verdicts: dict[DraftKey, Verdict] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.requests = self.written.requests
        self._choose_teacher()

    def _choose_teacher(self) -> None:
        self.context = self.context.with_teacher(self.teacher)

    @property
    def teacher(self) -> str | None:
        """The name of the teacher of the current attempt; None if there is only one."""
        return self._teacher_of(self.attempt)

    def _teacher_of(self, attempt: int) -> str | None:
        return teacher_of(self.context.config, self.job.question, self.job.id, attempt)

    @property
    def messages(self) -> Messages:
        """The messages of the question."""
        return list(self.job.question.messages)

    @property
    def seconds(self) -> float:
        """Time spent on it, over all starts."""
        return self.written.seconds + time.monotonic() - self._started

    def draft(self, messages: Messages | None = None, *, auxiliary: bool = False) -> Draft:
        """Open the next draft, with the turns that earlier starts wrote.

        Args:
            messages: The conversation to respond to; by default the question's.
            auxiliary: The draft only helps to write others and can't become the response.
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
        """Note a turn or a rejection of a draft in the journal."""
        self.journal.note(self.job.id, key, entry, self.seconds, self.requests)

    async def begin_request(self) -> None:
        """Wait until this sample may call a model, and count the call."""
        await self.context.gate.enter(self.job.position)
        self.requests += 1
        self.context.counters.requests += 1

    async def verify(self, draft: Draft) -> Verdict | None:
        """The verifier's verdict on a draft's answer.

        None if the run has no verifier, or the question nothing to verify by, which was checked
        before the run (`tessy.synthesis.verification`).

        Each draft is verified only once.

        Raises:
            TessyError: The verifier can't be used any more, so the run has to stop.
        """
        verifier = self.context.verifier
        if verifier is None:
            return None
        if draft.key not in self._verdicts:
            try:
                found = await verifier.verify(self.job.question.row, draft.trajectory.answer)
            except MissingReference:
                return None
            except TessyError:
                raise
            except Exception as error:  # the user's code can raise anything
                detail = f"verifier {verifier.name}: {error!r}"
                found = Verdict(VerdictOutcome.ERROR, detail=detail)
            self._verdicts[draft.key] = found
        return self._verdicts[draft.key]

    def choose(self, draft: Draft, why: Callable[[Draft], str]) -> Draft:
        """Make one draft the response, and reject the others of this attempt.

        Args:
            draft: The response.
            why: Gives the reason for rejecting each of the others.
        """
        for other in self.drafts:
            if other is not draft:
                other.reject(why(other))
        return draft

    def fail_attempt(self, failed: SampleFailed, *, last: bool) -> None:
        """Reject the drafts of a failed attempt; in the last attempt, all but the shown one.

        Rejections of the last attempt are not written to the journal: after a crash it fails again,
        and the sample ends.

        Args:
            failed: How the attempt failed.
            last: It was the last attempt.
        """
        shown = self.shown if last else None
        for draft in self.drafts:
            if draft is not shown:
                draft.reject(failed.detail, failed.failure, note=not last)

    def begin(self, attempt: int) -> None:
        """Begin an attempt; the drafts so far become earlier ones."""
        self.close()
        for key in self.written.keys:
            if self.attempt <= key.attempt < attempt and all(d.key != key for d in self.drafts):
                self.drafts.append(self._restored(key, self.messages))
        self.earlier += self.drafts
        self.drafts, self.attempt, self.verdict = [], attempt, None
        self._choose_teacher()

    def close(self) -> None:
        """Close the drafts of the current attempt."""
        for draft in self.drafts:
            draft.close()

    @property
    def shown(self) -> Draft | None:
        """The draft that represents the sample: its response, or else the latest draft."""
        own = [draft for draft in self.drafts if not draft.auxiliary]
        left = [draft for draft in own if draft.rejection is None]
        return next((found[-1] for found in (left, own, self.drafts) if found), None)

    @property
    def trajectory(self) -> Trajectory:
        """The trajectory of the draft that represents the sample."""
        return self.shown.trajectory if self.shown else Trajectory()

    @property
    def others(self) -> list[RejectedDraft]:
        """All drafts except the one that represents the sample."""
        return [*self._others(self.shown)]

    def _others(self, shown: Draft | None) -> Iterable[RejectedDraft]:
        for draft in (*self.earlier, *self.drafts):
            if draft is not shown:
                rejection = draft.rejection or Rejection("")
                yield RejectedDraft(
                    draft.trajectory, rejection, self._teacher_of(draft.key.attempt)
                )
