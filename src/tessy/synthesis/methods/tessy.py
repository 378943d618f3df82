"""TESSY (section 2.2, Algorithm 1), and its ablation of Fig. 9: the teacher answers."""

from __future__ import annotations

from tessy.synthesis.cooperation import Session, answer, think
from tessy.synthesis.methods.method import Method
from tessy.synthesis.sample import Sample


async def write(sample: Sample) -> Session:
    """Have both think in turns, and one of them answer; see `tessy.synthesis.cooperation`."""
    session = await sample.draft()
    await think(session)
    await answer(session, sample.config.answer_by)
    return session


METHOD = Method(
    "tessy", "style by the student, capability by the teacher, in turns", write, judged=True
)
