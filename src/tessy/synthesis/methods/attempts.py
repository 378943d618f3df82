"""Rejection sampling, for every method: write, verify, and try again.

The paper leaves this open for TESSY. An attempt that fails by itself (a limit, a repetition)
counts as one, too: its drafts are rejected, and the next attempt has other seeds.
"""

from __future__ import annotations

from tessy.config import OnWrong
from tessy.method.trajectory import Failure, SampleFailed
from tessy.synthesis.methods.method import Method
from tessy.synthesis.sample import Sample
from tessy.verifiers.protocol import VerdictOutcome


async def write(sample: Sample, method: Method) -> None:
    """Write a sample by a method, in as many attempts as the settings allow.

    Raises:
        SampleFailed: The last attempt failed, or was rejected and is not to be kept.
    """
    last = sample.context.config.attempts - 1
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
        SampleFailed: It may not.
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
