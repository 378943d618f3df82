"""Local servers: llama.cpp serves a GGUF file in a child process.

The child runs `main`. It prints its address as its first line and exits when its standard input
closes, which happens even when its parent is killed: no server outlives the run.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tessy.errors import LocalModelError

_START_S = 120.0
_STOP_S = 3.0
_LOG_TAIL = 2000
_OTHERS = 8
"""Connections beside those of samples: of probes and the like."""


@asynccontextmanager
async def serve(
    weights: Path,
    *,
    slots: int,
    context_tokens: int,
    connections: int = 0,
    threads: int | None = None,
) -> AsyncIterator[str]:
    """Serve a GGUF file while the context is open.

    Args:
        weights: The GGUF file.
        slots: Sequences to generate at once.
        context_tokens: Context of each sequence, in tokens.
        connections: Connections that may be open at once. Each has a thread of llama.cpp's, for 5 s
            after its last request, too; another one would wait for it.
        threads: CPU threads; by default half of the cores, since two models share them.

    Yields:
        The server's base URL, with `/v1`.

    Raises:
        LocalModelError: The server did not start; the message contains the end of its log.
    """
    threads = threads or max(1, (os.cpu_count() or 2) // 2)
    numbers = map(str, (slots, context_tokens, threads, max(connections, slots) + _OTHERS))
    with tempfile.TemporaryFile() as log:
        child = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tessy.models.local", str(weights), *numbers),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=log,
            start_new_session=True,  # Ctrl-C reaches only the parent, which stops the child
        )
        assert child.stdin is not None
        assert child.stdout is not None
        try:
            try:
                line = await asyncio.wait_for(child.stdout.readline(), _START_S)
            except TimeoutError:
                line = b""
            if not line.startswith(b"http"):
                log.seek(0)
                said = log.read()[-_LOG_TAIL:].decode("utf-8", "replace").strip()
                raise LocalModelError(f"no server for {weights} started: {said or 'no message'}")
            yield line.decode().strip() + "/v1"
        finally:
            child.stdin.close()
            try:
                await asyncio.wait_for(child.wait(), _STOP_S)
            except TimeoutError:
                child.kill()
                await child.wait()


def main() -> None:
    """Serve the file `argv[1]`: slots, tokens of each, CPU threads and connections follow."""
    path, slots, context, threads, connections = sys.argv[1], *map(int, sys.argv[2:])
    announce = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what llama.cpp prints goes to the log
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = path
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.n_parallel = slots
    params.n_ctx = context * slots
    params.cpuparams.n_threads = threads
    params.cpuparams_batch.n_threads = threads
    params.n_threads_http = connections
    params.cache_ram_mib = 0
    params.swa_full = True  # otherwise sliding-window models (Gemma) lose their prefix cache
    params.ui = False
    params.verbosity = 1
    server = xllamacpp.Server(params)
    print(server.listening_address, file=announce, flush=True)
    sys.stdin.buffer.read()
    os._exit(0)  # llama.cpp's own shutdown would wait for running requests


if __name__ == "__main__":
    main()
