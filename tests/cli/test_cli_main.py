"""How the command line shows errors that are not tessy's own."""

from __future__ import annotations

import errno
import os
import subprocess
import sys

import pytest

from commands import run
from tessy.cli import main as cli


def failing(error):
    def app(args=None):
        raise error

    return app


@pytest.mark.parametrize(
    ("number", "hint"),
    [
        (errno.ENOSPC, "free some space"),
        (errno.EFBIG, "free some space"),
        (errno.EROFS, "readable and writable"),
        (errno.EACCES, "readable and writable"),
        (errno.ENAMETOOLONG, "give another path"),
    ],
)
def test_a_disk_that_can_not_be_written_is_reported_without_a_traceback(
    monkeypatch, capsys, number, hint
):
    monkeypatch.setattr(cli, "app", failing(OSError(number, "No such luck", "out.jsonl")))
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 1
    said = capsys.readouterr().err
    assert "error: out.jsonl: No such luck" in said
    assert hint in said


def test_ctrl_c_while_tessy_is_imported_ends_it_without_a_traceback():
    code = (
        "import sys\n"
        "class Interrupted:\n"
        "    def find_spec(self, name, *_):\n"
        "        if name == 'tessy.cli.main': raise KeyboardInterrupt\n"
        "sys.meta_path.insert(0, Interrupted())\n"
        "from tessy.__main__ import main\n"
        "main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (130, "stopped\n")


def test_an_unexpected_error_keeps_its_traceback(monkeypatch):
    monkeypatch.setattr(cli, "app", failing(OSError(errno.EBADF, "Bad file descriptor")))
    with pytest.raises(OSError, match="Bad file"):
        cli.main()


@pytest.mark.parametrize("command", ["synth --out x", "verify --with number", "report"])
def test_a_pattern_that_the_shell_replaced_is_told_from_other_arguments(tmp_path, command):
    files = [tmp_path / name for name in ("a", "b", "c")]
    for file in files:
        file.touch()
    hint = "a pattern for several is put in quotes"
    done = run(*command.split(), *files, COLUMNS="1000")
    assert done.code == 2
    assert hint in done.err
    assert hint not in run(*command.split(), "a", "no", "such", COLUMNS="1000").err


def test_what_nobody_reads_any_more_is_no_error(monkeypatch):
    """As after `tessy verify RUN | head -1`: what is still to be printed is dropped in silence."""
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as out:
        monkeypatch.setattr(sys, "stdout", out)
        monkeypatch.setattr(cli, "app", lambda args: print("a line"))
        cli.main([])
