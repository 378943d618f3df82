"""How a sandbox starts and ends, what it refuses, and programs without one."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from pathlib import Path

import hostile
import pytest
from sandboxed import one

from tessy.errors import ConfigError, SandboxError
from tessy.event_loop import run_loop
from tessy.verifiers import sandbox_isolation
from tessy.verifiers.limits import ProgramLimits, VerifierSettings
from tessy.verifiers.sandbox import End, Sandbox


def tessys_sandboxes() -> set[int]:
    """Processes of sandboxes on this machine."""
    found = set()
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdecimal() and b"The program that runs inside" in (
                (entry / "cmdline").read_bytes()
            ):
                found.add(int(entry.name))
        except OSError:
            continue
    return found


def children_of(pid: int) -> list[int]:
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    except OSError:
        return []
    return [int(child) for child in children.split()]


def is_python(pid: int) -> bool:
    try:
        program = Path(f"/proc/{pid}/cmdline").read_text().split("\0")[0]
    except OSError:
        return False
    return Path(program).name.startswith("python")


async def test_a_cancelled_run_leaves_nothing(sandbox):
    before = tessys_sandboxes()
    task = asyncio.create_task(one(sandbox, hostile.SLEEPER))
    while not tessys_sandboxes() - before:
        await asyncio.sleep(0.01)
    started = tessys_sandboxes() - before
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    while tessys_sandboxes() & started:  # the kernel takes them down; a hang fails by time
        await asyncio.sleep(0.01)


@pytest.mark.parametrize("steps", range(0, 12, 3))
async def test_one_cancelled_while_it_starts_leaves_nothing_either(sandbox, steps):
    before = tessys_sandboxes()
    task = asyncio.create_task(one(sandbox, hostile.SLEEPER))
    for _ in range(steps):
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    while tessys_sandboxes() - before:
        await asyncio.sleep(0.01)


KILLED = """\
import asyncio, sys
from tessy.verifiers.limits import ProgramLimits, VerifierSettings
from tessy.verifiers.sandbox import ProgramTest, Sandbox
async def main():
    settings = VerifierSettings(unsafe_no_sandbox=UNSAFE, limits=ProgramLimits(wall_s=600))
    sandbox = Sandbox(settings)
    print("ready", flush=True)
    code = None if PRINTS else "def check(c): c(1)"
    program = "import os, time\\ndef f(x):\\n    os.fork()\\n    time.sleep(3600)\\nif PRINTS: f(1)"
    await sandbox.run(program, [ProgramTest(code=code, entry=None if PRINTS else "f")])
asyncio.run(main())
"""


@pytest.mark.usefixtures("isolated")
@pytest.mark.parametrize("unsafe", [False, True])
@pytest.mark.parametrize("prints", [True, False])
def test_nothing_outlives_a_tessy_that_is_killed(unsafe, prints):
    source = KILLED.replace("UNSAFE", str(unsafe)).replace("PRINTS", str(prints))
    process = subprocess.Popen([sys.executable, "-c", source], stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    pythons = 0
    while pythons < (3 if prints else 5):  # guest and two of the program; a judge's two
        time.sleep(0.01)
        assert process.poll() is None
        below = children_of(process.pid)
        for pid in below:
            below += children_of(pid)
        started = set(below) & tessys_sandboxes()
        pythons = sum(is_python(pid) for pid in started)
    process.kill()
    process.wait()
    process.stdout.close()
    while any(Path(f"/proc/{pid}/exe").exists() for pid in started):  # a hang fails by time
        time.sleep(0.01)


LACKING = """
import os, time
from tessy.verifiers import sandbox_guest as guest
real, asked = guest._children, []
def lacking():
    asked.append(1)
    return real() if len(asked) > 1 else []
guest._children = lacking
if os.fork() == 0:
    time.sleep(3600)
test = guest._Test({"sandboxed": False, "wall_s": 1, "folder": ""}, 0, {}, 0)
test.pid = -1
test._kill_all()
print("gone")
"""


def test_a_list_of_processes_that_lacks_one_leaves_none(tmp_path):
    """As the kernel's may, if a process ends while it is read."""
    done = subprocess.run([sys.executable, "-c", LACKING], capture_output=True, timeout=60)
    assert done.stdout == b"gone\n", done.stderr


def test_it_runs_on_the_loop_of_the_commands(isolated):
    run = run_loop(one(Sandbox(isolated), "print(1)"))
    assert run.output == "1\n"


def test_without_bubblewrap_it_refuses_to_start(monkeypatch, tmp_path):
    monkeypatch.setattr(sandbox_isolation.shutil, "which", lambda name, path: None)
    with pytest.raises(SandboxError, match="bwrap is not installed") as caught:
        Sandbox(VerifierSettings())
    assert "--unsafe-no-sandbox" in str(caught.value.hint)
    assert "apt-get install bubblewrap" in str(caught.value.hint)


def test_a_bubblewrap_that_is_not_allowed_to_work_is_refused(monkeypatch, tmp_path):
    broken = tmp_path / "bwrap"
    broken.write_text(
        "#!/bin/sh\necho 'bwrap: No permissions to create new namespace' >&2\nexit 1\n"
    )
    broken.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with pytest.raises(SandboxError, match="No permissions to create new namespace"):
        Sandbox(VerifierSettings())


async def test_without_a_sandbox_limits_hold_as_well():
    sandbox = Sandbox(
        VerifierSettings(unsafe_no_sandbox=True, limits=ProgramLimits(cpu_s=1, output_kb=64))
    )
    assert (await one(sandbox, "print(input())", "x\n")).output == "x\n"
    assert (await one(sandbox, hostile.ENDLESS)).end in (End.CPU, End.WALL)
    assert (await one(sandbox, hostile.FLOOD)).end is End.OUTPUT
    assert "MemoryError" in (await one(sandbox, hostile.TEN_GIGABYTES)).errors
    assert "SECRET" not in (await one(sandbox, "import os; print(os.environ)")).output


async def test_without_a_sandbox_a_daemon_ends_with_its_test():
    sandbox = Sandbox(VerifierSettings(unsafe_no_sandbox=True))
    program = hostile.DAEMON.replace(
        "while True:", "while True:\n            print(os.getpid(), flush=True)"
    )
    run = await one(sandbox, program)
    pids = {int(word) for word in run.output.split() if word.isdecimal()}
    assert not any(Path(f"/proc/{pid}/exe").exists() for pid in pids)


@pytest.mark.parametrize("name", ["cpu_s", "memory_mb", "processes"])
@pytest.mark.parametrize("value", [0, -1, 1.5])
def test_a_limit_out_of_bounds_is_named(name, value):
    with pytest.raises(ConfigError, match=name):
        ProgramLimits(**{name: value})
