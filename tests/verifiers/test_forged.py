"""No answer writes its own verdict, and honest ones pass the same tests."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

from forged import FORGED, HONEST, STYLES
from programs_of_others import fenced
from sandboxed import keeping

from tessy.verifiers.code import CodeVerifier
from tessy.verifiers.limits import ProgramLimits, VerifierSettings

LIMITS = ProgramLimits(cpu_s=1, wall_s=2, memory_mb=512)


@asynccontextmanager
async def verifier_of(settings, *, kept):
    verifier = CodeVerifier(settings)
    if not kept:
        yield verifier
        return
    async with keeping(settings) as verifier._sandbox:
        yield verifier


async def verdicts(settings, cases, *, kept=True):
    """Sandboxes go on from one to the next: what one leaves must not matter either."""
    async with verifier_of(settings, kept=kept) as verifier:
        found = [verifier.verify(STYLES[style], fenced(program)) for style, program in cases]
        return await asyncio.gather(*found)


async def test_no_forged_answer_is_right(isolated):
    settings = VerifierSettings(at_once=2, limits=LIMITS)
    found = await verdicts(settings, [case[1:] for case in FORGED])
    passed = [case[:2] for case, verdict in zip(FORGED, found, strict=True) if verdict.passed]
    assert passed == []
    assert len({name for name, *_ in FORGED}) >= 30


async def test_every_honest_answer_is_right(isolated):
    found = await verdicts(VerifierSettings(at_once=2, limits=LIMITS), HONEST)
    failed = [(case, v.detail) for case, v in zip(HONEST, found, strict=True) if not v.passed]
    assert failed == []


async def test_apart_without_a_sandbox_too():
    """As far as can be: another process as the same user can do much, docs/verifiers.md says."""
    settings = VerifierSettings(unsafe_no_sandbox=True, at_once=2, limits=LIMITS)
    names = {name for name, style, _ in FORGED if style == "compare"}  # the others take long
    names.discard("traces its parent")  # and stops it, if it is root
    cases = [case for case in FORGED if case[0] in names and case[1] == "check"]
    found = await verdicts(settings, [case[1:] for case in cases])
    assert [c[0] for c, verdict in zip(cases, found, strict=True) if verdict.passed] == []
