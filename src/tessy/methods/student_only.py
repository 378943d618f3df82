"""Student-Only (Table 1): the student writes everything."""

from __future__ import annotations

from tessy.cooperate import Session
from tessy.methods.method import Method, written_by
from tessy.sample import Sample
from tessy.trajectory import Role


async def write(sample: Sample) -> Session:
    """Have the student think and answer."""
    return await written_by(sample, Role.STUDENT)


METHOD = Method(
    "student-only", "the student writes everything", write, roles=frozenset({Role.STUDENT})
)
