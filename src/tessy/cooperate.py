"""Cooperation: one trajectory, from question to answer.

    turns       decides, without I/O: what to keep of a chunk, who goes next
    voices      continue the text: `models.voice`
    judge       finds where the kind of text changes: `boundary.judge`
    guard       notices that the text goes round in circles: `repetition`
    record      takes down each turn: the run's journal

None of them imports this module.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from tessy import turns
from tessy.boundary.protocol import Judgement, Passage
from tessy.config import SMALLEST_CHUNK, Config, Limits, OnLimit
from tessy.models.voice import Voice
from tessy.record import MARKERS
from tessy.repetition import RepetitionGuard
from tessy.trajectory import Failure, Part, Role, Trajectory, Turn
from tessy.turns import Chunk, Finish


class SampleFailed(Exception):
    """A sample ends without an answer. It is data: the pool makes a failure of it.

    Args:
        failure: The documented reason.
        detail: What exactly, in a sentence.
    """

    def __init__(self, failure: Failure, detail: str) -> None:
        super().__init__(f"{failure}: {detail}")
        self.failure = failure
        self.detail = detail


@dataclass(slots=True)
class Session:
    """All that one sample needs to be written.

    Attributes:
        sample_id: Unique in the run.
        config: The run's settings.
        voices: The two models, by role.
        judge: Judges a passage.
        record: Takes down a turn.
        attempt: How often the sample failed before; another attempt has other seeds.
        trajectory: What is written so far; not empty when a run goes on.
    """

    sample_id: str
    config: Config
    voices: Mapping[Role, Voice]
    judge: Callable[[Passage], Awaitable[Judgement]]
    record: Callable[[Turn], None]
    attempt: int = 0
    trajectory: Trajectory = field(default_factory=Trajectory)

    @property
    def limits(self) -> Limits:
        """The bounds of this sample."""
        return self.config.limits

    @property
    def seed(self) -> int:
        """The seed of the next call: a function of run, sample, attempt and turn (*Replay*)."""
        key = f"{self.config.seed}/{self.sample_id}/{self.attempt}/{self.trajectory.turns}"
        return int.from_bytes(hashlib.blake2b(key.encode(), digest_size=4).digest())

    async def commit(self, turn: Turn) -> None:
        """Add a turn to the trajectory and show it to both models and the journal."""
        before = self.trajectory.pending
        self.trajectory.apply(turn)
        for voice in self.voices.values():
            await voice.observe(before, turn, self.trajectory)
        self.record(turn)


async def think(session: Session) -> None:
    """Write the thinking: generate, judge, roll back, hand over."""
    trajectory = session.trajectory
    guard = RepetitionGuard()
    guard.feed(trajectory.thinking)
    while trajectory.part is Part.THINKING:
        budget = session.limits.thinking_tokens - trajectory.thinking_tokens
        if budget < SMALLEST_CHUNK:
            await at_the_limit(session)
            return
        chunk = await generate(session, budget)
        judgement = await session.judge(turns.passage(trajectory, chunk))
        turn = turns.settle(trajectory, chunk, judgement)
        await session.commit(turn)
        if trajectory.idle > 1:
            raise SampleFailed(Failure.NO_PROGRESS, "neither model writes anything")
        if circle := guard.feed(turn.kept):
            raise SampleFailed(Failure.REPETITION, f"again and again: {circle!r}")


async def generate(session: Session, budget: int) -> Chunk:
    """Let the model whose turn it is continue the text by at most its chunk size."""
    role = session.trajectory.role
    size = min(session.config.of(role).chunk, budget)
    return await session.voices[role].continue_(session.trajectory, size, session.seed)


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
    if session.trajectory.done:
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
