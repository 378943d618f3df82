"""Programs in the real sandbox: they run as elsewhere, and each ends within its limits."""

from __future__ import annotations

import signal
from contextlib import aclosing
from dataclasses import replace

import hostile
import pytest
from sandboxed import one

from tessy.verifiers.sandbox import End, ProgramTest, Sandbox, SandboxLibraries, SandboxSession

# --- Programs as they should be -----------------------------------------------------------------


async def test_a_program_reads_and_prints_on_each_test(sandbox):
    runs = await sandbox.run("print(int(input()) * 2)", [ProgramTest(f"{n}\n") for n in range(5)])
    assert [run.output for run in runs] == ["0\n", "2\n", "4\n", "6\n", "8\n"]
    assert all(run.is_clean for run in runs)


AS_ELSEWHERE = [
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
]


async def test_programs_run_as_they_would_elsewhere(kept):
    for program, printed in AS_ELSEWHERE:
        run = await one(kept, program, "in é\n")
        found = (program, run.end, run.code, run.output)
        assert found == (program, End.EXIT, 0, printed), run.errors


async def test_hashes_are_the_same_each_time(kept):
    first, second = [await one(kept, "print(hash('x'), {'a', 'b', 'c'})") for _ in range(2)]
    assert first.output == second.output


FAILURES = [
    ("exit(3)", End.EXIT, 3, ""),
    ("raise SystemExit('sorry')", End.EXIT, 1, "sorry"),
    ("1 / 0", End.EXIT, 1, "ZeroDivisionError"),
    ("def broken(:", End.EXIT, 1, "SyntaxError"),
    ("\0", End.EXIT, 1, "null bytes"),
    ("import os; os.abort()", End.SIGNAL, signal.SIGABRT, ""),
    ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", End.SIGNAL, signal.SIGSEGV, ""),
    ("raise KeyboardInterrupt", End.EXIT, 1, "KeyboardInterrupt"),
    ("def f(): f()\nf()", End.EXIT, 1, "RecursionError"),
]


async def test_a_program_that_fails_says_how(kept):
    for program, end, code, said in FAILURES:
        run = await one(kept, program)
        assert (program, run.end, run.code) == (program, end, code)
        assert said in run.errors


async def test_tests_do_not_see_each_other(sandbox):
    program = (
        "import builtins, os, pathlib\n"
        "print(os.listdir('.'), hasattr(builtins, 'mark'), 'MARK' in os.environ)\n"
        "pathlib.Path('left').touch(); builtins.mark = os.environ['MARK'] = '1'\n"
    )
    runs = await sandbox.run(program, [ProgramTest(), ProgramTest()])
    assert [run.output for run in runs] == ["[] False False\n"] * 2


async def test_what_a_test_leaves_is_cleared_away(sandbox):
    runs = await sandbox.run(hostile.LEAVES_MUCH, [ProgramTest("1\n"), ProgramTest("2\n")])
    assert [run.output for run in runs] == ["False\n", "True\n"]


async def test_what_can_not_be_cleared_away_breaks_nothing(sandbox):
    first, *others = await sandbox.run(hostile.LEAVES_WHAT_STAYS, [ProgramTest()] * 3)
    assert first.end is End.EXIT
    assert {run.end for run in others} in ({End.FILES}, {End.EXIT})  # later Pythons clear it


async def test_a_test_ends_when_its_program_does_even_if_the_output_stays_open(sandbox):
    runs = await sandbox.run(hostile.DAEMON, [ProgramTest(), ProgramTest()])
    assert [(run.end, run.output) for run in runs] == [(End.EXIT, "left\n")] * 2
    count = "import os; print(sum(name.isdecimal() for name in os.listdir('/proc')))"
    async with aclosing(SandboxSession(sandbox._settings, SandboxLibraries())) as session:
        await session.run(hostile.DAEMON, [ProgramTest()])
        (run,) = await session.run(count, [ProgramTest()])
    assert run.output == "2\n"  # the guest and the program: no daemon is left


async def test_closing_its_output_is_a_programs_own_affair(sandbox):
    assert (await one(sandbox, "import os; os.close(1); os.close(2)")).output == ""
    assert (await one(sandbox, "import os; os.closerange(0, 100); os._exit(0)")).is_clean


# --- Limits -------------------------------------------------------------------------------------


async def test_a_fork_bomb_is_bounded_and_ends(isolated):
    sandbox = Sandbox(replace(isolated, limits=replace(isolated.limits, wall_s=3)))
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
    runs = await sandbox.run(hostile.SLEEPER, [ProgramTest()] * 6)
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


async def test_memory_that_hides_is_counted(sandbox):
    assert (await one(sandbox, hostile.UNREADABLE)).end is End.MEMORY


async def test_shared_memory_is_bounded(sandbox):
    run = await one(sandbox, hostile.SHARED_MEMORY)
    assert run.end is End.SIGNAL or "File too large" in run.output, run  # its file system is full


async def test_sockets_and_names_are_bounded(sandbox):
    assert (await one(sandbox, hostile.MANY_SOCKETS)).end is End.FILES
    run = await one(sandbox, hostile.MANY_NAMES)
    assert run.end in (End.FILES, End.CPU, End.WALL)


async def test_the_kernel_ends_it_first(sandbox):
    assert (await one(sandbox, hostile.LAST_TO_DIE)).output == "1000\n"


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
