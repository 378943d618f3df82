"""Running programs that nobody has read, in isolation and within limits.

Every test of a program gives a `ProgramRun`, however it ended. Where programs can't be isolated
there is a `SandboxError` before any program runs, unless the settings allow to run them without
isolation. Then the limits still hold, except for the number of processes and the memory of all
together.

Expected outputs never enter the sandbox: outputs are compared outside. A test that calls the
program's functions runs in another sandbox (`tessy.verifiers.sandbox_calls`).
"""

from __future__ import annotations

import asyncio
import marshal
import os
import platform
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack, aclosing, suppress
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

from tessy.errors import SandboxError
from tessy.verifiers import sandbox_isolation as isolation
from tessy.verifiers.limits import ProgramLimits, VerifierSettings
from tessy.verifiers.sandbox_calls import BROKEN, GONE
from tessy.verifiers.sandbox_seccomp import filter_for

_GUEST = Path(__file__).with_name("sandbox_guest.py").read_text("utf-8")
_CALLS_SOURCE = Path(__file__).with_name("sandbox_calls.py").read_bytes()
_CALLS = marshal.dumps(compile(_CALLS_SOURCE, "sandbox_calls.py", "exec", optimize=2))
"""Compiled, since each sandbox would do it again."""
_SLACK_S = 10
"""How much longer than its limits a sandbox may take before it is killed as a whole."""
_HEAD_BYTES = 200
_READY = "import threading as t\np = t.Thread(target=print, args=('ready',))\np.start(); p.join()"
_HINT = (
    "user namespaces must be allowed (see docs/verifiers.md); or run programs without any "
    "isolation, at your own risk: --unsafe-no-sandbox"
)


class End(StrEnum):
    """How a program ended on a test."""

    EXIT = "exit"
    """By itself."""
    SIGNAL = "signal"
    """By a signal: a crash of the interpreter, or its own doing."""
    CPU = "cpu"
    """It used up its processor time."""
    WALL = "wall"
    """It took too long by the clock."""
    MEMORY = "memory"
    """Its processes together took too much memory. (One alone gets a `MemoryError`.)"""
    OUTPUT = "output"
    """It printed too much."""
    FILES = "files"
    """It made too many files, or its tests before left some that can't be removed."""
    NOT_RUN = "not_run"
    """It did not run: its other tests used up the time."""
    BROKEN = "broken"
    """Its test says nothing about it, or can't be run apart from it."""
    LOST = "lost"
    """The sandbox broke or was killed while it ran."""


