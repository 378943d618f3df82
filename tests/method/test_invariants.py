"""The invariants of the method, each tested under its name (docs/method.md).

*Exactly once* is in runs/test_journal.py and e2e/, *Stable prefix* in models/test_prefix.py.
"""

from __future__ import annotations

import math
import unicodedata
from itertools import cycle
from zlib import crc32

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from simulation import (
    END,
    FirstCharacterPredictor,
    SimulatedClient,
    WordPredictor,
    config,
    draft_of,
    run,
    together,
    turns_of,
)
from tessy.boundary.decision import decide
from tessy.boundary.registry import SHIPPED, load
from tessy.config import HandOver
from tessy.data import record
from tessy.data.questions import Question
from tessy.method.judgement import Judgement
from tessy.method.trajectory import (
    DraftKey,
    Failure,
    Outcome,
    Part,
    Role,
    SampleFailed,
    Trajectory,
    Turn,
)
from tessy.method.turns import LOOKAHEAD_WORDS, Chunk, Finish, settle, written
from tessy.method.words import Unit, complete, is_prose, units
from texts import BLANKS, PIECES, any_text, model_text

WRONG = {
    "always style": lambda before, word: True,
    "always capability": lambda before, word: False,
    "by length": lambda before, word: len(word) % 2 == 0,
    "by place": lambda before, word: (len(before) // 7) % 2 == 0,
    "by digits": lambda before, word: not any(c.isdigit() for c in word),
}

FIRST_CHARACTER = "by the first character"


@st.composite
def models(draw: st.DrawFn, *, may_be_silent: bool = True) -> SimulatedClient:
    """A model whose next character is a function of the text so far, and which always ends.

    A model that may be silent writes nothing at some lengths of the text, so what it writes depends
    on where a call begins.
    """
    pieces = draw(st.lists(st.sampled_from(PIECES), min_size=1, max_size=6))
    blanks = draw(st.lists(st.sampled_from(BLANKS), min_size=1, max_size=4))
    alphabet = "".join(pieces) + "".join(blanks) * draw(st.integers(1, 8))
    salt = draw(st.integers(0, 2**16))
    length = draw(st.integers(0, 300))
    silent_every = draw(st.sampled_from([0, 0, 3, 1] if may_be_silent else [0]))

    def next_text(text: str) -> str:
        if silent_every and len(text) % silent_every == 0:
            return ""
        written = text
        while len(written) < min(length, len(text) + 64):
            place = crc32(f"{salt}/{len(written)}/{written[-2:]}".encode())
            written += alphabet[place % len(alphabet)]
        return written[len(text) :] + (END if len(written) >= length else "")

    return SimulatedClient(next_text)


def cooperations(**kind: bool) -> st.SearchStrategy[tuple]:
    return st.tuples(
        *(models(**kind), models(**kind), st.sampled_from([*sorted(WRONG), FIRST_CHARACTER])),
        *(hand_overs, st.integers(1, 60), st.integers(1, 60), readings),
    )


hand_overs = st.builds(
    HandOver,
    min_style_words=st.sampled_from([1, 1, 2, 3, 8]),
    min_capability_words=st.sampled_from([1, 1, 1, 2, 3]),
)


readings = st.one_of(st.none(), st.lists(st.integers(1, 9), min_size=1, max_size=4))
"""None for chunks, or the lengths of a stream's events in characters."""


cooperation = cooperations()


def begin(case, entries=()):
    student, teacher, rule, handover, student_chunk, teacher_chunk, events = case
    predictor = FirstCharacterPredictor() if rule == FIRST_CHARACTER else WordPredictor(WRONG[rule])
    for client in (student, teacher):
        client.events = events or (1,)
    settings_, streamed = config(student_chunk, teacher_chunk, handover), events is not None
    draft = draft_of(student, teacher, predictor, settings_, streamed=streamed, entries=entries)
    return draft, predictor


def attempt(case):
    draft, predictor = begin(case)
    failure = None
    try:
        run(together(draft))
    except SampleFailed as failed:
        failure = failed.failure
    return draft.trajectory, turns_of(draft), failure, predictor


@settings(deadline=None)
@given(cooperation)
def test_provenance_every_character_has_one_author(case):
    trajectory, turns, failure, _ = attempt(case)
    parts = ((Part.THINKING, trajectory.thinking), (Part.ANSWER, trajectory.answer))
    for part, text in parts:
        position = 0
        for span in trajectory.spans[part]:
            assert span.start == position < span.end
            position = span.end
        assert position == len(text)
    kept = {role: "".join(t.kept for t in turns if t.role is role) for role in Role}
    for role in Role:
        spans = [
            text[span.start : span.end]
            for part, text in parts
            for span in trajectory.spans[part]
            if span.role is role
        ]
        assert "".join(spans) == kept[role]
    partial = record.content(trajectory)
    ends = [span["end"] for span in record.spans(trajectory)]
    assert ends == sorted(ends)
    assert ends[-1] == len(partial)
    if failure is None:
        question = Question(0, "q", ({"role": "user", "content": "?"},))
        made = record.finished("q", question, trajectory, method="tessy", models={}, seed=0)
        content = made["messages"][-1]["content"]
        joined = "".join(content[span["start"] : span["end"]] for span in made["spans"])
        assert joined == content
        assert content == f"<think>\n{trajectory.thinking}\n</think>\n\n{trajectory.answer}"


@settings(deadline=None)
@given(cooperation)
def test_progress_every_turn_writes_or_hands_over_and_the_run_ends(case):
    trajectory, turns, failure, _ = attempt(case)
    assert trajectory.done or failure in (
        Failure.NO_PROGRESS,
        Failure.REPETITION,
        Failure.THINKING_LIMIT,
    )
    empty_in_a_row = 0
    for turn in turns:
        switched = turn.outcome in (Outcome.HANDED_OVER, Outcome.EMPTY)
        assert turn.kept or turn.pending or switched or turn.outcome is Outcome.CLOSED
        if switched:
            empty_in_a_row = 0 if turn.kept else empty_in_a_row + 1
        elif turn.kept:
            empty_in_a_row = 0
    # Only models that write nothing cause two empty turns; predictors can't.
    if failure is not Failure.NO_PROGRESS:
        idle = [t for t in turns if t.outcome is Outcome.HANDED_OVER and t.forced]
        assert all(turn.kept for turn in idle)


@settings(deadline=None)
@given(st.sampled_from(["always style", "always capability"]), st.integers(1, 30), model_text)
def test_progress_with_a_predictor_that_is_always_wrong_for_one_of_them(rule, chunk, text):
    assume(text.strip())
    client = SimulatedClient(lambda so_far: text[len(so_far) :] + END)
    predictor = WordPredictor(WRONG[rule])
    made = draft_of(client, client, predictor, config(chunk, chunk))
    failure = None
    try:
        run(together(made))
    except SampleFailed as failed:
        failure = failed.failure
    whole = made.trajectory.thinking in (text.rstrip(), "")
    assert whole if failure is None else failure is Failure.REPETITION


def test_progress_with_a_predictor_that_is_always_wrong_for_both():
    class Contrary(WordPredictor):
        def _judge(self, passage):
            return Judgement(0 if passage.text.strip() else None, 0)

    words = [f"word{i}" for i in range(50)]

    def next_text(so_far: str) -> str:
        done = len(so_far.split())
        return "".join(" " + word for word in words[done:]) + " " + END

    client = SimulatedClient(next_text)
    made = draft_of(client, client, Contrary(lambda *_: True), config(400, 400))
    run(together(made))
    assert made.trajectory.thinking.split() == words
    assert all(span.forced for span in made.trajectory.spans[Part.THINKING])
    assert len(turns_of(made)) <= 2 * len(words) + 2


@settings(deadline=None)
@given(cooperation)
def test_purity_a_committed_word_was_judged_its_authors_kind_or_is_marked(case):
    trajectory, turns, _, predictor = attempt(case)
    for span in trajectory.spans[Part.THINKING]:
        text = trajectory.thinking[span.start : span.end]
        for word in units(text):
            if word.word_start == word.word_end:
                continue
            before = trajectory.thinking[: span.start] + text[: word.word_start]
            kind = predictor.is_style(before, text[word.word_start : word.word_end])
            assert span.forced or (kind == (span.role is Role.STUDENT)) is not span.tolerated
    for turn in turns:
        cut = len(turn.kept)
        written = units(turn.kept + turn.discarded)
        if turn.outcome is Outcome.HANDED_OVER and cut:
            assert any(cut in (word.start, word.word_end) for word in written), "a word is split"


@settings(deadline=None, max_examples=300)
@given(cooperation)
def test_purity_tolerated_spans_are_short_and_of_prose_where_the_student_writes(case):
    trajectory, *_ = attempt(case)
    handover, text = case[3], trajectory.thinking
    for span in trajectory.spans[Part.THINKING]:
        if span.tolerated:
            written_ = text[span.start : span.end]
            words = [written_[w.word_start : w.word_end] for w in units(written_)]
            words = [word for word in words if word]
            assert 0 < len(words) < handover.short(span.role).minimum
            assert span.role is Role.TEACHER or all(map(is_prose, words))


@settings(deadline=None, max_examples=300)
@given(cooperation)
def test_seams_no_two_authors_write_one_word(case):
    trajectory, turns, _, _ = attempt(case)
    text = trajectory.thinking
    seams, position = [], 0
    for turn in turns[:-1]:
        position += len(turn.kept)
        if turn.outcome in (Outcome.HANDED_OVER, Outcome.EMPTY):
            seams.append(position)
    for at in seams:
        if 0 < at < len(text):
            assert not are_in_one_word(text[at - 1], text[at]), (text[:at], text[at:])


def are_in_one_word(before, after):
    """By Unicode's categories and names, not by the product's own tables."""
    if unicodedata.category(after).startswith("M") and not before.isspace():
        return True
    inside = ("L", "N", "M", "Pc")
    spaced = not any("CJK" in unicodedata.name(char, "") for char in (before, after))
    return spaced and all(unicodedata.category(char).startswith(inside) for char in (before, after))


@pytest.mark.parametrize(
    "text",
    ["t wait", "9", "_x", "́ so", "été", "으로 가", "Ж", "t", "t</think>"],
)
@pytest.mark.parametrize("streamed", [False, True])
def test_seams_text_that_would_lengthen_the_last_word_is_written_again_after_a_blank(
    text, streamed
):
    teacher = SimulatedClient(lambda so_far: "x=1 Thus 5 wait" if not so_far else "</think>")
    student = SimulatedClient(lambda so_far: text if so_far.endswith("s") else "wait, 7")
    student.events = teacher.events = [3]
    predictor = WordPredictor(lambda before, word: word.startswith("wait"))
    made = draft_of(student, teacher, predictor, config(200, 200), streamed=streamed)
    made.trajectory.apply(Turn(Role.TEACHER, Part.THINKING, Outcome.HANDED_OVER, kept="So thus"))
    run(together(made))
    first = turns_of(made)[0]
    assert (first.kept, first.pending) == ("", " ")
    assert text.startswith(first.discarded) or first.discarded == text.partition("</think>")[0]
    assert made.trajectory.thinking.startswith("So thus wait,")


@pytest.mark.parametrize("text", [" wait", "\nwait", ", wait", "). So", "=5", "答", "。"])
def test_seams_text_that_begins_a_word_stays(text):
    trajectory = Trajectory(thinking="So thus", turns=1)
    turn = settle(trajectory, Chunk(text, Finish.ENDED, 3), Judgement(None, len(text)))
    assert turn.kept == text


@settings(deadline=None, max_examples=200)
@given(cooperations(may_be_silent=False), st.integers(1, 80), st.integers(1, 80))
def test_the_text_does_not_depend_on_the_size_of_the_chunks(case, student_chunk, teacher_chunk):
    *same, _, _, events = case
    first, _, failure, _ = attempt(case)
    second, _, other, _ = attempt((*same, student_chunk, teacher_chunk, events))
    assume(failure is None and other is None)
    assert first.thinking == second.thinking
    assert first.spans == second.spans


@settings(deadline=None, max_examples=300)
@given(cooperations(may_be_silent=False), readings)
def test_the_text_does_not_depend_on_whether_it_is_streamed(case, reading):
    same = case[:-1]
    first, _, failure, _ = attempt(case)
    second, _, other, _ = attempt((*same, reading))
    assume(failure is None and other is None)
    assert first.thinking == second.thinking
    assert first.spans == second.spans


class Unsure(WordPredictor):
    """Judges a word with the words after it, up to three, until it is sure; as `english-2` does."""

    def _judge(self, passage):
        words = complete(passage.text, units(passage.text), final=passage.final)
        words = [word for word in words if word.word_end > passage.judged]
        scores = [self._score(passage, words[at : at + 4]) for at in range(len(words))]
        relative = [Unit(*(max(0, end - passage.judged) for end in word)) for word in words]
        return decide(passage, relative, scores, 0.5, (0.4, 0.3, 0.2))

    def _score(self, passage, words):
        first, shown = words[0], passage.text[words[0].word_start : words[-1].word_end]
        before = passage.context + passage.text[: first.word_start]
        return math.nan if first.word_start == first.word_end else chance_of(before[-20:] + shown)


def chance_of(text):
    """A number between 0 and 1 that is a function of a text."""
    return crc32(text.encode()) / 2**32


def written_with(case, predictor, most):
    """What a case writes whose requests ask for so many tokens, one after the other."""
    student, teacher, _, handover, *_, events = case
    student.events = teacher.events = events
    made = draft_of(student, teacher, predictor, config(4000, 4000, handover), streamed=True)
    sizes = cycle(most)
    made.context.sizes.ahead = lambda role: next(sizes)
    run(together(made))
    return made.trajectory


asked = st.lists(st.none() | st.integers(1, 40), min_size=1, max_size=6)
events = st.lists(st.integers(1, 9), min_size=1, max_size=4)
UNSURE = {"made up": Unsure(lambda *_: True), "ships": load(SHIPPED)}


@settings(deadline=None, max_examples=200)
@given(cooperations(may_be_silent=False), st.sampled_from(sorted(UNSURE)), asked, events)
def test_replay_the_text_does_not_depend_on_how_much_streams_ask_for(case, name, most, arrives):
    """Words that wait for the words after them when a request ends, wait for those of the next."""
    predictor = UNSURE[name]
    try:
        whole = written_with((*case[:-1], [1]), predictor, [None])
        parts = written_with((*case[:-1], arrives), predictor, most)
    except SampleFailed:
        assume(False)
    assert parts.thinking == whole.thinking
    assert parts.spans == whole.spans


@settings(deadline=None)
@given(cooperations(may_be_silent=False))
def test_a_stream_is_read_no_farther_than_the_word_that_decides(case):
    """If text arrives by the character: it reads that word, and the character that ends it.

    And text that may begin a marker, up to the character after which it can't.
    """
    *same, handover, _, _, _ = case
    _, turns, _, _ = attempt((*same, handover, 400, 400, [1]))
    for turn in turns:
        if turn.outcome is Outcome.HANDED_OVER:
            words = [u for u in units(turn.discarded) if u.word_end > u.word_start]
            held = 2 * turn.discarded.count("<")
            assert len(words) <= 1 + held + handover.short(turn.role).minimum


@settings(deadline=None)
@given(cooperation)
def test_replay_a_trajectory_is_the_fold_of_its_turns(case):
    trajectory, turns, _, _ = attempt(case)
    assert Trajectory.replay(turns) == trajectory
    again, turns_again, _, _ = attempt(case)
    assert turns_again == turns
    assert again == trajectory


@settings(deadline=None)
@given(cooperation, st.data())
def test_replay_a_sample_that_goes_on_from_any_turn_ends_the_same(case, data):
    trajectory, turns, failure, _ = attempt(case)
    assume(turns and failure is None)
    cut = data.draw(st.integers(0, len(turns) - 1))
    made, _ = begin(case, [(DraftKey(0, 0), turn) for turn in turns[:cut]])
    run(together(made))
    assert made.trajectory == trajectory
    assert turns[:cut] + turns_of(made) == turns


@given(any_text, any_text, st.integers(0, 400), st.integers(0, 400), st.booleans())
def test_nothing_is_lost_in_a_turn(pending, text, boundary, settled, ends):
    trajectory = Trajectory(pending=pending, pending_tokens=len(pending))
    whole = pending + text
    finish = Finish.ENDED if ends else Finish.LENGTH
    judgement = Judgement(boundary if boundary <= len(whole) else None, min(settled, len(whole)))
    turn = settle(trajectory, Chunk(text, finish, len(text)), judgement)
    assert turn.kept + turn.pending + turn.discarded == whole
    assert turn.pending_tokens + turn.discarded_tokens == len(turn.pending) + len(turn.discarded)
    if turn.outcome is Outcome.WENT_ON:
        words = [u for u in units(turn.pending) if u.word_end > u.word_start]
        assert len(words) <= LOOKAHEAD_WORDS + 1


@given(st.integers(1, 30), st.data())
def test_purity_a_word_that_is_not_settled_waits(count, data):
    """Text that a predictor has not settled is not committed yet."""
    words = [f"w{n}" for n in range(count)]
    text = " ".join(words) + " "
    settled = data.draw(st.integers(0, len(text)))
    chunk = Chunk(text, Finish.LENGTH, count)
    turn = settle(Trajectory(), chunk, Judgement(None, settled))
    ends = [len(" ".join(words[: n + 1])) for n in range(count)]
    decided = max((end for end in ends if end <= settled), default=0)
    oldest = ends[-LOOKAHEAD_WORDS - 1] if count > LOOKAHEAD_WORDS else 0
    assert turn.kept == text[: max(decided, oldest)]
    assert turn.pending == text[len(turn.kept) :]


@given(model_text, st.integers(0, 7))
def test_an_end_marker_that_began_in_pending_text_is_not_text(text, begun):
    marker = "</think>"
    trajectory = Trajectory(pending=text + marker[:begun], pending_tokens=5)
    chunk = Chunk("", Finish.ENDED, 1, retracted=begun)
    assert written(trajectory, chunk) == text
    turn = settle(trajectory, chunk, Judgement(None, len(text)))
    assert turn.kept + turn.discarded == text
    assert turn.kept == text.rstrip()


def test_both_models_silent_is_no_progress():
    silent = SimulatedClient(lambda _: "")
    made = draft_of(silent, silent, WordPredictor(WRONG["by digits"]), config())
    with pytest.raises(SampleFailed) as failed:
        run(together(made))
    assert failed.value.failure is Failure.NO_PROGRESS
    assert [t.role for t in turns_of(made)] == [Role.STUDENT, Role.TEACHER]


@pytest.mark.parametrize(
    ("answer", "failure"),
    [
        ("fine", None),
        ("  \n", Failure.EMPTY_ANSWER),
        ("so </think> it is", Failure.MARKER),
        ("<think> again", Failure.MARKER),
        ("one two three " * 9, Failure.REPETITION),
    ],
)
def test_an_answer_that_cannot_be_kept_is_discarded_whole_and_counted(answer, failure):
    student = SimulatedClient(lambda so_far: "okay" + END if not so_far else END, answers=answer)
    made = draft_of(student, student, WordPredictor(WRONG["by digits"]), config())
    found = None
    try:
        run(together(made))
    except SampleFailed as failed:
        found = failed.failure
    assert found is failure
    trajectory = made.trajectory
    assert trajectory.generated[Role.STUDENT] == 5 + len(answer)
    assert trajectory.discarded[Role.STUDENT] == (len(answer) if failure else 0)
    assert trajectory.answer == ("" if failure else answer)
    assert trajectory.done is (failure is None)
    kept = record.failed("s", None, trajectory, failure or Failure.MARKER, "")["answer"]
    assert kept == (answer if failure and answer.strip() else "")


def test_the_end_marker_after_text_of_the_other_kind_does_not_count():
    student = SimulatedClient(lambda so_far: "okay x=1 done" + END if not so_far else "" + END)
    teacher = SimulatedClient(lambda so_far: " x=2" + END if "x=2" not in so_far else END)
    made = draft_of(student, teacher, WordPredictor(WRONG["by digits"]), config(100, 100))
    run(together(made))
    assert made.trajectory.thinking == "okay x=2"
    assert turns_of(made)[0]._replace(ids=None, asked=0) == Turn(
        Role.STUDENT,
        Part.THINKING,
        Outcome.HANDED_OVER,
        kept="okay",
        discarded=" x=1 done",
        tokens=14,
        discarded_tokens=10,
    )
