"""Two simulated servers and a predictor, for tests of the method without a network.

Everything except the network is real: sessions, prefixes, leases, drafts. The models are
deterministic functions of the text so far, as greedy models are: what they write next depends on
the text, not on how it was cut into chunks. One character is one token.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import orjson

from tessy.boundary.batcher import PredictorBatcher
from tessy.config import Config, HandOver, ModelRole, NamedTeacher, role_of
from tessy.data.questions import Question
from tessy.method.judgement import Judgement, Passage
from tessy.method.trajectory import DraftKey, Rejection, Role, Turn
from tessy.method.words import Unit, complete, units
from tessy.models.client import Client
from tessy.models.replicas import Replicas
from tessy.models.session import Model
from tessy.models.templates import ChatFormat, Family
from tessy.models.tokenizers import PromptPiece, Token
from tessy.models.wire import Capabilities, Completion, Event, Request
from tessy.runs.counters import Counters
from tessy.runs.plan import Job
from tessy.runs.written import Written
from tessy.synthesis.context import RunContext
from tessy.synthesis.cooperation import answer, think
from tessy.synthesis.sample import Draft, Sample

END = "\x00end"
"""A model writes this to end its thinking."""
OPENS, CLOSES = "\x01", "\x02"
"""The markers before the thinking and the answer in a prompt."""
QUESTION = Question(0, "s", ({"role": "user", "content": "?"},))


class Characters:
    """A tokenizer whose tokens are characters."""

    async def encode(self, piece: PromptPiece, *, begin: bool = False) -> list[int]:
        return [ord(char) for char in piece.text]

    async def tokens(self, ids: Sequence[int]) -> list[Token]:
        return [Token((token,), chr(token)) for token in ids]

    def control_id(self, text: str) -> int | None:
        return None


FORMAT = ChatFormat(
    "simulated",
    Family(opens=OPENS, closes=CLOSES, ends=("</think>",)),
    begin=False,
    _render=lambda messages: [
        PromptPiece(message["content"], control=True) for message in messages
    ],
)


class SimulatedStream:
    """A completion as a stream of events; see `EventStream`."""

    def __init__(self, whole: Completion, sizes: Sequence[int]) -> None:
        self._whole = whole
        self._sizes = itertools.cycle(sizes)
        self._read = 0
        self._ended = False

    async def __aiter__(self) -> AsyncIterator[Event]:
        text = self._whole.text
        while self._read < len(text):
            piece = text[self._read : self._read + next(self._sizes)]
            self._read += len(piece)
            yield Event(piece, None)
        self._ended = True

    def completion(self) -> Completion:
        whole = self._whole
        if self._ended:
            return whole
        ids = whole.ids and whole.ids[: self._read]
        text = whole.text[: self._read]
        return whole._replace(text=text, finish="length", tokens=self._read, ids=ids)


class SimulatedClient(Client):
    """A server that continues a text with `next_text(text so far)`.

    Args:
        next_text: Returns the next text; it stops at `END`.
        answers: The text of every answer.
        events: Lengths of a stream's events in characters, repeated.
        returns_ids: It returns the generated ids.
    """

    def __init__(
        self,
        next_text: Callable[[str], str],
        answers: str = "the answer",
        events: Sequence[int] = (1,),
        *,
        returns_ids: bool = True,
    ) -> None:
        settings = Config.model_validate({"student": {"model": "http://s/v1"}}).student
        capabilities = Capabilities(extensions=True, id_prompts=True)
        super().__init__("http://s/v1", "simulated", settings, capabilities)
        self.next_text = next_text
        self.answers = answers
        self.events = events
        self.returns_ids = returns_ids
        self.prompts: list[str] = []

    async def attempt(self, request: Request, *, stream: bool = False) -> Completion:
        prompt = text_of(request)
        self.prompts.append(prompt)
        thinking, answering, _ = prompt.partition(OPENS)[2].partition(CLOSES)
        if answering:
            return Completion(self.answers, "stop", len(self.answers))
        return self.thinks(thinking, request)

    def thinks(self, text: str, request: Request) -> Completion:
        written, ended, _ = self.next_text(text).partition(END)
        if not written and not ended:
            return Completion("", "length", 0)
        if ended and len(written) < request.max_tokens:
            return self._completion(written, "stop", len(written) + 1)
        written = written[: request.max_tokens]
        return self._completion(written, "length", len(written))

    def _completion(self, text: str, finish: str, tokens: int) -> Completion:
        ids = tuple(map(ord, text)) if self.returns_ids else None
        return Completion(text, finish, tokens, ids=ids)

    @asynccontextmanager
    async def stream(self, request: Request) -> AsyncIterator[SimulatedStream]:
        yield SimulatedStream(await self.attempt(request), self.events)


def text_of(request: Request) -> str:
    """The text of a prompt."""
    prompt = request.prompt
    ids = orjson.loads(b"".join(prompt.parts))
    assert prompt.tokens == len(ids)
    return "".join(map(chr, ids))


def model_of(
    model: ModelRole, client: Client, settings: Config, *, streamed: bool = False
) -> Model:
    return Model(
        role=role_of(model),
        called=f"the {model}",
        teacher=model.name if isinstance(model, NamedTeacher) else None,
        name=f"the {model}",
        servers=Replicas([client]),
        format=FORMAT,
        tokenizer=Characters(),
        settings=settings.of(model),
        context_tokens=100_000,
        ends=("</think>",),
        streamed=streamed,
    )


class Notes:
    """A journal that keeps its notes in a list."""

    def __init__(self) -> None:
        self.entries: list[tuple[DraftKey, Turn | Rejection]] = []

    def note(self, sample_id, key, entry, seconds, requests) -> None:
        self.entries.append((key, entry))


def written(entries: Sequence[tuple[DraftKey, Turn | Rejection]]) -> Written:
    """What a journal returns for a sample with these entries."""
    found = Written()
    for key, entry in entries:
        if isinstance(entry, Turn):
            found.turns.setdefault(key, []).append(entry)
        else:
            found.rejections[key] = entry
    return found


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


class FirstCharacterPredictor(WordPredictor):
    """Judges a word by its first character, so its boundaries at incomplete words are final."""

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


def config(
    student_chunk: int = 20,
    teacher_chunk: int = 20,
    handover: HandOver | None = None,
    **limits: object,
) -> Config:
    made = Config.model_validate(
        {
            "student": {"model": "http://s/v1"},
            "teacher": {"model": "http://t/v1"},
            "limits": {"thinking_tokens": 4000, **limits},
        }
    )
    # A copy is not validated: here a token is a character, so chunks of one token are fine.
    sizes = {Role.STUDENT: student_chunk, Role.TEACHER: teacher_chunk}
    update = {
        role.value: made.of(role).model_copy(update={"chunk": size, "span_tokens": size})
        for role, size in sizes.items()
    }
    return made.model_copy(update={**update, "handover": handover or HandOver()})


def context_of(clients, predictor, settings: Config, *, streamed=False, verifier=None):
    """The context of a run with simulated servers."""
    models = {
        each: model_of(each, client, settings, streamed=streamed)
        for each, client in clients.items()
    }
    batcher = PredictorBatcher(dict.fromkeys(Role, predictor))
    return RunContext.of(settings, models, batcher, Counters(total=1), verifier)


def draft_of(
    student: SimulatedClient,
    teacher: SimulatedClient,
    predictor: WordPredictor,
    settings: Config,
    *,
    streamed: bool = False,
    entries: Sequence[tuple[DraftKey, Turn]] = (),
) -> Draft:
    """A draft for both models; an earlier start wrote `entries`."""
    clients = {Role.STUDENT: student, Role.TEACHER: teacher}
    context = context_of(clients, predictor, settings, streamed=streamed)
    return Sample(context, Notes(), Job(0, "s", QUESTION), written(entries)).draft()


def entries_of(draft: Draft) -> list[tuple[DraftKey, Turn | Rejection]]:
    """What was noted since this start."""
    return draft.sample.journal.entries


def turns_of(draft: Draft) -> list[Turn]:
    return [entry for _, entry in entries_of(draft)]


async def together(draft: Draft) -> None:
    """Have both models write a draft, as in TESSY."""
    try:
        await think(draft)
        await answer(draft)
    finally:
        draft.close()


def run(coroutine):
    return asyncio.run(coroutine)
