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
from pathlib import Path

import orjson
import world

from tessy.boundary.batcher import PredictorBatcher
from tessy.config import Config
from tessy.data.questions import Question
from tessy.event_loop import run_loop
from tessy.method.chunks import ChunkSizes
from tessy.method.trajectory import Role
from tessy.models.client import Client
from tessy.models.http import HttpResponse, HttpServer
from tessy.models.replicas import Replicas
from tessy.models.session import Model
from tessy.models.templates import from_tokenizer
from tessy.models.tokenizers import LocalTokenizer
from tessy.models.wire import Capabilities
from tessy.runs.counters import Counters
from tessy.runs.plan import Job
from tessy.synthesis.context import RunContext
from tessy.synthesis.cooperation import think
from tessy.synthesis.sample import Sample
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


class PlayedBack(HttpServer):
    """A server whose answers are there already.

    Attributes:
        spans: What it sends, span after span, in parts as the network brings them.
    """

    spans: Iterator[list[bytes]]

    async def send(self, response, path, body=None, *, connect_s, session=""):
        """Take all of the answer in."""
        response.data_received(HEAD)
        for part in next(PlayedBack.spans):
            response.data_received(part)
        return response

    def done(self, response: HttpResponse) -> None:
        """Nothing to close."""
        response.detach()


class NoJournal:
    """Keeps nothing."""

    def note(self, *entry: object) -> None:
        """See `Journal.note`."""


def recorded(key: str, tokenizers: dict[Role, LocalTokenizer]) -> list[list[bytes]]:
    """The spans of a question's thinking, each with the first word after it."""
    words, at, made = world.thinking(key, WORDS), 0, []
    for number, length in enumerate(world.spans(key, WORDS)):
        tokenizer = tokenizers[Role.TEACHER if number % 2 else Role.STUDENT]
        shown = [f" {word}" for word in words[at : at + length + 1]]
        at += length
        if at == WORDS:
            shown.append("</think>")
        made.append([event(text, tokenizer) for text in shown])
    return made


def event(text: str, tokenizer: LocalTokenizer) -> bytes:
    """An event as `ScriptedServer` sends it."""
    ids = tokenizer._text.encode(text).ids
    choice = {"index": 0, "text": text, "logprobs": None, "finish_reason": None, "token_ids": ids}
    told = {"id": "cmpl-1", "object": "text_completion", "created": 1, "choices": [choice]}
    line = b"data: " + orjson.dumps(told) + b"\n\n"
    return b"%x\r\n%b\r\n" % (len(line), line)


async def main(trajectories: int) -> None:
    """Measure and print."""
    folder = Path(tempfile.mkdtemp())
    world.write_tokenizers(folder)
    config = Config.model_validate(SETTINGS)
    tokenizers = {role: LocalTokenizer(folder / role) for role in Role}
    server = Capabilities(extensions=True, id_prompts=True, return_ids={"return_token_ids": True})
    models = {}
    for role in Role:
        client = Client("http://127.0.0.1:1/v1", "m", config.of(role), server)
        client._server = PlayedBack("http://127.0.0.1:1", {})
        date = datetime.date(2026, 1, 1)
        found = from_tokenizer(folder / role, name=role, arguments={}, date=date)
        assert found is not None
        models[role] = Model(
            role=role,
            name="m",
            servers=Replicas([client]),
            format=found,
            tokenizer=tokenizers[role],
            settings=config.of(role),
            context_tokens=200_000,
            ends=("</think>", "<|end|>"),
            streamed=True,
        )
    context = RunContext(
        config=config,
        models=models,
        batcher=PredictorBatcher(dict.fromkeys(Role, initials())),
        counters=Counters(total=trajectories),
        sizes=ChunkSizes({}),
    )
    took = []
    for number in range(trajectories):
        key = f"q{number}"
        PlayedBack.spans = iter(recorded(key, tokenizers))
        question = Question(number, key, ({"role": "user", "content": f"[[{key}]] What is it?"},))
        sample = Sample(context, NoJournal(), Job(number, key, question))  # type: ignore[arg-type]
        draft = sample.draft()
        began = time.process_time()
        await think(draft)
        took.append(1e6 * (time.process_time() - began) / WORDS)
        draft.close()
        assert tuple(draft.trajectory.thinking.split()) == world.thinking(key, WORDS)
    counted = took[WARM_UP:]
    print(f"{statistics.median(counted):.1f} µs a token, at least {min(counted):.1f} µs")


if __name__ == "__main__":
    run_loop(main(WARM_UP + int((sys.argv[1:] or ["50"])[0])))
