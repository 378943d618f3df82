"""Teacher-Answer (Table 1): the student thinks, the teacher answers."""

from __future__ import annotations

from tessy.cooperate import Session
from tessy.methods.method import Method, written_by
from tessy.sample import Sample
from tessy.trajectory import Role


async def write(sample: Sample) -> Session:
    """Have the student think and the teacher answer."""
    return await written_by(sample, Role.STUDENT, Role.TEACHER)


METHOD = Method("teacher-answer", "the student thinks, the teacher answers", write)
