"""What tests of the sandbox share."""

from __future__ import annotations

import pytest

from tessy.errors import SandboxError
from tessy.verifiers.limits import Limits, Settings
from tessy.verifiers.sandbox import Sandbox

QUICK = Limits(cpu_s=1, wall_s=15, total_s=60, memory_mb=256, processes=8, file_mb=4, output_kb=64)


@pytest.fixture(scope="session")
def isolated():
    """Settings with isolation, if it can be had; `make sandbox` installs what it needs."""
    settings = Settings(at_once=2, limits=QUICK)
    try:
        Sandbox(settings)
    except SandboxError as error:
        pytest.skip(f"no sandbox here (make sandbox): {error}")
    return settings


@pytest.fixture
def sandbox(isolated):
    return Sandbox(isolated)