@dataclass(frozen=True, slots=True)
class ProgramTest:
    """What to run a program on, and what it must print.

    Attributes:
        stdin: Its input.
        code: Python that calls the program's functions, such as asserts; it runs in a sandbox of
            its own. None if only what the program prints matters.
        entry: The function that `code`'s `check` is called with, if there is one.
        head: Python that goes before `code`, of the question.
        expected: What it may print; empty if it need only run to its end. They stay outside.
    """

    stdin: str = ""
    code: str | None = None
    entry: str | None = None
    head: str = ""
    expected: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ProgramRun:
    """A program's run on one test.

    Attributes:
        end: How it ended.
        code: Its exit code, or the number of the signal.
        done: Whether the test's code ran to its end.
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
        """Whether it ended by itself, with exit code 0."""
        return self.end is End.EXIT and self.code == 0


@dataclass(frozen=True, slots=True)
class SandboxLibraries:
    """What a sandbox holds besides a bare Python; all of it is trusted.

    Attributes:
        packages: Folders of Python packages that programs may read.
        preload: Python that runs once, before any program: slow imports, which every program then
            has. Text, or a marshalled code object.
    """

    packages: tuple[Path, ...] = ()
    preload: str | bytes = ""


class SandboxSession:
    """One sandbox, from its start to its end; it runs jobs one after the other.

    Args:
        settings: Isolation and limits.
        libraries: What it holds.
        channel: A socket that leads to another sandbox; this one takes it over.
    """

    def __init__(
        self,
        settings: VerifierSettings,
        libraries: SandboxLibraries = SandboxLibraries(),
        channel: socket.socket | None = None,
    ) -> None:
        self._settings = settings
        self._stack = ExitStack()
        self._channel = self._stack.enter_context(channel) if channel else None
        self._command, self._options, self._opening = _start(
            settings, libraries, self._stack, channel
        )
        self._process: asyncio.subprocess.Process | None = None

    async def run(self, program: str, tests: Sequence[ProgramTest]) -> list[ProgramRun]:
        """Run a program on each of its tests; after a `LOST` one the sandbox is of no more use.

        Args:
            program: Python source.
            tests: What to run it on.
        """
        runs: list[ProgramRun] = []
        limits = self._settings.limits
        with suppress(OSError, ValueError, asyncio.IncompleteReadError, TimeoutError):
            async with asyncio.timeout(limits.total_s + limits.wall_s + _SLACK_S):
                output = await self._ask(_job(limits, program, tests))
                while len(runs) < len(tests):
                    runs.append(await _read(output, limits))
        if len(runs) == len(tests):
            return runs
        lost = ProgramRun(End.LOST, errors=await self._last_words())
        return [*runs, *[lost] * (len(tests) - len(runs))]

    async def aclose(self) -> None:
        """Kill it, and all that is in it."""
        if self._process is not None:
            self._kill(self._process)
            await asyncio.shield(self._process.wait())
        self._stack.close()

    async def _ask(self, job: bytes) -> asyncio.StreamReader:
        """Hand over a job; the sandbox starts with the first."""
        if self._process is None:
            self._process = await self._started()
            job = self._opening + job
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(job)
        await self._process.stdin.drain()
        return self._process.stdout

    async def _started(self) -> asyncio.subprocess.Process:
        """Start it; if this is cancelled meanwhile, there is still a process to kill."""
        starting = asyncio.ensure_future(
            asyncio.create_subprocess_exec(
                *self._command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                **self._options,
            )
        )
        try:
            process = await asyncio.shield(starting)
            if self._channel is not None:
                self._channel.close()  # so that its end is seen when the sandbox ends
            return process
        except asyncio.CancelledError:
            self._process = await starting
            raise

    async def _last_words(self) -> str:
        """The end of what a broken sandbox wrote to standard error; it is killed first."""
        if self._process is None or self._process.stderr is None:
            return ""
        self._kill(self._process)
        said = await self._process.stderr.read(1 << 16)
        return said.decode("utf-8", "replace").strip()[-500:]

    @staticmethod
    def _kill(process: asyncio.subprocess.Process) -> None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


class Sandbox:
    """Runs programs, each in a sandbox of its own, a limited number at once.

    Args:
        settings: Isolation, limits, and how many at once.

    Raises:
        SandboxError: Programs can't be isolated here, and the settings ask for isolation.
    """

    def __init__(self, settings: VerifierSettings) -> None:
        self._settings = settings
        self._slots = asyncio.Semaphore(settings.at_once)
        probe(settings, SandboxLibraries(), _READY, expected="ready")

    async def run(
        self, program: str, tests: Sequence[ProgramTest], limits: ProgramLimits | None = None
    ) -> list[ProgramRun]:
        """Run a program on each of its tests: those that call it in two sandboxes, others in one.

        Args:
            program: Python source.
            tests: What to run it on.
            limits: What it may use; None for what the settings say.

        Returns:
            A run for each test, in order.
        """
        printing = [test for test in tests if test.code is None]
        calling = [test for test in tests if test.code is not None]
        settings = replace(self._settings, limits=limits or self._settings.limits)
        async with self._slots:
            printed = iter(await _run(SandboxSession, settings, program, printing))
            called = iter(await _run(SandboxPair, settings, program, calling))
        return [next(printed if test.code is None else called) for test in tests]


async def _run(
    kind: type[SandboxSession] | type[SandboxPair],
    settings: VerifierSettings,
    program: str,
    tests: Sequence[ProgramTest],
) -> list[ProgramRun]:
    if not tests:
        return []
    async with aclosing(kind(settings)) as session:
        return await session.run(program, tests)


class SandboxPair:
    """A sandbox for tests and one for the program that they call.

    Args:
        settings: Isolation and limits of each.
    """

    def __init__(self, settings: VerifierSettings) -> None:
        libraries = SandboxLibraries(preload=_CALLS)
        one, other = socket.socketpair()
        self._judge = SandboxSession(settings, libraries, one)
        self._answer = SandboxSession(settings, libraries, other)

    async def run(self, program: str, tests: Sequence[ProgramTest]) -> list[ProgramRun]:
        """Run tests that call a program.

        Args:
            program: Python source.
            tests: All with code.
        """
        codes = [f"judge(number, {test.code!r}, {test.head!r}, {test.entry!r})" for test in tests]
        judged, answered = await asyncio.gather(
            self._judge.run("", [ProgramTest(code=code) for code in codes]),
            self._answer.run(program, [ProgramTest(code="serve(module, number)")] * len(tests)),
        )
        return list(map(_both, judged, answered))

    async def aclose(self) -> None:
        """End both."""
        await self._judge.aclose()
        await self._answer.aclose()


def _both(judge: ProgramRun, answer: ProgramRun) -> ProgramRun:
    """The run of a program on a test that called it: passed only if the judge says so."""
    if judge.end is End.LOST or judge.is_clean:
        return judge
    if judge.end is End.EXIT and judge.code == BROKEN:
        return replace(judge, end=End.BROKEN)
    if answer.end is not End.EXIT:
        return answer
    return replace(answer, done=False) if judge.code == GONE else judge


def probe(
    settings: VerifierSettings, libraries: SandboxLibraries, program: str, *, expected: str = ""
) -> str:
    """Run a harmless program, to see whether a sandbox works as it should.

    Args:
        settings: Isolation and limits.
        libraries: What the sandbox holds.
        program: What to run.
        expected: What it prints first.

    Returns:
        What it printed.

    Raises:
        SandboxError: It did not run to its end.
    """
    if sys.platform != "linux":
        raise SandboxError(
            f"programs can only be run on Linux, not on {sys.platform}",
            hint="verify on a Linux machine: tessy verify",
        )
    with ExitStack() as stack:
        command, options, opening = _start(settings, libraries, stack, watches=False)
        job = opening + _job(settings.limits, program, [ProgramTest()])
        try:
            done = subprocess.run(
                command, input=job, capture_output=True, timeout=300, check=False, **options
            )
        except (OSError, subprocess.SubprocessError) as error:
            raise SandboxError(f"a sandbox can't be started: {error}", hint=_HINT) from None
    answer = str(done.stdout, "utf-8", "replace")
    head, _, printed = answer.partition("\n")
    if head.startswith("exit 0 ") and printed.startswith(expected):
        return printed
    said = (done.stderr or done.stdout).decode("utf-8", "replace").strip()
    raise SandboxError(f"programs can't be isolated here: {said[-500:]}", hint=_HINT)


def _start(
    settings: VerifierSettings,
    libraries: SandboxLibraries,
    stack: ExitStack,
    channel: socket.socket | None = None,
    *,
    watches: bool = True,
) -> tuple[list[str], dict[str, Any], bytes]:
    """How to start a sandbox, which ends when its input does if it `watches` that.

    Returns:
        The command, the process's options, and the first message to the guest.
    """
    shared = [] if channel is None else [channel.fileno()]
    options: dict[str, Any] = {"start_new_session": True, "cwd": "/"}
    packages = libraries.packages
    if settings.unsafe_no_sandbox:
        folder = tempfile.mkdtemp(prefix="tessy-program-")
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        command = isolation.python_command(isolation.interpreter().executable, _GUEST)
        options["env"] = {**isolation.ENVIRONMENT, "HOME": folder, "TMPDIR": folder}
    else:
        folder = isolation.FOLDER
        file = None
        if (seccomp := filter_for(platform.machine())) is not None:
            file, writing = os.pipe()  # it has room for these few bytes
            stack.callback(os.close, file)
            os.write(writing, seccomp)
            os.close(writing)
            shared.append(file)
        command = isolation.isolated(settings.limits, _GUEST, file, packages)
        packages = tuple(isolation.seen_at(packages))
        options["env"] = {"PATH": os.defpath}
    options["pass_fds"] = shared
    opening = {
        "watches": watches,
        "channel": None if channel is None else channel.fileno(),
        "sandboxed": not settings.unsafe_no_sandbox,
        "folder": folder,
        "packages": [str(path) for path in packages],
        "preload": libraries.preload,
    }
    return command, options, marshal.dumps(opening)


def _job(limits: ProgramLimits, program: str, tests: Sequence[ProgramTest]) -> bytes:
    """The job as `sandbox_guest` reads it; sizes in bytes."""
    return marshal.dumps(
        {
            "source": program,
            "tests": [
                {"stdin": test.stdin.encode("utf-8", "surrogatepass"), "code": test.code}
                for test in tests
            ],
            "cpu_s": limits.cpu_s,
            "wall_s": limits.wall_s,
            "total_s": limits.total_s,
            "memory": limits.memory_mb << 20,
            "processes": limits.processes + 1,  # and the guest itself
            "file": limits.file_mb << 20,
            "open_files": limits.open_files,
            "output": limits.output_kb << 10,
        }
    )


async def _read(stream: asyncio.StreamReader, limits: ProgramLimits) -> ProgramRun:
    """One report of the guest, which is not trusted."""
    head = await stream.readline()
    if not head.endswith(b"\n") or len(head) > _HEAD_BYTES:
        raise ValueError(head[:_HEAD_BYTES])
    end, code, done, seconds, *sizes = head.decode("ascii").split()
    out_bytes, err_bytes = (int(size) for size in sizes)
    if not 0 <= out_bytes <= limits.output_kb << 10 or not 0 <= err_bytes <= 1 << 16:
        raise ValueError(head)
    output = await stream.readexactly(out_bytes)
    errors = await stream.readexactly(err_bytes)
    return ProgramRun(
        End(end),
        int(code),
        done == "1",
        float(seconds),
        output.decode("utf-8", "replace"),
        errors.decode("utf-8", "replace"),
    )
