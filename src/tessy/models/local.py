"""Local servers: a model that is a file is served by llama.cpp, in a process of its own."""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tessy.errors import LocalServerError

_START_S = 120.0
_STOP_S = 3.0
_LOG_TAIL = 2000


@asynccontextmanager
async def serve(
    weights: Path, *, slots: int, context_tokens: int, threads: int | None = None
) -> AsyncIterator[str]:
    """Serve a GGUF file while the context is open.

    Args:
        weights: The file.
        slots: Sequences at once.
        context_tokens: Context of each, in tokens.
        threads: CPU threads; by default half of the cores, since two models share them.

    Yields:
        The server's base URL, with `/v1`.

    Raises:
        LocalServerError: It did not start; the end of its log is in the message.
    """
    threads = threads or max(1, (os.cpu_count() or 2) // 2)
    with tempfile.TemporaryFile() as log:
        child = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tessy.models.llama_server"),
            *(str(weights), str(slots), str(context_tokens), str(threads)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=log,
            start_new_session=True,  # Ctrl-C is for us; we stop it when we are done
        )
        try:
            assert child.stdout is not None
            try:
                line = await asyncio.wait_for(child.stdout.readline(), _START_S)
            except TimeoutError:
                line = b""
            if not line.startswith(b"http"):
                log.seek(0)
                said = log.read()[-_LOG_TAIL:].decode("utf-8", "replace").strip()
                raise LocalServerError(f"no server for {weights} started: {said or 'no word'}")
            yield line.decode().strip() + "/v1"
        finally:
            await _stop(child)


async def _stop(child: asyncio.subprocess.Process) -> None:
    if child.returncode is None and child.stdin is not None:
        child.stdin.close()
        try:
            await asyncio.wait_for(child.wait(), _STOP_S)
        except TimeoutError:
            child.kill()
            await child.wait()
