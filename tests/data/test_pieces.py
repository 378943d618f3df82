"""A response cut into pieces: nothing is lost, repeated or out of place."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tessy.data import record
from tessy.data.pieces import Piece, mark_of, pieces
from tessy.method.trajectory import Outcome, Part, Role, Trajectory, Turn

TEXT = st.text(st.sampled_from("ab <&\n\u202e😀"), max_size=5)


@st.composite
def trajectories(draw) -> Trajectory:
    """Turns of any length, with rollbacks in thinking and answer; the thinking may be open."""
    trajectory = Trajectory()
    for part, most in ((Part.THINKING, 8), (Part.ANSWER, draw(st.integers(0, 3)))):
        if part is Part.ANSWER and not most:
            break
        for _ in range(draw(st.integers(0, most))):
            role = draw(st.sampled_from(Role)) if part is Part.THINKING else Role.STUDENT
            text = {"kept": draw(TEXT), "discarded": draw(TEXT), "forced": draw(st.booleans())}
            trajectory.apply(Turn(role, part, Outcome.WENT_ON, **text))
        if part is Part.THINKING and most:
            trajectory.apply(Turn(Role.STUDENT, part, Outcome.CLOSED))
    return trajectory


def cut(trajectory: Trajectory) -> list[Piece]:
    discards = record.trace(trajectory)["discards"]
    return list(pieces(record.content(trajectory), record.spans(trajectory), discards))


@given(trajectories())
def test_provenance_pieces_that_are_not_discarded_are_the_response(trajectory):
    """Each span also keeps its author: pieces joined by author are the spans."""
    content, found = record.content(trajectory), cut(trajectory)
    assert "".join(piece.text for piece in found if not piece.discarded) == content
    spans = [
        (None if span["role"] == "format" else Role(span["role"]), mark_of(span), span["end"])
        for span in record.spans(trajectory)
    ]
    position, at = 0, []
    for piece in found:
        if not piece.discarded:
            if piece.opens and at:
                assert position == spans[len(at) - 1][2]
            at += [piece] if piece.opens else []
            position += len(piece.text)
            assert (piece.role, piece.mark) == spans[len(at) - 1][:2]
    assert len(at) == len(spans)


@given(trajectories())
def test_every_discard_is_shown_once_at_its_offset(trajectory):
    kept, found = "", []
    for piece in cut(trajectory):
        if piece.discarded:
            found.append((piece.role, piece.text, len(kept)))
        else:
            kept += piece.text
    answer = len(record.THINK_OPEN + trajectory.thinking + record.THINK_CLOSE)
    begins = {Part.THINKING: len(record.THINK_OPEN), Part.ANSWER: answer}
    assert found == [(d.role, d.text, begins[d.part] + d.at) for d in trajectory.discards]


def test_what_was_discarded_at_the_very_end_is_shown():
    trajectory = Trajectory()
    trajectory.apply(Turn(Role.STUDENT, Part.THINKING, Outcome.WENT_ON, kept="a", discarded="b"))
    assert cut(trajectory)[-1] == Piece("b", Role.STUDENT, discarded=True)
    trajectory.apply(Turn(Role.STUDENT, Part.THINKING, Outcome.CLOSED))
    trajectory.apply(Turn(Role.STUDENT, Part.ANSWER, Outcome.WENT_ON, discarded="an answer"))
    assert [piece.text for piece in cut(trajectory)][-2:] == ["\n</think>\n\n", "an answer"]
