"""The program that runs inside the sandbox: it runs a program on its tests, one after the other.

It is started by `tessy.verifiers.sandbox` as a script, on a bare interpreter: it imports nothing of
tessy and nothing slow. Its standard input is a sequence of marshalled dictionaries: first the
set-up (`sandbox._start`), then jobs (`sandbox._job`), until it is closed. It
answers with a header line and two blobs for each test (`_report`).

Each test is a fork of this process, so the interpreter starts once for all tests, and what a
test does to its memory is gone with it. In the sandbox this process is number 1 of its own world:
the program can't signal it, can't read or trace it (it is not dumpable), has none of its open
files, and dies with it. Before the next test all other processes are killed, and `/tmp` and
`/dev/shm` are emptied. When its standard input closes, tessy is gone: it ends, and all with it.

A test may have `code` that runs after the program, with what the set-up has loaded; and a
channel to another sandbox, as descriptor 4 (`tessy.verifiers.sandbox_calls`).
"""
# pathlib would make each start slower
# ruff: noqa: PTH102, PTH108, PTH112, PTH114, PTH118, PTH123, PTH208

from __future__ import annotations

import builtins
import ctypes
import functools
import gc
import marshal
import os
import resource
import select
import shutil
import signal
import sys
import time
import types
from collections.abc import Callable
from contextlib import suppress
from typing import Any

Job = dict[str, Any]
_TICK_S = 0.02
_PAUSE_S = 0.001
_ERROR_BYTES = 4000
_ENTRIES = 20_000
"""Files and folders in a temporary folder; more are a flood, since each takes kernel memory."""
_SOCKETS = 64
"""Unix sockets at once; each may hold 200 KiB in the kernel, which no other limit counts."""
_SHARED = "/dev/shm"
_DONE, _CHANNEL = 3, 4
"""Descriptors of a test that has code."""
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGTTOU, signal.SIGTTIN)
_PR_SET_DUMPABLE, _PR_SET_CHILD_SUBREAPER = 4, 36


def main() -> None:
    """Run jobs until there are no more."""
    answers = os.dup(1)
    setup = _set_up()
    number = 0
    while True:
        try:
            job = marshal.load(sys.stdin.buffer)
        except EOFError:
            return
        deadline = time.monotonic() + job["total_s"]
        for test in job["tests"]:
            number += 1
            if time.monotonic() >= deadline:
                _report(answers, "not_run")
                continue
            ready = _Test({**setup, **job}, number, test, deadline)
            try:
                ready.prepare()
            except OSError:  # the tests before have left what can't be cleared away
                _report(answers, "files")
                continue
            ready.run(answers)


def _set_up() -> Job:
    """Read the set-up, protect this process, and load what tests need."""
    setup: Job = marshal.load(sys.stdin.buffer)
    for name in _SIGNALS:
        signal.signal(name, signal.SIG_IGN)
    if not setup["sandboxed"]:
        _die_first()  # before it is not dumpable: then the file is root's
    _control(_PR_SET_DUMPABLE, 0)
    if not setup["sandboxed"]:
        _control(_PR_SET_CHILD_SUBREAPER, 1)
    sys.path[:] = [path for path in sys.path if path] + setup["packages"]
    import _sitebuiltins

    builtins.exit = _sitebuiltins.Quitter("exit", "")
    builtins.quit = _sitebuiltins.Quitter("quit", "")
    sys.set_int_max_str_digits(0)
    setup["loaded"] = {"__name__": "preload"}
    preload = setup["preload"]
    exec(marshal.loads(preload) if isinstance(preload, bytes) else preload, setup["loaded"])
    gc.freeze()
    return setup


def _control(option: int, value: int) -> None:
    if ctypes.CDLL(None).prctl(option, value, 0, 0, 0):
        raise OSError(f"prctl({option}, {value})")


def _die_first() -> None:
    """If the machine runs out of memory, the kernel should end this before anything else."""
    with suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:
        file.write("1000")


