"""Runs written directly to a journal, for tests of code that reads them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from tessy.data import record
from tessy.data.questions import Question, shard_of
from tessy.method.trajectory import DraftKey, Failure, Outcome, Part, Role, Trajectory, Turn
from tessy.runs.folder import RunFolder, ShardFolder
from tessy.runs.journal import Journal
from tessy.runs.written import Ending

MODELS = {"student": "small", "teacher": "large"}


@dataclass
class Written:
    """A sample: text of the student and the teacher, discarded text between, the answer; what a
    verifier decided, if one was asked."""

    id: str
    question: str = "Why?"
    student: str = "okay, so"
    teacher: str = " x=7"
    discarded: str = " perhaps"
    answer: str = "It is 7."
    failure: Failure | None = None
    extra: dict[str, Any] = field(default_factory=dict)
    drafts: list[dict[str, Any]] = field(default_factory=list)
    seconds: float = 1.5
    student_tokens: int = 10
    teacher_tokens: int = 30
    outcome: str | None = None
    teacher_name: str | None = None

    def turns(self) -> list[Turn]:
        """Its turns."""
        thinking, closed = Part.THINKING, Outcome.CLOSED
        discarded = {"discarded": self.discarded, "discarded_tokens": 4}
        given = Turn(
            Role.STUDENT,
            thinking,
            Outcome.HANDED_OVER,
            kept=self.student,
            tokens=self.student_tokens + 4,
            **discarded,
        )
        taken = Turn(Role.TEACHER, thinking, closed, kept=self.teacher, tokens=self.teacher_tokens)
        return [given, taken, Turn(Role.STUDENT, Part.ANSWER, closed, kept=self.answer)]

    def ending(self, position: int) -> Ending:
        """Its ending."""
        messages = ({"role": "user", "content": self.question},)
        question = Question(position, self.id, messages, self.extra)
        turns = self.turns()[:2] if self.failure else self.turns()
        trajectory = Trajectory.replay(turns)
        verdict = self.outcome and {"outcome": self.outcome, "score": 0.5, "detail": "7 or 8"}
        if self.failure:
            why = "that is why"
            made = record.failed(
                self.id, question, trajectory, self.failure, why, verdict=verdict or None
            )
        else:
            made = record.finished(
                self.id,
                question,
                trajectory,
                method="tessy",
                models=MODELS | ({"teacher_name": self.teacher_name} if self.teacher_name else {}),
                seed=0,
                verdict=verdict or None,
            )
        trace = record.trace(trajectory)
        if self.drafts:
            trace["drafts"] = self.drafts
        return Ending(position, self.id, self.failure, made, trace, self.seconds, 3)


FIRST = DraftKey(0, 0)


def journal_of(shard: ShardFolder) -> Journal:
    """The journal of a shard, in a folder that need not exist."""
    shard.path.mkdir(parents=True, exist_ok=True)
    return Journal(shard)


class Journals:
    """The journals of a run, in which each sample has its place."""

    def __init__(self, journals: list[Journal]) -> None:
        self.all = journals

    def of(self, sample_id: str) -> Journal:
        """The journal of a sample's shard."""
        return self.all[shard_of(sample_id.split("#")[0], len(self.all))]


@asynccontextmanager
async def journals_of(folder: RunFolder, shards: int = 1) -> AsyncIterator[Journals]:
    """The journals of a run's shards, open for writing."""
    async with AsyncExitStack() as stack:
        opened = [journal_of(folder.shard(number)) for number in range(shards)]
        yield Journals([await stack.enter_async_context(journal) for journal in opened])


async def write_run(
    folder: RunFolder,
    ended: list[Written],
    under_way: list[Written] | None = None,
    *,
    shards: int = 1,
) -> None:
    """Write samples that ended, and unfinished ones with their first two turns."""
    async with journals_of(folder, shards) as journals:
        for position, sample in enumerate(ended):
            await journals.of(sample.id).end(sample.ending(position))
        for sample in under_way or []:
            for turn in sample.turns()[:1]:
                journals.of(sample.id).note(sample.id, FIRST, turn, 2.5, 4)
