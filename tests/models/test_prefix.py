"""*Stable prefix*: a model's committed ids only grow, and they encode the text."""

from __future__ import annotations

import datetime
from contextlib import suppress
from dataclasses import replace
from itertools import pairwise

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulation import (
    END,
    QUESTION,
    Notes,
    SimulatedClient,
    WordPredictor,
    config,
    context_of,
    run,
    together,
    turns_of,
)
from tessy.method.judgement import Judgement
from tessy.method.trajectory import Role, SampleFailed, Trajectory
from tessy.method.turns import Chunk, Finish, settle
from tessy.models.prefix import IdPrefix
from tessy.models.session import ModelSession
from tessy.models.templates import named
from tessy.models.tokenizers import LocalTokenizer, PromptPiece
from tessy.models.wire import Completion
from tessy.runs.plan import Job
from tessy.synthesis.sample import Sample
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


class TokenClient(SimulatedClient):
    """A server that generates tokens of a real vocabulary."""

    def __init__(self, role, tokenizer, text, returns_ids):
        super().__init__(lambda so_far: text[len(so_far) :] + END, returns_ids=returns_ids)
        self.role = role
        self.tokenizer = tokenizer
        self.draft = None
        self.seen = []  # prompts, the text that they stand for, and what was committed

    @property
    def prefix(self):
        return self.draft.sessions[self.role]._prefix

    async def attempt(self, request, *, stream=False):
        trajectory = self.draft.trajectory
        written = trajectory.text + trajectory.pending
        self.seen.append((ids_of(request.prompt), written, self.prefix.ids))
        if not trajectory.is_thinking:
            return Completion("The answer.", "stop", 3)
        text, ended, _ = self.next_text(trajectory.thinking + trajectory.pending).partition(END)
        ids = await self.tokenizer.encode(PromptPiece(text))
        cut = ids[: request.max_tokens]
        finish = "stop" if ended and len(cut) == len(ids) else "length"
        made = "".join(token.text for token in await self.tokenizer.tokens(cut))
        return Completion(made, finish, len(cut), ids=tuple(cut) if self.returns_ids else None)


FORMATS = {Role.STUDENT: "qwen3", Role.TEACHER: "gpt-oss"}


def cooperate(codecs, texts, chunks, returns_ids):
    clients = {
        role: TokenClient(role, codecs[role], text, returns_ids)
        for role, text in zip(Role, texts, strict=True)
    }
    predictor = WordPredictor(lambda _, word: not any(c.isdigit() for c in word))
    context = context_of(clients, predictor, config(*chunks))
    for role, name in FORMATS.items():
        format_ = named(name, date=datetime.date(2026, 1, 1), arguments={})
        context.models[role] = replace(context.models[role], format=format_, tokenizer=codecs[role])
    draft = Sample(context, Notes(), Job(0, "s", QUESTION)).draft(ASKED)
    for client in clients.values():
        client.draft = draft
    with suppress(SampleFailed):
        run(together(draft))
    return clients, draft


case = (
    st.tuples(model_text, model_text),
    st.tuples(st.integers(1, 25), st.integers(1, 25)),
    st.booleans(),
)


@settings(deadline=None)
@given(*case)
def test_stable_prefix_committed_ids_only_grow(codecs, texts, chunks, returns_ids):
    clients, draft = cooperate(codecs, texts, chunks, returns_ids)
    for role in draft.sessions:
        committed = [ids for _, _, ids in clients[role].seen] + [clients[role].prefix.ids]
        for before, after in pairwise(committed):
            assert after[: len(before)] == before


@settings(deadline=None)
@given(*case)
def test_stable_prefix_every_prompt_begins_with_what_is_committed(
    codecs, texts, chunks, returns_ids
):
    clients, _ = cooperate(codecs, texts, chunks, returns_ids)
    for client in clients.values():
        assert all(prompt[: len(ids)] == ids for prompt, _, ids in client.seen)


@settings(deadline=None)
@given(*case)
def test_the_ids_of_a_prompt_encode_all_of_the_text(codecs, texts, chunks, returns_ids):
    clients, draft = cooperate(codecs, texts, chunks, returns_ids)
    for client in clients.values():
        for prompt, written, _ in client.seen:
            shown = client.tokenizer._control.decode(prompt, skip_special_tokens=False)
            if draft.trajectory.is_thinking or prompt is not client.seen[-1][0]:
                assert shown.endswith(written), (shown, written)


@settings(deadline=None)
@given(*case)
def test_replay_a_prefix_that_is_rebuilt_from_turns_is_the_same(codecs, texts, chunks, returns_ids):
    clients, draft = cooperate(codecs, texts, chunks, returns_ids)
    turns = turns_of(draft)

    async def prompts(role):
        again = ModelSession(draft.context.models[role], ASKED, "s")
        await again.replay(turns)
        whole = Trajectory.replay(turns)
        rebuilt = await again._prefix.prompt(whole)
        return ids_of(rebuilt), ids_of(await clients[role].prefix.prompt(whole))

    for role in draft.sessions:
        rebuilt, kept = run(prompts(role))
        assert rebuilt == kept


def test_own_ids_are_kept_where_the_server_returns_them(codecs):
    """A model may split a word into other tokens than its tokenizer would; these ids stay."""
    tokenizer = codecs[Role.STUDENT]
    letters = [i for c in " okay then" for i in run(tokenizer.encode(PromptPiece(c)))]
    format_ = named("qwen3", date=datetime.date(2026, 1, 1), arguments={})
    prefix, trajectory = IdPrefix(Role.STUDENT, tokenizer, format_, ASKED), Trajectory()
    run(prefix.prompt(trajectory))
    opening = len(prefix.ids)
    chunk = Chunk(" okay then", Finish.LENGTH, len(letters), tuple(letters))
    turn = settle(trajectory, chunk, Judgement(None, 5))
    trajectory.apply(turn)
    run(prefix.observe("", turn, trajectory))
    assert prefix.ids[opening:] == letters[:5]
    assert ids_of(run(prefix.prompt(trajectory)))[opening:] == letters
