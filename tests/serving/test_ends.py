"""How requests to `tessy serve` end when not all goes well: clients leave, servers fail."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import aiohttp
import pytest
from aiohttp import web
from served import NEVER, SLOW, Streamed, asking, chat, events_of, metrics, served, stream

from scripted import until
from tessy.method.trajectory import Failure, Trajectory
from tessy.serving import streaming
from tessy.serving.choices import WrittenChoice
from tessy.serving.server import ServeSettings
from tessy.testing import CooperativeScript, Fault, Faults, Latency, LoopScript, SilentScript
from tessy.testing.faults import DrawnFault

LONG = {"words": 2000, "latency": SLOW}


@asynccontextmanager
async def begun(client, made, **body):
    """A stream of which one event has come."""
    async with client.post(
        f"{made.url}/chat/completions", json=asking(stream=True, **body)
    ) as answer:
        assert answer.status == 200
        await anext(events_of(answer))
        yield answer


async def test_a_client_that_leaves_in_mid_stream_stops_both_servers(tokenizers, client):
    async with served(tokenizers, pair_of=LONG) as made:
        async with begun(client, made):
            assert made.in_flight
        await until(lambda: not made.in_flight)
        await until(lambda: made.server.handlers.answering == 0)
        found = await metrics(client, made)
        assert found['tessy_samples_total{end="cancelled"}'] == 1
        assert found['tessy_requests_total{endpoint="/v1/chat/completions",status="499"}'] == 1
        assert found["tessy_running"] == found["tessy_queue"] == 0
        requests = [server.stats.requests for server in made.servers.values()]
        assert (await metrics(client, made))["tessy_running"] == 0
        assert requests == [server.stats.requests for server in made.servers.values()]


@pytest.mark.parametrize("body", [{"stream": True}, {"stream": False}, {"stream": True, "n": 3}])
async def test_a_client_that_leaves_before_the_first_token(tokenizers, client, body):
    async with served(tokenizers) as made:
        for server in made.servers.values():
            server._model.latency = NEVER
        count = body.get("n", 1)
        task = asyncio.create_task(chat(client, made.url, **body))
        await until(lambda: made.in_flight == count)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        await until(lambda: not made.in_flight)
        await until(lambda: made.server.handlers.answering == 0)
        assert sum(server.stats.aborted for server in made.servers.values()) == count
        found = await metrics(client, made)
        assert found['tessy_samples_total{end="cancelled"}'] == count


async def test_all_choices_of_a_client_that_leaves(tokenizers, client):
    async with served(tokenizers, pair_of=LONG) as made:
        async with begun(client, made, n=5):
            await until(lambda: made.in_flight == 5)
        await until(lambda: not made.in_flight)
        assert (await metrics(client, made))['tessy_samples_total{end="cancelled"}'] == 5


async def test_three_hundred_at_once_of_whom_a_third_leave(tokenizers, client):
    draw = random.Random(1)
    connector = aiohttp.TCPConnector(limit=0)
    pair_of = {"words": 12, "latency": Latency(0.002, 0.001)}
    async with (
        aiohttp.ClientSession(connector=connector) as many,
        served(
            tokenizers, ServeSettings(port=0, queue=300), concurrency=100, pair_of=pair_of
        ) as made,
    ):

        async def one(number: int) -> str:
            body = asking(f"[[task {number}]] What is {number}?", stream=True)
            async with many.post(f"{made.url}/chat/completions", json=body) as answer:
                found = Streamed()
                async for event in events_of(answer):
                    found.add(event)
                return found.finish[0]

        tasks = [asyncio.create_task(one(number)) for number in range(300)]
        leaving = draw.sample(tasks, 100)
        for task in leaving:
            ended = made.server.handlers._service.context.counters.finished
            await until(lambda ended=ended: made.in_flight or ended == 300)
            task.cancel()
        found = await asyncio.gather(*tasks, return_exceptions=True)
        assert found.count("stop") >= 200
        await until(lambda: made.server.handlers.answering == 0)
        assert made.in_flight == 0
        counts = await metrics(client, made)
        assert counts["tessy_running"] == counts["tessy_queue"] == 0
        cancelled = counts.get('tessy_samples_total{end="cancelled"}', 0)
        assert counts['tessy_samples_total{end="finished"}'] + cancelled <= 300
        for model in made.server.handlers._service.context.models.values():
            assert [replica.load for replica in model.servers.replicas] == [0]
        assert made.server.handlers._service.context.gate.running == 0


async def test_who_waits_and_leaves_makes_room(tokenizers, client):
    settings = ServeSettings(port=0, queue=1)
    async with served(tokenizers, settings, concurrency=1, pair_of=LONG) as made:
        async with begun(client, made):
            waiting = asyncio.create_task(chat(client, made.url, max_tokens=5))
            await until(lambda: made.server.handlers.answering == 2)
            found = await metrics(client, made)
            assert (found["tessy_running"], found["tessy_queue"]) == (1, 1)
            status, headers, body = await chat(client, made.url)
            assert (status, body["error"]["code"]) == (429, "queue_full")
            assert int(headers["Retry-After"]) >= 1
            status, _, body = await chat(client, made.url, n=3)
            assert (status, body["error"]["param"]) == (400, "n"), "it never fits"
            waiting.cancel()
            await until(lambda: made.server.handlers.answering == 1)
            waiting = asyncio.create_task(chat(client, made.url, max_tokens=5))
            await until(lambda: made.server.handlers.answering == 2)
        status, _, body = await waiting
        assert status == 200, "the first one left, so there was a place"


async def test_a_server_that_dies_ends_the_stream_with_an_error(tokenizers, client):
    few = {"student__retries": 1, "teacher__retries": 1}
    async with served(tokenizers, pair_of=LONG, **few) as made:
        found = Streamed()
        async with client.post(f"{made.url}/chat/completions", json=asking(stream=True)) as answer:
            events = events_of(answer)
            found.add(await anext(events))
            await made.servers["teacher"].__aexit__()
            async for event in events:
                found.add(event)
        assert found.error["type"] == "server_error"
        assert found.error["code"] == "model_down"
        assert "teacher" in found.error["message"]
        assert "resumes" not in found.error["message"]
        status, error = await whole_error(client, made)
        assert (status, error["code"]) == (503, "model_down")
        status, error = await stream_error(client, made)
        assert (status, error["code"]) == (200, "model_down"), "the student's text was sent"
        name = 'tessy_requests_total{endpoint="/v1/chat/completions",status="503"}'
        assert (await metrics(client, made))[name] == 3
        status, _, _ = await chat(client, made.url, model="tessy/student-only", max_tokens=20)
        assert status == 200, "the student is there"
        assert not made.in_flight


async def test_an_operator_is_told_while_calls_wait_for_a_server(tokenizers, client):
    async with served(tokenizers, pair_of=LONG, teacher__retries=30) as made:
        asked = asyncio.create_task(chat(client, made.url))
        await until(lambda: made.servers["teacher"].stats.requests)
        await made.servers["teacher"].__aexit__()
        fails = "the teacher's server fails or does not answer; calls are made again"
        await until(lambda: fails in made.said)
        asked.cancel()
        await until(lambda: "no call waits for the teacher's server any more" in made.said)
        assert made.said.count(fails) == 1


async def whole_error(client, made, **body):
    status, _, found = await chat(client, made.url, **body)
    return status, found["error"]


async def stream_error(client, made, **body):
    status, found = await stream(client, made.url, **body)
    return status, found.error


@pytest.mark.parametrize("kinds", [(Fault.REFUSE,), (Fault.GARBAGE,)])
async def test_a_server_that_fails_at_every_call(tokenizers, client, kinds):
    async with served(tokenizers, student__retries=0, teacher__retries=0) as made:
        made.servers["student"].faults = Faults(1.0, kinds)
        for status, error in (await whole_error(client, made), await stream_error(client, made)):
            assert (status, error["type"]) == (502, "server_error")
            assert error["code"] == ("model_refused" if Fault.REFUSE in kinds else "model_error")
        made.servers["student"].faults = None
        assert (await chat(client, made.url))[0] == 200


async def test_one_choice_that_fails_ends_the_others(tokenizers, client):
    async with served(tokenizers, pair_of=LONG, student__retries=0) as made:
        async with begun(client, made, n=4) as answer:
            made.servers["student"].faults = Faults(1.0, (Fault.GARBAGE,))
            found = [event async for event in events_of(answer)]
        assert "error" in found[-1]
        await until(lambda: not made.in_flight)


async def test_faults_that_are_retried_show_in_nothing(tokenizers, client):
    async with served(tokenizers) as made:
        calm = [await stream(client, made.url, model=model) for model in MODELS]
    async with served(tokenizers) as made:
        for seed, server in enumerate(made.servers.values()):
            server.faults = Faults(0.3, seed=seed)
        for model, (_, expected) in zip(MODELS, calm, strict=True):
            _, found = await stream(client, made.url, model=model)
            assert found.error is None
            assert found.reasoning == expected.reasoning
            assert found.content == expected.content
        assert sum(sum(server.stats.faults.values()) for server in made.servers.values()) > 5


MODELS = ("tessy", "tessy/student-only", "tessy/rewrite")


@dataclass
class Fickle:
    """Writes another answer at each call."""

    usual: CooperativeScript
    calls: Iterator[int] = field(default_factory=itertools.count)

    def continue_(self, prompt: str) -> Iterator[str]:
        text = "".join(self.usual.continue_(prompt))
        if "</think>" in prompt:
            return iter(f"Call {next(self.calls)}: {text}")
        return iter((text,))


class InOrder:
    """Faults of the first calls, in order; None for a call that does not fail."""

    def __init__(self, *faults: Fault | None) -> None:
        self.left = list(faults)

    def draw(self) -> DrawnFault | None:
        fault = self.left.pop(0) if self.left else None
        return fault and DrawnFault(fault, place=0.9, retry_after_s=0)


async def test_an_answer_that_is_begun_again_and_differs_fails_if_text_was_sent(tokenizers, client):
    script = Fickle(CooperativeScript("student", thinking_words=30, answer_words=30))
    pair_of = {"scripts": {"student": script}, "words": 30, "latency": SLOW}
    async with served(tokenizers, method="student-only", pair_of=pair_of) as made:
        student = made.servers["student"]
        student.faults = InOrder(None, Fault.DISCONNECT)  # thinking, answer
        status, found = await stream(client, made.url)
        assert status == 200
        assert found.content[0].startswith("Call 0:")
        assert found.error["code"] == "model_error"
        assert "made again" in found.error["message"]
        student.faults = InOrder(None, Fault.DISCONNECT)
        status, _, body = await chat(client, made.url)
        assert status == 200, "nothing was sent of what was lost"
        assert body["choices"][0]["message"]["content"].startswith("Call 3")


@pytest.mark.parametrize(
    ("script", "failure", "finish"),
    [
        (SilentScript(), "no_progress", "length"),
        (LoopScript(" okay wait hmm so"), "repetition", "length"),
    ],
)
async def test_what_models_can_not_finish_is_a_response(client, script, failure, finish):
    async with served(
        None, pair_of={"scripts": dict.fromkeys(("student", "teacher"), script)}
    ) as made:
        status, _, whole = await chat(client, made.url)
        _, found = await stream(client, made.url)
    assert status == 200
    (choice,) = whole["choices"]
    assert (choice["finish_reason"], choice["tessy"]["failure"]) == (finish, failure)
    assert found.finish == {0: finish}
    assert found.about[0]["failure"] == failure
    assert found.about[0]["detail"]
    assert found.reasoning.get(0, "") == choice["message"]["reasoning_content"]


async def test_a_predictor_that_fails(tokenizers, client, tmp_path, monkeypatch):
    (tmp_path / "served_predictor.py").write_text(
        "class P:\n    name = 'p'\n    batched = False\n"
        "    def judge(self, passages):\n        raise KeyError('oops')\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    async with served(tokenizers, predictor="python:served_predictor:P") as made:
        for status, error in (await whole_error(client, made), await stream_error(client, made)):
            assert (status, error["code"]) == (502, "predictor_error")
            assert "oops" in error["message"]


@pytest.mark.parametrize("failure", Failure)
def test_each_failure_is_a_response_or_an_error(failure):
    choice = WrittenChoice(0, "c", Trajectory(), failure=failure, detail="why")
    error = choice.error()
    assert error is not None or choice.finish in ("stop", "length", "content_filter")
    filtered = WrittenChoice(0, "c", Trajectory(), failure=Failure.REFUSED, detail="content_filter")
    assert filtered.error() is None
    assert filtered.finish == "content_filter"


async def test_a_bug_is_an_error_and_is_told_to_the_operator(tokenizers, client, monkeypatch):
    async with served(tokenizers) as made:
        service = made.server.handlers._service
        monkeypatch.setattr(service, "prepare", lambda request: 1 / 0)
        status, _, body = await chat(client, made.url)
        assert (status, body["error"]["code"]) == (500, "internal_error")
        assert "ZeroDivisionError" in made.said[-1]
        monkeypatch.undo()
        monkeypatch.setattr(service, "_sample", lambda *_: 1 / 0)
        for status, error in (await whole_error(client, made), await stream_error(client, made)):
            assert (status, error["code"]) == (500, "internal_error")
            assert "ZeroDivisionError" in made.said.pop()


async def test_a_stream_says_that_it_is_there_while_nothing_comes(tokenizers, client, monkeypatch):
    monkeypatch.setattr(streaming, "HEARTBEAT_S", 0.02)
    async with served(tokenizers) as made:
        for server in made.servers.values():
            server._model.latency = NEVER
        async with client.post(f"{made.url}/chat/completions", json=asking(stream=True)) as answer:
            assert answer.status == 200
            assert (await answer.content.readline()).startswith(b":")


async def test_a_client_that_takes_nothing_has_left(tokenizers, client, monkeypatch):
    write = web.StreamResponse.write

    async def stuck(response, data):
        if "X-Accel-Buffering" in response.headers:  # not that of a model server
            await asyncio.Event().wait()
        await write(response, data)

    monkeypatch.setattr(streaming, "SEND_S", 0.05)
    async with served(tokenizers, pair_of=LONG) as made:
        monkeypatch.setattr(web.StreamResponse, "write", stuck)
        async with client.post(f"{made.url}/chat/completions", json=asking(stream=True)) as answer:
            with pytest.raises(aiohttp.ClientError):
                await answer.read()
        monkeypatch.undo()
        await until(lambda: not made.in_flight)
        found = await metrics(client, made)
        assert found['tessy_requests_total{endpoint="/v1/chat/completions",status="499"}'] == 1


# --- The end of the server ------------------------------------------------------------------------


async def test_a_server_that_drains_ends_what_it_has_begun(tokenizers, client):
    async with served(tokenizers, pair_of={"latency": Latency(0.01, 0.002)}) as made:
        found = Streamed()
        async with begun(client, made) as answer:
            draining = asyncio.create_task(made.server.drain(60, asyncio.Event()))
            await until(lambda: made.server.handlers.draining)
            status, headers, body = await chat(client, made.url)
            assert (status, body["error"]["code"]) == (503, "draining")
            assert "Retry-After" in headers
            async with client.get(f"{made.root}/health") as health:
                assert health.status == 503
            async for event in events_of(answer):
                found.add(event)
        assert found.finish == {0: "stop"}
        assert await draining == 0


async def test_a_server_that_ends_at_once_ends_its_streams(tokenizers, client):
    async with served(tokenizers, pair_of=LONG) as made:
        async with begun(client, made) as answer:
            hurry = asyncio.Event()
            hurry.set()
            assert await made.server.drain(60, hurry) == 1
            await made.server.handlers.close()
            with pytest.raises((aiohttp.ClientError, AssertionError)):
                _ = [event async for event in events_of(answer)]
        await until(lambda: not made.in_flight)
