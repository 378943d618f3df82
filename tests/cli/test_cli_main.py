"""How the command line shows errors that are not tessy's own."""

from __future__ import annotations

import errno

import pytest

from tessy.cli import main as cli


def failing(error):
    def app(args=None):
        raise error

    return app


def test_a_full_disk_is_reported_without_a_traceback(monkeypatch, capsys):
    monkeypatch.setattr(cli, "app", failing(OSError(errno.ENOSPC, "No space left", "out.jsonl")))
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 1
    said = capsys.readouterr().err
    assert "error: out.jsonl: No space left" in said
    assert "free some space" in said


def test_an_unexpected_error_keeps_its_traceback(monkeypatch):
    monkeypatch.setattr(cli, "app", failing(OSError(errno.EBADF, "Bad file descriptor")))
    with pytest.raises(OSError, match="Bad file"):
        cli.main()
