"""How the command line shows errors that are not tessy's own."""

from __future__ import annotations

import errno

import pytest

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


def test_an_unexpected_error_keeps_its_traceback(monkeypatch):
    monkeypatch.setattr(cli, "app", failing(OSError(errno.EBADF, "Bad file descriptor")))
    with pytest.raises(OSError, match="Bad file"):
        cli.main()
