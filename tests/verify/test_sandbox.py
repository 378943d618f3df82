"""Hostile programs in the real sandbox: each ends, says nothing it should not, harms nothing."""

from __future__ import annotations

import asyncio
import os
import platform
import signal
import socket
import subprocess
import sys
import sysconfig
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import hostile
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tessy.errors import ConfigError, SandboxError
from tessy.loop import run_loop
from tessy.verify import isolation
from tessy.verify.cases import End, Trial
from tessy.verify.limits import Limits, Settings
from tessy.verify.sandbox import Place, Sandbox, Session
from tessy.verify.seccomp import filter_for


async def one(sandbox, program, stdin=""):
    (run,) = await sandbox.run(program, [Trial(stdin)])
    return run


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
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


# --- Programs as they should be -----------------------------------------------------------------


async def test_a_program_reads_and_prints_on_each_test(sandbox):
    runs = await sandbox.run("print(int(input()) * 2)", [Trial(f"{n}\n") for n in range(5)])
    assert [run.output for run in runs] == ["0\n", "2\n", "4\n", "6\n", "8\n"]
    assert all(run.is_clean for run in runs)


@pytest.mark.parametrize(
    ("program", "printed"),
    [
        ("import sys; print(sys.stdin.readline(), end='')", "in é\n"),
        ("import sys; print(sys.stdin.buffer.read().decode(), end='')", "in é\n"),
        ("print(open(0).read(), end='')", "in é\n"),
        ("print(open('/dev/stdin').read(), end='')", "in é\n"),
        ("import os; os.write(1, os.read(0, 100))", "in é\n"),
        ("if __name__ == '__main__':\n    print(1)", "1\n"),
        ("print(1); exit()", "1\n"),
        ("print(1); quit(0)", "1\n"),
        ("import atexit; atexit.register(print, 2); print(1)", "1\n2\n"),
        ("import threading as t; t.Thread(target=print, args=(3,)).start()", "3\n"),
        (
            "from dataclasses import dataclass\n@dataclass\nclass A:\n    x: int\nprint(A(1).x)",
            "1\n",
        ),
        (
            "import pickle\nclass A: pass\nprint(type(pickle.loads(pickle.dumps(A()))) is A)",
            "True\n",
        ),
        ("import multiprocessing as m\nwith m.Pool(2) as p: print(p.map(abs, [-1]))", "[1]\n"),
        ("import tempfile; print(tempfile.TemporaryFile().write(b'abc'))", "3\n"),
        ("import os, sys; print(sys.path[0] != '', os.listdir('.'))", "True []\n"),
        ("import sys\ntry:\n    import numpy\nexcept ImportError:\n    print('bare')", "bare\n"),
        ("import os; os.write(1, bytes([255, 65]))", "\ufffdA"),
        ("print({'a', 'b', 'c', 'd'} == 1, hash('x') % 7)", "False 6\n"),
    ],
)
async def test_programs_run_as_they_would_elsewhere(sandbox, program, printed):
    run = await one(sandbox, program, "in é\n")
    if "hash" in program:  # whatever it is, it is the same each time
        printed = (await one(sandbox, program)).output
    assert (run.end, run.code, run.output) == (End.EXIT, 0, printed), run.errors


@pytest.mark.parametrize(
    ("program", "end", "code", "said"),
    [
        ("exit(3)", End.EXIT, 3, ""),
        ("raise SystemExit('sorry')", End.EXIT, 1, "sorry"),
        ("1 / 0", End.EXIT, 1, "ZeroDivisionError"),
        ("def broken(:", End.EXIT, 1, "SyntaxError"),
        ("\0", End.EXIT, 1, "null bytes"),
        ("import os; os.abort()", End.SIGNAL, signal.SIGABRT, ""),
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", End.SIGNAL, signal.SIGSEGV, ""),
        ("raise KeyboardInterrupt", End.EXIT, 1, "KeyboardInterrupt"),
        ("def f(): f()\nf()", End.EXIT, 1, "RecursionError"),
    ],
)
async def test_a_program_that_fails_says_how(sandbox, program, end, code, said):
    run = await one(sandbox, program)
    assert (run.end, run.code) == (end, code)
    assert said in run.errors


async def test_tests_do_not_see_each_other(sandbox):
    program = (
        "import builtins, os, pathlib\n"
        "print(os.listdir('.'), hasattr(builtins, 'mark'), 'MARK' in os.environ)\n"
        "pathlib.Path('left').touch(); builtins.mark = os.environ['MARK'] = '1'\n"
    )
    runs = await sandbox.run(program, [Trial(), Trial()])
    assert [run.output for run in runs] == ["[] False False\n"] * 2


async def test_what_a_test_leaves_is_cleared_away(sandbox):
    runs = await sandbox.run(hostile.LEAVES_MUCH, [Trial("1\n"), Trial("2\n")])
    assert [run.output for run in runs] == ["False\n", "True\n"]


