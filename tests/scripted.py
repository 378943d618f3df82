"""Questions, and two scripted servers for the command line."""

from __future__ import annotations

import asyncio
import json
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from tessy.testing import CooperativeScript, Faults, ScriptedServer
from tessy.testing.stats import Latency

PLAIN = ["--student-format", "plain", "--teacher-format", "plain"]
FIXED = ["--student-chunk", "16", "--teacher-chunk", "48"]
"""With it, nothing that is written depends on time, for tests that compare bytes."""
PREDICTOR = "python:tessy.testing.predictors:digits"


def write_questions(path: Path, count: int) -> Path:
    lines = [{"id": f"q{n}", "prompt": f"[[task {n}]] What is {n} + {n}?"} for n in range(count)]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return path


@asynccontextmanager
async def two_servers(tokenizers, *, faults=None, latency=None, words=60, **more):
    """A student and a teacher; yields them and the options that name them."""
    async with AsyncExitStack() as stack:
        servers, options = {}, []
        for seed, role in enumerate(("student", "teacher")):
            script = CooperativeScript(role, seed=seed, thinking_words=words, unicode=True)
            server = ScriptedServer(
                script,
                tokenizer=tokenizers[role] if tokenizers else None,
                faults=faults(seed) if faults else None,
                latency=latency or Latency(),
                **more,
            )
            servers[role] = await stack.enter_async_context(server)
            options += [f"--{role}", server.url]
            options += (
                [f"--{role}-tokenizer", str(tokenizers[role])]
                if tokenizers
                else [f"--{role}-format", "plain"]
            )
        yield servers, [*options, "--predictor", PREDICTOR]


def lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


async def until(condition):
    """Wait until something is so, but not for ever."""
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.02)


def faulty(rate: float, **more):
    return lambda seed: Faults(rate, seed=seed, **more)
