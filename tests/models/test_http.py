"""Responses of servers, byte by byte: those that follow the protocol, and those that don't."""

from __future__ import annotations

import asyncio
import socket
from contextlib import ExitStack, asynccontextmanager, closing, contextmanager, suppress

import pytest

from tessy.config import ModelSettings, Sampling
from tessy.errors import BadResponse, Refused, ServerFailure, TimedOut, Unreachable
from tessy.models.client import Client
from tessy.models.http import HttpResponse, HttpServer
from tessy.models.wire import Request

ASK = Request("One,", max_tokens=8, sampling=Sampling(temperature=0), seed=0)
EVENTS = (
    b'data: {"choices":[{"text":" two"}]}\n\n'
    b'data: {"choices":[{"text":" three","finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
)


def chunked(body: bytes) -> bytes:
    return b"".join(b"1\r\n" + body[at : at + 1] + b"\r\n" for at in range(len(body)))


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"


@asynccontextmanager
async def saying(*answers: bytes, hang: bool = False, **timeouts: float):
    """A server that sends some bytes to every client, and hangs up, or waits until it does."""
    asked = []
    left = list(answers)

    async def answer(reader, writer):
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        asked.append((head, await reader.readexactly(length)))
        said = left.pop(0) if len(left) > 1 else left[0]
        writer.write(said)
        if hang:
            await reader.read()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    settings = ModelSettings.model_validate(
        {"model": "http://x/v1", "retries": len(answers) - 1, "timeouts": timeouts}
    )
    async with server:
        with closing(Client(f"http://127.0.0.1:{port}/v1", "m", settings)) as client:
            yield client, asked


@pytest.mark.parametrize(
    "answer",
    [
        CHUNKED + chunked(EVENTS) + b"0\r\n\r\n",
        HEAD + b"Content-Length: %d\r\n\r\n" % len(EVENTS) + EVENTS,
        HEAD + b"\r\n" + EVENTS,  # the body ends with its connection
        HEAD + b"\r\n" + EVENTS.replace(b"\n", b"\r\n"),
    ],
)
async def test_a_body_of_any_form(answer):
    async with saying(answer) as (client, asked):
        completion = await client.complete(ASK, stream=True)
    assert completion.text == " two three"
    assert completion.finish == "stop"
    ((head, body),) = asked
    assert head.startswith(b"POST /v1/completions HTTP/1.1\r\nHost: 127.0.0.1")
    assert b'"stream":true' in body


@pytest.mark.parametrize(
    ("answer", "error", "says"),
    [
        (b"", Unreachable, "closed"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", BadResponse, "not HTTP"),
        (HEAD[:20], Unreachable, "closed"),
        (CHUNKED + chunked(EVENTS)[:90], BadResponse, "cut short"),
        (CHUNKED + b"zz\r\n", BadResponse, "not HTTP"),
        (HEAD + b"Content-Length: 999\r\n\r\n" + EVENTS, BadResponse, "cut short"),
        (HEAD + b"\r\n" + EVENTS[:40], BadResponse, "cut short"),
        (b"HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nbusy", ServerFailure, "503: busy"),
        (b"HTTP/1.1 404 No\r\nContent-Length: 2\r\n\r\nno", Refused, "404: no"),
        (b"HTTP/1.1 301 Moved\r\nLocation: /x\r\n\r\n", Refused, "301"),
        (b"HTTP/1.1 204 Nothing\r\n\r\n", BadResponse, "204"),
    ],
)
async def test_a_response_that_is_not_valid(answer, error, says):
    async with saying(answer) as (client, _):
        with pytest.raises(error, match=says):
            await client.complete(ASK, stream=True)


async def test_a_response_that_broke_off_is_requested_again():
    good = CHUNKED + chunked(EVENTS) + b"0\r\n\r\n"
    async with saying(good[: len(good) - 60], good) as (client, asked):
        completion = await client.complete(ASK, stream=True)
    assert completion.text == " two three"
    assert len(asked) == 2
    assert client.stats.faults == {"BadResponse": 1}


async def test_a_server_that_sends_nothing_times_out():
    async with saying(HEAD + b"\r\n", hang=True, first_token_s=0.05) as (client, _):
        with pytest.raises(TimedOut):
            await client.complete(ASK, stream=True)


async def test_after_the_first_text_the_other_timeout_counts():
    first = HEAD + b"\r\n" + EVENTS.partition(b"\n\n")[0] + b"\n\n"
    async with saying(first, hang=True, total_s=0.05) as (client, _), client.stream(ASK) as events:
        assert (await anext(events)).text == " two"
        with pytest.raises(TimedOut):
            async with asyncio.timeout(20):  # less than the default of the first timeout
                await anext(events)


async def test_a_later_timeout_replaces_an_earlier_one():
    response = HttpResponse("http://x", 2**20)
    response.expire(0.001)
    response.expire(60)
    waiting = asyncio.create_task(response.whole())
    await asyncio.sleep(0.002)  # the loop's timers fire in order
    response.data_received(PLAIN)
    assert await waiting == WHOLE
    response.detach()


async def test_events_after_the_last_one_that_was_read_do_not_count():
    async with saying(HEAD + b"\r\n" + EVENTS) as (client, _), client.stream(ASK) as events:
        async for event in events:
            assert event.text == " two"
            break
    completion = events.completion()
    assert (completion.text, completion.tokens, completion.finish) == (" two", 1, "length")


async def test_an_error_in_the_reader_is_not_taken_for_the_servers():
    async with saying(HEAD + b"\r\n" + EVENTS) as (client, asked):
        with pytest.raises(ValueError, match="mine"):
            async with client.stream(ASK):
                raise ValueError("mine")
    assert len(asked) == 1
    assert not client.stats.faults


WHOLE = b'{"choices":[{"text":" two","finish_reason":"stop"}]}'
PLAIN = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(WHOLE), WHOLE)


