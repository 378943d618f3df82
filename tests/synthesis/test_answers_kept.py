"""Why an answer can't be kept."""

from __future__ import annotations

import pytest

from tessy.method.trajectory import Failure, Role
from tessy.method.turns import Chunk, Finish
from tessy.synthesis.cooperation import fault_of_answer


@pytest.mark.parametrize(
    ("text", "finish", "asked", "failure"),
    [
        ("It is 7.", Finish.ENDED, 40, None),
        ("It is", Finish.LENGTH, 100, Failure.ANSWER_LIMIT),
        ("It is", Finish.LENGTH, 40, Failure.CONTEXT_LIMIT),  # there was room for so many only
        (" \n", Finish.ENDED, 100, Failure.EMPTY_ANSWER),
        ("</think> It is 7.", Finish.ENDED, 100, Failure.MARKER),
    ],
)
def test_why_an_answer_cannot_be_kept(text, finish, asked, failure):
    fault = fault_of_answer(Chunk(text, finish, 40, asked=asked), Role.STUDENT, 100)
    assert (fault and fault.failure) == failure
