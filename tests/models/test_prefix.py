"""*Stable prefix*: a model's committed ids only grow, and they stand for what is written."""

from __future__ import annotations

import datetime
from contextlib import suppress

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulation import END, WordPredictor, config, run, session, together
from tessy.method.trajectory import Part, Role, SampleFailed, Trajectory
from tessy.method.turns import Chunk, Finish
from tessy.models.prefix import IdPrefix
from tessy.models.templates import named
from tessy.models.tokenizers import LocalTokenizer, Piece
from tessy.testing.tokenizers import build_tokenizer
from texts import model_text

ASKED = [{"role": "user", "content": "How many <|im_end|> are there?"}]


@pytest.fixture(scope="module")
def codecs(tmp_path_factory):
    student = build_tokenizer(tmp_path_factory.mktemp("s"), flavour="qwen3", vocabulary=420, seed=1)
    teacher = build_tokenizer(tmp_path_factory.mktemp("t"), flavour="gpt-oss", vocabulary=700)
    return {Role.STUDENT: LocalTokenizer(student), Role.TEACHER: LocalTokenizer(teacher)}


def ids_of(prompt):
    found = orjson.loads(b"".join(prompt.parts))
    assert prompt.tokens == len(found)
    return found


class TokenVoice:
    """A model that generates real tokens of its own vocabulary and keeps a real prefix."""

    def __init__(self, role, codec, next_text, returns_ids):
        name = "qwen3" if role is Role.STUDENT else "gpt-oss"
        format_ = named(name, date=datetime.date(2026, 1, 1), arguments={})
        self.prefix = IdPrefix(role, codec, format_, ASKED)
        self.tokenizer = codec
        self.next_text = next_text
        self.returns_ids = returns_ids
        self.committed = []
        self.prompts = []

    async def _prompt(self, trajectory):
        prompt = await self.prefix.prompt(trajectory)
        committed = self.committed[-1] if self.committed else []
        self.prompts.append((ids_of(prompt), trajectory.text + trajectory.pending, committed))
        self.committed.append(list(self.prefix.ids))

    async def continue_(self, trajectory, max_tokens, seed):
        await self._prompt(trajectory)
        text = self.next_text(trajectory.thinking + trajectory.pending)
        ended = END in text
        ids = await self.tokenizer.encode(Piece(text.replace(END, "")))
        cut = ids[:max_tokens]
        finish = Finish.ENDED if ended and len(cut) == len(ids) else Finish.LENGTH
        tokens = await self.tokenizer.tokens(cut)
        written = "".join(token.text for token in tokens)
        return Chunk(written, finish, len(cut), tuple(cut) if self.returns_ids else None)

    async def answer(self, trajectory, max_tokens, seed):
        await self._prompt(trajectory)
        return Chunk("The answer.", Finish.ENDED, 3)

    async def observe(self, before, turn, trajectory):
        await self.prefix.observe(before, turn, trajectory)
        self.committed.append(list(self.prefix.ids))


def cooperate(codecs, texts, chunks, returns_ids):
    def continuing(text):
        return lambda so_far: text[len(so_far) :] + END

    voices = {
        role: TokenVoice(role, codecs[role], continuing(text), returns_ids)
        for role, text in zip(Role, texts, strict=True)
    }
    predictor = WordPredictor(lambda _, word: not any(c.isdigit() for c in word))
    made, turns = session(*voices.values(), predictor, config(*chunks))
    with suppress(SampleFailed):
        run(together(made))
    return voices, made.trajectory, turns


case = (
    st.tuples(model_text, model_text),
    st.tuples(st.integers(1, 25), st.integers(1, 25)),
    st.booleans(),
)


@settings(deadline=None)
@given(*case)
def test_stable_prefix_committed_ids_only_grow(codecs, texts, chunks, returns_ids):
    voices, _, _ = cooperate(codecs, texts, chunks, returns_ids)
    for voice in voices.values():
        for before, after in zip(voice.committed, voice.committed[1:], strict=False):
            assert after[: len(before)] == before


@settings(deadline=None)
@given(*case)
def test_stable_prefix_every_prompt_begins_with_what_was_committed_before(
    codecs, texts, chunks, returns_ids
):
    voices, _, _ = cooperate(codecs, texts, chunks, returns_ids)
    for voice in voices.values():
        assert all(prompt[: len(ids)] == ids for prompt, _, ids in voice.prompts)


@settings(deadline=None)
@given(*case)
def test_the_ids_of_a_prompt_stand_for_all_that_is_written(codecs, texts, chunks, returns_ids):
    voices, trajectory, _ = cooperate(codecs, texts, chunks, returns_ids)
    for voice in voices.values():
        for prompt, written, _ in voice.prompts:
            shown = voice.tokenizer._control.decode(prompt, skip_special_tokens=False)
            if trajectory.part is Part.THINKING or prompt is not voice.prompts[-1][0]:
                assert shown.endswith(written), (shown, written)


@settings(deadline=None)
@given(*case, st.data())
def test_replay_a_prefix_that_is_rebuilt_from_turns_is_the_same(
    codecs, texts, chunks, returns_ids, data
):
    voices, _, turns = cooperate(codecs, texts, chunks, returns_ids)
    for role, voice in voices.items():
        rebuilt = TokenVoice(role, codecs[role], voice.next_text, returns_ids).prefix

        async def see_again(prefix=rebuilt, role=role):
            trajectory = Trajectory()
            for turn in turns:
                if turn.role is role:
                    await prefix.prompt(trajectory)
                before = trajectory.pending
                trajectory.apply(turn)
                await prefix.observe(before, turn, trajectory)
            return await prefix.prompt(trajectory)

        async def go_on(prefix=voice.prefix):
            return await prefix.prompt(Trajectory.replay(turns))

        assert ids_of(run(see_again())) == ids_of(run(go_on()))


def test_own_ids_are_kept_where_the_server_returns_them(codecs):
    """A model may cut a word into other tokens than its tokenizer would: these stay."""
    codec = codecs[Role.STUDENT]
    letters = [i for c in " okay then" for i in run(codec.encode(Piece(c)))]
    voice = TokenVoice(Role.STUDENT, codec, lambda _: "", returns_ids=True)
    trajectory = Trajectory()
    run(voice.prefix.prompt(trajectory))
    opening = len(voice.prefix.ids)
    from tessy.method.judgement import Judgement
    from tessy.method.turns import settle

    chunk = Chunk(" okay then", Finish.LENGTH, len(letters), tuple(letters))
    turn = settle(trajectory, chunk, Judgement(None, 5))
    trajectory.apply(turn)
    run(voice.observe("", turn, trajectory))
    assert voice.prefix.ids[opening:] == letters[:5]
    assert ids_of(run(voice.prefix.prompt(trajectory)))[opening:] == letters
