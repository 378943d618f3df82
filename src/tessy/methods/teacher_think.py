"""Teacher-Think (Table 1): the teacher thinks, the student answers."""

from __future__ import annotations

from tessy.cooperate import Session
from tessy.methods.method import Method, written_by
from tessy.sample import Sample
from tessy.trajectory import Role


async def write(sample: Sample) -> Session:
    """Have the teacher think and the student answer."""
    return await written_by(sample, Role.TEACHER, Role.STUDENT)


METHOD = Method("teacher-think", "the teacher thinks, the student answers", write)
