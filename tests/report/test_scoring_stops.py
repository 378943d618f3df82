"""One scorer's failure stops the others: what is under way is kept, and nothing more is asked."""

from __future__ import annotations

import asyncio
import datetime
from contextlib import asynccontextmanager

import pytest

from made_runs import STUDENT, Made, answer, last, write_run
from tessy.config import ModelSettings, Sampling
from tessy.errors import ServerFailure
from tessy.models.client import Client
from tessy.models.templates import from_tokenizer
from tessy.models.tokenizers import LocalCodec
from tessy.models.wire import Request
from tessy.report.gather import sources
from tessy.report.scoring.score import Texts, score
from tessy.testing import EchoScript, Faults, ScriptedServer, build_tokenizer
from tessy.testing.faults import Fault

AT_ONCE = 3
SAMPLES = 8


class Asks:
    """A scorer that asks a server about each text; about all others once the first has failed.

    From then on the server's faults are other ones.
    """

    name, key, longest, at_once = "asks", "asks", None, AT_ONCE

    def __init__(self, server: ScriptedServer, client: Client, folder, later) -> None:
        self.codec = LocalCodec(folder)
        date = datetime.date(2026, 1, 2)
        self.format = from_tokenizer(folder, name="x", arguments={}, date=date)
        self._server, self._client, self._later = server, client, later
        self._begun, self._failed = False, asyncio.Event()

    async def logprobs(self, ids):
        first, self._begun = not self._begun, True
        if not first:
            await self._failed.wait()
        try:
            await self._client.complete(Request(list(ids), 1, Sampling(), seed=0))
        except ServerFailure:
            self._server.faults = self._later
            self._failed.set()
            raise
        return [None, *[-1.0] * (len(ids) - 1)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return build_tokenizer(tmp_path_factory.mktemp("tokenizer"), flavour="qwen3")


@pytest.fixture
def run(tmp_path):
    turns = [last(STUDENT, "Okay.", 1), answer("It is so.", 2)]
    samples = [Made(f"q{number}", turns, prompt=f"Is it {number}?") for number in range(SAMPLES)]
    return write_run(tmp_path / "run", samples)


async def scored(run, server: ScriptedServer, folder, later=None):
    """Score a run."""

    @asynccontextmanager
    async def opens(say):
        settings = ModelSettings(model="http://x/v1", retries=0)
        async with Client(server.url, "scripted", settings) as client:
            scorer = Asks(server, client, folder, later)
            if server.faults is None:
                scorer._failed.set()
            yield scorer

    (source,) = sources([run])
    questions = {sample.question for sample in source.samples()}
    _, found = await score([Texts("run", run, source.samples())], questions, opens, print)
    return found["run"]


@pytest.mark.parametrize(
    ("later", "kept"), [(None, AT_ONCE - 1), (Faults(1.0, (Fault.REFUSE,)), 0)]
)
async def test_nothing_more_is_asked_once_a_call_failed(run, folder, later, kept):
    """Whether what was under way is answered then, or refused."""
    failing = Faults(1.0, (Fault.SERVER_ERROR,))
    async with ScriptedServer(EchoScript("hi"), tokenizer=folder, faults=failing) as server:
        with pytest.raises(ServerFailure):
            await scored(run, server, folder, later)
        assert server.stats.requests == AT_ONCE
        server.faults = None
        assert len((await scored(run, server, folder)).sums) == SAMPLES
        assert server.stats.requests == AT_ONCE + SAMPLES - kept
