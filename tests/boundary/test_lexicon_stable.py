"""The `lexicon` predictor: its judgements are stable, and its cost is bounded."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from boundary.test_lexicon import judge
from tessy.boundary import lexicon
from tessy.boundary.lexicon import LONGEST_FENCE, LONGEST_PHRASE, LexiconPredictor
from tessy.boundary.training.segments import Segment
from tessy.boundary.training.walk import walk
from tessy.method.judgement import Judgement, Passage
from tessy.method.trajectory import Role
from tessy.method.words import Unit, complete, is_neutral, units

# --- Stable judgement ---------------------------------------------------------------------------

PIECES = [
    "wait", "Wait,", "let", "let me", "Let me check", "so", "So", "but", "hmm", "maybe", "okay, so",
    "for example", "for", "a second", "a", "second", "step by step", "step", "that's", "correct.",
    "that makes sense", "i", "I need to", "if i recall", "correctly", "first,", "the", "sum", "42",
    "x = 3", "is right?", "about", "this.", "Then", "now", "just to be", "sure,", "(wait)", "e.g.,",
    "```", "~~~", "```python", "`so`", "`", "``", '"', '"so', 'maybe"', "“wait", "hmm”", "«", "»",
    "$", "$$", "$x$", "$400", "\\(", "\\)", "\\[", "\\]", "\\", "—", "-", "**Wait**", "*", "1.",
    "🙂", "👩‍👩‍👧", "你好", "。", "好wait", "wait—no", "e\u0301", "\u0301", "…", "...",
    "w" * 205,
]  # fmt: skip
BLANKS = [" ", " ", " ", " ", " ", "\n", "\n\n", "  ", "", "\t", " \n ", "\u00a0"]


@st.composite
def texts(draw: st.DrawFn) -> str:
    pieces = draw(
        st.lists(st.tuples(st.sampled_from(PIECES), st.sampled_from(BLANKS)), max_size=40)
    )
    return "".join(itertools.chain.from_iterable(pieces))


@settings(max_examples=400)
@given(texts(), st.integers(0, 10**6), st.booleans(), st.sampled_from(Role))
@example("~~~ wait wait Wait, ~~~ ", 20, False, Role.TEACHER)
@example("``` wait wait Wait, ``` ", 20, False, Role.TEACHER)
@example("``` wait " + 60 * "wait, " + "``` wait, ", 320, False, Role.TEACHER)
def test_stable_judgement_of_a_prefix(text: str, size: int, final: bool, role: Role) -> None:
    size %= len(text) + 1
    early, late = judge(text[:size], role=role), judge(text, role=role, final=final)
    if early.boundary is not None:
        assert late.boundary == early.boundary
    else:
        assert late.boundary is None or late.boundary >= early.settled
        assert late.boundary is not None or late.settled >= early.settled


@settings(max_examples=400)
@given(texts(), texts(), st.sampled_from(Role))
@example("wait", "好", Role.STUDENT)
def test_stable_judgement_after_settled_words(first: str, second: str, role: Role) -> None:
    text = first + second
    settled = judge(first, role=role).settled
    whole = judge(text, role=role)
    rest = judge(text[settled:], context=text[:settled], role=role)
    if whole.boundary is not None and whole.boundary < settled:
        return  # cannot be: test_stable_judgement_of_a_prefix
    if whole.boundary is not None:
        assert rest.boundary == whole.boundary - settled
    else:
        assert rest.boundary is None
        assert max(rest.settled, 0) == max(whole.settled - settled, 0)


@settings(max_examples=200)
@given(texts().filter(str.strip))
def test_stable_judgement_wherever_the_context_ends(text: str) -> None:
    """The kind of each word by itself, and of all words when few contexts are made."""
    whole = walk(LexiconPredictor(), [Segment(id="x", text=text)])[0]
    for word, style in zip(units(text), whole, strict=True):
        at = word.word_start
        for role in Role:
            found = judge(text[at:], context=text[:at], role=role, final=True)
            if not is_neutral(text[at : word.word_end]):
                assert (found.boundary == 0) is (style is (role is Role.TEACHER)), text[at:]


@settings(max_examples=300)
@given(texts(), texts(), st.sampled_from(Role))
def test_few_words_are_left_undecided(context: str, text: str, role: Role) -> None:
    judgement = judge(text, context=context, role=role)
    if judgement.boundary is None:
        undecided = [
            word
            for word in complete(text, units(text), final=False)
            if word.word_end > max(judgement.settled, word.word_start)
        ]
        assert len(undecided) < LONGEST_PHRASE


@settings(max_examples=300)
@given(texts(), st.sampled_from(Role))
def test_if_nothing_follows_everything_is_judged(text: str, role: Role) -> None:
    judgement = judge(text, role=role, final=True)
    last = max(
        (word.word_end for word in units(text) if word.word_end > word.word_start), default=0
    )
    assert judgement.boundary is not None or judgement.settled == last


# --- Bounded cost -------------------------------------------------------------------------------


@settings(max_examples=300)
@given(texts(), texts(), st.data(), st.sampled_from(Role), st.booleans())
def test_what_was_judged_is_not_judged_again(
    context: str, text: str, data: st.DataObject, role: Role, final: bool
) -> None:
    context += " "  # a text starts with a word
    first = judge(text[: data.draw(st.integers(0, len(text)))], context=context, role=role)
    whole = Passage(role, context, text, final)
    if first.boundary is None:
        again = whole._replace(judged=first.settled)
        assert LexiconPredictor().judge([again]) == LexiconPredictor().judge([whole])


@pytest.mark.parametrize("unit", ["so the sum is 4. ", "It is 4.\n", "\n```py\nx\n```\nSo. ", "好"])
def test_only_the_end_of_what_was_judged_is_looked_at(
    monkeypatch: pytest.MonkeyPatch, unit: str
) -> None:
    """However long a thinking is, and a text in it: so its cost grows with its length only."""
    seen: list[str] = []

    def counted(text: str) -> list[Unit]:
        seen.append(text)
        return units(text)

    monkeypatch.setattr(lexicon, "units", counted)
    for size in (0, 2, 2_000):
        context, text = unit * size * 5, unit * size
        passage = Passage(Role.TEACHER, context, text + "Wait, so ", judged=len(text))
        assert LexiconPredictor().judge([passage])[0].boundary == len(text)
    assert max(map(len, seen)) < 300


def test_context_far_back_changes_nothing() -> None:
    near = "so x = 4. " * 2 * LONGEST_FENCE
    for far in ("", "`", '"', "$$", "```\n", "```py\n", "\\["):
        assert judge("Wait, so", context=far + near).boundary == 0


# --- Sure of words that are not complete --------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "boundary"),
    [
        ("Okay, x", 6),
        ("Okay, (zeb", 6),
        ("Okay, 4", 6),
        ("Okay, $", 6),
        ("wait, let xq", 6),  # "let" alone is no phrase
        ("Okay, mayq", 6),
        ("Okay, may", None),  # "maybe"
        ("Okay, let", None),  # "let's"
        ("Okay, (", None),
        ("Okay, —", None),
        ("Okay, ", None),
        ("```\nso", 0),
    ],
)
def test_a_student_is_stopped_at_letters_that_begin_no_known_word(
    text: str, boundary: int | None
) -> None:
    assert judge(text, role=Role.STUDENT).boundary == boundary
    assert judge(text, role=Role.STUDENT).final is (boundary is not None)


def test_a_student_is_stopped_at_once_in_code() -> None:
    code = "x\n```\ny = 2\n"
    assert judge("ma", context=code, role=Role.STUDENT) == Judgement(0, 0, final=True)
    assert judge("ma", context=code + "```\n", role=Role.STUDENT) == Judgement(None, 0)


def test_a_teacher_is_not_stopped_before_a_word_is_complete() -> None:
    assert judge("It is 4. Wait", role=Role.TEACHER) == Judgement(None, len("It is 4."))
    assert judge("It is 4. Wait", role=Role.TEACHER, final=True).final is False


@settings(max_examples=400)
@given(texts(), texts(), st.data(), st.sampled_from(Role), st.text(max_size=6), st.booleans())
def test_what_it_is_sure_of_stays_whatever_follows(
    context: str, text: str, data: st.DataObject, role: Role, more: str, final: bool
) -> None:
    end = data.draw(st.integers(0, len(text)))
    early = judge(text[:end], context=context, role=role)
    assert early.final is (early.boundary is not None)
    if early.final:
        for longer in (text, text[:end] + more, text[:end] + more + text[end:]):
            late = judge(longer, context=context, role=role, final=final)
            assert late.boundary == early.boundary