class _Test:
    """One test, from its fork to the end of all it started."""

    def __init__(self, job: Job, number: int, test: Job, deadline: float) -> None:
        self.job, self.test, self.number = job, test, number
        self.started = time.monotonic()
        self.until = min(self.started + job["wall_s"], deadline)
        self.folder = os.path.join(job["folder"], str(number))
        self.texts: dict[int, bytearray] = {}
        self.status: int | None = None
        self.cpu_s = 0.0
        self.end = ""

    def prepare(self) -> None:
        """Clear away what is left of tests before, and lay out the input.

        Raises:
            OSError: It can't be done.
        """
        for folder in self._folders():
            for name in os.listdir(folder):
                _remove(os.path.join(folder, name))
        os.mkdir(self.folder)
        self.source = self._spool(self.test["stdin"])

    def _folders(self) -> list[str]:
        """The folders that a test can write to."""
        return [self.job["folder"], *([_SHARED] if self.job["sandboxed"] else [])]

    def run(self, answers: int) -> None:
        """Fork, watch, kill what is left, and report."""
        source = self.source
        out, out_end = os.pipe()
        err, err_end = os.pipe()
        done, done_end = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            descriptors = (source, out_end, err_end, done_end)
            _become(self.job, self.number, self.test, self.folder, descriptors)
        for descriptor in (source, out_end, err_end, done_end):
            os.close(descriptor)
        for descriptor in (out, err, done):
            os.set_blocking(descriptor, False)
            self.texts[descriptor] = bytearray()
        self._watch(out)
        self._kill_all()
        if self.job["channel"] is not None:
            _say_it_ended(self.job["channel"], self.number)
        for descriptor in (out, err, done):
            while self._read(descriptor) and not self._is_flood(out):
                pass
            os.close(descriptor)
        seconds = time.monotonic() - self.started
        end, code = self._how_it_ended(out)
        text, errors = self.texts[out][: self.job["output"]], self.texts[err][-_ERROR_BYTES:]
        _report(answers, end, code, bool(self.texts[done]), seconds, bytes(text), bytes(errors))

    def _spool(self, text: bytes) -> int:
        """The test's input as a file without a name: no program can block on feeding it."""
        path = self.folder + ".in"
        writing = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        with os.fdopen(writing, "wb") as file:
            file.write(text)
        reading = os.open(path, os.O_RDONLY)
        os.unlink(path)
        return reading

    def _watch(self, out: int) -> None:
        """Read what is printed until the program ends, or goes past a limit."""
        poll = select.poll()
        for descriptor in self.texts:
            poll.register(descriptor, select.POLLIN)
        ended = os.pidfd_open(self.pid)
        poll.register(ended, select.POLLIN)
        if self.job["watches"]:
            poll.register(0, 0)  # only that it closes
        looked = self.started
        while self.status is None and not self.end:
            for descriptor, _ in poll.poll(_TICK_S * 1000):
                if descriptor == 0:
                    self._kill_all()
                    os._exit(1)
                if descriptor != ended and not self._read(descriptor):
                    poll.unregister(descriptor)
            self._reap()
            now = time.monotonic()
            if self._is_flood(out):
                self.end = "output"
            elif now >= self.until:
                self.end = "wall"
            elif now - looked >= _TICK_S:
                looked = now
                self.end = self._excess() if self.job["sandboxed"] else ""
        os.close(ended)

    def _read(self, descriptor: int) -> bool:
        """Take in what is there; whether more may come."""
        try:
            piece = os.read(descriptor, 1 << 16)
        except BlockingIOError:
            return False
        text = self.texts[descriptor]
        text += piece
        if len(text) > max(self.job["output"], 2 * _ERROR_BYTES) + (1 << 16):
            del text[: -(self.job["output"] + 1)]
        return bool(piece)

    def _is_flood(self, out: int) -> bool:
        return len(self.texts[out]) > int(self.job["output"])

    def _excess(self) -> str:
        """What all processes together have too much of: memory, files or sockets."""
        if self._memory(_resident) > self.job["memory"] and (
            self._memory(_own_part) > self.job["memory"]  # slow, but counts what is shared once
        ):
            return "memory"
        for folder in self._folders():
            entries = os.statvfs(folder)
            if entries.f_files - entries.f_ffree > _ENTRIES:
                return "files"
        with open("/proc/net/unix", "rb") as file:
            return "files" if file.read().count(b"\n") > _SOCKETS else ""

    def _memory(self, of: Callable[[str], int]) -> int:
        """Bytes of all processes but this one."""
        total = 0
        for name in os.listdir("/proc"):
            if name.isdecimal() and name != "1":
                with suppress(OSError, IndexError):  # it has just ended
                    total += of(name)
        return total

    def _reap(self) -> None:
        """Take note of processes that ended, the program's and orphans that it left."""
        while True:
            try:
                pid, status, used = os.wait4(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not pid:
                return
            if pid == self.pid:
                self.status = status
                self.cpu_s = used.ru_utime + used.ru_stime

    def _kill_all(self) -> None:
        """Kill what is left of the test, however it hides."""
        while True:
            if self.job["sandboxed"]:  # all but this process, at once: nothing can slip through
                with suppress(ProcessLookupError):
                    os.kill(-1, signal.SIGKILL)
            else:
                for child in _children():
                    os.kill(child, signal.SIGKILL)
            self._reap()
            try:
                if os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT | os.WNOHANG) is None:
                    time.sleep(_PAUSE_S)  # and look again: the list may have lacked one
            except ChildProcessError:
                return

    def _how_it_ended(self, out: int) -> tuple[str, int]:
        if self._is_flood(out):
            return "output", 0
        if self.end:
            return self.end, 0
        assert self.status is not None
        code = os.waitstatus_to_exitcode(self.status)
        is_killed = code == -signal.SIGKILL and self.cpu_s >= self.job["cpu_s"]
        if code == -signal.SIGXCPU or is_killed:
            return "cpu", code
        return ("exit", code) if code >= 0 else ("signal", -code)


