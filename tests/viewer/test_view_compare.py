"""Two responses side by side: nothing is lost, nothing is invented."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from tessy.data.pieces import Piece
from tessy.data.record import THINK_CLOSE, THINK_OPEN
from tessy.method.trajectory import Role
from tessy.report.viewer.compare import changes, compared

WORDS = ["so", "the", "sum", "is", "4", "5", ".", "wait"]
words = st.lists(st.sampled_from(WORDS), max_size=12).map(" ".join)
some = words | st.text(max_size=20)


def response(thinking: str, answer: str) -> str:
    return THINK_OPEN + thinking + THINK_CLOSE + answer


@st.composite
def cut(draw, text: str) -> list[Piece]:
    """A response in pieces, with discarded ones between."""
    edges = sorted({0, len(text), *draw(st.lists(st.integers(0, len(text)), max_size=5))})
    roles = [None, Role.STUDENT, Role.TEACHER]
    found = []
    for start, end in pairwise(edges):
        found.append(Piece(text[start:end], draw(st.sampled_from(roles))))
        if draw(st.booleans()):
            found.append(Piece("or not", Role.STUDENT, discarded=True))
    return found


@given(st.data(), some, some, some, some)
def test_what_is_kept_reads_as_the_response_with_its_authors(data, one, two, three, four):
    text, base = response(one, two), response(three, four)
    pieces = data.draw(cut(text))
    found = list(compared(pieces, base))
    own = [piece for piece in found if not piece.gone]
    assert "".join(piece.text for piece in own) == text
    authors = [piece.role for piece in own for _ in piece.text]
    assert authors == [p.role for p in pieces if not p.discarded for _ in p.text]


@given(some, some)
def test_without_what_is_new_and_with_what_is_gone_it_is_the_other_text(base, text):
    words, at = [], 0
    for change in changes(base, text):
        words += text[at : change.start].split() + change.gone.split()
        at = change.end
    assert words + text[at:].split() == base.split()


@given(st.data(), some, some)
def test_the_same_response_has_no_change(data, thinking, answer):
    text = response(thinking, answer)
    found = compared(data.draw(cut(text)), text)
    assert not any(piece.new or piece.gone for piece in found)


def test_an_answer_is_compared_with_the_answer():
    """Even if the thinking of one has the words of the other's answer."""
    found = list(
        compared([Piece(response("so 4.", "It is 5."), None)], response("It is", "It is 4."))
    )
    assert [(p.text, p.new) for p in found if p.new or p.gone] == [
        ("It is", False),
        ("so 4.", True),
        ("4.", False),
        ("5.", True),
    ]


def test_what_an_unfinished_response_lacks_is_all_there():
    """The rest of the thinking, and the answer: both are missing at its end."""
    base = response("1 + 2 = 3. So 3.", "It is 3.")
    begun = base[: base.index(" = 3.")]
    found = list(compared([Piece(begun, None)], base))
    assert "".join(piece.text for piece in found if not piece.gone) == begun
    gone = " ".join(piece.text for piece in found if piece.gone)
    assert gone.split() == ["=", "3.", "So", "3.", "It", "is", "3."]
