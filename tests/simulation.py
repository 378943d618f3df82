"""Two simulated models and a predictor, for tests of the method without a network.

The models are deterministic functions of the text so far, as greedy models are: what they write
next depends on what is written and pending, not on how it was cut into chunks.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from tessy.boundary.protocol import Judgement, Passage
from tessy.config import Config
from tessy.cooperate import Session
from tessy.trajectory import Role, Trajectory, Turn
from tessy.turns import Chunk, Finish
from tessy.words import complete, units

END = "\x00end"


@dataclass
class ScriptedVoice:
    """Continues a text by what `next_text(text so far)` says; one character is one token."""

    next_text: Callable[[str], str]
    answers: str = "the answer"
    requests: int = 0

    async def continue_(self, trajectory: Trajectory, max_tokens: int, seed: int) -> Chunk:
        self.requests += 1
        text = self.next_text(trajectory.thinking + trajectory.pending)
        if not text:
            return Chunk("", Finish.LENGTH, 0)
        if (at := text.find(END)) >= 0 and at < max_tokens:
            return Chunk(text[:at], Finish.ENDED, at + 1)
        text = text[:at] if at >= 0 else text
        return Chunk(text[:max_tokens], Finish.LENGTH, min(max_tokens, len(text)))

    async def answer(self, trajectory: Trajectory, max_tokens: int, seed: int) -> Chunk:
        return Chunk(self.answers, Finish.ENDED, len(self.answers))

    async def observe(self, before: str, turn: Turn, trajectory: Trajectory) -> None:
        pass


@dataclass
class WordPredictor:
    """Judges each complete word by a rule on the text before it and the word itself."""

    is_style: Callable[[str, str], bool]
    name: str = "words"
    batched: bool = False
    judged: list[tuple[Passage, Judgement]] = field(default_factory=list)

    def judge(self, passages: Sequence[Passage]) -> list[Judgement]:
        return [self._judge(passage) for passage in passages]

    def _judge(self, passage: Passage) -> Judgement:
        words = complete(passage.text, units(passage.text), final=passage.final)
        judgement = Judgement(None, words[-1].word_end if words else 0)
        for word in words:
            if word.word_start == word.word_end:
                continue
            before = passage.context + passage.text[: word.word_start]
            kind = self.is_style(before, passage.text[word.word_start : word.word_end])
            if kind != (passage.role is Role.STUDENT):
                judgement = Judgement(word.word_start, word.word_start)
                break
        self.judged.append((passage, judgement))
        return judgement


def config(student_chunk: int = 20, teacher_chunk: int = 20, **limits: object) -> Config:
    made = Config.model_validate(
        {
            "student": {"model": "http://s/v1"},
            "teacher": {"model": "http://t/v1"},
            "limits": {"thinking_tokens": 4000, **limits},
        }
    )
    # A copy is not validated: here a token is a character, so chunks may be of one.
    sizes = {Role.STUDENT: student_chunk, Role.TEACHER: teacher_chunk}
    update = {role.value: made.of(role).model_copy(update={"chunk": sizes[role]}) for role in Role}
    return made.model_copy(update=update)


def session(
    student: ScriptedVoice, teacher: ScriptedVoice, predictor: WordPredictor, settings: Config
) -> tuple[Session, list[Turn]]:
    turns: list[Turn] = []

    async def judge(passage: Passage) -> Judgement:
        return predictor.judge([passage])[0]

    voices = {Role.STUDENT: student, Role.TEACHER: teacher}
    return Session("s", settings, voices, judge, turns.append), turns  # type: ignore[arg-type]


def run(coroutine):
    return asyncio.run(coroutine)
