"""What a program is run on, and what came of it. Pure; no I/O."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class End(StrEnum):
    """How a test of a program ended."""

    EXIT = "exit"
    """It ended by itself."""
    SIGNAL = "signal"
    """A signal ended it: a crash of the interpreter, or its own doing."""
    CPU = "cpu"
    """It used up its processor time."""
    WALL = "wall"
    """It took too long by the clock."""
    MEMORY = "memory"
    """Its processes together took too much memory. (One alone gets a `MemoryError`.)"""
    OUTPUT = "output"
    """It printed too much."""
    FILES = "files"
    """It made too many files, or left some, in tests before, that can't be cleared away."""
    NOT_RUN = "not_run"
    """The program's other tests used up its time."""
    LOST = "lost"
    """The sandbox broke or was killed while it ran."""


@dataclass(frozen=True, slots=True)
class Trial:
    """What to run a program on.

    Attributes:
        stdin: Its input.
        code: Python that runs in the program's own module after it, such as asserts; None if only
            what it prints matters.
    """

    stdin: str = ""
    code: str | None = None


@dataclass(frozen=True, slots=True)
class Run:
    """What came of one test.

    Attributes:
        end: How it ended.
        code: Its exit code, or the number of the signal.
        done: Whether program and test code ran to their end.
        seconds: By the clock.
        output: What it printed.
        errors: The end of what it wrote to standard error.
    """

    end: End
    code: int = 0
    done: bool = False
    seconds: float = 0.0
    output: str = ""
    errors: str = ""

    @property
    def is_clean(self) -> bool:
        """Whether it ended by itself, and without complaint."""
        return self.end is End.EXIT and self.code == 0
