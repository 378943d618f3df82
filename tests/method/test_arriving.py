"""Text that is certain to stay: what `method.arriving` passes on is never taken back."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tessy.data.record import MARKERS
from tessy.method.arriving import ArrivingAnswer, ArrivingThinking
from tessy.method.judgement import Judgement
from tessy.method.trajectory import Trajectory
from tessy.method.turns import Chunk, Finish, settle

STOPS = ("###", "\nQ:", "aab", "ab")
PIECES = st.lists(
    st.sampled_from(["#", "##", "a", "b", "aa", " ", "\n", "Q", ":", "x", "é", "\ufffd", "<", "语"])
    | st.sampled_from(["<think>", "</th", "ink>", "<thi"]),
    max_size=25,
)
END = "</think>"


def fed(text, pieces) -> list[str]:
    """What is certain after each piece, until the text ends."""
    found = []
    for piece in pieces:
        found.append(text.add(piece))
        if text.ended:
            break
    return found


def whole(pieces, stops) -> str:
    """The answer: what is before the first stop text, as a server would find it."""
    text = "".join(pieces)
    ends = [at for stop in stops if (at := text.find(stop)) >= 0]
    return text[: min(ends, default=len(text))]


@given(PIECES, st.sets(st.sampled_from(STOPS)))
def test_what_is_certain_of_an_answer_is_never_taken_back(pieces, stops):
    answer = ArrivingAnswer(tuple(stops), MARKERS)
    certain = fed(answer, pieces)
    ended = answer.end()
    text = "".join(pieces) if ended is None else ended
    assert (ended is not None) == any(stop in "".join(pieces) for stop in stops)
    assert text == whole(pieces, stops)
    final = whole([text], MARKERS).strip()
    for before, after in pairwise(certain):
        assert after.startswith(before)
    assert all(final.startswith(each) for each in certain)


@given(PIECES, st.sets(st.sampled_from(STOPS)))
def test_only_what_may_still_change_is_held_back(pieces, stops):
    answer = ArrivingAnswer(tuple(stops), MARKERS)
    certain = fed(answer, [*pieces, "."])
    if answer.ended:
        return
    shown = whole(["".join(pieces) + "."], MARKERS).strip()
    assert certain[-1].rstrip() == shown.rstrip("\ufffd").rstrip()


def test_a_stop_text_across_events():
    answer = ArrivingAnswer(("\n\nQ:",), MARKERS)
    assert fed(answer, ["It is 7.\n", "\n", "Q", ": next", " more"]) == ["It is 7."] * 4
    assert answer.end() == "It is 7."


def test_what_only_looked_like_a_stop_text_comes_later():
    answer = ArrivingAnswer(("END",), MARKERS)
    assert fed(answer, ["the EN", "TRY"]) == ["the", "the ENTRY"]
    assert answer.end() is None


def test_an_end_that_was_held_back_for_a_longer_stop_text():
    answer = ArrivingAnswer(("b", "abc"), MARKERS)
    assert fed(answer, ["x ab"]) == ["x"]
    assert answer.end() == "x a", "no more text came, so the shorter one ends it"


@pytest.mark.parametrize("marker", MARKERS)
def test_nothing_comes_after_a_marker(marker):
    answer = ArrivingAnswer((), MARKERS)
    assert fed(answer, ["7 ", marker[:3], marker[3:], " 8"]) == ["7"] * 4
    assert answer.end() is None, "the answer goes on, and fails"


WORDS = st.lists(
    st.sampled_from(
        ["so", " x", "=7", " ", "\n", "语", "言", "e\u0301", " <", "</th", "ink>", END]
    ),
    max_size=25,
)


@given(WORDS, st.sampled_from(["", "half", "two words"]), st.booleans())
def test_what_is_certain_of_thinking_is_committed(pieces, pending, ends):
    trajectory = Trajectory(thinking="Well. " * bool(pending), pending=pending)
    thinking = ArrivingThinking(trajectory, (END,))
    certain = fed(thinking, pieces)
    text = "".join(pieces)
    found = (pending + text).find(END)
    finish = Finish.ENDED if ends or found >= 0 else Finish.LENGTH
    retracted = max(0, len(pending) - found) if found >= 0 else 0
    cut = (pending + text)[len(pending) : found] if found >= 0 else text
    chunk = Chunk(cut, finish, len(text), retracted=retracted)
    written = len(pending) - retracted + len(cut)
    turn = settle(trajectory, chunk, Judgement(boundary=None, settled=written))
    for before, after in pairwise(certain):
        assert after.startswith(before)
    assert all(turn.kept.startswith(each) for each in certain)
