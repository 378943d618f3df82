"""`tessy serve` as a process: what it says, signals, ports; and `curl`."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import signal
import socket
from contextlib import asynccontextmanager

import aiohttp
import pytest

from commands import start, tessy
from scripted import lines, two_servers
from tessy.testing import Latency

BODY = {"messages": [{"role": "user", "content": "[[task 1]] What is 1 + 1?"}]}
SLOW = Latency(first_token_s=0.01, token_s=0.005)


class Process:
    """The command, and the address that it printed."""

    def __init__(self, process: asyncio.subprocess.Process, said: str) -> None:
        self.process = process
        self.said = said
        found = re.match(r"(http://\S+/v1) serves tessy, ", said)
        assert found, said
        self.url = found[1]

    async def end(self) -> tuple[int | None, str]:
        async with asyncio.timeout(60):
            _, err = await self.process.communicate()
        return self.process.returncode, err.decode()


@asynccontextmanager
async def serving(*options, **environment):
    process = await start("serve", *options, **environment)
    try:
        assert process.stdout is not None
        said = (await process.stdout.readline()).decode()
        yield Process(process, said or (await process.communicate())[1].decode())
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def events(answer) -> list[dict]:
    found = []
    async for raw in answer.content:
        line = raw.decode().strip()
        if line.startswith("data: {"):
            found.append(json.loads(line.removeprefix("data: ")))
    return found


async def test_a_signal_lets_requests_end(tmp_path, tokenizers):
    out = tmp_path / "run"
    async with (
        two_servers(tokenizers, words=60, latency=SLOW) as (servers, options),
        serving(*options, "--port", "0", "--journal", out) as served,
        aiohttp.ClientSession() as client,
        client.post(f"{served.url}/chat/completions", json={**BODY, "stream": True}) as answer,
    ):
        await answer.content.readline()
        served.process.send_signal(signal.SIGTERM)
        found = await events(answer)
        assert found[-1]["choices"][0]["finish_reason"] == "stop"
        code, err = await served.end()
        assert code == 0, err
        assert "stopping: 1 request may end within 60 s" in err
        assert not any(server.stats.in_flight for server in servers.values())
    assert len(lines(out / "dataset.jsonl")) == 1


async def test_a_second_signal_ends_them_at_once(tmp_path, tokenizers):
    out = tmp_path / "run"
    async with (
        two_servers(tokenizers, words=20_000, latency=SLOW) as (_, options),
        serving(*options, "--port", "0", "--journal", out) as served,
        aiohttp.ClientSession() as client,
        client.post(f"{served.url}/chat/completions", json={**BODY, "stream": True}) as answer,
    ):
        await answer.content.readline()
        served.process.send_signal(signal.SIGTERM)
        assert served.process.stderr is not None
        while b"stopping" not in await served.process.stderr.readline():
            pass
        served.process.send_signal(signal.SIGINT)
        code, err = await served.end()
    assert code == 0, err
    assert "1 request did not end" in err
    assert [each["reason"] for each in lines(out / "failures.jsonl")] == ["cancelled"]


async def test_curl_and_what_is_said(tokenizers):
    if shutil.which("curl") is None:
        pytest.skip("there is no curl")
    async with two_servers(tokenizers) as (_, options), serving(*options, "--port", "0") as served:
        asked = json.dumps({**BODY, "stream": True})
        curl = await asyncio.create_subprocess_exec(
            *("curl", "-sN", f"{served.url}/chat/completions", "-d", asked),
            *("-H", "Content-Type: application/json"),
            stdout=asyncio.subprocess.PIPE,
        )
        out, _ = await curl.communicate()
        found = [line for line in out.decode().split("\n\n") if line]
        assert found[-1] == "data: [DONE]"
        assert all(line.startswith("data: ") for line in found)
        served.process.terminate()
        code, err = await served.end()
    assert code == 0
    assert "only this machine reaches it" in err


async def test_a_port_that_is_taken(tokenizers):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        async with two_servers(tokenizers) as (servers, options):
            done = await tessy("serve", *options, "--port", str(port))
            assert not any(server.stats.requests for server in servers.values()), "not even probed"
    assert done.code == 1
    assert f"127.0.0.1:{port} can't be listened on" in done.err
    assert "--port" in done.err


async def test_a_host_that_is_not_this_machine_s(tokenizers):
    async with two_servers(tokenizers) as (_, options):
        done = await tessy("serve", *options, "--port", "0", "--host", "192.0.2.1")
    assert done.code == 1
    assert "192.0.2.1" in done.err


async def test_a_server_for_all_without_a_key_and_a_file_of_synthesis(tmp_path, tokenizers):
    file = tmp_path / "run.toml"
    file.write_text('verify = "number"\nattempts = 3\nworkers = 2\nmethod = "student-only"\n')
    async with two_servers(tokenizers) as (_, options):
        asked = [*options, "--port", "0", "--host", "0.0.0.0"]
        async with serving(*asked, "--config", file) as served:
            served.process.terminate()
            code, err = await served.end()
        assert code == 0
        assert "warning: all who reach 0.0.0.0 can use it" in err
        assert "ignored here: verify, attempts, workers" in err
        done = await tessy("serve", *asked, "--api-key-env", "NO_SUCH_KEY")
    assert done.code == 2
    assert "NO_SUCH_KEY is not set" in done.err


async def test_doctor_takes_it_for_a_model(tokenizers):
    async with two_servers(tokenizers) as (_, options), serving(*options, "--port", "0") as served:
        asked = [f"--student={served.url}", f"--teacher={served.url}#tessy/student-only"]
        formats = ["--student-format", "plain", "--teacher-format", "plain"]
        done = await tessy("doctor", *asked, *formats, COLUMNS="1000")
    assert done.code == 0, done.err
    rows = {}
    for line in done.out.splitlines():
        cells = [cell.strip() for cell in line.strip("│ ").split("│")]
        rows[cells[0]] = cells[1:]
    assert rows["works"] == ["yes", "yes"]
    assert rows["served name"] == ["tessy", "tessy/student-only"]
    assert rows["streams"] == ["yes", "yes"]
    assert rows["takes id prompts"] == ["no", "no"]
