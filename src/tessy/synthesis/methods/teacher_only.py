"""Teacher-Only (Table 1): the teacher writes everything.

With a system prompt of its own (`teacher_only_system_prompt`) it is the ablation of Fig. 10: the
teacher is told, say, to think as the student does. The prompt is not part of the record.
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
        sample, Role.TEACHER, messages=told(sample.context.config, sample.messages)
    )


def told(config: Config, messages: Messages) -> Messages:
    """A conversation with the system prompt that the settings have for it.

    One that has a system message keeps its own.
    """
    prompt = config.teacher_only_system_prompt
    if prompt and messages[0]["role"] != "system":
        return [{"role": "system", "content": prompt}, *messages]
    return messages


TEACHER_ONLY = Method(
    "teacher-only", "the teacher writes everything", write, roles=frozenset({Role.TEACHER})
)
