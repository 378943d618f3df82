"""Turns come back from the journal as they went in, also from journals of earlier versions."""

from __future__ import annotations

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tessy.method.trajectory import Failure, Outcome, Part, Role, Trajectory, Turn
from tessy.runs.packing import pack, turn_from_json, turn_to_json, unpack

COUNTS = st.integers(0, 10**6)
TURNS = st.builds(
    Turn,
    role=st.sampled_from(Role),
    part=st.sampled_from(Part),
    outcome=st.sampled_from(Outcome),
    kept=st.text(),
    pending=st.text(),
    discarded=st.text(),
    forced=st.booleans(),
    tokens=COUNTS,
    pending_tokens=COUNTS,
    discarded_tokens=COUNTS,
    ids=st.none() | st.lists(COUNTS).map(tuple),
    asked=COUNTS,
    draft=COUNTS,
    why=st.text(),
    failure=st.none() | st.sampled_from(Failure),
    confidence=st.none() | st.floats(0, 1),
)


@given(TURNS)
def test_a_turn_comes_back_as_it_was(turn):
    (back,) = unpack(pack([turn_to_json(turn)]))
    assert turn_from_json(back) == turn


@given(TURNS, st.sampled_from([11, 12, 15]))
def test_turns_of_earlier_journals_have_what_they_lack_by_default(turn, fields):
    old = orjson.loads(orjson.dumps(turn_to_json(turn)[:fields]))
    back = turn_from_json(old)
    assert turn_to_json(back)[:fields] == orjson.loads(orjson.dumps(turn_to_json(turn)))[:fields]
    assert back.confidence is None
    if fields < 15:
        assert (back.draft, back.why, back.failure) == (0, "", None)


@pytest.mark.parametrize(("confidence", "wanted"), [(0.91, [(3, 0.91)]), (None, [])])
def test_a_trajectory_knows_how_sure_its_hand_overs_were(confidence, wanted):
    turn = Turn(Role.STUDENT, Part.THINKING, Outcome.HANDED_OVER, "So ", confidence=confidence)
    assert Trajectory.replay([turn]).confidence == wanted
