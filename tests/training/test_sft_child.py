"""A process that works for a training: its end, and ours."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from tessy.training import child

WAITING = """
import pathlib, signal, sys, time
print(sys.stdin.readline().strip(), flush=True)
def stop(number, frame):
    print("asked", flush=True)
    {stop}
signal.signal(signal.SIGINT, stop)
pathlib.Path({ready!r}).touch()
while True:
    time.sleep(0.01)
"""


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def test_its_exit_code_and_its_output(tmp_path):
    log = tmp_path / "log"
    log.write_text("before\n")
    code = "import sys; print(sys.stdin.readline(), end=''); sys.exit('no')"
    assert child.run(python(code), b"given\n", log) == 1
    assert sorted(log.read_text().split()) == ["before", "given", "no"]


def test_one_that_does_not_read_is_no_error_of_ours(tmp_path):
    code = "import os; os.close(0); raise SystemExit(3)"
    assert child.run(python(code), b"x" * 1_000_000, tmp_path / "log") == 3


def test_that_of_a_signal_is_negative(tmp_path):
    code = "import os; os.kill(os.getpid(), 9)"
    assert child.run(python(code), b"", tmp_path / "log") == -9


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_what_we_are_told_is_handed_on(tmp_path, how):
    ready, log = tmp_path / "ready", tmp_path / "log"
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    tell(ready, how)
    with pytest.raises(KeyboardInterrupt):
        child.run(python(WAITING.format(stop="sys.exit(0)", ready=str(ready))), b"given\n", log)
    assert log.read_text().split() == ["given", "asked"]
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def test_one_that_does_not_stop_is_killed_at_the_second(tmp_path):
    ready, log = tmp_path / "ready", tmp_path / "log"
    code = WAITING.format(stop="pathlib.Path(sys.argv[1]).touch()", ready=str(ready))
    tell(ready, signal.SIGINT, again=tmp_path / "again")
    with pytest.raises(KeyboardInterrupt):
        child.run([*python(code), str(tmp_path / "again")], b"given\n", log)
    assert log.read_text().split() == ["given", "asked"]


def tell(ready, how, again=None) -> None:
    """Signal this process when a file is there, and again when another is."""

    def wait() -> None:
        for path in (ready, *([again] if again else [])):
            while not path.exists():
                time.sleep(0.01)
            os.kill(os.getpid(), how)

    threading.Thread(target=wait, daemon=True).start()


def test_it_reads_the_end_of_its_input_when_we_are_killed(tmp_path):
    ready, ended = tmp_path / "ready", tmp_path / "ended"
    inner = (
        "import pathlib, sys; sys.stdin.readline(); "
        f"pathlib.Path({str(ready)!r}).touch(); sys.stdin.read(); "
        f"pathlib.Path({str(ended)!r}).touch()"
    )
    outer = (
        "import pathlib, sys; from tessy.training import child; "
        f"child.run([sys.executable, '-c', {inner!r}], b'given\\n', "
        f"pathlib.Path({str(tmp_path / 'log')!r}))"
    )
    with subprocess.Popen(python(outer)) as process:
        while not ready.exists():
            assert process.poll() is None
            time.sleep(0.01)
        process.kill()
    while not ended.exists():
        time.sleep(0.01)
