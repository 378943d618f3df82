"""Programs in C++: compiled in a sandbox, then run on the tests as any other program. By `g++`."""

from __future__ import annotations

from tessy.verifiers.code_programs import cpp_program
from tessy.verifiers.limits import ProgramLimits
from tessy.verifiers.protocol import Verdict, VerdictOutcome, shorten
from tessy.verifiers.sandbox import End, ProgramTest, Sandbox

_LIMITS = ProgramLimits(cpu_s=30, wall_s=120, memory_mb=2048, file_mb=64, output_kb=32 << 10)
"""A compiler needs more than a program."""
_MISSING = 3
_COMPILE = f"""
import base64, subprocess, sys
command = ["g++", "-x", "c++", "-std=c++20", "-O2", "-w", "-s", "-o", "program", "-"]
try:
    done = subprocess.run(command, stderr=subprocess.PIPE, text=True)
except FileNotFoundError:
    sys.exit({_MISSING})
if done.returncode:
    errors = [line for line in done.stderr.splitlines() if "error" in line]
    sys.exit((errors or ["no reason given"])[0].removeprefix("<stdin>:"))
with open("program", "rb") as file:
    print(base64.b64encode(file.read()).decode())
"""
_RUN = """
import base64, os
with open("program", "wb") as file:
    file.write(base64.b64decode({binary!r}))
os.chmod("program", 0o700)
os.execv("./program", ["program"])
"""


class CompilerError(Exception):
    """A program could not be compiled.

    Attributes:
        verdict: The verdict on its answer.
    """

    def __init__(self, outcome: VerdictOutcome, detail: str) -> None:
        super().__init__(detail)
        self.verdict = Verdict(outcome, 0.0, detail)


async def compiled(answer: str, sandbox: Sandbox) -> str | None:
    """Compile the program in C++ in an answer.

    Returns:
        A program in Python that becomes the compiled one; None if the answer has none in C++.

    Raises:
        CompilerError: It does not compile, or can't be compiled here.
    """
    source = cpp_program(answer)
    if source is None:
        return None
    (run,) = await sandbox.run(_COMPILE, [ProgramTest(stdin=source)], _LIMITS)
    if run.is_clean:
        return _RUN.format(binary=run.output.strip())
    if run.end is End.LOST or (run.end is End.EXIT and run.code == _MISSING):
        raise CompilerError(VerdictOutcome.ERROR, "a program in C++ needs g++, which is not here")
    said = run.errors.strip().splitlines() or [f"the compiler was stopped: {run.end.value}"]
    raise CompilerError(VerdictOutcome.WRONG, f"it does not compile: {shorten(said[-1])}")
