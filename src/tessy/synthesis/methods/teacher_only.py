"""Teacher-Only (Table 1): the teacher writes everything.

With a system prompt (`teacher_only_system_prompt`) this is the ablation of Fig. 10, where the
teacher is asked to imitate the student's style. The prompt is not part of the record.
"""

from __future__ import annotations

from tessy.config import Config
from tessy.method.trajectory import Role
from tessy.models.templates import Messages
from tessy.synthesis.methods.method import Method, written_by
from tessy.synthesis.sample import Draft, Sample


async def write(sample: Sample) -> Draft:
    """Have the teacher think and answer."""
    return await written_by(
        sample, Role.TEACHER, messages=with_system_prompt(sample.context.config, sample.messages)
    )


def with_system_prompt(config: Config, messages: Messages) -> Messages:
    """Add `teacher_only_system_prompt` to a conversation that has no system message."""
    prompt = config.teacher_only_system_prompt
    if prompt and messages[0]["role"] != "system":
        return [{"role": "system", "content": prompt}, *messages]
    return messages


TEACHER_ONLY = Method(
    "teacher-only",
    "the teacher writes everything",
    write,
    roles=frozenset({Role.TEACHER}),
    answerers=frozenset({Role.TEACHER}),
)
