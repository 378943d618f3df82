"""Rejection sampling for every method: write, verify, and try again.

The paper does not say whether TESSY does this. An attempt that fails by itself (a limit, a
repetition) also counts: its drafts are rejected, and the next attempt uses other seeds.
"""

from __future__ import annotations

from tessy.config import OnWrong
from tessy.method.trajectory import Failure, SampleFailed
from tessy.synthesis.methods.method import Method
from tessy.synthesis.routing import attempts_of
from tessy.synthesis.sample import Sample
from tessy.verifiers.protocol import VerdictOutcome


async def write(sample: Sample, method: Method) -> None:
    """Write a sample with a method, in as many attempts as the settings allow.

    Raises:
        SampleFailed: The last attempt failed, or was rejected and must not be kept.
    """
    last = attempts_of(sample.context.config) - 1
    for attempt in range(sample.written.attempt, last + 1):
        sample.begin(attempt)
        try:
            draft = await method.write(sample)
            sample.verdict = await sample.verify(draft)
            _check_verdict(sample, last=attempt == last)
        except SampleFailed as failed:
            sample.fail_attempt(failed, last=attempt == last)
            if attempt == last:
                raise
        else:
            return


def _check_verdict(sample: Sample, *, last: bool) -> None:
    """Make sure that an answer may be kept.

    Raises:
        SampleFailed: The verifier did not accept it, and it must not be kept.
    """
    verdict, on_wrong = sample.verdict, sample.context.config.on_wrong
    if verdict is None or verdict.passed:
        return
    broke = verdict.outcome is VerdictOutcome.ERROR
    kept = {OnWrong.KEEP: True, OnWrong.KEEP_JUDGED: not broke, OnWrong.FAIL: False}
    if last and kept[on_wrong]:
        return
    if broke:
        raise SampleFailed(Failure.VERIFIER_ERROR, verdict.detail)
    raise SampleFailed(Failure.REJECTED, f"{verdict.outcome}: {verdict.detail}")
