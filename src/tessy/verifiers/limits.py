"""What a program may use, and how it is run. Pure; no I/O."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, fields

from tessy.errors import ConfigError


@dataclass(frozen=True, slots=True)
class ProgramLimits:
    """What the program of one answer may use; each is at least 1.

    Attributes:
        cpu_s: Seconds of processor time of each process of a test.
        wall_s: Seconds by the clock for a test; so much more than `cpu_s` that a busy machine does
            not make a right program wrong.
        total_s: Seconds by the clock for all tests of a program; tests that did not run by then
            fail.
        memory_mb: MiB of memory, of each process (address space) and of all together (resident).
        processes: Processes and threads at once.
        file_mb: MiB of one file; the temporary folder holds four times as much.
        open_files: Files that a process may have open.
        output_kb: KiB that a test may print.
    """

    cpu_s: int = 10
    wall_s: int = 60
    total_s: int = 600
    memory_mb: int = 1024
    processes: int = 16
    file_mb: int = 16
    open_files: int = 64
    output_kb: int = 1024

    def __post_init__(self) -> None:
        for item in fields(self):
            value = getattr(self, item.name)
            if not isinstance(value, int) or value < 1:
                raise ConfigError(f"limit {item.name} = {value!r}: a whole number from 1")


@dataclass(frozen=True, slots=True)
class VerifierSettings:
    """How verifiers run programs and checks.

    Attributes:
        unsafe_no_sandbox: Run programs without isolation; they can then read and change
            everything that the user can.
        at_once: Programs and checks that run at the same time; by default one for each core.
        limits: What a program may use.
    """

    unsafe_no_sandbox: bool = False
    at_once: int = field(default_factory=lambda: os.cpu_count() or 1)
    limits: ProgramLimits = field(default_factory=ProgramLimits)

    def __post_init__(self) -> None:
        if self.at_once < 1:
            raise ConfigError(f"at_once = {self.at_once}: at least one program must run")
