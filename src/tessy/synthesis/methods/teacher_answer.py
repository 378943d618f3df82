"""Teacher-Answer (Table 1): the student thinks, the teacher answers."""

from __future__ import annotations

from tessy.method.trajectory import Role
from tessy.synthesis.methods.method import Method, written_by
from tessy.synthesis.sample import Draft, Sample


async def write(sample: Sample) -> Draft:
    """Have the student think and the teacher answer."""
    return await written_by(sample, Role.STUDENT, Role.TEACHER)


TEACHER_ANSWER = Method(
    "teacher-answer",
    "the student thinks, the teacher answers",
    write,
    answerers=frozenset({Role.TEACHER}),
)
