"""Several scripted teachers, and questions that name them."""

from __future__ import annotations

import json
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from scripted import PREDICTOR
from tessy.testing import CooperativeScript, Latency, ScriptedServer

WORDS = {"big": 5, "old-7b": 9, "third": 14}
"""Words of each teacher's answers, so that a verifier can tell them apart."""
SLOW = Latency(first_token_s=0.004, token_s=0.001)


@asynccontextmanager
async def teachers(*names: str, latency: Latency = SLOW, words: int = 40, **more):
    """A student and some teachers; yields them and the options that name them."""
    async with AsyncExitStack() as stack:
        student = CooperativeScript("student", thinking_words=words)
        servers = {"student": ScriptedServer(student, latency=latency)}
        for seed, name in enumerate(names, 1):
            script = CooperativeScript(
                "teacher", seed=seed, thinking_words=words, answer_words=WORDS[name]
            )
            served = f"model of {name}"
            servers[name] = ScriptedServer(script, latency=latency, served_name=served, **more)
        for server in servers.values():
            await stack.enter_async_context(server)
        options = ["--student", servers["student"].url, "--student-format", "plain"]
        options += ["--teacher-format", "plain", "--predictor", PREDICTOR]
        for name in names:
            options += ["--teacher", f"{name}={servers[name].url}"]
        yield servers, options


def asked(path: Path, rows: list[dict]) -> Path:
    """Questions with these columns."""
    numbered = (
        {"id": f"q{n}", "prompt": f"[[task {n}]] What is {n} + {n}?", **row}
        for n, row in enumerate(rows)
    )
    path.write_text("".join(json.dumps(row) + "\n" for row in numbered), encoding="utf-8")
    return path


def by_turns(count: int) -> list[dict]:
    return [{"from": ("big", "old-7b")[n % 2]} for n in range(count)]
