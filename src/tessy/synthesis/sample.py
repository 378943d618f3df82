"""A sample while it is being written: its drafts, of which one becomes its response.

Most methods write one draft. Others write several: candidates to choose from, attempts that a
verifier rejects, texts that only serve another (a reference answer, a judge's words). Each is a
trajectory of its own, and its turns are in the journal, so a sample goes on where it was
whatever it consists of: a method opens the same drafts in the same order again, and finds them as
far as they were written (*Replay*).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from tessy.boundary.batcher import Tell
from tessy.boundary.protocol import Passage
from tessy.config import Config
from tessy.data.questions import Question
from tessy.errors import TessyError
from tessy.method.chunks import ChunkSizes
from tessy.method.trajectory import Role, SampleFailed, Trajectory, Turn, drafts
from tessy.models.session import Model, Voice
from tessy.models.templates import Messages
from tessy.synthesis.cooperation import Session
from tessy.verifiers.protocol import Verdict, VerdictOutcome, Verifier

DRAFTS_A_TRY = 1000
"""Numbers of drafts set apart for each try, so that a later one's do not depend on how many an
earlier one opened."""


@dataclass(slots=True)
class Sample:
    """What a method is given.

    Attributes:
        id: Unique in the run.
        position: Its place in the order of the run's samples, from 0.
        question: What to answer.
        config: The run's settings.
        models: Those that the method needs, by role.
        ask: Has a passage judged; see `Judge.ask`.
        record: Takes down a turn.
        verifier: Checks answers, if the run has one.
        streamed: Roles whose thinking is read as a stream; see `Session`.
        eager: Roles whose predictor is eager; see `Session`.
        sizes: Sizes of chunks.
        attempt: How often the sample failed at earlier starts.
        written: Turns that an earlier start wrote.
    """

    id: str
    position: int
    question: Question
    config: Config
    models: Mapping[Role, Model]
    ask: Callable[[Passage, Tell], None]
    record: Callable[[Turn], None]
    verifier: Verifier | None = None
    streamed: frozenset[Role] = frozenset()
    eager: frozenset[Role] = frozenset()
    sizes: ChunkSizes = field(default_factory=lambda: ChunkSizes({}))
    attempt: int = 0
    written: Sequence[Turn] = ()
    verdict: Verdict | None = None
    """That of the response, if there is one."""
    sessions: list[Session] = field(default_factory=list)
    """The drafts of the current try, in the order in which they were opened."""
    _try: int = 0
    _drafts: dict[int, Trajectory] = field(default_factory=dict)  # of all tries
    _asides: set[int] = field(default_factory=set)
    _verdicts: dict[int, Verdict] = field(default_factory=dict)  # of all tries' drafts
    _voices: list[Voice] = field(default_factory=list)
    _requests: int = 0  # of voices that left
    _there: Mapping[int, list[Turn]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._there = drafts(self.written)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._leave()

    async def draft(self, messages: Messages | None = None, *, aside: bool = False) -> Session:
        """Open the next draft, or take it up again where an earlier start left it.

        Args:
            messages: What the models answer; by default the question.
            aside: It only serves other drafts and can't become the response.
        """
        number = self._try * DRAFTS_A_TRY + len(self.sessions)
        turns = self._there.get(number, [])
        messages = self.messages if messages is None else messages
        voices = {role: model.join(messages, self.id) for role, model in self.models.items()}
        self._voices += voices.values()
        session = Session(
            sample_id=self.id,
            config=self.config,
            voices=voices,
            ask=self.ask,
            record=self.record,
            streamed=self.streamed,
            eager=self.eager,
            sizes=self.sizes,
            attempt=self.attempt,
            draft=number,
            trajectory=Trajectory.replay(turns),
        )
        self.sessions.append(session)
        self._drafts[number] = session.trajectory
        if aside:
            self._asides.add(number)
        if turns and session.trajectory.set_aside is None:
            for voice in voices.values():
                await voice.replay(turns)
        return session

    @property
    def messages(self) -> Messages:
        """The question's."""
        return list(self.question.messages)

    async def verify(self, session: Session) -> Verdict | None:
        """Have a draft's answer checked, once; None if the run has no verifier.

        Raises:
            TessyError: The verifier can't go on, so no sample can be verified any more.
        """
        if self.verifier is None:
            return None
        if session.draft not in self._verdicts:
            self._verdicts[session.draft] = await self._verified(self.verifier, session)
        return self._verdicts[session.draft]

    async def _verified(self, verifier: Verifier, session: Session) -> Verdict:
        try:
            return await verifier.verify(self.question.row, session.trajectory.answer)
        except TessyError:
            raise
        except Exception as error:  # it may be the user's code: anything may happen
            return Verdict(VerdictOutcome.ERROR, detail=f"verifier {verifier.name}: {error!r}")

    def choose(self, session: Session, why: Callable[[Session], str]) -> Session:
        """Make one draft the response: the others of this try are set aside.

        Args:
            session: The one.
            why: What to say of each of the others.
        """
        for other in self.sessions:
            if other is not session:
                other.set_aside(why(other))
        return session

    def give_up(self, failed: SampleFailed) -> None:
        """Set all drafts of this try aside, since it failed, and begin the next one."""
        for session in self.sessions:
            session.set_aside(failed.detail, failed.failure)
        self._begin_next()

    def fail(self, failed: SampleFailed) -> None:
        """Set all drafts of the last try aside but the one that stands for the sample."""
        shown = self.shown
        for session in self.sessions:
            if session.trajectory is not shown:
                session.set_aside(failed.detail, failed.failure)

    def skip_given_up(self) -> bool:
        """If an earlier start gave this try up and began another, pass it over; whether it did."""
        first = (self._try + 1) * DRAFTS_A_TRY
        if not any(number >= first for number in self._there):
            return False
        for number, turns in self._there.items():
            if first - DRAFTS_A_TRY <= number < first:
                self._drafts[number] = Trajectory.replay(turns)
        self._begin_next()
        return True

    def _begin_next(self) -> None:
        self._leave()
        self._try += 1
        self.sessions = []
        self.verdict = None

    def _leave(self) -> None:
        for voice in self._voices:
            self._requests += voice.requests
            voice.leave()
        self._voices = []

    @property
    def shown(self) -> Trajectory:
        """The draft that stands for the sample: its response, or else the last try's latest."""
        drafts = [session.trajectory for session in self.sessions]
        tries = [s.trajectory for s in self.sessions if s.draft not in self._asides]
        left = [draft for draft in tries if draft.set_aside is None]
        found = left or tries or drafts
        return found[-1] if found else Trajectory()

    @property
    def others(self) -> list[Trajectory]:
        """All drafts but the one that stands for the sample."""
        shown = self.shown
        return [draft for draft in self._drafts.values() if draft is not shown]

    @property
    def requests(self) -> int:
        """Calls made since this start."""
        return self._requests + sum(voice.requests for voice in self._voices)
