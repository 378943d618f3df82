"""The `lexicon` predictor: what it calls style, and how it judges."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Sequence
from pathlib import Path

import pytest

from tessy.boundary.lexicon import (
    LONGEST_FENCE,
    LONGEST_PHRASE,
    LexiconPredictor,
    Phrase,
    read_phrases,
)
from tessy.boundary.protocol import Predictor
from tessy.boundary.training.segments import Segment
from tessy.boundary.training.walk import labellings, truth
from tessy.method.judgement import Judgement, Passage
from tessy.method.trajectory import Role
from tessy.method.turns import LOOKAHEAD_WORDS

EXAMPLES = Path(__file__).with_name("lexicon_examples.txt")


def examples() -> list[str]:
    lines = EXAMPLES.read_text("utf-8").splitlines()
    marked = [line for line in lines if line and not re.match(r"# |\[\w+\]$", line)]
    return [re.sub(r"\\n(?!eq)", "\n", line) for line in marked]


def kinds(text: str) -> Sequence[bool]:
    """Whether each word of a text is style; words of punctuation are left out."""
    return labellings(LexiconPredictor(), [Segment(id="x", text=text)])[0].kinds


def judge(
    text: str, *, context: str = "", role: Role = Role.TEACHER, final: bool = False
) -> Judgement:
    return LexiconPredictor().judge([Passage(role, context, text, final)])[0]


# --- What is style ------------------------------------------------------------------------------


@pytest.mark.parametrize("marked", examples())
def test_style_is_what_was_marked_by_hand(marked: str) -> None:
    pieces = re.split("[⟦⟧]", marked)
    ends = list(itertools.accumulate(map(len, pieces)))
    segment = Segment(
        id="x", text="".join(pieces), spans=tuple(zip(ends[:-1:2], ends[1::2], strict=True))
    )
    assert kinds(segment.text) == truth(segment).kinds


def test_there_are_many_examples() -> None:
    assert len(examples()) >= 60


@pytest.mark.parametrize(
    "phrase", [pytest.param(phrase, id=str(at)) for at, phrase in enumerate(read_phrases())]
)
def test_every_phrase_is_found_by_itself(phrase: Phrase) -> None:
    lead = {"following": "Wait ", "anywhere": "42 ", "initial": ""}[phrase.place]
    before = {"following": [True], "anywhere": [False], "initial": []}[phrase.place]
    size = math.prod(len(alternatives) for alternatives in phrase.elements)
    choices = itertools.product(*phrase.elements)
    for chosen in itertools.islice(choices, 0, None, 1 + size // 50):
        words = list(itertools.chain.from_iterable(chosen))
        if words:
            text = f"{lead}{' '.join(words)}{phrase.mark} 42"
            assert kinds(text) == [*before, *(True for _ in words), False], text


def test_phrases_are_short_enough_to_be_decided_in_time() -> None:
    longest = max(
        sum(max(map(len, alternatives)) for alternatives in phrase.elements)
        for phrase in read_phrases()
    )
    assert longest <= LONGEST_PHRASE <= LOOKAHEAD_WORDS


def test_the_data_file_keeps_to_its_notation() -> None:
    words = {
        word
        for phrase in read_phrases()
        for alternatives in phrase.elements
        for words in alternatives
        for word in words
    }
    assert [word for word in words if not re.fullmatch(r"[a-z]+(?:['.-][a-z]+)*", word)] == []


def test_the_data_file_has_no_phrase_twice() -> None:
    phrases = [str(phrase) for phrase in read_phrases()]
    assert sorted(set(phrases)) == sorted(phrases)


# --- Judgements ---------------------------------------------------------------------------------


def test_it_is_a_predictor() -> None:
    predictor = LexiconPredictor()
    assert isinstance(predictor, Predictor)
    assert (predictor.name, predictor.batched, predictor.judges_partial_words) == (
        "lexicon",
        False,
        True,
    )


def test_a_student_is_stopped_at_capability() -> None:
    assert judge("Okay, so dogs bark", role=Role.STUDENT) == Judgement(9, 9, final=True)


def test_a_teacher_is_stopped_at_style() -> None:
    text = "The sum is 9. Wait, that"
    assert judge(text, role=Role.TEACHER).boundary == text.index("Wait")


def test_without_a_boundary_complete_words_are_settled() -> None:
    assert judge("The sum of the dig") == Judgement(None, len("The sum of the"))
    assert judge("Okay, hmm. Ma", role=Role.STUDENT) == Judgement(None, len("Okay, hmm."))


def test_the_last_word_is_judged_only_if_nothing_follows() -> None:
    assert judge("The sum maybe") == Judgement(None, len("The sum"))
    assert judge("The sum maybe", final=True).boundary == len("The sum ")


@pytest.mark.parametrize("role", Role)
def test_the_start_of_a_longer_phrase_is_undecided(role: Role) -> None:
    assert judge("let ", role=role) == Judgement(None, 0)
    assert judge("let it ", role=role).boundary == (0 if role is Role.STUDENT else None)
    assert judge("let me ", role=role).boundary == (0 if role is Role.TEACHER else None)
    final = judge("let ", role=role, final=True)
    assert final.boundary == (0 if role is Role.STUDENT else None)


def test_what_is_decided_of_a_phrase_that_may_go_on_is_settled() -> None:
    assert judge("Wait a ", role=Role.STUDENT) == Judgement(None, len("Wait"))
    assert judge("Wait a moment ", role=Role.STUDENT) == Judgement(None, len("Wait a moment"))
    assert judge("Wait a prime ", role=Role.STUDENT).boundary == len("Wait ")


def test_neutral_words_never_make_a_boundary() -> None:
    assert judge("— 🙂 … ", role=Role.TEACHER).boundary is None
    assert judge("— 🙂 … ", role=Role.STUDENT).boundary is None
    assert judge(" — maybe ", context="It is 9", role=Role.TEACHER).boundary == 3


def test_the_context_says_whether_a_sentence_starts() -> None:
    assert judge("so it", context="x is 4, ").boundary is None
    assert judge("so it", context="x is 4. ").boundary == 0
    assert judge("\nso it", context="x is 4").boundary == 1
    assert judge(" so it", context="x is 4\n").boundary == 1


def test_a_phrase_may_go_on_from_the_context() -> None:
    assert judge(" second 7 ", context="Wait a", role=Role.STUDENT).boundary == len(" second ")


def test_a_fence_far_back_in_the_context_counts() -> None:
    code = "```python\n" + "x = 1\n" * 500
    assert judge("# wait, maybe\n", context=code).boundary is None
    assert judge("wait, maybe\n", context=code + "```\n").boundary == 0


def test_an_endless_fence_ends() -> None:
    context = "```\n" + "word " * LONGEST_FENCE
    assert judge("Hmm, ", context=context).boundary == 0


def test_unclosed_marks_do_not_swallow_the_rest() -> None:
    for opening in ('"', "“", "«", "`", "$x ", "\\("):
        assert judge("Hmm, ", context=f"{opening}word \n").boundary == 0, opening
        assert judge("Hmm, ", context=f"{opening}word " + "w " * 200).boundary == 0, opening
    for opening in ("$$", "\\["):
        assert judge("Hmm, ", context=f"{opening} x \n").boundary is None, opening
        assert judge("Hmm, ", context=f"{opening} x \n\n").boundary == 0, opening


@pytest.mark.parametrize(
    "text", ["你好，我们先算一下。", "Итак, давайте подумаем.", "Alors, voyons."]
)
def test_other_languages_are_capability(text: str) -> None:
    assert not any(kinds(text))
