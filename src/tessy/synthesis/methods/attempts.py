"""Rejection sampling, for every method: write, verify, and try again.

The paper leaves this open for TESSY. A try that fails by itself (a limit, a repetition) counts as
one too: what was written is set aside, and the next try has other seeds.
"""

from __future__ import annotations

from tessy.config import OnWrong
from tessy.method.trajectory import Failure, SampleFailed
from tessy.synthesis.methods.method import Method
from tessy.synthesis.sample import Sample
from tessy.verifiers.protocol import VerdictOutcome


async def write(sample: Sample, method: Method) -> None:
    """Write a sample by a method, in as many tries as the settings allow.

    Raises:
        SampleFailed: The last try failed, or was rejected and is not to be kept.
    """
    tries = sample.config.attempts
    for number in range(1, tries + 1):
        if number < tries and sample.skip_given_up():
            continue
        try:
            await _try(sample, method, last=number == tries)
        except SampleFailed as failed:
            if number == tries:
                sample.fail(failed)
                raise
            sample.give_up(failed)
        else:
            return


async def _try(sample: Sample, method: Method, *, last: bool) -> None:
    session = await method.write(sample)
    verdict = sample.verdict = await sample.verify(session)
    if verdict is None or verdict.passed:
        return
    broke = verdict.outcome is VerdictOutcome.ERROR
    kept = {OnWrong.KEEP: True, OnWrong.KEEP_JUDGED: not broke, OnWrong.FAIL: False}
    if last and kept[sample.config.on_wrong]:
        return
    if broke:
        raise SampleFailed(Failure.VERIFIER_ERROR, verdict.detail)
    raise SampleFailed(Failure.REJECTED, f"{verdict.outcome}: {verdict.detail}")
