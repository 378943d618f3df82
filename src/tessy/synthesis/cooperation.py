"""Cooperation: one trajectory, from question to answer; by both models, or by one alone.

    turns       decides, without I/O: what to keep of a chunk, who goes next
    reading     decides, without I/O: what of a streamed span is to be judged when
    voices      continue the text: `models.voice`
    judge       finds where the kind of text changes: `boundary.judge`
    guard       notices that the text goes round in circles: `repetition`
    record      takes down each turn: the run's journal

None of them imports this module.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from tessy.boundary.batcher import Tell, judged
from tessy.boundary.protocol import Judgement, Passage
from tessy.config import SMALLEST_CHUNK, Config, Limits, OnLimit
from tessy.data.record import MARKERS
from tessy.errors import PredictorError
from tessy.method import turns
from tessy.method.chunks import ChunkSizes
from tessy.method.reading import Reading
from tessy.method.repetition import RepetitionGuard
from tessy.method.trajectory import (
    Failure,
    Outcome,
    Part,
    Role,
    SampleFailed,
    SetAside,
    Trajectory,
    Turn,
)
from tessy.method.turns import Chunk, Finish
from tessy.models.following import Enough
from tessy.models.session import Voice


@dataclass(slots=True)
class Session:
    """All that one draft of a sample needs to be written; most samples have but one.

    Attributes:
        sample_id: Unique in the run.
        config: The run's settings.
        voices: The models, by role.
        ask: Has a passage judged; see `Judge.ask`.
        record: Takes down a turn.
        streamed: Roles whose thinking is read as a stream, a span a request; others write chunks.
        eager: Roles whose predictor may be sure of words that are not complete.
        sizes: How much to ask for where chunks are written.
        attempt: How often the sample failed before; another attempt has other seeds.
        draft: Which of the sample's drafts this is.
        trajectory: What is written so far; not empty when a run goes on.
    """

    sample_id: str
    config: Config
    voices: Mapping[Role, Voice]
    ask: Callable[[Passage, Tell], None]
    record: Callable[[Turn], None]
    streamed: frozenset[Role] = frozenset()
    eager: frozenset[Role] = frozenset()
    sizes: ChunkSizes = field(default_factory=lambda: ChunkSizes({}))
    attempt: int = 0
    draft: int = 0
    trajectory: Trajectory = field(default_factory=Trajectory)
    _span_tokens: int = 0

    @property
    def limits(self) -> Limits:
        """The bounds of this sample."""
        return self.config.limits

    @property
    def seed(self) -> int:
        """The seed of the next call: a function of run, sample, attempt, draft, turn (*Replay*)."""
        draft = f"{self.draft}/" if self.draft else ""  # runs of one draft are as they always were
        place = f"{self.attempt}/{draft}{self.trajectory.turns}"
        key = f"{self.config.seed}/{self.sample_id}/{place}"
        return int.from_bytes(hashlib.blake2b(key.encode(), digest_size=4).digest())

    async def judge(self, passage: Passage) -> Judgement:
        """The judgement of a passage.

        Raises:
            PredictorError: There is none.
        """
        return await judged(self.ask, passage)

    async def commit(self, turn: Turn) -> None:
        """Add a turn to the trajectory and show it to both models and the journal."""
        before = self.trajectory.pending
        turn = turn._replace(draft=self.draft) if self.draft else turn
        self.trajectory.apply(turn)
        self._span_tokens += turn.tokens - turn.discarded_tokens
        if turn.outcome is Outcome.HANDED_OVER:
            self.sizes.handed_over(turn.role, self._span_tokens)
            self._span_tokens = 0
        for voice in self.voices.values():
            await voice.observe(before, turn, self.trajectory)
        self.record(turn)

    def set_aside(self, why: str, failure: Failure | None = None) -> None:
        """Make this draft one that is not the sample's response; its text stays in the trace.

        Args:
            why: In words.
            failure: The reason, if it failed.
        """
        reason = self.trajectory.set_aside or SetAside(why, failure)
        for turn in turns.set_aside(self.trajectory, reason):
            turn = turn._replace(draft=self.draft)
            self.trajectory.apply(turn)
            self.record(turn)


Writer = Callable[[Session, int], Awaitable[tuple[Chunk, Judgement]]]
"""Has the model whose turn it is write at most so many tokens, and judges them."""


async def think(session: Session) -> None:
    """Write the thinking together: generate, judge, roll back, hand over."""
    await _think(session, generate)


async def think_alone(session: Session, role: Role, *, until: int | None = None) -> None:
    """Let one model write the thinking; nobody judges it, nothing is rolled back.

    Args:
        session: What is written.
        role: Who writes.
        until: Stop when the whole thinking has so many tokens; by default when it has ended.
    """
    session.trajectory.role = role
    await _think(session, generate_alone, alone=True, until=until)


async def _think(
    session: Session, write: Writer, *, alone: bool = False, until: int | None = None
) -> None:
    trajectory = session.trajectory
    guard = RepetitionGuard()
    if trajectory.part is Part.THINKING:
        _check_circles(guard, trajectory.thinking, session)
    while trajectory.part is Part.THINKING and not is_set_aside(session):
        if until is not None and trajectory.thinking_tokens >= until:
            return
        budget = session.limits.thinking_tokens - trajectory.thinking_tokens
        if budget < SMALLEST_CHUNK:
            await at_the_limit(session)
            return
        chunk, judgement = await write(session, budget)
        turn = turns.settle(trajectory, chunk, judgement)
        await session.commit(turn)
        if trajectory.idle > 1:
            raise SampleFailed(Failure.NO_PROGRESS, "neither model writes anything")
        if alone and turn.outcome is Outcome.EMPTY:
            raise SampleFailed(Failure.NO_PROGRESS, f"the {turn.role} writes nothing")
        _check_circles(guard, turn.kept, session)


def _check_circles(guard: RepetitionGuard, text: str, session: Session) -> None:
    """Let the guard see more text; also what an earlier start wrote last, and fails by, here.

    Raises:
        SampleFailed: The text goes round in circles.
    """
    circle = guard.feed(text)
    if circle and session.trajectory.set_aside is None:
        raise SampleFailed(Failure.REPETITION, f"again and again: {circle!r}")


def is_set_aside(session: Session) -> bool:
    """Whether an earlier start set a draft aside, so that nothing more is written to it.

    Raises:
        SampleFailed: It did since the draft had failed; it fails now as it failed then.
    """
    aside = session.trajectory.set_aside
    if aside is not None and aside.failure is not None:
        raise SampleFailed(aside.failure, aside.why)
    return aside is not None


async def generate(session: Session, budget: int) -> tuple[Chunk, Judgement]:
    """Let the model whose turn it is go on, and judge what it writes."""
    role = session.trajectory.role
    if role in session.streamed:
        return await read(session, role, budget)
    size = min(session.sizes.next(role), budget)
    began = time.monotonic()
    chunk = await session.voices[role].continue_(session.trajectory, size, session.seed)
    session.sizes.called(role, chunk.tokens, time.monotonic() - began)
    return chunk, await session.judge(turns.passage(session.trajectory, chunk))


async def generate_alone(session: Session, budget: int) -> tuple[Chunk, Judgement]:
    """Let a model go on that writes alone: in pieces, so that a crash costs no more than one."""
    trajectory = session.trajectory
    size = min(session.config.of(trajectory.role).span_tokens, budget)
    voice = session.voices[trajectory.role]
    chunk = await voice.continue_(trajectory, size, session.seed)
    written = len(trajectory.pending) + len(chunk.text)
    return chunk, Judgement(boundary=None, settled=written)


async def read(session: Session, role: Role, budget: int) -> tuple[Chunk, Judgement]:
    """Read a span while it is being written, and stop its writer where the kind changes."""
    trajectory = session.trajectory
    size = min(session.config.of(role).span_tokens, budget)
    chunk, reader = await session.voices[role].follow(
        trajectory,
        size,
        session.seed,
        lambda: SpanReader(Reading(trajectory, eager=role in session.eager), session.ask),
    )
    reading = reader.reading
    if reading.boundary is not None and chunk.finish is Finish.LENGTH:
        return chunk, reading.boundary
    return chunk, await session.judge(turns.passage(trajectory, chunk, reading.judged))


class SpanReader:
    """Reads a streamed span up to its boundary: a `models.following.Reader`.

    Views are judged one after the other, each as soon as the one before it is, so a slow
    predictor holds up nobody and sees the same as a quick one.

    Args:
        reading: What is read.
        ask: Has a passage judged.
    """

    def __init__(self, reading: Reading, ask: Callable[[Passage, Tell], None]) -> None:
        self.reading = reading
        self._ask = ask
        self._enough: Enough | None = None
        self._views: deque[tuple[int, int]] = deque()  # where each ends, and its event
        self._event = 0
        self._waits = False
        self._steps = False
        self._ended = False
        self._done: asyncio.Future[None] | None = None

    def begin(self, enough: Enough) -> None:
        """See `Reader.begin`."""
        self._enough = enough

    def read(self, text: str, event: int) -> None:
        """See `Reader.read`."""
        if not self._ended:
            for end in self.reading.grow(text):
                self._views.append((end, event))
            self._step()

    async def finish(self) -> None:
        """See `Reader.finish`."""
        if self._waits:
            self._done = asyncio.get_running_loop().create_future()
            await self._done

    def _step(self) -> None:
        """Have views judged for as long as that takes no time."""
        if self._steps:
            return
        self._steps = True
        while self._views and not self._waits and not self._ended:
            end, self._event = self._views.popleft()
            self._waits = True
            self._ask(self.reading.view(end), self._told)
        self._steps = False
        if not self._waits and self._done is not None and not self._done.done():
            self._done.set_result(None)

    def _told(self, told: Judgement | PredictorError) -> None:
        self._waits = False
        error = told if isinstance(told, PredictorError) else None
        if not isinstance(told, PredictorError):
            self.reading.take(told)
        if error or self.reading.boundary is not None:
            self._ended = True
            assert self._enough is not None
            self._enough(self._event, error)
        self._step()


async def at_the_limit(session: Session) -> None:
    """End a thinking that has used up its tokens, as the user wishes."""
    limits = session.limits
    if limits.on_thinking_limit is OnLimit.FAIL:
        raise SampleFailed(
            Failure.THINKING_LIMIT, f"no end within {limits.thinking_tokens} tokens of thinking"
        )
    await session.commit(turns.close_thinking(session.trajectory))


async def answer(session: Session, role: Role = Role.STUDENT) -> None:
    """Let one model, the student, write the answer alone (Fig. 9: the teacher's does harm)."""
    if session.trajectory.done or is_set_aside(session):
        return
    limit = session.limits.answer_tokens
    chunk = await session.voices[role].answer(session.trajectory, limit, session.seed)
    if wrong := fault_of_answer(chunk, role):
        await session.commit(turns.rejected_answer(chunk, role))
        raise wrong
    await session.commit(turns.answer_turn(chunk, role))


def fault_of_answer(chunk: Chunk, role: Role) -> SampleFailed | None:
    """Why an answer can't be kept, if it can't."""
    if chunk.finish is not Finish.ENDED:
        detail = f"no end within {chunk.tokens} tokens of answer"
        return SampleFailed(Failure.ANSWER_LIMIT, detail)
    if not chunk.text.strip():
        return SampleFailed(Failure.EMPTY_ANSWER, f"the {role} wrote no answer")
    for marker in MARKERS:
        if marker in chunk.text:
            return SampleFailed(Failure.MARKER, f"{marker} stands in the answer")
    if circle := RepetitionGuard().feed(chunk.text):
        return SampleFailed(Failure.REPETITION, f"again and again in the answer: {circle!r}")
    return None
