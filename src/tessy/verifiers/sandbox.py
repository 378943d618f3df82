"""Running programs that nobody has read, in isolation and within limits.

What a program does is data: a `Run` for each test, however it ended. Where isolation can't be had
there is a `SandboxError` before any program runs, unless `unsafe_no_sandbox` is set; the limits
hold then, too, but for the number of processes and the memory of all together.

Expected outputs never enter the sandbox: outputs are compared outside.
"""

from __future__ import annotations

import asyncio
import marshal
import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from tessy.errors import SandboxError
from tessy.verifiers import isolation
from tessy.verifiers.cases import End, Run, Trial
from tessy.verifiers.limits import Limits, Settings
from tessy.verifiers.seccomp import filter_for

_GUEST = Path(__file__).with_name("guest.py").read_text("utf-8")
_SLACK_S = 10
"""How much longer than its limits a sandbox may take before it is killed as a whole."""
_HEAD_BYTES = 200
_READY = "import threading as t\np = t.Thread(target=print, args=('ready',))\np.start(); p.join()"
_HINT = (
    "user namespaces must be allowed (see docs/verifiers.md); or run programs without any "
    "isolation, at your own risk: --unsafe-no-sandbox"
)


@dataclass(frozen=True, slots=True)
class Place:
    """What a sandbox holds besides a bare Python; all of it is trusted.

    Attributes:
        packages: Folders of Python packages that programs may read.
        preload: Python that runs once, before any program: slow imports, that all then have.
    """

    packages: tuple[Path, ...] = ()
    preload: str = ""


class Session:
    """One sandbox, from its start to its end; it runs jobs one after the other.

    Args:
        settings: Isolation and limits.
        place: What it holds.
    """

    def __init__(self, settings: Settings, place: Place) -> None:
        self._settings = settings
        self._stack = ExitStack()
        self.command, self.options, opening = _start(settings, place, self._stack)
        self._opening = marshal.dumps(opening)
        self._process: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.aclose()

    async def run(self, program: str, tests: Sequence[Trial]) -> list[Run]:
        """Run a program on each of its tests; the sandbox is over when one is `LOST`.

        Args:
            program: Python source.
            tests: What to run it on.
        """
        runs: list[Run] = []
        limits = self._settings.limits
        with suppress(OSError, ValueError, asyncio.IncompleteReadError, TimeoutError):
            async with asyncio.timeout(limits.total_s + limits.wall_s + _SLACK_S):
                output = await self._ask(_job(limits, program, tests))
                while len(runs) < len(tests):
                    runs.append(await _read(output, limits))
        if len(runs) == len(tests):
            return runs
        lost = Run(End.LOST, errors=await self._last_words())
        return [*runs, *[lost] * (len(tests) - len(runs))]

    async def aclose(self) -> None:
        """Kill it, and all that is in it."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
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
        """Start it; one who is cancelled meanwhile has a process to kill, all the same."""
        starting = asyncio.ensure_future(
            asyncio.create_subprocess_exec(
                *self.command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                **self.options,
            )
        )
        try:
            return await asyncio.shield(starting)
        except asyncio.CancelledError:
            self._process = await starting
            raise

    async def _last_words(self) -> str:
        """What a sandbox that broke wrote to standard error; it is killed first."""
        if self._process is None or self._process.stderr is None:
            return ""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        said = await self._process.stderr.read(1 << 16)
        return said.decode("utf-8", "replace").strip()[-500:]


class Sandbox:
    """Runs programs, each in a sandbox of its own; at most so many at once.

    Args:
        settings: Isolation, limits, and how many at once.

    Raises:
        SandboxError: Programs can't be isolated here, and `unsafe_no_sandbox` is not set.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._slots = asyncio.Semaphore(settings.at_once)
        probe(settings, Place(), _READY, expected="ready")

    async def run(self, program: str, tests: Sequence[Trial]) -> list[Run]:
        """Run a program on each of its tests.

        Args:
            program: Python source.
            tests: What to run it on.

        Returns:
            A run for each test, in order.
        """
        async with self._slots, Session(self._settings, Place()) as session:
            return await session.run(program, tests)


def probe(settings: Settings, place: Place, program: str, *, expected: str = "") -> str:
    """Run a harmless program, to see whether a sandbox works as it should.

    Args:
        settings: Isolation and limits.
        place: What the sandbox holds.
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
        command, options, opening = _start(settings, place, stack)
        job = marshal.dumps(opening) + _job(settings.limits, program, [Trial()])
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
    settings: Settings, place: Place, stack: ExitStack
) -> tuple[list[str], dict[str, Any], dict[str, Any]]:
    """How to start a sandbox: the command, the process's options, and what it is told first."""
    options: dict[str, Any] = {"start_new_session": True, "cwd": "/"}
    packages = place.packages if settings.unsafe_no_sandbox else isolation.seen_at(place.packages)
    if settings.unsafe_no_sandbox:
        folder = tempfile.mkdtemp(prefix="tessy-program-")
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        command = isolation.python_command(isolation.interpreter().executable, _GUEST)
        options["env"] = {**isolation.ENVIRONMENT, "HOME": folder, "TMPDIR": folder}
    else:
        folder = isolation.FOLDER
        file = _as_file(filter_for(platform.machine()))
        if file is not None:
            stack.callback(os.close, file)
            options["pass_fds"] = (file,)
        command = isolation.isolated(settings.limits, _GUEST, file, place.packages)
        options["env"] = {"PATH": os.defpath}
    opening = {
        "sandboxed": not settings.unsafe_no_sandbox,
        "folder": folder,
        "packages": [str(path) for path in packages],
        "preload": place.preload,
    }
    return command, options, opening


def _job(limits: Limits, program: str, tests: Sequence[Trial]) -> bytes:
    """The job as `guest` reads it; sizes in bytes."""
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


def _as_file(data: bytes | None) -> int | None:
    """An open file that holds some bytes; a pipe, since these are few."""
    if data is None:
        return None
    reading, writing = os.pipe()
    os.write(writing, data)
    os.close(writing)
    return reading


async def _read(stream: asyncio.StreamReader, limits: Limits) -> Run:
    """One report of the guest; nothing in it is trusted.

    Raises:
        ValueError: It is none.
        IncompleteReadError: The sandbox ended.
    """
    head = await stream.readline()
    if not head.endswith(b"\n") or len(head) > _HEAD_BYTES:
        raise ValueError(head[:_HEAD_BYTES])
    end, code, done, seconds, *sizes = head.decode("ascii").split()
    out_bytes, err_bytes = (int(size) for size in sizes)
    if not 0 <= out_bytes <= limits.output_kb << 10 or not 0 <= err_bytes <= 1 << 16:
        raise ValueError(head)
    output = await stream.readexactly(out_bytes)
    errors = await stream.readexactly(err_bytes)
    return Run(
        End(end),
        int(code),
        done == "1",
        float(seconds),
        output.decode("utf-8", "replace"),
        errors.decode("utf-8", "replace"),
    )
