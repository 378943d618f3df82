"""Rewrite, a method of our own: the teacher's thinking, with its style in the student's words.

The teacher thinks alone; the student rewrites each style span of that, all of them side by side,
and then writes the answer. docs/handover.md compares it with TESSY.
"""

from __future__ import annotations

from tessy.method.trajectory import Role
from tessy.synthesis.cooperation import answer, check_rejection, think_alone
from tessy.synthesis.methods.method import Method
from tessy.synthesis.rewriting import rewrite
from tessy.synthesis.sample import Draft, Sample


async def write(sample: Sample) -> Draft:
    """Have the teacher think, and the student rewrite the style and answer."""
    source = sample.draft(auxiliary=True)
    await think_alone(source, Role.TEACHER)
    draft = sample.draft()
    check_rejection(draft)
    await rewrite(draft, source)
    await answer(draft)
    return sample.choose(draft, lambda _: "the teacher's thinking, before its style was rewritten")


REWRITE = Method(
    "rewrite", "the teacher thinks, the student rewrites the style and answers", write, judged=True
)
