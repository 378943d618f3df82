"""Two scripted servers for each role."""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager

from scripted import PREDICTOR
from tessy.testing import CooperativeScript, Latency, ScriptedServer


@asynccontextmanager
async def two_replicas(tokenizers, *, faults=None, latency=None, words=60):
    """Two replicas of a student and of a teacher; yields the options that name them."""
    async with AsyncExitStack() as stack:
        options = []
        for seed, role in enumerate(("student", "teacher")):
            urls = []
            for _ in range(2):
                script = CooperativeScript(role, seed=seed, thinking_words=words, unicode=True)
                server = ScriptedServer(
                    script,
                    tokenizer=tokenizers[role],
                    faults=faults(seed) if faults else None,
                    latency=latency or Latency(),
                )
                urls.append((await stack.enter_async_context(server)).url)
            options += [f"--{role}", ",".join(urls), f"--{role}-tokenizer", str(tokenizers[role])]
        yield [*options, "--predictor", PREDICTOR]
