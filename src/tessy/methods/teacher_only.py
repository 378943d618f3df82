"""Teacher-Only (Table 1): the teacher writes everything.

With a system prompt of its own (`teacher_only_system_prompt`) it is the ablation of Fig. 10: the
teacher is told, say, to think as the student does. The prompt is not part of the record.
"""

from __future__ import annotations

from tessy.cooperate import Session
from tessy.methods.method import Method, written_by
from tessy.sample import Sample
from tessy.trajectory import Role


async def write(sample: Sample) -> Session:
    """Have the teacher think and answer."""
    messages = sample.messages
    prompt = sample.config.teacher_only_system_prompt
    if prompt and messages[0]["role"] != "system":
        messages = [{"role": "system", "content": prompt}, *messages]
    return await written_by(sample, Role.TEACHER, messages=messages)


METHOD = Method(
    "teacher-only", "the teacher writes everything", write, roles=frozenset({Role.TEACHER})
)
