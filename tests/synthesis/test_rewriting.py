"""Rewrite: the teacher's thinking with its style in the student's words."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from simulation import (
    END,
    Notes,
    SimulatedClient,
    WordPredictor,
    config,
    context_of,
    draft_of,
    run,
    together,
)
from tessy.boundary.batcher import PredictorBatcher
from tessy.config import HandOver
from tessy.data import record
from tessy.data.questions import Question
from tessy.errors import PredictorError
from tessy.method.trajectory import Part, Role, SampleFailed
from tessy.runs.plan import Job
from tessy.synthesis.methods.rewrite import REWRITE
from tessy.synthesis.rewriting import cut
from tessy.synthesis.sample import Sample
from texts import model_text

QUESTION = Question(0, "q", ({"role": "user", "content": "?"},))
BY_DIGITS = WordPredictor(lambda before, word: not any(char.isdigit() for char in word))
hand_overs = st.builds(
    HandOver, min_style_words=st.integers(1, 3), min_capability_words=st.integers(1, 2)
)


def writes(text):
    """A model that writes this text, wherever it is asked to go on."""
    return SimulatedClient(lambda so_far: text[len(so_far) :] + END)


def says(words):
    """A student that says this in the place of every style span, and then a number."""
    return SimulatedClient(lambda so_far: f"{words} 7 ")


def rewritten(teacher, student, *, handover=None, streamed=True, predictor=BY_DIGITS, most=60):
    """The sample that comes of it; all its leases are released."""
    context = context_of(
        {Role.STUDENT: student, Role.TEACHER: writes(teacher)},
        predictor,
        config(most, 4000, handover),
        streamed=streamed,
    )
    sample = Sample(context, Notes(), Job(0, "q", QUESTION))

    async def write():
        try:
            return await REWRITE.write(sample)
        finally:
            sample.close()

    try:
        draft = asyncio.run(write())
    finally:
        for model in context.models.values():
            assert [replica.load for replica in model.servers.replicas] == [0]
    return draft


def pieces(draft):
    text = draft.trajectory.thinking
    found = draft.trajectory.spans[Part.THINKING]
    return [(span.role.value, text[span.start : span.end]) for span in found]


@settings(deadline=None)
@given(model_text, hand_overs)
def test_a_thinking_is_cut_as_if_both_models_had_written_it(text, handover):
    assume(text.strip())
    both = writes(text)
    draft = draft_of(both, both, BY_DIGITS, config(4000, 4000, handover), streamed=True)
    try:
        run(together(draft))
    except SampleFailed:
        assume(False)
    batcher = PredictorBatcher(dict.fromkeys(Role, BY_DIGITS))
    assert asyncio.run(cut(text, batcher, handover)) == draft.trajectory.spans[Part.THINKING]


@settings(deadline=None, max_examples=60)
@given(model_text, hand_overs, st.booleans())
def test_a_student_that_says_the_same_leaves_the_text_as_it_was(text, handover, streamed):
    assume(text.strip())
    try:
        draft = rewritten(text, writes(text), handover=handover, streamed=streamed, most=4000)
    except SampleFailed:
        assume(False)
    assert draft.trajectory.thinking.split() == text.split()


@pytest.mark.parametrize("streamed", [True, False])
def test_the_students_words_take_the_place_of_the_teachers_style(streamed):
    draft = rewritten("Now we go: 1 + 2\nSo then\n3 4 Thus 5", says(" well,"), streamed=streamed)
    assert pieces(draft) == [
        ("student", " well,"),
        ("teacher", " 1"),
        ("student", " well,"),
        ("teacher", " 2\n"),
        ("student", " well,\n"),
        ("teacher", "3 4"),
        ("student", " well,"),
        ("teacher", " 5"),
    ]


def test_short_style_spans_stay_and_are_marked():
    draft = rewritten(
        "Now we go 1 So 2 Thus it is 5", says(" well,"), handover=HandOver(min_style_words=2)
    )
    text = draft.trajectory.thinking
    assert text == " well, 1 So 2 well, 5"
    marked = [text[s.start : s.end] for s in draft.trajectory.spans[Part.THINKING] if s.tolerated]
    assert marked == [" So"]


def test_a_student_with_nothing_to_say_drops_the_span_and_words_do_not_join():
    draft = rewritten("So 1\nThus\n2 So 3", says(""))
    assert pieces(draft) == [("teacher", "1\n2 3")]


def test_a_student_that_never_comes_to_capability_is_stopped():
    draft = rewritten("So 1 Thus 2", SimulatedClient(lambda so_far: " on" * 500))
    for role, text in pieces(draft):
        assert role == "teacher" or text in (" on" * 20, " on" * 19)


def test_every_token_is_counted_once():
    draft = rewritten("So we 1 Thus it 2", says(" well,"))
    counted = record.stats(draft.trajectory, draft.sample.others)
    counters, (source,) = draft.context.counters, draft.sample.others
    assert counted["teacher_tokens"] == pytest.approx(len(" 1 2"), abs=1)
    for role in Role:
        kept, gone = counted[f"{role}_tokens"], counted[f"{role}_discarded_tokens"]
        assert kept == counters.kept[role]
        assert kept + gone == counters.generated[role]
    assert counters.generated[Role.TEACHER] == source.trajectory.generated[Role.TEACHER]


def test_the_last_span_is_written_first_and_then_the_others_at_the_same_time():
    """So the server reads the thinking once."""
    running, most, starts = 0, 0, []

    class Slow(SimulatedClient):
        async def attempt(self, request, *, stream=False):
            nonlocal running, most
            running, most = running + 1, max(most, running + 1)
            starts.append(request.prompt.tokens)
            for _ in range(20):
                await asyncio.sleep(0)
            running -= 1
            return await super().attempt(request, stream=stream)

    text = " ".join(f"word {number}" for number in range(50))
    rewritten(text, Slow(lambda so_far: " well, 7 "))
    *spans, _ = starts
    assert len(spans) == 50
    assert spans[0] == max(spans)
    assert spans[1:] == sorted(spans[1:])
    assert most == 16


def test_a_fault_in_one_span_ends_the_others_and_releases_all():
    class Fails(WordPredictor):
        def judge(self, passages):
            if any("oops" in passage.text for passage in passages):
                raise PredictorError("broken")
            return super().judge(passages)

    ended = []

    class Student(SimulatedClient):
        """Answers for the last span, then for the first; the others wait."""

        async def attempt(self, request, *, stream=False):
            done = await super().attempt(request, stream=stream)
            if len(self.prompts) > 1 and "oops" not in done.text:
                try:
                    await asyncio.sleep(5)
                except asyncio.CancelledError:
                    ended.append(request)
                    raise
            return done

    student = Student(lambda so_far: " well, 7 " if so_far else "oops 7 ")
    text = " ".join(f"word {number}" for number in range(30))
    with pytest.raises(PredictorError, match="broken"):
        rewritten(text, student, predictor=Fails(BY_DIGITS.is_style))
    assert ended
