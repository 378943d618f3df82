"""Running one program in a sandbox, for its tests."""

from __future__ import annotations

from tessy.verifiers.cases import Trial


async def one(sandbox, program, stdin=""):
    (run,) = await sandbox.run(program, [Trial(stdin)])
    return run
