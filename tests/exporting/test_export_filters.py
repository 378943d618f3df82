"""Filters: each drops what it says, with its reason, and nothing else."""

from __future__ import annotations

import os
import random
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from export_samples import any_record, record
from tessy.errors import ConfigError
from tessy.exporting.filters import Contamination, Filters, NearDuplicates, token_counter
from tessy.exporting.samples import ExportSample, Reason
from tessy.exporting.settings import ExportSettings
from tessy.testing import build_tokenizer
from tessy.verifiers.protocol import VerdictOutcome

WORDS = [f"w{number}" for number in range(400)]
ALPHABET = [chr(ord("a") + number) for number in range(26)]


def sample(*args, **more):
    return ExportSample(record(*args, **more))


def by_numbers(sample, **settings):
    return Filters(ExportSettings(to="trl", **settings)).by_numbers(sample)


def reason(drop):
    return drop and drop.reason


# --- Numbers ------------------------------------------------------------------------------------


@given(any_record(), st.floats(0, 1))
def test_a_bound_of_the_teachers_share_is_kept_on_both_sides(made, bound):
    """A sample is below the bound, above it, or on it and never dropped."""
    share = ExportSample(made).teacher_share
    low = reason(by_numbers(ExportSample(made), min_teacher_share=bound))
    high = reason(by_numbers(ExportSample(made), max_teacher_share=bound))
    assert low == (Reason.TEACHER_SHARE_LOW if share < bound else None)
    assert high == (Reason.TEACHER_SHARE_HIGH if share > bound else None)


def test_the_share_is_of_tokens_as_in_the_paper():
    assert sample(tokens=(30, 70)).teacher_share == 0.7
    assert sample(tokens=(0, 0)).teacher_share == 0


@pytest.mark.parametrize(("bound", "dropped"), [(9, True), (10, False), (11, False)])
def test_the_longest_may_be_as_long_as_the_bound(bound, dropped):
    drop = by_numbers(sample(tokens=(4, 6)), max_tokens=bound)
    assert reason(drop) == (Reason.TOO_LONG if dropped else None)
    if drop:
        assert drop.detail == "10 tokens, above 9"


@pytest.mark.parametrize("outcome", [None, *VerdictOutcome])
def test_only_right_answers_where_they_are_asked_for(outcome):
    made = sample(**({"verdict": {"outcome": outcome}} if outcome else {}))
    assert by_numbers(made) is None
    drop = by_numbers(made, right=True)
    assert reason(drop) == (None if outcome == "right" else Reason.NOT_RIGHT)


def test_forced_words_are_a_reason_only_where_they_are():
    assert by_numbers(sample(), drop_forced=True) is None
    drop = by_numbers(sample(forced=True), drop_forced=True)
    assert reason(drop) == Reason.FORCED
    assert drop.detail == "1 span kept only for Progress"


def test_a_tokenizer_counts_all_messages_and_takes_markup_for_what_it_is(tmp_path):
    from tokenizers import Tokenizer

    folder = build_tokenizer(tmp_path / "tokenizer", flavour="qwen3")
    made = sample(question="What is x, then?")
    count = token_counter(str(folder))(made)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    texts = [message["content"] for message in made.messages]
    assert count == sum(len(tokenizer.encode(text).ids) for text in texts) > 10


@pytest.mark.parametrize("name", ["no-such-folder", ""])
def test_a_tokenizer_that_is_none_is_named(tmp_path, name):
    with pytest.raises(ConfigError, match=r"no tokenizer that can be read"):
        token_counter(str(tmp_path / name))


# --- Contamination ------------------------------------------------------------------------------