def _resident(pid: str) -> int:
    """Bytes of a process in memory, except those of files; shared ones count for each."""
    with open(f"/proc/{pid}/status", "rb") as file:
        text = file.read()
    return sum(int(text.split(name)[1].split()[0]) << 10 for name in (b"RssAnon:", b"RssShmem:"))


def _own_part(pid: str) -> int:
    """Bytes of a process in memory, except those of files; shared ones count as a part."""
    try:
        with open(f"/proc/{pid}/smaps_rollup", "rb") as file:
            text = file.read()
    except PermissionError:  # it has made itself unreadable
        return _resident(pid)
    return sum(int(text.split(name)[1].split()[0]) << 10 for name in (b"Pss_Anon:", b"Pss_Shmem:"))


def _say_it_ended(channel: int, number: int) -> None:
    """Tell the other sandbox; what the test left half written ends with the line."""
    os.set_blocking(channel, False)
    with suppress(OSError):
        os.write(channel, b'\n["end", %d]\n' % number)
    os.set_blocking(channel, True)


def _remove(path: str) -> None:
    """Remove a file, a link or a folder with all that is in it."""
    try:
        if os.path.isdir(path) and not os.path.islink(path):
            shutil.rmtree(path)
        else:
            os.unlink(path)
    except RecursionError:
        raise OSError(f"{path}: too deep") from None


def _children() -> list[int]:
    """The processes whose parent is this one; orphans of its children are among them.

    Some may lack if one ends meanwhile (proc_pid_children(5)).
    """
    with open("/proc/thread-self/children") as file:
        return [int(pid) for pid in file.read().split()]


