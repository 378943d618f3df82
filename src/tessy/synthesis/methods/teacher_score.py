"""Teacher-Score, or rejection sampling (Table 1).

The student writes several candidates (five in the paper), the teacher scores them, and the best is
kept: the first, if several are equal. The paper does not say how the teacher scores. Here it rates
the answer from 0 to 10, not the thinking, which is long. With a verifier (`verify`), the verifier's
score is used instead, and no teacher is needed.
"""

from __future__ import annotations

from tessy.method.trajectory import DraftKey, Failure, Role, SampleFailed
from tessy.synthesis.methods.method import Method, written_by
from tessy.synthesis.methods.prompts import filled, score_in
from tessy.synthesis.sample import Draft, Sample

_BEST = 10.0


async def write(sample: Sample) -> Draft:
    """Have the student write candidates, and keep the best.

    Raises:
        SampleFailed: No candidate has an answer, or none has a score.
    """
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
    """Write the candidates; returns those that have an answer and rejects the others.

    Raises:
        SampleFailed: No candidate has an answer.
    """
    found: list[Draft] = []
    last = sample.context.config.candidates - 1
    for number in range(last + 1):
        try:
            found.append(await written_by(sample, Role.STUDENT))
        except SampleFailed as failed:
            if not found and number == last:
                raise  # the attempt fails with it: it represents the sample
            sample.drafts[-1].reject(failed.detail, failed.failure)
    return found


async def _score(sample: Sample, candidate: Draft) -> float | None:
    """The score of a candidate, from 0 to 10; None if the teacher gave none."""
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
    "the student writes candidates, the teacher scores them, and the best is kept",
    write,
    unless_verified=frozenset({Role.TEACHER}),
    chosen=True,
)
