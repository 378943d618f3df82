"""A sample becomes token ids of the student's, each with its author."""

from __future__ import annotations

import asyncio
import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from made_runs import STUDENT, TEACHER, Made, answer, ending, last, turn
from tessy.models.templates import named
from tessy.models.tokenizers import LocalTokenizer, Token
from tessy.report.figures.intervals import Bootstrap
from tessy.report.figures.likelihood import AUTHORS, likelihood
from tessy.report.figures.sample import ReportSample
from tessy.report.scoring.tokens import Unaligned, likelihood_sums, tokenize
from tessy.runs.shard_reader import EndedSample
from tessy.testing import build_tokenizer
from texts import any_text

FORMAT = named("qwen3", date=datetime.date(2026, 1, 1), arguments={})


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    return LocalTokenizer(
        build_tokenizer(tmp_path_factory.mktemp("t"), flavour="qwen3", vocabulary=600, seed=1)
    )


def read(made: Made):
    ended = ending(0, made, "tessy")
    entry = EndedSample(ended.id, ended.failure, ended.record, ended.trace, 1.0, 1)
    return ReportSample.read(entry, several=False)


def encoded(made: Made, tokenizer):
    return asyncio.run(tokenize(read(made), FORMAT, tokenizer))


async def spelt(tokenizer, ids):
    return "".join(token.text for token in await tokenizer.tokens(ids))


written = st.lists(any_text.filter(str.strip), min_size=1, max_size=5)


@given(written, any_text.filter(str.strip))
def test_each_author_s_ids_spell_its_text_but_for_tokens_on_a_seam(tokenizer, parts, said):
    roles = [STUDENT if number % 2 == 0 else TEACHER for number in range(len(parts))]
    turns = [turn(role, f" {part} ", 1) for role, part in zip(roles, parts, strict=True)]
    made = Made("q", [*turns[:-1], last(roles[-1], f" {parts[-1]} ", 1), answer(said, 1)])
    found = encoded(made, tokenizer)
    assert len(found.ids) == len(found.authors)
    whole = "".join(f" {part} " for part in parts)
    thinking = [i for i, a in zip(found.ids, found.authors, strict=True) if a in (STUDENT, TEACHER)]
    answered = [i for i, a in zip(found.ids, found.authors, strict=True) if a == "answer"]
    assert asyncio.run(spelt(tokenizer, thinking)) == whole
    assert (
        asyncio.run(spelt(tokenizer, answered)) == read(made).content.rpartition("</think>\n\n")[2]
    )


def test_authors_of_words_whose_tokens_do_not_cross_a_seam(tokenizer):
    made = Made(
        "q",
        [turn(STUDENT, "Wait, so", 3), turn(TEACHER, " 2 + 2", 3), last(STUDENT, " okay", 1),
         answer("Four.", 1)],
        prompt="What is <|im_end|> here?",
    )  # fmt: skip
    found = encoded(made, tokenizer)
    spans: dict[str | None, list[int]] = {}
    for token, author in zip(found.ids, found.authors, strict=True):
        spans.setdefault(author, []).append(token)
    texts = {who: asyncio.run(spelt(tokenizer, ids)) for who, ids in spans.items()}
    assert (texts["student"], texts["teacher"]) == ("Wait, so okay", " 2 + 2")
    assert texts["answer"] == "Four."
    assert "What is <|im_end|> here?" in texts[None]


def test_tokens_that_do_not_spell_the_text_are_refused(tokenizer):
    class Deaf(LocalTokenizer):
        def __init__(self):
            pass

        async def encode(self, piece, *, begin=False):
            return await tokenizer.encode(piece, begin=begin)

        async def tokens(self, ids):
            return [Token((each,), "?") for each in ids]

    with pytest.raises(Unaligned):
        encoded(Made("q", [last(STUDENT, "okay", 1), answer("yes", 1)]), Deaf())


def test_sums_by_hand(tokenizer):
    turns = [turn(STUDENT, "a b", 1), last(TEACHER, " 7", 1), answer("yes", 1)]
    found = encoded(Made("q", turns), tokenizer)
    logprobs = [None, *(-float(place) for place in range(1, len(found.ids)))]
    added = likelihood_sums(found, logprobs)
    for name in AUTHORS:
        places = [p for p, a in enumerate(found.authors) if a and name in (a, "all")]
        assert added.tokens[name] == len(places) > 0
        assert added.nll[name] == sum(places)
    assert added.tokens["all"] == sum(added.tokens[name] for name in AUTHORS[1:])
    whole = likelihood([(b"q", added), (b"q", added)], {"why": 2}, Bootstrap(0))
    assert whole.samples == 2
    assert whole.nll["teacher"].value == added.nll["teacher"] / added.tokens["teacher"]


def test_nothing_scored():
    found = likelihood([], {}, Bootstrap())
    assert found.samples == 0
    assert all(str(figure.value) == "nan" for figure in found.nll.values())
