"""Student-Only (Table 1): the student writes everything."""

from __future__ import annotations

from tessy.method.trajectory import Role
from tessy.synthesis.methods.method import Method, written_by
from tessy.synthesis.sample import Draft, Sample


async def write(sample: Sample) -> Draft:
    """Have the student think and answer."""
    return await written_by(sample, Role.STUDENT)


STUDENT_ONLY = Method(
    "student-only", "the student writes everything", write, roles=frozenset({Role.STUDENT})
)
