"""Teacher-Mix (Table 1): samples of Teacher-Only and of Student-Only, one to one."""

from __future__ import annotations

from tessy.synthesis.methods import student_only, teacher_only
from tessy.synthesis.methods.method import BOTH, Method
from tessy.synthesis.sample import Draft, Sample


async def write(sample: Sample) -> Draft:
    """Have the teacher write every other sample, starting with the first; the student the rest."""
    theirs = student_only.write if sample.job.position % 2 else teacher_only.write
    return await theirs(sample)


TEACHER_MIX = Method(
    "teacher-mix",
    "the teacher writes every other sample, the student the rest",
    write,
    answerers=BOTH,
)
