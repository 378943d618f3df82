"""Running `tessy` in tests: in this process, or in its own process where a test needs that."""

from __future__ import annotations

import asyncio
import io
import os
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import pytest

from tessy.cli.main import main

_COLUMNS = "120"


@dataclass
class Done:
    """The result of a command."""

    code: int
    out: str
    err: str


def run(*args: str | Path, **environment: str) -> Done:
    """Run `tessy` in this process, as its script does.

    Args:
        *args: The command's arguments.
        **environment: Environment variables for the command.
    """
    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True) for _ in range(2))
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        for name, value in {"COLUMNS": _COLUMNS, **environment}.items():
            patch.setenv(name, value)
        code: object = 0
        try:
            main([str(arg) for arg in args])
        except SystemExit as end:
            code = end.code
    return Done(code if isinstance(code, int) else int(bool(code)), _text(out), _text(err))


def _text(stream: io.TextIOWrapper) -> str:
    buffer = stream.buffer
    assert isinstance(buffer, io.BytesIO)
    return buffer.getvalue().decode()


async def tessy(*args: str | Path, **environment: str) -> Done:
    """Like `run`, but in a thread, so that servers in this event loop keep running."""
    return await asyncio.to_thread(run, *args, **environment)


async def start(*args: str | Path, **environment: str) -> asyncio.subprocess.Process:
    """Start `tessy` in its own process, for tests of signals, kills and exits."""
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tessy", *map(str, args)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "COLUMNS": _COLUMNS, **environment},
    )


async def in_a_process(*args: str | Path, **environment: str) -> Done:
    """Like `start`, but wait for its end."""
    process = await start(*args, **environment)
    async with asyncio.timeout(120):
        out, err = await process.communicate()
    return Done(process.returncode or 0, out.decode(), err.decode())
