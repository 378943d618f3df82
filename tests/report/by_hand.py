"""Two small runs whose every number can be computed on paper; see `test_report_by_hand.py`."""

from __future__ import annotations

from made_runs import STUDENT, TEACHER, Made, answer, last, turn
from tessy.method.trajectory import Failure, Outcome


def tessy_samples() -> list[Made]:
    return [
        Made(
            "q0",
            [
                turn(STUDENT, "Wait so", 3, " two", 1),
                turn(TEACHER, " two two four", 4, " okay", 1),
                last(STUDENT, " okay so", 2),
                answer("four", 1),
            ],
            seconds=2.0,
            requests=4,
            trace={"confidence": [[7, 0.95], [20, 0.55]]},
        ),
        Made(
            "q1",
            [
                turn(STUDENT, "Okay", 2, " one", 1),
                last(TEACHER, " one one two", 3)._replace(tolerated=((4, 8),)),
                answer("two", 1),
            ],
            seconds=1.0,
            requests=3,
            trace={"confidence": [[4, 1.0]]},
        ),
        Made(
            "q2",
            [
                turn(STUDENT, "", 1, "three", 1),
                turn(TEACHER, "Hmm", 2, " so", 1, forced=True),
                last(STUDENT, " so three", 2),
                answer("three", 1),
            ],
            seconds=3.0,
            requests=4,
        ),
        Made(
            "q3",
            [turn(STUDENT, "so so so", 3, outcome=Outcome.WENT_ON)],
            failure=Failure.REPETITION,
            detail="again and again: 'so'",
            seconds=4.0,
            requests=2,
        ),
    ]


def student_samples() -> list[Made]:
    def made(name: str, thinking: str, said: str) -> Made:
        return Made(name, [last(STUDENT, thinking, len(thinking.split())), answer(said, 1)])

    return [
        made("q0", "Okay so four", "four"),
        made("q1", "Okay two", "two"),
        made("q2", "So three", "three"),
        made("q3", "Hmm", "four"),
    ]
