"""The child process that holds one model: llama.cpp's server on a loopback port.

It prints the server's address as its first line and lives until its standard input closes, which
happens even when its parent is killed: no server is ever left behind.
"""

from __future__ import annotations

import os
import sys


def main() -> None:
    """Serve `argv[1]` with `argv[2]` slots of `argv[3]` tokens on `argv[4]` threads."""
    path, slots, context, threads = sys.argv[1], *(int(arg) for arg in sys.argv[2:5])
    announce = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # llama.cpp may print: to the log, not into the announcement
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = path
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.n_parallel = slots
    params.n_ctx = context * slots
    params.cpuparams.n_threads = threads
    params.cpuparams_batch.n_threads = threads
    params.cache_ram_mib = 0
    params.swa_full = True  # else models with sliding windows (Gemma) lose their prefix cache
    params.ui = False
    params.verbosity = 1
    server = xllamacpp.Server(params)
    print(server.listening_address, file=announce, flush=True)
    sys.stdin.buffer.read()
    os._exit(0)  # llama.cpp's own tear-down waits for running requests


if __name__ == "__main__":
    main()
