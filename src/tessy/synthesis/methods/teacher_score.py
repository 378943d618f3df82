"""Teacher-Score, or rejection sampling (Table 1).

The student writes several candidates (five in the paper), the teacher scores them, the best is
kept: of equal ones the first. The paper does not say how the teacher scores: here it is asked
for a number from 0 to 10 for the answer, not the thinking, since a thinking is long. With a
verifier (`verify`) the verifier's score counts instead, and no teacher is needed.
"""

from __future__ import annotations

from tessy.method.trajectory import DraftKey, Failure, Role, SampleFailed
from tessy.synthesis.methods.method import Method, written_by
from tessy.synthesis.methods.prompts import filled, score_in
from tessy.synthesis.sample import Draft, Sample

_BEST = 10.0


async def write(sample: Sample) -> Draft:
    """Have the student write candidates, and keep the best."""
    candidates = await _candidates(sample)
    scores: dict[DraftKey, float] = {}
    for candidate in candidates:
        score = await _score(sample, candidate)
        if score is not None:
            scores[candidate.key] = score
    if not scores:
        raise SampleFailed(Failure.UNSCORED, f"no score of {len(candidates)} can be read")
    best = max(
        (c for c in candidates if c.key in scores), key=lambda c: (scores[c.key], -c.key.number)
    )

    def why(other: Draft) -> str:
        if other not in candidates:
            return "the teacher's judgement"
        if other.key not in scores:
            return "without a score"
        return f"scored {scores[other.key]:g}; the best {scores[best.key]:g}"

    return sample.choose(best, why)


async def _candidates(sample: Sample) -> list[Draft]:
    """Those that came to an answer; the others are rejected.

    Raises:
        SampleFailed: None did.
    """
    found: list[Draft] = []
    last: SampleFailed | None = None
    for _ in range(sample.context.config.candidates):
        try:
            found.append(await written_by(sample, Role.STUDENT))
        except SampleFailed as failed:
            last = failed
            sample.drafts[-1].reject(failed.detail, failed.failure)
    if not found and last is not None:
        raise last
    return found


async def _score(sample: Sample, candidate: Draft) -> float | None:
    """How good a candidate is, from 0 to 10; None if the teacher does not say."""
    if (verdict := await sample.verify(candidate)) is not None:
        return _BEST * verdict.score
    text = filled(
        sample.context.config.prompts.score,
        question=sample.messages[-1]["content"],
        answer=candidate.trajectory.answer,
    )
    messages = [{"role": "user", "content": text}]
    try:
        judge = await written_by(sample, Role.TEACHER, messages=messages, auxiliary=True)
    except SampleFailed as failed:
        sample.drafts[-1].reject(failed.detail, failed.failure)
        return None
    return score_in(judge.trajectory.answer)


TEACHER_SCORE = Method(
    "teacher-score",
    "the student writes candidates, the teacher scores them, the best is kept",
    write,
    unless_verified=frozenset({Role.TEACHER}),
)
