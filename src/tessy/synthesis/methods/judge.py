"""Judge: the teacher rates the question by a rubric; `tessy select --judge` runs it.

It is no way to make data, but a run like any other: it resumes, its failures have reasons, and the
pages show what the judge thought. The answer is an object of JSON with `why` and `score`, by a
schema where the server takes one.
"""

from __future__ import annotations

from typing import Any

import orjson

from tessy.config import Config
from tessy.method.trajectory import Failure, Role, SampleFailed
from tessy.models.templates import Messages
from tessy.synthesis.cooperation import answer, think_alone
from tessy.synthesis.methods.method import Method
from tessy.synthesis.methods.prompts import HIGHEST, filled, score_in
from tessy.synthesis.sample import Draft, Sample

_SCHEMA = {
    "type": "object",
    "properties": {
        "why": {"type": "string"},
        "score": {"enum": list(range(int(HIGHEST) + 1))},
    },
    "required": ["why", "score"],
    "additionalProperties": False,
}
_ANSWER = """

Answer with a JSON object and nothing else: {"why": "…", "score": N}. `why` is one sentence, and \
N a whole number from 0 to 10."""


async def write(sample: Sample) -> Draft:
    """Have the teacher rate the question.

    Raises:
        SampleFailed: It gave no score that can be read.
    """
    draft = sample.draft(prompt(sample.context.config, sample.messages))
    await think_alone(draft, Role.TEACHER)
    await answer(draft, Role.TEACHER, schema=_SCHEMA)
    if rating_in(draft.trajectory.answer) is None:
        raise SampleFailed(Failure.UNSCORED, f"no score in: {draft.trajectory.answer.strip()!r}")
    return draft


def prompt(config: Config, messages: Messages) -> Messages:
    """What the judge is shown: the rubric with the question in it, and how to answer."""
    rubric = filled(config.prompts.judge, question=_shown(messages))
    return [{"role": "user", "content": rubric + _ANSWER}]


def rating_in(text: str) -> float | None:
    """The score in a judge's answer: `score` of an object of JSON, or as `score_in` finds it.

    Args:
        text: The answer.

    Returns:
        A number from 0 to 10; None if there is none, or if it is out of bounds.
    """
    try:
        read = orjson.loads(text[text.index("{") : text.rindex("}") + 1])
    except ValueError:
        return score_in(text)
    score: Any = read.get("score") if isinstance(read, dict) else None
    if type(score) not in (int, float):
        return score_in(text)
    return float(score) if 0 <= score <= HIGHEST else None


def _shown(messages: Messages) -> str:
    """A conversation as one text; of a single message, its content."""
    if len(messages) == 1:
        return messages[0]["content"]
    return "\n\n".join(f"{message['role']}: {message['content']}" for message in messages)


JUDGE = Method(
    "judge",
    "the teacher rates the question by a rubric",
    write,
    roles=frozenset({Role.TEACHER}),
    schema=_SCHEMA,
)
