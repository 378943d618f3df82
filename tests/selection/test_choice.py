"""Every row is kept once, or dropped once for the first reason."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tessy.selection.choice import Cause, Choice, SelectReason

ROWS = 8
CAUSES = st.lists(
    st.tuples(st.sampled_from(SelectReason), st.sets(st.integers(0, ROWS - 1)), st.booleans()),
    max_size=5,
)


@given(CAUSES)
def test_a_row_is_kept_or_dropped_once_for_the_first_reason(causes):
    choice = Choice(ROWS)
    first: dict[int, int] = {}
    for number, (reason, rows, as_flags) in enumerate(causes):
        chosen = np.isin(np.arange(ROWS), [*rows]) if as_flags else sorted(rows)
        choice.drop(chosen, Cause(reason, lambda row: f"row {row}", str(number)))
        first |= {row: number for row in rows if row not in first}
    assert choice.kept.tolist() == [row for row in range(ROWS) if row not in first]
    for row in range(ROWS):
        cause = choice.cause(row)
        assert (cause and int(cause.about)) == first.get(row)
    assert len(choice.kept) + choice.counts().total() == ROWS


def test_counts_are_by_reason_and_what_it_is_about():
    choice = Choice(4)
    choice.drop([0], Cause(SelectReason.CONDITION, str, "not a>1"))
    choice.drop([0, 1], Cause(SelectReason.CONDITION, str, "not b>1"))
    choice.drop([0, 1], Cause(SelectReason.NOT_DRAWN, str))
    choice.drop([3], Cause(SelectReason.NEAR_DUPLICATE, str))
    assert dict(choice.counts()) == {
        "condition: not a>1": 1,
        "condition: not b>1": 1,
        "near_duplicate": 1,
    }