async def test_what_can_not_be_cleared_away_breaks_nothing(sandbox):
    first, *others = await sandbox.run(hostile.LEAVES_WHAT_STAYS, [Trial()] * 3)
    assert first.end is End.EXIT
    assert {run.end for run in others} in ({End.FILES}, {End.EXIT})  # later Pythons clear it


async def test_a_test_ends_when_its_program_does_even_if_the_output_stays_open(sandbox):
    runs = await sandbox.run(hostile.DAEMON, [Trial(), Trial()])
    assert [(run.end, run.output) for run in runs] == [(End.EXIT, "left\n")] * 2
    count = "import os; print(sum(name.isdecimal() for name in os.listdir('/proc')))"
    async with Session(sandbox._settings, Place()) as session:
        await session.run(hostile.DAEMON, [Trial()])
        (run,) = await session.run(count, [Trial()])
    assert run.output == "2\n"  # the guest and the program: no daemon is left


async def test_closing_its_output_is_a_programs_own_affair(sandbox):
    assert (await one(sandbox, "import os; os.close(1); os.close(2)")).output == ""
    assert (await one(sandbox, "import os; os.closerange(0, 100); os._exit(0)")).is_clean


# --- Limits -------------------------------------------------------------------------------------


async def test_a_fork_bomb_is_bounded_and_ends(sandbox):
    run = await one(sandbox, hostile.FORK_BOMB)
    assert run.end in (End.CPU, End.WALL)
    assert (await one(sandbox, "print('well')")).output == "well\n"


async def test_processes_and_threads_are_counted_together(sandbox, isolated):
    run = await one(sandbox, hostile.THREAD_BOMB)
    assert run.is_clean, run.errors
    assert 0 < int(run.output) <= isolated.limits.processes


@pytest.mark.parametrize("program", [hostile.ENDLESS, hostile.ENDLESS_AND_DEAF])
async def test_an_endless_loop_uses_up_its_time(sandbox, program):
    run = await one(sandbox, program)
    assert run.end in (End.CPU, End.WALL)  # by the clock only if the machine is very busy


async def test_a_sleeper_is_ended_by_the_clock(isolated):
    limits = replace(isolated.limits, wall_s=1)
    run = await one(Sandbox(replace(isolated, limits=limits)), hostile.SLEEPER)
    assert run.end is End.WALL


async def test_all_tests_together_have_a_limit_and_none_is_forgotten(isolated):
    limits = replace(isolated.limits, wall_s=1, total_s=2)
    sandbox = Sandbox(replace(isolated, limits=limits))
    runs = await sandbox.run(hostile.SLEEPER, [Trial()] * 6)
    assert len(runs) == 6
    assert runs[0].end is End.WALL
    assert runs[-1].end is End.NOT_RUN


async def test_ten_gigabytes_are_refused(sandbox):
    run = await one(sandbox, hostile.TEN_GIGABYTES)
    assert run.code == 1
    assert "MemoryError" in run.errors


async def test_processes_together_have_a_limit_of_memory(sandbox):
    run = await one(sandbox, hostile.MANY_TAKE_MEMORY)
    assert run.end is End.MEMORY


async def test_a_flood_of_output_is_cut_off(sandbox, isolated):
    run = await one(sandbox, hostile.FLOOD)
    assert run.end is End.OUTPUT
    assert len(run.output) <= isolated.limits.output_kb << 10
    run = await one(sandbox, hostile.FLOOD_OF_ERRORS)
    assert run.is_clean
    assert len(run.errors) < 10_000


@pytest.mark.parametrize(
    ("program", "said"),
    [
        (hostile.BIG_FILE, "File too large"),
        (hostile.MANY_BIG_FILES, "No space left"),
        (hostile.MANY_OPEN, "Too many open files"),
    ],
)
async def test_files_are_bounded_in_size_and_number(sandbox, program, said):
    run = await one(sandbox, program)
    assert run.code == 1
    assert said in run.errors


async def test_a_flood_of_empty_files_is_ended(sandbox):
    run = await one(sandbox, hostile.MANY_FILES)
    assert run.end in (End.FILES, End.CPU, End.WALL)


async def test_deep_recursion_ends(sandbox):
    run = await one(sandbox, hostile.DEEP)
    assert not run.is_clean
    assert (await one(sandbox, "print('well')")).output == "well\n"


# --- Isolation ----------------------------------------------------------------------------------


async def test_there_is_no_network_not_even_this_machines(sandbox):
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        port = str(server.getsockname()[1])
        run = await one(sandbox, hostile.NETWORK.replace("PORT", port))
    assert run.output == "refused refused refused unknown\n"


async def test_folders_of_the_system_and_of_users_are_not_there(sandbox, tmp_path, monkeypatch):
    program = hostile.LISTS.replace("HOME", repr(str(Path.home())))
    run = await one(sandbox, program)
    for line in run.output.splitlines():
        path, seen = line.split(" ", 1)
        below = {folder.parts for folder in isolation.interpreter().folders}
        is_on_the_way = any(parts[: len(Path(path).parts)] == Path(path).parts for parts in below)
        assert seen == "FileNotFoundError" or is_on_the_way, line
    for path in ("/etc/passwd", "/etc/shadow", "/proc/1/root/etc/passwd", __file__):
        run = await one(sandbox, f"print(open({path!r}).read())")
        assert run.code == 1, path
        assert not run.output