@given(st.integers(0, 30), st.integers(1, 20), st.integers(1, 20), st.integers(0, 40))
def test_a_run_of_words_is_found_wherever_it_stands(at, length, size, where):
    """A response with `length` words of a test question is dropped if these are enough."""
    question = WORDS[:50]
    shared = question[at : at + length]
    text = [*WORDS[100 : 100 + where], *shared, *WORDS[200:230]]
    drop = Contamination([("t", " ".join(question))], size)(sample(answer=" ".join(text)))
    assert reason(drop) == (Reason.CONTAMINATED if length >= size else None)
    if drop:
        assert drop.detail.startswith("shares with test question t: ")
        assert set(drop.detail.split(": ")[1].split()) <= set(shared)


def test_case_and_punctuation_make_no_difference():
    contamination = Contamination([("t", " ".join(ALPHABET))])
    shown = "; ".join(letter.upper() + "!" for letter in ALPHABET[3:16])
    assert contamination(sample(question=shown)).reason == Reason.CONTAMINATED
    assert contamination(sample(question="; ".join(ALPHABET[3:15]))) is None


def test_scripts_without_blanks_are_compared_letter_by_letter():
    question = "小明有三个苹果他又买了五个请问一共有多少"
    contamination = Contamination([("t", question)])
    assert contamination(sample(answer="题目说" + question[2:15])).reason == Reason.CONTAMINATED
    assert contamination(sample(answer="题目说" + question[2:14] + "吗")) is None


def test_a_short_question_counts_only_as_a_whole():
    """Its few words would be found by chance in every response."""
    contamination = Contamination([("t", "What is 2 + 2?")])
    assert contamination.short == 1
    assert contamination(sample(question="what is 2+2")).reason == Reason.CONTAMINATED
    assert contamination(sample(question="So what is 2 + 2?")) is None
    assert contamination(sample(answer="What is 2 + 2?")) is None


def test_questions_without_words_contaminate_nothing():
    assert Contamination([("t", "?!")])(sample(question="…")) is None


# --- Near-duplicates ----------------------------------------------------------------------------


def prose(seed, length=300):
    return " ".join(random.Random(seed).choices(WORDS, k=length))


def changed(text, seed, number):
    """The text with some of its words exchanged."""
    draw, found = random.Random(seed), text.split()
    for at in draw.sample(range(len(found)), number):
        found[at] = "new"
    return " ".join(found)


def test_the_first_of_two_alike_is_kept():
    filter_ = NearDuplicates(0.8)
    text = prose(0)
    assert filter_(sample("a", answer=text)) is None
    assert filter_(sample("b", answer=prose(1))) is None
    drop = filter_(sample("c", answer=changed(text, 0, 3)))
    assert reason(drop) == Reason.NEAR_DUPLICATE
    assert drop.detail.endswith("like a")
    assert filter_(sample("d", answer=changed(text, 1, 100))) is None


def test_samples_of_one_question_that_differ_are_all_kept():
    filter_ = NearDuplicates(0.8)
    found = [filter_(sample(f"q#{seed}", answer=prose(seed))) for seed in range(8)]
    assert found == [None] * 8


@pytest.mark.parametrize("threshold", [0.01, 0.5, 1.0])
def test_the_same_twice_is_a_duplicate_at_any_threshold(threshold):
    for answer in (prose(0), "7", ""):
        filter_ = NearDuplicates(threshold)
        assert filter_(sample("a", answer=answer)) is None
        assert reason(filter_(sample("b", answer=answer))) == Reason.NEAR_DUPLICATE


def decisions():
    filter_, texts = NearDuplicates(0.75), [prose(seed) for seed in range(5)]
    texts = [changed(text, n, n) for n in range(3, 18) for text in texts]
    return [filter_(sample(str(n), answer=text)) for n, text in enumerate(texts)]


def test_decisions_do_not_depend_on_the_process():
    """Python's own hashes differ from one process to the next."""
    code = (
        "import sys; sys.path[:0] = sys.argv[1:]\n"
        "from test_export_filters import decisions\n"
        "print(decisions())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *sys.path],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONHASHSEED": "1"},
    )
    assert done.stdout == f"{decisions()}\n"
    assert "near_duplicate" in done.stdout
    assert "None" in done.stdout
