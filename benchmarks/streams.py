"""What a stream costs with our own HTTP client, and with aiohttp's: why we have our own.

python benchmarks/streams.py [STREAMS]

A server in a process of its own sends an event every 5 ms on each of 50 streams. A client reads 16
events of a stream, parses them with tessy's parser, and leaves it, as at a hand-over. Printed is
the processor time of the client for each event, connecting included, for both in turn.
"""

from __future__ import annotations

import asyncio
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress

import aiohttp
import orjson

from tessy.config import ModelSettings, Sampling
from tessy.event_loop import run_loop
from tessy.models.client import Client
from tessy.models.wire import Bounds, Capabilities, Request, StreamParser, body

EVENTS = 16
AT_ONCE = 50
ROUNDS = 5
ASKED = Request(list(range(3000)), 100, Sampling(), seed=0)
CAPABILITIES = Capabilities("m", id_prompts=True)
EVENT = orjson.dumps(
    {
        "id": "cmpl-1",
        "object": "text_completion",
        "choices": [{"index": 0, "text": " word", "finish_reason": None, "token_ids": [1234]}],
    }
)


async def serve() -> None:
    """Stream events to any request, and print the port."""
    line = b"data: " + EVENT + b"\n\n"
    chunk = b"%x\r\n%b\r\n" % (len(line), line)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            await reader.readexactly(int(head.split(b"content-length: ")[1].split()[0]))
            writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            while not writer.is_closing():
                writer.write(chunk)
                await writer.drain()
                await asyncio.sleep(0.005)

    server = await asyncio.start_server(answer, "127.0.0.1", 0, backlog=1000)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


async def cost(read: Callable[[], Awaitable[None]], streams: int) -> float:
    """Microseconds of processor time for each event."""

    async def work(count: int) -> None:
        for _ in range(count):
            await read()

    await asyncio.gather(*(work(1) for _ in range(AT_ONCE)))
    began = time.process_time()
    await asyncio.gather(*(work(streams // AT_ONCE) for _ in range(AT_ONCE)))
    return 1e6 * (time.process_time() - began) / (streams // AT_ONCE * AT_ONCE * EVENTS)


async def measure(url: str, streams: int) -> None:
    """Measure both and print."""
    ours = Client(url, "m", ModelSettings(model=url), CAPABILITIES)
    payload = body(ASKED, CAPABILITIES, stream=True)

    async def with_ours() -> None:
        async with ours.stream(ASKED) as events:
            count = 0
            async for _ in events:
                count += 1
                if count == EVENTS:
                    break

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

        async def with_aiohttp() -> None:
            parser, count = StreamParser(Bounds.of(ASKED, len(payload))), 0
            async with session.post(f"{url}/completions", data=payload) as answer:
                async for data in answer.content.iter_any():
                    count += len(parser.feed(data))
                    if count >= EVENTS:
                        break
                answer.close()

        took: dict[str, list[float]] = {"tessy's own": [], "aiohttp": []}
        for _ in range(ROUNDS):
            took["tessy's own"].append(await cost(with_ours, streams))
            took["aiohttp"].append(await cost(with_aiohttp, streams))
    for name, values in took.items():
        print(f"{name:12} {statistics.median(values):5.1f} µs an event, least {min(values):.1f}")


def main() -> None:
    """Start the server, measure, and stop it."""
    if sys.argv[1:] == ["serve"]:
        run_loop(serve())
        return
    command = [sys.executable, __file__, "serve"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        port = int(server.stdout.readline())
        try:
            url = f"http://127.0.0.1:{port}/v1"
            run_loop(measure(url, int((sys.argv[1:] or ["1000"])[0])))
        finally:
            server.terminate()


if __name__ == "__main__":
    main()
