"""`tessy serve` in front of scripted servers, in this event loop, and what tests ask of it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

import aiohttp

from scripted import PREDICTOR
from tessy.serving.server import RunningServer, ServeSettings, serving
from tessy.serving.settings import ServedConfig
from tessy.testing import CooperativeScript, Latency, ScriptedServer
from tessy.testing.prompts import read

SLOW = Latency(first_token_s=0.01, token_s=0.005)
NEVER = Latency(first_token_s=3600)
Servers = dict[str, ScriptedServer]


@dataclass(frozen=True)
class Scoring:
    """A teacher that also scores answers, for Teacher-Score."""

    teacher: CooperativeScript

    def continue_(self, prompt: str) -> Iterator[str]:
        situation = read(prompt, self.teacher.thinking_words)
        if "10 (right)" not in situation.head:
            return self.teacher.continue_(prompt)
        thinking = () if situation.answering else ("fine", situation.closes)
        return iter((*thinking, "Score: 7"))


@dataclass
class Served:
    """A server with the scripted ones behind it."""

    url: str
    servers: Servers
    server: RunningServer
    said: list[str] = field(default_factory=list)

    @property
    def root(self) -> str:
        return self.url.removesuffix("/v1")

    @property
    def in_flight(self) -> int:
        return sum(each.stats.in_flight for each in self.servers.values())


@asynccontextmanager
async def pair(tokenizers, *, words=60, scripts=None, **more) -> AsyncIterator[Servers]:
    """A student and a teacher."""
    async with AsyncExitStack() as stack:
        servers = {}
        for seed, role in enumerate(("student", "teacher")):
            usual = CooperativeScript(role, seed=seed, thinking_words=words, unicode=True)
            script = (scripts or {}).get(role) or (Scoring(usual) if seed else usual)
            tokenizer = tokenizers[role] if tokenizers else None
            made = ScriptedServer(script, tokenizer=tokenizer, **more)
            servers[role] = await stack.enter_async_context(made)
        yield servers


def config_of(servers: Servers, tokenizers, **more) -> ServedConfig:
    """Settings for servers; with `role__name` for settings of a model."""
    tree: dict = {"predictor": PREDICTOR}
    for role, server in servers.items():
        tree[role] = {"model": server.url}
        tree[role] |= {"tokenizer": str(tokenizers[role])} if tokenizers else {"format": "plain"}
    for name, value in more.items():
        role, _, inner = name.partition("__")
        if inner:
            tree.setdefault(role, {})[inner] = value
        else:
            tree[name] = value
    return ServedConfig.model_validate(tree)


@asynccontextmanager
async def serve(tokenizers, servers: Servers, settings=None, **more) -> AsyncIterator[Served]:
    """Serve a pair that is there."""
    said: list[str] = []
    settings = settings or ServeSettings(port=0)
    config = config_of(servers, tokenizers, **more)
    async with serving(config, settings, said.append) as server:
        yield Served(server.url, servers, server, said)


@asynccontextmanager
async def served(tokenizers, settings=None, *, pair_of=None, **more) -> AsyncIterator[Served]:
    """Serve a pair of scripted servers."""
    async with (
        pair(tokenizers, **(pair_of or {})) as servers,
        serve(tokenizers, servers, settings, **more) as made,
    ):
        yield made


def asking(text: str = "[[task 1]] What is 1 + 1?", **more) -> dict:
    """The body of a chat."""
    return {"model": "tessy", "messages": [{"role": "user", "content": text}], **more}


async def chat(client: aiohttp.ClientSession, url: str, body: dict | None = None, **more):
    """Post a chat; returns status, headers and body."""
    body = asking(**more) if body is None else body
    async with client.post(f"{url}/chat/completions", json=body) as answer:
        return answer.status, answer.headers, await answer.json()


async def events_of(answer: aiohttp.ClientResponse) -> AsyncIterator[dict]:
    """The events of a stream, without `[DONE]`, which has to be the last one unless it failed."""
    done = failed = False
    async for raw in answer.content:
        line = raw.decode().strip()
        if not line or line.startswith(":"):
            continue
        assert not done, line
        assert line.startswith("data: "), line
        if line == "data: [DONE]":
            done = True
            continue
        event = json.loads(line.removeprefix("data: "))
        failed = failed or "error" in event
        yield event
    assert done is not failed


@dataclass
class Streamed:
    """What a stream came to, for each choice."""

    reasoning: dict[int, str] = field(default_factory=dict)
    content: dict[int, str] = field(default_factory=dict)
    finish: dict[int, str] = field(default_factory=dict)
    about: dict[int, dict] = field(default_factory=dict)
    usage: dict | None = None
    error: dict | None = None
    deltas: list[tuple[int, str, str]] = field(default_factory=list)

    def add(self, event: dict) -> None:
        if "error" in event:
            self.error = event["error"]
            return
        self.usage = event.get("usage") or self.usage
        for choice in event["choices"]:
            index = choice["index"]
            delta = choice.get("delta", {})
            for part, key in (("reasoning", "reasoning_content"), ("content", "content")):
                if text := delta.get(key):
                    there = getattr(self, part)
                    there[index] = there.get(index, "") + text
                    self.deltas.append((index, part, text))
            if text := choice.get("text"):
                self.content[index] = self.content.get(index, "") + text
                self.deltas.append((index, "text", text))
            if choice["finish_reason"]:
                self.finish[index] = choice["finish_reason"]
                self.about[index] = choice.get("tessy", {})


async def stream(client: aiohttp.ClientSession, url: str, path="chat/completions", **body):
    """Post a request for a stream, and read it to its end; returns status and what came."""
    body = {**(asking() if path.startswith("chat") else {"model": "tessy"}), **body}
    found = Streamed()
    async with client.post(f"{url}/{path}", json={"stream": True, **body}) as answer:
        if answer.status != 200:
            found.error = (await answer.json())["error"]
            return answer.status, found
        assert answer.content_type == "text/event-stream"
        async for event in events_of(answer):
            found.add(event)
    return answer.status, found


async def metrics(client: aiohttp.ClientSession, served: Served) -> dict[str, float]:
    """The metrics by name and labels."""
    async with client.get(f"{served.root}/metrics") as answer:
        lines = (await answer.text()).splitlines()
    pairs = (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    return {name: float(value) for name, value in pairs}
