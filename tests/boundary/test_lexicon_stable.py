"""The `lexicon` predictor: its judgements are stable, and stay what they are when it remembers."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from boundary.test_lexicon import judge
from tessy.boundary import bookmarks, lexemes, lexicon, phrases, verbatim
from tessy.boundary.kinds import Kind
from tessy.boundary.kinds import kinds as kinds_of
from tessy.boundary.lexicon import LONGEST_PHRASE, LexiconPredictor, spans
from tessy.method.judgement import Judgement, Passage
from tessy.method.trajectory import Role
from tessy.method.words import complete, units

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


def kinds(text: str, *, context: str = "") -> list[tuple[int, int, bool]]:
    """The words of a text that are judged when all of it is there, by judging it piece by piece.

    Each is (start, end, style); the offsets count from the start of the context.
    """
    found, position = [], 0
    words = complete(text, units(text), final=True)
    for word in words:
        if word.word_start == word.word_end:
            continue
        before, rest = context + text[:position], text[position:]
        style = judge(rest, context=before, role=Role.TEACHER, final=True)
        capability = judge(rest, context=before, role=Role.STUDENT, final=True)
        at = word.word_start - position
        if style.boundary == at or capability.boundary == at:
            found.append((word.word_start, word.word_end, style.boundary == at))
        position = word.word_end
    return found


@settings(max_examples=400, deadline=None)
@given(texts(), st.data(), st.sampled_from(Role))
def test_stable_judgement_of_a_prefix(text: str, data: st.DataObject, role: Role) -> None:
    size = data.draw(st.integers(0, len(text)))
    final = data.draw(st.booleans())
    early, late = judge(text[:size], role=role), judge(text, role=role, final=final)
    if early.boundary is not None:
        assert late.boundary == early.boundary
    else:
        assert late.boundary is None or late.boundary >= early.settled
        assert late.boundary is not None or late.settled >= early.settled


@settings(max_examples=400, deadline=None)
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


@settings(max_examples=200, deadline=None)
@given(texts())
def test_stable_judgement_wherever_the_context_ends(text: str) -> None:
    style = spans(text)
    for start, end, is_style in kinds(text):
        inside = any(a <= start and end <= b for a, b in style)
        assert inside == is_style, (text[start:end], style)


@settings(max_examples=300, deadline=None)
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


@settings(max_examples=300, deadline=None)
@given(texts(), st.sampled_from(Role))
def test_if_nothing_follows_everything_is_judged(text: str, role: Role) -> None:
    judgement = judge(text, role=role, final=True)
    last = max(
        (word.word_end for word in units(text) if word.word_end > word.word_start), default=0
    )
    assert judgement.boundary is not None or judgement.settled == last


@settings(max_examples=300, deadline=None)
@given(texts())
def test_spans_are_in_order_and_hold_whole_words(text: str) -> None:
    found = spans(text)
    words = units(text)
    assert all(a < b for a, b in found)
    assert all(b < a for (_, b), (a, _) in itertools.pairwise(found))
    assert {a for a, _ in found} <= {word.word_start for word in words}
    assert {b for _, b in found} <= {word.word_end for word in words}


@settings(max_examples=300, deadline=None)
@given(texts(), st.data())
def test_stretches_of_a_prefix_do_not_change(text: str, data: st.DataObject) -> None:
    size = data.draw(st.integers(0, len(text)))
    start = data.draw(st.integers(0, size))

    def shown(stretches: list[tuple[int, int]]) -> set[int]:
        return {at for a, b in stretches for at in range(max(a, start), min(b, size))}

    whole = verbatim.stretches(text)
    assert all(b <= c for (_, b), (c, _) in itertools.pairwise(whole))
    assert shown(verbatim.stretches(text, start)) == shown(whole)


def test_the_data_file_is_compiled_once() -> None:
    assert phrases.lexicon() is phrases.lexicon()


# --- What is remembered -------------------------------------------------------------------------

FAR = ["", "", "x " * 3000 + "\n", "word\n```py\n" + "x = 1\n" * 700, "so, \n```\n" * 600, "\\[\n"]
"""What contexts begin with, so that some are long enough to be remembered."""


def plain(passage: Passage) -> Judgement:
    """The judgement as it was defined before anything was remembered: all is looked at again."""
    context, text, final = passage.context, passage.text, passage.final
    found = complete(text, units(text), final=final)
    if not found:
        return Judgement(None, 0)
    past, state = lexicon._past(context)
    if found[0].word_start == found[0].word_end:
        if past:
            past[-1] = past[-1]._replace(new_line=True)
        else:
            state.break_line()
    words = past + lexemes.lexemes(text, len(context), found)
    words = lexemes.without_shown(verbatim.stretches(context + text), words)
    found_kinds = list(kinds_of(words, state, final=final))
    other = Kind.CAPABILITY if passage.role is Role.STUDENT else Kind.STYLE
    settled = 0
    for word, kind in list(zip(words, found_kinds, strict=False))[len(past) :]:
        start = word.start - len(context)
        if kind is other and word.key:
            return Judgement(start, start)
        settled = word.end - len(context)
    return Judgement(None, settled)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(FAR), texts(), texts(), st.sampled_from(Role)), max_size=3),
    st.data(),
)
def test_what_is_remembered_changes_no_judgement(
    trajectories: list[tuple[str, str, str, Role]], data: st.DataObject
) -> None:
    predictor = LexiconPredictor()
    contexts = [far + context for far, context, _, _ in trajectories]
    for _ in range(3):
        for at, (_, _, text, role) in enumerate(trajectories):
            ends = data.draw(st.lists(st.integers(0, len(text)), max_size=6).map(sorted))
            judged = 0
            for end in ends:
                passage = Passage(role, contexts[at], text[:end], data.draw(st.booleans()), judged)
                judgement = predictor.judge([passage])[0]
                expected = plain(passage)
                if expected.boundary is not None or judgement.boundary is None:
                    assert judgement[:2] == expected[:2]
                else:  # sure of a word that is not complete, or of one before it
                    more = passage._replace(text=text[:end] + "x y ")
                    assert judgement.final
                    assert plain(more).boundary == judgement.boundary
                settled = judgement.settled if judgement.boundary is None else judgement.boundary
                judged = max(judged, min(settled, end)) if not passage.final else judged
            contexts[at] += text[:judged]


def test_contexts_that_end_alike_are_told_apart() -> None:
    predictor = LexiconPredictor()
    tail = "value " * 1500
    prose, code = "x.\n\n" + tail, "```\n" + tail  # of one length and with one end
    assert len(prose) == len(code)
    first = Passage(Role.TEACHER, prose, "It is 4")
    assert predictor.judge([first])[0] == Judgement(None, len("It is"))
    later = first._replace(text="It is 4 Wait, so ", judged=len("It is"))
    assert predictor.judge([later._replace(context=code)])[0].boundary is None
    assert predictor.judge([later])[0].boundary == len("It is 4 ")


def test_a_context_that_grew_is_told_from_another() -> None:
    predictor = LexiconPredictor()
    code, prose = "```\n" + "value " * 1200, "x\n\n\n" + "value " * 1200
    for context, boundary in ((code, None), (prose + "4 ", 0), (code + "4 ", None)):
        passage = Passage(Role.TEACHER, context, "Wait, so ")
        assert predictor.judge([passage])[0].boundary == boundary


def test_a_bounded_number_of_texts_and_contexts_is_remembered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(bookmarks, "_REMEMBERED", 3)
    predictor = LexiconPredictor()
    for at in range(10):
        for text, judged in (("It is 4 ", 0), ("It is 4 and 5 ", len("It is 4"))):
            context = f"{at} " * 3000
            predictor.judge([Passage(Role.TEACHER, context, f"{at}{text}", judged=judged)])
    memory = predictor._memory
    assert (len(memory._texts), len(memory._contexts)) == (3, 3)


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


@settings(max_examples=1000, deadline=None)
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
