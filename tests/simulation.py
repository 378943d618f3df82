"""Two simulated models and a predictor, for tests of the method without a network.

The models are deterministic functions of the text so far, as greedy models are: what they write
next depends on what is written and pending, not on how it was cut into chunks.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from tessy.boundary.batcher import Tell
from tessy.method.judgement import Judgement, Passage
from tessy.config import Config
from tessy.method.chunks import ChunkSizes
from tessy.method.trajectory import Role, Trajectory, Turn
from tessy.method.turns import Chunk, Finish
from tessy.method.words import Unit, complete, units
from tessy.synthesis.cooperation import Session, answer, think

END = "\x00end"


@dataclass
class ScriptedVoice:
    """Continues a text by what `next_text(text so far)` says; one character is one token."""

    next_text: Callable[[str], str]
    answers: str = "the answer"
    requests: int = 0
    events: Sequence[int] = (1,)
    """Characters of the events of a stream, over and over."""

    async def follow(self, trajectory: Trajectory, max_tokens: int, seed: int, new_reader):
        """As `continue_`, but in pieces, until the reader has enough of them."""
        whole = await self.continue_(trajectory, max_tokens, seed)
        reader, found = new_reader(), []
        reader.begin(lambda event, error: found.append((event, error)))
        ends, at = [], 0
        for size in itertools.cycle(self.events):
            if at >= len(whole.text):
                return whole, reader
            piece = whole.text[at : at + size]
            at += len(piece)
            ends.append(at)
            reader.read(piece, len(ends))
            if found:
                ((event, error),) = found
                if error:
                    raise error
                return Chunk(whole.text[: ends[event - 1]], Finish.LENGTH, ends[event - 1]), reader

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
            if word.word_start == word.word_end or word.end <= passage.judged:
                continue
            if self._differs(passage, word):
                judgement = Judgement(word.word_start, word.word_start)
                break
        self.judged.append((passage, judgement))
        return judgement

    def _differs(self, passage: Passage, word: Unit) -> bool:
        before = passage.context + passage.text[: word.word_start]
        kind = self.is_style(before, passage.text[word.word_start : word.word_end])
        return kind != (passage.role is Role.STUDENT)


class EagerPredictor(WordPredictor):
    """Judges a word by its first character, so it is sure of words that are not complete."""

    judges_partial_words = True

    def __init__(self) -> None:
        super().__init__(lambda before, word: not word[0].isdigit() and word[0] != "W")

    def _judge(self, passage: Passage) -> Judgement:
        judgement = super()._judge(passage)
        if judgement.boundary is not None:
            return judgement._replace(final=True)
        last = [word for word in units(passage.text) if word.word_end > word.word_start][-1:]
        if last and last[0].end > passage.judged and self._differs(passage, last[0]):
            return Judgement(last[0].word_start, last[0].word_start, final=True)
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
    update = {
        role.value: made.of(role).model_copy(update={"chunk": size, "span_tokens": size})
        for role, size in sizes.items()
    }
    return made.model_copy(update=update)


def session(
    student: ScriptedVoice,
    teacher: ScriptedVoice,
    predictor: WordPredictor,
    settings: Config,
    *,
    streamed: bool = False,
) -> tuple[Session, list[Turn]]:
    turns: list[Turn] = []

    def ask(passage: Passage, tell: Tell) -> None:
        tell(predictor.judge([passage])[0])

    voices = {Role.STUDENT: student, Role.TEACHER: teacher}
    roles = frozenset(Role)
    made = Session(
        sample_id="s",
        config=settings,
        voices=voices,  # type: ignore[arg-type]
        ask=ask,
        record=turns.append,
        streamed=roles if streamed else frozenset(),
        eager=roles if getattr(predictor, "eager", False) else frozenset(),
        sizes=ChunkSizes({role: settings.of(role).chunk for role in Role}),
    )
    return made, turns


async def together(session: Session) -> None:
    """Have both write a sample as TESSY does."""
    await think(session)
    await answer(session)


def run(coroutine):
    return asyncio.run(coroutine)
