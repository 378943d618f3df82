"""Teacher-Think (Table 1): the teacher thinks, the student answers."""

from __future__ import annotations

from tessy.method.trajectory import Role
from tessy.synthesis.methods.method import Method, written_by
from tessy.synthesis.sample import Draft, Sample


async def write(sample: Sample) -> Draft:
    """Have the teacher think and the student answer."""
    return await written_by(sample, Role.TEACHER, Role.STUDENT)


TEACHER_THINK = Method("teacher-think", "the teacher thinks, the student answers", write)
