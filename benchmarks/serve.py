"""A model server of the benchmarks, in a process of its own.

python benchmarks/serve.py ROLE TOKENIZER WORDS ANSWER_WORDS [MOST_AT_ONCE [FAST]]

It prints its URL, and stops when its standard input ends. FAST: without any latency.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import uvloop
from world import LATENCY, Script

from tessy.testing import Latency, ScriptedServer
from tessy.trajectory import Role


async def main(role: str, tokenizer: str, words: str, answer_words: str, *more: str) -> None:
    """Serve until standard input ends."""
    most = int(more[0]) if more and more[0] != "0" else None
    server = ScriptedServer(
        Script(int(words), int(answer_words)),
        tokenizer=Path(tokenizer),
        latency=Latency() if more[1:] else LATENCY[Role(role)],
        max_sequences=most,
        context_length=200_000,
    )
    async with server:
        print(server.url, flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main(*sys.argv[1:]))
