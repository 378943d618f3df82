"""A model server of the benchmarks, in a process of its own.

python benchmarks/serve.py ROLE TOKENIZER WORDS ANSWER_WORDS SLOWNESS MOST_AT_ONCE

It prints its URL, and stops when its standard input ends. SLOWNESS multiplies all latencies;
MOST_AT_ONCE 0 means no limit.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from world import LATENCY, Script

from tessy.event_loop import run_loop
from tessy.method.trajectory import Role
from tessy.testing import Latency, ScriptedServer


async def main(
    role: str, tokenizer: str, words: str, answer_words: str, slowness: str, most: str
) -> None:
    """Serve until standard input ends."""
    usual = LATENCY[Role(role)]
    factor = float(slowness)
    server = ScriptedServer(
        Script(int(words), int(answer_words)),
        tokenizer=Path(tokenizer),
        latency=Latency(usual.first_token_s * factor, usual.token_s * factor),
        max_sequences=int(most) or None,
        context_length=200_000,
    )
    async with server:
        print(server.url, flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    run_loop(main(*sys.argv[1:]))
