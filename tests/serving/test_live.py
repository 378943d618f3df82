"""What is sent of a response while it is written, and who waits for a place: the pure parts."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tessy.method.trajectory import Failure, Outcome, Part, Role, SampleFailed, Turn
from tessy.serving.admission import Admission
from tessy.serving.choices import shown_answer
from tessy.serving.live import LiveText
from tessy.serving.refusals import ApiError


class Sent:
    """What was sent of each part."""

    def __init__(self) -> None:
        self.texts = dict.fromkeys(Part, "")
        self.live = LiveText(self.send)

    def send(self, part: Part, text: str) -> None:
        assert text
        self.texts[part] += text


def turn(kept: str, outcome=Outcome.WENT_ON, part=Part.THINKING, **more) -> Turn:
    return Turn(Role.STUDENT, part, outcome, kept=kept, **more)


TURNS = st.lists(st.tuples(st.text("ab ", max_size=6), st.integers(0, 6), st.integers(0, 6)))


@given(TURNS, st.text("xy", max_size=8), st.integers(0, 8))
def test_what_was_sent_is_what_is_kept(turns, answer, ahead):
    """Calls that arrive in part, are made again, and end; then the answer."""
    sent, thinking = Sent(), ""
    for kept, first, second in turns:
        for size in (first, second):  # a call that breaks, and its retry
            sent.live.arrived(kept[:size])
        sent.live.committed(turn(kept))
        thinking += kept
        assert sent.texts[Part.THINKING] == thinking
    sent.live.committed(turn("", Outcome.CLOSED))
    sent.live.arrived(answer[:ahead])
    sent.live.committed(turn(answer, Outcome.CLOSED, Part.ANSWER))
    assert sent.texts == {Part.THINKING: thinking, Part.ANSWER: answer}
    sent.live.finish({Part.THINKING: thinking, Part.ANSWER: answer})
    assert sent.texts == {Part.THINKING: thinking, Part.ANSWER: answer}


def test_a_turn_may_keep_less_than_what_arrived():
    sent = Sent()
    sent.live.arrived("one two")
    sent.live.committed(turn("one", pending=" two"))
    sent.live.arrived(" two three")
    sent.live.committed(turn(" two three"))
    assert sent.texts[Part.THINKING] == "one two three"


@pytest.mark.parametrize("again", ["twice", "o", "other words"])
def test_a_call_that_is_made_again_and_differs(again):
    sent = Sent()
    sent.live.arrived("once")
    if "once".startswith(again):
        sent.live.arrived(again)
        return
    with pytest.raises(SampleFailed) as found:
        sent.live.arrived(again)
    assert found.value.failure is Failure.MODEL_ERROR
    with pytest.raises(SampleFailed):
        sent.live.committed(turn(again))


def test_an_answer_that_is_not_kept_was_sent_up_to_its_marker():
    sent = Sent()
    sent.live.committed(turn("hm", Outcome.CLOSED))
    sent.live.arrived("It is")
    cut = turn("", Outcome.EMPTY, Part.ANSWER, discarded=" It is 7 </think> no ")
    sent.live.committed(cut)
    assert sent.texts[Part.ANSWER] == "It is 7" == shown_answer(cut.discarded)


def test_what_was_not_heard_comes_at_the_end():
    sent = Sent()
    sent.live.finish({Part.THINKING: "hm", Part.ANSWER: "7"})
    assert sent.texts == {Part.THINKING: "hm", Part.ANSWER: "7"}


# --- Admission ------------------------------------------------------------------------------------


async def test_places_are_given_in_order_and_freed_by_those_that_leave():
    admission, order = Admission(2, 10), []
    done = [asyncio.Event() for _ in range(5)]

    async def write(number: int) -> None:
        async with admission.place():
            order.append(number)
            await done[number].wait()

    with admission.admit(5):
        tasks = [asyncio.create_task(write(number)) for number in range(5)]
        await asyncio.sleep(0)
        assert order == [0, 1]
        assert (admission.running, admission.waiting) == (2, 3)
        tasks[2].cancel()
        done[1].set()
        await asyncio.wait([tasks[1]])
        await asyncio.sleep(0)
        assert order == [0, 1, 3]
        for event in done:
            event.set()
        await asyncio.gather(*tasks, return_exceptions=True)
    assert admission.admitted == admission.running == 0


def test_a_full_queue_says_when_to_come_back():
    admission = Admission(1, 1)
    with admission.admit(2):
        with pytest.raises(ApiError) as found, admission.admit(1):
            pass
        assert found.value.status == 429
        assert 1 <= (found.value.retry_after_s or 0) <= 60
    with admission.admit(2):
        pass
    with pytest.raises(ApiError) as never, admission.admit(3):
        pass
    assert (never.value.status, never.value.param) == (400, "n")
