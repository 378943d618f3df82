"""Client CPU per kept token without sockets: streams are played back in one process.

python benchmarks/playback.py [TRAJECTORIES]

What a server would send for each span is made beforehand; a trajectory is then written from it by
all of the client but its connections, its event loop and its journal. It prints the median of the
trajectories and the least, in microseconds of processor time per token of thinking. It takes
seconds, and on a busy machine it varies less than `bench.py` does.
"""

from __future__ import annotations

import datetime
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import ClassVar

import orjson
import world

from tessy.boundary.batcher import Judge
from tessy.config import Config
from tessy.event_loop import run_loop
from tessy.method.trajectory import Role
from tessy.models import following
from tessy.models.client import Client
from tessy.models.replicas import Replicas
from tessy.models.session import Model
from tessy.models.stream import Stream
from tessy.models.templates import from_tokenizer
from tessy.models.tokenizers import LocalCodec
from tessy.models.wire import Dialect
from tessy.synthesis.cooperation import Session, think
from tessy.testing.predictors import initials

WORDS = 1000
WARM_UP = 4
"""Trajectories that do not count."""
HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
SETTINGS = {
    "predictor": "python:tessy.testing.predictors:initials",
    "limits": {"context_tokens": 200_000, "thinking_tokens": 100_000},
    **{role.value: {"model": "http://127.0.0.1:1"} for role in Role},
}


class PlayedBack(Stream):
    """A stream whose answer is there already.

    Attributes:
        spans: What the servers would send, span after span, in parts as the network brings them.
    """

    spans: ClassVar[Iterator[list[bytes]]]

    async def open(self, connect_s: float) -> None:
        """Take all of the answer in."""
        self.data_received(HEAD)
        for part in next(self.spans):
            self.data_received(part)


def recorded(key: str, codecs: dict[Role, LocalCodec]) -> list[list[bytes]]:
    """The spans of a question's thinking, each with the first word behind it."""
    words, at, made = world.thinking(key, WORDS), 0, []
    for number, length in enumerate(world.spans(key, WORDS)):
        codec = codecs[Role.TEACHER if number % 2 else Role.STUDENT]
        shown = [f" {word}" for word in words[at : at + length + 1]]
        at += length
        if at == WORDS:
            shown.append("</think>")
        made.append([event(text, codec) for text in shown])
    return made


def event(text: str, codec: LocalCodec) -> bytes:
    """An event as `ScriptedServer` sends it."""
    ids = codec._text.encode(text, add_special_tokens=False).ids
    choice = {"index": 0, "text": text, "logprobs": None, "finish_reason": None, "token_ids": ids}
    told = {"id": "cmpl-1", "object": "text_completion", "created": 1, "choices": [choice]}
    line = b"data: " + orjson.dumps(told) + b"\n\n"
    return b"%x\r\n%b\r\n" % (len(line), line)


async def main(trajectories: int) -> None:
    """Measure and print."""
    folder = Path(tempfile.mkdtemp())
    world.write_tokenizers(folder)
    config = Config.model_validate(SETTINGS)
    codecs = {role: LocalCodec(folder / role) for role in Role}
    predictor = initials()
    judge = Judge(dict.fromkeys(Role, predictor))
    dialect = Dialect(extensions=True, id_prompts=True, return_ids={"return_token_ids": True})
    following.Stream = PlayedBack  # type: ignore[misc]
    took = []
    async with AsyncExitStack() as stack:
        models = {}
        for role in Role:
            served = await stack.enter_async_context(
                Client("http://127.0.0.1:1/v1", "m", config.of(role), dialect)
            )
            date = datetime.date(2026, 1, 1)
            found = from_tokenizer(folder / role, name=role, arguments={}, date=date)
            assert found is not None
            models[role] = Model(
                *(role, "m", Replicas([served]), found, codecs[role], config.of(role)),
                context_tokens=200_000,
                ends=("</think>", "<|end|>"),
            )
        for number in range(trajectories):
            key = f"q{number}"
            PlayedBack.spans = iter(recorded(key, codecs))
            messages = [{"role": "user", "content": f"[[{key}]] What is it?"}]
            session = Session(
                key,
                config,
                {role: model.join(messages, key) for role, model in models.items()},
                judge.ask,
                record=lambda turn: None,
                streamed=frozenset(Role),
                eager=frozenset(Role),
            )
            began = time.process_time()
            await think(session)
            took.append(1e6 * (time.process_time() - began) / WORDS)
            assert tuple(session.trajectory.thinking.split()) == world.thinking(key, WORDS)
    counted = took[WARM_UP:]
    print(f"{statistics.median(counted):.1f} µs a token, at least {min(counted):.1f} µs")


if __name__ == "__main__":
    run_loop(main(WARM_UP + int((sys.argv[1:] or ["50"])[0])))