def _become(job: Job, number: int, test: Job, folder: str, descriptors: tuple[int, ...]) -> None:
    """In the child: become the program, and leave as it leaves."""
    _place(job, test, descriptors)
    for name in _SIGNALS:
        signal.signal(name, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.chdir(folder)
    _control(_PR_SET_DUMPABLE, 1)  # else it could not open /dev/stdin
    _limit(job)
    sys.stdin = open(0, encoding="utf-8", errors="surrogateescape", closefd=False)  # noqa: SIM115
    sys.stdout = open(1, "w", encoding="utf-8", errors="surrogateescape", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", encoding="utf-8", errors="backslashreplace", closefd=False)  # noqa: SIM115
    sys.argv = ["program.py"]
    builtins.input = functools.partial(_input, builtins.input)
    # A main block is for tests of input and output; for asserts it would wait for input.
    own_name = "__main__" if test["code"] is None else "program"
    module = sys.modules[own_name] = types.ModuleType(own_name)
    source, code = job.pop("source"), test["code"]
    loaded = {**job["loaded"], "module": module, "number": number}
    job.clear()
    try:
        exec(compile(source, "program.py", "exec"), module.__dict__)
        if code is not None:
            exec(compile(code, "test.py", "exec"), loaded)
            os.write(_DONE, b"!")
    except SystemExit:
        raise
    except BaseException:
        import traceback

        traceback.print_exc(limit=-6)
        sys.stderr.flush()
        raise SystemExit(1) from None
    raise SystemExit(0)


def _place(job: Job, test: Job, descriptors: tuple[int, ...]) -> None:
    """Put the child's descriptors in their places, and close all others."""
    places = dict(enumerate(descriptors[:3]))
    if test["code"] is not None:  # a program that only prints has nothing else open
        places[_DONE] = descriptors[_DONE]
        if job["channel"] is not None:
            places[_CHANNEL] = job["channel"]
    for there, here in places.items():
        os.dup2(here, there + 100)
    for there in places:
        os.dup2(there + 100, there, inheritable=there <= 2)
    os.closerange(len(places), 4096)


def _input(read: Callable[[], str], prompt: object = "", /) -> str:
    """As `input`; but what asks for the input is no part of the output."""
    if prompt != "":
        sys.stderr.write(str(prompt))
    return read()


def _limit(job: Job) -> None:
    """Put the limits on; they are hard ones, and children have them, too."""
    wanted = {
        "RLIMIT_CPU": job["cpu_s"],
        "RLIMIT_AS": job["memory"],
        "RLIMIT_FSIZE": job["file"],
        "RLIMIT_NOFILE": job["open_files"],
        "RLIMIT_STACK": min(job["memory"] // 4, 128 << 20),
        "RLIMIT_CORE": 0,
        "RLIMIT_MEMLOCK": 0,
        "RLIMIT_MSGQUEUE": 0,
    }
    if job["sandboxed"]:  # elsewhere it counts all processes of the user
        wanted["RLIMIT_NPROC"] = job["processes"]
    for name, value in wanted.items():
        number = getattr(resource, name, None)
        if number is None:
            continue
        hard = resource.getrlimit(number)[1]
        least = value if hard == resource.RLIM_INFINITY else min(value, hard)
        grace = 1 if name == "RLIMIT_CPU" and least == value else 0
        resource.setrlimit(number, (least, least + grace))


def _report(
    answers: int,
    end: str,
    code: int = 0,
    done: bool = False,
    seconds: float = 0.0,
    out: bytes = b"",
    err: bytes = b"",
) -> None:
    """Write how a test ended: a line `END CODE DONE SECONDS OUT-BYTES ERR-BYTES`, out, err."""
    head = f"{end} {code} {int(done)} {seconds:.4f} {len(out)} {len(err)}\n"
    data = memoryview(head.encode() + out + err)
    while data:
        data = data[os.write(answers, data) :]


if __name__ == "__main__":
    main()
