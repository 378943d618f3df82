"""TESSY (section 2.2, Algorithm 1), and its ablation in Fig. 9, where the teacher answers."""

from __future__ import annotations

from tessy.synthesis.cooperation import answer, think
from tessy.synthesis.methods.method import Method
from tessy.synthesis.sample import Draft, Sample


async def write(sample: Sample) -> Draft:
    """Have both models think in turns, and one answer; see `tessy.synthesis.cooperation`."""
    draft = sample.draft()
    await think(draft)
    await answer(draft, sample.context.config.answer_by)
    return draft


TESSY = Method(
    "tessy", "style by the student, capability by the teacher, in turns", write, judged=True
)