@asynccontextmanager
async def keeping(answer: bytes, until: int = 1000):
    """A server that sends the same response to each connection's first `until` requests."""
    connections = []

    async def serve(reader, writer):
        connections.append(writer)
        with suppress(asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            for _ in range(until):
                head = await reader.readuntil(b"\r\n\r\n")
                await reader.readexactly(int(head.lower().split(b"content-length: ")[1].split()[0]))
                writer.write(answer)
            await reader.readuntil(b"\r\n\r\n")
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    settings = ModelSettings.model_validate({"model": "http://x/v1", "retries": 0})
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    async with server:
        with closing(Client(url, "m", settings)) as client:
            yield client, connections
        for writer in connections:
            writer.close()


async def test_a_connection_is_used_again_after_a_whole_answer():
    async with keeping(PLAIN) as (client, connections):
        for _ in range(3):
            assert (await client.complete(ASK)).text == " two"
        assert len(connections) == 1


async def test_concurrent_calls_have_their_own_connections():
    async with keeping(PLAIN) as (client, connections):
        await asyncio.gather(*(client.complete(ASK) for _ in range(3)))
        assert len(connections) == 3


@pytest.mark.parametrize("head", [b"Connection: close\r\n", b"Connection: keep-alive\r\n"])
async def test_a_server_that_closes_its_connections_is_asked_on_new_ones(head):
    answer = PLAIN.replace(b"Content-Length", head + b"Content-Length")
    async with keeping(answer) as (client, connections):
        for number in range(3):
            assert (await client.complete(ASK)).text == " two"
            for writer in connections[number:]:
                writer.close()
                await writer.wait_closed()
        assert len(connections) == 3


async def test_a_connection_that_closes_under_a_request_is_replaced():
    async with keeping(PLAIN, until=1) as (client, connections):
        for _ in range(3):
            assert (await client.complete(ASK)).text == " two"
        assert len(connections) == 3
        assert not client.stats.faults


async def test_a_connection_that_brings_a_second_response_is_not_used_again():
    late = PLAIN + b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n"
    async with keeping(late) as (client, connections):
        for _ in range(3):
            assert (await client.complete(ASK)).text == " two"
        assert not client.stats.faults
        assert len(connections) == 3


async def test_an_idle_connection_on_which_something_arrives_is_closed():
    idle, closed = asyncio.Event(), asyncio.Event()

    async def answer(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(PLAIN)
        await idle.wait()
        writer.write(b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n")
        with suppress(ConnectionError):
            await reader.read()
        closed.set()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    http = HttpServer(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", {})
    async with server:
        with closing(http):
            response = await http.send(HttpResponse("x", 2**20), "/", connect_s=5)
            assert await response.whole() == WHOLE
            http.done(response)
            idle.set()
            async with asyncio.timeout(20):
                await closed.wait()


@contextmanager
def deaf():
    """The address of a server with a full backlog: it neither accepts nor refuses connections."""
    with socket.socket() as server, ExitStack() as stack:
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        for _ in range(4):
            caller = stack.enter_context(socket.socket())
            caller.setblocking(False)
            with suppress(BlockingIOError):
                caller.connect(server.getsockname())
        yield server.getsockname()


async def test_an_address_that_never_answers_leaves_time_for_the_next():
    """For example, a name has an unreachable IPv6 address and an IPv4 address."""
    async with saying(PLAIN) as (client, _):
        with deaf() as there:
            server = HttpServer(client.base_url, {})
            (own,) = await server._looked_up()
            server._addresses = (there, own)
            response = await server.send(HttpResponse("x", 2**20), "/", b"{}", connect_s=1.0)
            assert await response.whole() == WHOLE
            server._addresses = (there,)
            with pytest.raises(TimedOut):
                await server.send(HttpResponse("x", 2**20), "/", b"{}", connect_s=0.2)


PAGE = b"""<!DOCTYPE HTML>
<html><head><style>p { color: red }</style><title>Error</title></head>
  <body><h1>Nothing</h1> <!-- nobody -->
  <p>matches the given URI.</p>%s</body></html>"""


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (PAGE % b"", "a page of HTML: Error Nothing matches the given URI."),
        (PAGE % (b"<p>far too much" * 99), "a page of HTML: Error Nothing matches the given URI."),
        (b'{\n  "detail":\n  "Not Found"\n}\n', '{ "detail": "Not Found" }'),
        (b"<script" * 9000, "<script"),
        (b"\n", ""),
    ],
)
async def test_what_an_error_says_is_one_line(body, said):
    head = f"HTTP/1.1 404 Not Found\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    async with saying(head + body) as (client, _):
        with pytest.raises(Refused) as error:
            await client.complete(ASK)
    message = str(error.value)
    assert message.partition(" answered 404")[2].startswith(f": {said}" if said else "")
    assert "\n" not in message
    assert len(message) < (300 if b"HTML" in body else 600)