async def test_the_environment_is_not_ours(sandbox, monkeypatch):
    monkeypatch.setenv("SECRET_KEY", "tell-nobody")
    look = "import os\nprint(os.environ, open('/proc/self/environ').read())"
    run = await one(sandbox, look)
    assert run.is_clean, run.errors
    assert "tell-nobody" not in run.output
    assert "SECRET_KEY" not in run.output


async def test_nothing_but_its_own_folder_can_be_written(sandbox):
    program = hostile.WRITES.replace("STDLIB", repr(sysconfig.get_path("stdlib")))
    assert (await one(sandbox, program)).output == "done\n"


async def test_links_lead_nowhere(sandbox, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("tell-nobody")
    run = await one(sandbox, hostile.LINKS.replace("SECRET", repr(str(secret))))
    assert run.output == "done\n", run.errors


async def test_the_guest_can_not_be_killed_read_or_traced(sandbox):
    run = await one(sandbox, hostile.KILLS_ITS_PARENT, "alive\n")
    assert run.output == "alive\n", run.errors
    assert (await one(sandbox, hostile.LOOKS_AT_THE_GUEST)).output == "done\n"


async def test_a_report_can_not_be_forged(sandbox):
    runs = await sandbox.run(hostile.FORGES, [Trial(), Trial()])
    assert [run.output for run in runs] == ["wrong\n", "wrong\n"]


@pytest.mark.skipif(filter_for(platform.machine()) is None, reason="no filter for this machine")
async def test_privileges_can_not_be_had(sandbox):
    run = await one(sandbox, hostile.PRIVILEGES)
    assert run.is_clean, run.errors
    assert "False" not in run.output


# --- Starting and ending ------------------------------------------------------------------------


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
from tessy.verify.cases import Trial
from tessy.verify.limits import Settings
from tessy.verify.sandbox import Sandbox
async def main():
    sandbox = Sandbox(Settings())
    print("ready", flush=True)
    await sandbox.run("import time; time.sleep(3600)", [Trial()])
asyncio.run(main())
"""


@pytest.mark.usefixtures("isolated")
def test_programs_die_with_tessy_even_if_it_is_killed():
    process = subprocess.Popen([sys.executable, "-c", KILLED], stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    started: set[int] = set()
    while not started:
        waiting = children_of(process.pid)
        for pid in waiting:
            waiting += children_of(pid)
        started = set(waiting) & tessys_sandboxes()
    process.kill()
    process.wait()
    process.stdout.close()
    while any(Path(f"/proc/{pid}/exe").exists() for pid in started):
        pass


def test_it_runs_on_the_loop_of_the_commands(isolated):
    run = run_loop(one(Sandbox(isolated), "print(1)"))
    assert run.output == "1\n"


def test_without_bubblewrap_it_refuses_to_start(monkeypatch, tmp_path):
    monkeypatch.setattr(isolation.shutil, "which", lambda name, path: None)
    with pytest.raises(SandboxError, match="bwrap is not installed") as caught:
        Sandbox(Settings())
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
        Sandbox(Settings())


async def test_without_a_sandbox_limits_hold_as_well():
    sandbox = Sandbox(Settings(unsafe_no_sandbox=True, limits=Limits(cpu_s=1, output_kb=64)))
    assert (await one(sandbox, "print(input())", "x\n")).output == "x\n"
    assert (await one(sandbox, hostile.ENDLESS)).end in (End.CPU, End.WALL)
    assert (await one(sandbox, hostile.FLOOD)).end is End.OUTPUT
    assert "MemoryError" in (await one(sandbox, hostile.TEN_GIGABYTES)).errors
    assert "SECRET" not in (await one(sandbox, "import os; print(os.environ)")).output


async def test_without_a_sandbox_a_daemon_ends_with_its_test():
    sandbox = Sandbox(Settings(unsafe_no_sandbox=True))
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
        Limits(**{name: value})


def test_home_is_never_shown(monkeypatch):
    monkeypatch.setattr(sys, "base_prefix", str(Path.home()))
    with pytest.raises(SandboxError, match="home folder"):
        isolation.interpreter()


@given(st.lists(st.sampled_from(["/opt/a", "/tmp/a/site", "/tmp", "/tmpx/b", "/srv"]), unique=True))
def test_no_folder_of_packages_is_seen_where_the_program_has_its_own(folders):
    seen = isolation.seen_at([Path(folder) for folder in folders])
    assert len(set(seen)) == len(folders)
    for folder, place in zip(folders, seen, strict=True):
        assert not place.is_relative_to("/tmp")
        assert place == Path(folder) or folder == "/tmp" or folder.startswith("/tmp/")
