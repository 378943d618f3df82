"""Teacher-Reference, or self-distillation (Table 1).

The teacher writes a reference answer; the student gets it with the question, then thinks and
answers itself. The record has the original question, without the reference.
"""

from __future__ import annotations

from tessy.method.trajectory import Role
from tessy.synthesis.methods.method import Method, written_by
from tessy.synthesis.methods.prompts import filled
from tessy.synthesis.sample import Draft, Sample


async def write(sample: Sample) -> Draft:
    """Have the teacher write the reference, and the student the response."""
    reference = await written_by(sample, Role.TEACHER, auxiliary=True)
    *before, question = sample.messages
    text = filled(
        sample.context.config.prompts.reference,
        question=question["content"],
        answer=reference.trajectory.answer,
    )
    shown = [*before, {"role": "user", "content": text}]
    response = await written_by(sample, Role.STUDENT, messages=shown)
    return sample.choose(response, lambda _: "the teacher's reference answer")


TEACHER_REFERENCE = Method(
    "teacher-reference", "the student thinks and answers, given the teacher's answer", write
)
