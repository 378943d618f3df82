"""What tests of the sandbox share."""

from __future__ import annotations

import pytest
from sandboxed import keeping

from tessy.errors import SandboxError
from tessy.verifiers.limits import ProgramLimits, VerifierSettings
from tessy.verifiers.sandbox import Sandbox

QUICK = ProgramLimits(
    cpu_s=1, wall_s=15, total_s=60, memory_mb=256, processes=8, file_mb=4, output_kb=64
)


@pytest.fixture(scope="session")
def isolated():
    """Settings with isolation, if it can be had; `make sandbox` installs what it needs."""
    settings = VerifierSettings(at_once=2, limits=QUICK)
    try:
        Sandbox(settings)
    except SandboxError as error:
        pytest.skip(f"no sandbox here (make sandbox): {error}")
    return settings


@pytest.fixture
def sandbox(isolated):
    """A sandbox for each program, as in use."""
    return Sandbox(isolated)


@pytest.fixture
async def kept(isolated):
    """Sandboxes that go on from one program to the next."""
    async with keeping(isolated) as sandboxes:
        yield sandboxes
