"""The `lexicon` predictor: what it calls style, and that its judgements are stable."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tessy.boundary import bookmarks, lexemes, lexicon, phrases, verbatim
from tessy.boundary.kinds import Kind
from tessy.boundary.kinds import kinds as kinds_of
from tessy.boundary.lexicon import LONGEST_PHRASE, LexiconPredictor, spans
from tessy.boundary.phrases import Place, read_phrases
from tessy.boundary.protocol import Judgement, Passage, Predictor
from tessy.trajectory import Role
from tessy.turns import LOOKAHEAD_WORDS
from tessy.words import complete, units

EXAMPLES = Path(__file__).with_name("lexicon_examples.txt")


def examples() -> list[str]:
    lines = EXAMPLES.read_text("utf-8").splitlines()
    marked = [line for line in lines if line and not re.match(r"# |\[\w+\]$", line)]
    return [re.sub(r"\\n(?!eq)", "\n", line) for line in marked]


def mark(text: str) -> str:
    """The text with its style between ⟦ and ⟧."""
    marked, last = "", 0
    for start, end in spans(text):
        marked += f"{text[last:start]}⟦{text[start:end]}⟧"
        last = end
    return marked + text[last:]


def judge(
    text: str, *, context: str = "", role: Role = Role.TEACHER, final: bool = False
) -> Judgement:
    return LexiconPredictor().judge([Passage(role, context, text, final)])[0]


# --- What is style ------------------------------------------------------------------------------


@pytest.mark.parametrize("marked", examples())
def test_style_is_what_was_marked_by_hand(marked: str) -> None:
    assert mark(re.sub("[⟦⟧]", "", marked)) == marked


def test_there_are_many_examples() -> None:
    assert len(examples()) >= 60


@pytest.mark.parametrize(
    ("place", "elements", "punctuation"),
    [pytest.param(*phrase, id=str(at)) for at, phrase in enumerate(read_phrases())],
)
def test_every_phrase_is_found_by_itself(place: Place, elements: list, punctuation: str) -> None:
    choices = [
        [" ".join(words) for words in alternatives] + [""] * optional
        for alternatives, optional in elements
    ]
    for chosen in itertools.islice(itertools.product(*choices), 0, None, 1 + _size(choices) // 500):
        phrase = " ".join(word for word in chosen if word) + punctuation
        if not phrase.strip(",?"):
            continue
        lead = {Place.FOLLOWING: "Wait ", Place.ANYWHERE: "Numbers ", Place.INITIAL: ""}[place]
        style_start = 0 if place is Place.FOLLOWING else len(lead)
        text = f"{lead}{phrase} 42"
        assert spans(text) == [(style_start, len(text) - 3)], text


def _size(choices: list[list[str]]) -> int:
    size = 1
    for alternatives in choices:
        size *= len(alternatives)
    return size


def test_phrases_are_short_enough_to_be_decided_in_time() -> None:
    longest = max(
        sum(max(len(words) for words in alternatives) for alternatives, _ in elements)
        for _, elements, _ in read_phrases()
    )
    assert longest <= LONGEST_PHRASE <= LOOKAHEAD_WORDS


def test_the_data_file_keeps_to_its_notation() -> None:
    words = {
        word
        for _, elements, _ in read_phrases()
        for alternatives, _ in elements
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
    assert (predictor.name, predictor.batched, predictor.eager) == ("lexicon", False, True)


def test_a_student_is_stopped_at_capability() -> None:
    assert judge("Okay, so dogs bark", role=Role.STUDENT) == Judgement(9, 9, sure=True)


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
    context = "```\n" + "word " * verbatim.LONGEST_FENCE
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
    assert spans(text) == []


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
                    assert judgement.sure
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
    assert judge(text, role=Role.STUDENT).sure is (boundary is not None)


def test_a_student_is_stopped_at_once_in_code() -> None:
    code = "x\n```\ny = 2\n"
    assert judge("ma", context=code, role=Role.STUDENT) == Judgement(0, 0, sure=True)
    assert judge("ma", context=code + "```\n", role=Role.STUDENT) == Judgement(None, 0)


def test_a_teacher_is_not_stopped_before_a_word_is_complete() -> None:
    assert judge("It is 4. Wait", role=Role.TEACHER) == Judgement(None, len("It is 4."))
    assert judge("It is 4. Wait", role=Role.TEACHER, final=True).sure is False


@settings(max_examples=1000, deadline=None)
@given(texts(), texts(), st.data(), st.sampled_from(Role), st.text(max_size=6), st.booleans())
def test_what_it_is_sure_of_stays_whatever_follows(
    context: str, text: str, data: st.DataObject, role: Role, more: str, final: bool
) -> None:
    end = data.draw(st.integers(0, len(text)))
    early = judge(text[:end], context=context, role=role)
    assert early.sure is (early.boundary is not None)
    if early.sure:
        for longer in (text, text[:end] + more, text[:end] + more + text[end:]):
            late = judge(longer, context=context, role=role, final=final)
            assert late.boundary == early.boundary
