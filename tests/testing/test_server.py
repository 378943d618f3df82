"""The scripted server, as an aiohttp client sees it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys

import aiohttp
import orjson
import pytest

from tessy.errors import ConfigError
from tessy.testing import (
    CooperativeScript,
    EchoScript,
    Latency,
    LoopScript,
    ScriptedServer,
    SilentScript,
    build_tokenizer,
)
from tessy.testing.tokens import IdTokenizer

QWEN = "<|im_start|>user\nWhat is 6*7?<|im_end|>\n<|im_start|>assistant\n<think>\n"
HARMONY = "<|start|>user<|message|>6*7?<|end|><|start|>assistant<|channel|>analysis<|message|>"


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    base = tmp_path_factory.mktemp("tokenizers")
    flavours = ("qwen3", "gpt-oss", "deepseek-r1")
    return {flavour: build_tokenizer(base / flavour, flavour=flavour) for flavour in flavours}


@pytest.fixture
async def session():
    async with aiohttp.ClientSession() as session:
        yield session


async def post(session, server, body, path="/completions", **headers):
    base = server.url if path == "/completions" else server.url.removesuffix("/v1")
    async with session.post(base + path, data=orjson.dumps(body), headers=headers) as response:
        return response.status, orjson.loads(await response.read())


async def complete(session, server, prompt, **fields):
    status, answer = await post(session, server, {"prompt": prompt, "max_tokens": 1000} | fields)
    assert status == 200, answer
    return answer["choices"][0], answer["usage"]


async def stream(session, server, prompt, **fields):
    body = {"prompt": prompt, "max_tokens": 1000, "stream": True} | fields
    async with session.post(server.url + "/completions", data=orjson.dumps(body)) as response:
        assert response.status == 200
        lines = [line.strip() async for line in response.content if line.strip()]
    assert lines.pop() == b"data: [DONE]"
    return [orjson.loads(line.removeprefix(b"data: ")) for line in lines]


async def error(session, server, body, **headers):
    status, answer = await post(session, server, body, **headers)
    assert answer["error"]["code"] == status
    assert answer["error"]["type"]
    return status, answer["error"]["message"]


async def until(condition):
    """Wait for the server's task to notice; fails by the time-out, never by luck."""
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.001)


async def test_plain_text_without_tokenizer(session):
    script = CooperativeScript("student", thinking_words=20)
    async with ScriptedServer(script) as server:
        choice, usage = await complete(session, server, QWEN)
        assert choice["text"] == "".join(script.continue_(QWEN))
        assert choice["finish_reason"] == "stop"
        assert "token_ids" not in choice
        assert usage["completion_tokens"] == server.stats.generated_tokens > 20
        short, usage = await complete(session, server, QWEN, max_tokens=7)
        assert choice["text"].startswith(short["text"])
        assert (short["finish_reason"], usage["completion_tokens"]) == ("length", 7)


async def test_ids_in_and_out(session, folders):
    script = CooperativeScript("student", thinking_words=20, unicode=True)
    codec = IdTokenizer(folders["qwen3"])
    async with ScriptedServer(script, tokenizer=folders["qwen3"]) as server:
        prompt = codec.encode(QWEN, begin=False)
        choice, usage = await complete(session, server, prompt, return_token_ids=True)
        full = "".join(script.continue_(QWEN))
        assert choice["text"] == full
        assert "</think>" in choice["text"]
        assert choice["token_ids"][-1] == codec.end.key  # the end token: an id without text
        assert codec.data(choice["token_ids"]).decode() == full + "<|im_end|>"
        assert usage["prompt_tokens"] == len(prompt)
        assert usage["completion_tokens"] == len(choice["token_ids"])
        again, _ = await complete(session, server, QWEN)
        assert again["text"] == choice["text"]
        assert "token_ids" not in again


async def test_special_tokens_are_ids_without_text(session, folders):
    script = CooperativeScript("teacher", thinking_words=10)
    codec = IdTokenizer(folders["gpt-oss"])
    async with ScriptedServer(script, tokenizer=folders["gpt-oss"]) as server:
        choice, _ = await complete(session, server, HARMONY, return_token_ids=True)
        assert "<|" not in choice["text"]
        assert "assistantfinal" in choice["text"]
        full = "".join(script.continue_(HARMONY))
        assert codec.data(choice["token_ids"]).decode() == full + "<|return|>"
        shown, _ = await complete(session, server, HARMONY, skip_special_tokens=False)
        assert shown["text"] == full


async def test_the_begin_token_is_put_before_text_unless_refused(session, folders):
    async with ScriptedServer(EchoScript("7"), tokenizer=folders["deepseek-r1"]) as server:
        _, with_begin = await complete(session, server, "hello")
        _, without = await complete(session, server, "hello", add_special_tokens=False)
        assert with_begin["prompt_tokens"] == without["prompt_tokens"] + 1


@pytest.mark.parametrize("flavour", [None, "qwen3"])
async def test_stream_and_plain_agree(session, folders, flavour):
    script = CooperativeScript("student", thinking_words=30, unicode=True)
    folder = folders.get(flavour)
    for interval in (1, 5):
        async with ScriptedServer(script, tokenizer=folder, stream_interval=interval) as server:
            whole, usage = await complete(session, server, QWEN, return_token_ids=True)
            events = await stream(
                session,
                server,
                QWEN,
                return_token_ids=True,
                stream_options={"include_usage": True},
            )
            tail = events.pop()
            assert tail["choices"] == []
            assert tail["usage"]["completion_tokens"] == usage["completion_tokens"]
            choices = [event["choices"][0] for event in events]
            assert "".join(choice["text"] for choice in choices) == whole["text"]
            assert "\ufffd" not in whole["text"]
            if folder:
                ids = [i for choice in choices for i in choice["token_ids"]]
                assert ids == whole["token_ids"]
                assert interval > 1 or any(
                    choice["token_ids"] and not choice["text"] for choice in choices[:-1]
                )
            assert [c["finish_reason"] for c in choices] == [None] * (len(choices) - 1) + ["stop"]
            assert len(events) >= usage["completion_tokens"] / interval
            assert server.stats.streamed == 1


async def test_text_cut_in_mid_character(session, folders):
    codec = IdTokenizer(folders["qwen3"])
    text = "因此我们 👩‍👩‍👧 e\u0301"
    async with ScriptedServer(EchoScript(text), tokenizer=folders["qwen3"]) as server:
        broken = 0
        for count in range(1, len(codec.encode(text, begin=False)) + 1):
            whole, _ = await complete(
                session, server, "say", max_tokens=count, return_token_ids=True
            )
            assert len(whole["token_ids"]) == count
            assert whole["finish_reason"] == "length"
            assert text.startswith(whole["text"].removesuffix("\ufffd"))
            broken += whole["text"].endswith("\ufffd")
            events = await stream(session, server, "say", max_tokens=count)
            streamed = "".join(event["choices"][0]["text"] for event in events)
            assert streamed == whole["text"].removesuffix("\ufffd")
        assert broken


async def test_prompts_of_ids_cut_anywhere_go_on_exactly(session, folders):
    script = CooperativeScript("student", thinking_words=25, answer_words=3, unicode=True)
    codec = IdTokenizer(folders["qwen3"])
    async with ScriptedServer(script, tokenizer=folders["qwen3"]) as server:
        prompt = codec.encode(QWEN, begin=False)
        whole, _ = await complete(session, server, prompt, return_token_ids=True)
        full = codec.data(whole["token_ids"])
        for cut in range(1, len(whole["token_ids"]) - 1):
            head = whole["token_ids"][:cut]
            rest, _ = await complete(session, server, prompt + head, return_token_ids=True)
            assert codec.data(head + rest["token_ids"]) == full


async def test_stop_texts(session, folders):
    script = EchoScript("one two three</think>four")
    for folder in (None, folders["qwen3"]):
        async with ScriptedServer(script, tokenizer=folder) as server:
            for fields in ({"stop": "</think>"}, {"stop": ["zzz", "</think>", "four"]}):
                choice, _ = await complete(session, server, "go", **fields)
                assert choice["text"] == "one two three"
                assert choice["finish_reason"] == "stop"
                assert choice["stop_reason"] == "</think>"
                events = await stream(session, server, "go", **fields)
                texts = [event["choices"][0]["text"] for event in events]
                assert "".join(texts) == "one two three"
            # A stop text that does not come is shown after all.
            events = await stream(session, server, "go", stop=["four!"])
            assert "".join(event["choices"][0]["text"] for event in events) == script.text


async def test_stop_token_ids(session, folders):
    script = CooperativeScript("teacher", thinking_words=10)
    codec = IdTokenizer(folders["gpt-oss"])
    (end,) = codec.encode("<|end|>", begin=False)
    async with ScriptedServer(script, tokenizer=folders["gpt-oss"]) as server:
        choice, _ = await complete(
            session, server, HARMONY, stop_token_ids=[end], return_token_ids=True
        )
        assert choice["text"] == "".join(script.continue_(HARMONY)).split("<|end|>")[0]
        assert choice["token_ids"][-1] == end
        assert choice["stop_reason"] == end


async def test_bad_requests(session, folders):
    server = ScriptedServer(EchoScript("x"), tokenizer=folders["qwen3"], context_length=50)
    async with server:
        bad = [
            {"prompt": [1] * 45, "max_tokens": 6},
            {"prompt": [1] * 50, "max_tokens": None},
            {"prompt": [600]},
            {"prompt": [-1]},
            {"prompt": [1.5]},
            {"prompt": [True]},
            {"prompt": ""},
            {"prompt": []},
            {"prompt": ["a", "b"]},
            {"prompt": {"a": 1}},
            {},
            {"prompt": "x", "max_tokens": 0},
            {"prompt": "x", "max_tokens": "5"},
            {"prompt": "x", "temperature": "hot"},
            {"prompt": "x", "temperature": -1},
            {"prompt": "x", "seed": 1.5},
            {"prompt": "x", "stream": "yes"},
            {"prompt": "x", "stop": [1]},
            {"prompt": "x", "stop_token_ids": ["a"]},
            {"prompt": "x", "n": 2},
            {"prompt": "x", "stream_options": {"include_usage": True}},
            ["not an object"],
        ]
        for body in bad:
            status, _ = await error(session, server, body)
            assert status == 400, body
        status, message = await error(session, server, {"prompt": [1] * 45, "max_tokens": 6})
        assert "maximum context length is 50" in message
        status, _ = await error(session, server, {"prompt": "x", "model": "other"})
        assert status == 404
        async with session.post(server.url + "/completions", data=b"{") as response:
            assert response.status == 400
        choice, _ = await complete(session, server, [1] * 45, max_tokens=None)
        assert choice["text"] == "x"
        assert server.stats.in_flight == server.stats.running == 0


async def test_without_max_tokens_there_are_sixteen(session):
    async with ScriptedServer(LoopScript("ab ")) as server:
        _, answer = await post(session, server, {"prompt": "x", "model": "scripted"})
        assert answer["usage"]["completion_tokens"] == 16


async def test_servers_that_can_do_less(session, folders):
    limits = {"accept_ids": False, "accept_extensions": False, "streams": False}
    async with ScriptedServer(EchoScript("x"), tokenizer=folders["qwen3"], **limits) as server:
        extensions = {
            "top_k": 20,
            "min_p": 0.1,
            "stop_token_ids": [1],
            "return_token_ids": True,
            "add_special_tokens": False,
        }
        for name, value in extensions.items():
            status, message = await error(session, server, {"prompt": "x", name: value})
            assert (status, name in message) == (400, True)
        assert (await error(session, server, {"prompt": [1]}))[0] == 400
        assert (await error(session, server, {"prompt": "x", "stream": True}))[0] == 400
        choice, _ = await complete(session, server, "x", temperature=0.7, top_p=0.8, seed=3)
        assert choice["text"] == "x"
    async with ScriptedServer(EchoScript("x")) as server:
        assert (await error(session, server, {"prompt": [1]}))[0] == 400


async def test_api_key(session):
    async with ScriptedServer(EchoScript("x"), api_key="secret") as server:
        for headers in ({}, {"Authorization": "Bearer wrong"}):
            status, _ = await error(session, server, {"prompt": "x"}, **headers)
            assert status == 401
            async with session.get(server.url + "/models", headers=headers) as response:
                assert response.status == 401
        async with session.get(server.url.removesuffix("v1") + "health") as response:
            assert response.status == 200
        status, _ = await post(session, server, {"prompt": "x"}, Authorization="Bearer secret")
        assert status == 200


async def test_other_endpoints(session, folders):
    codec = IdTokenizer(folders["qwen3"])
    async with ScriptedServer(EchoScript("x"), tokenizer=folders["qwen3"]) as server:
        async with session.get(server.url + "/models") as response:
            (entry,) = (await response.json())["data"]
            assert (entry["id"], entry["max_model_len"]) == ("scripted", 65536)
        status, answer = await post(session, server, {"prompt": QWEN}, "/tokenize")
        assert answer["tokens"] == codec.encode(QWEN, begin=False)
        assert answer["count"] == len(answer["tokens"])
        status, answer = await post(session, server, {"tokens": answer["tokens"]}, "/detokenize")
        assert (status, answer) == (200, {"prompt": QWEN})
        status, _ = await post(session, server, {"content": "llama.cpp's field"}, "/tokenize")
        assert status == 400
        assert (await post(session, server, {"tokens": [10**6]}, "/detokenize"))[0] == 400
        await complete(session, server, "x")
        async with session.get(server.url.removesuffix("v1") + "stats") as response:
            assert (await response.json())["requests"] == 1
    async with ScriptedServer(EchoScript("x")) as server:
        assert (await post(session, server, {"prompt": "x"}, "/tokenize"))[0] == 404
        assert (await post(session, server, {"tokens": [1]}, "/detokenize"))[0] == 404


async def test_cached_tokens(session, folders):
    codec = IdTokenizer(folders["qwen3"])
    async with ScriptedServer(LoopScript("ab c7 "), tokenizer=folders["qwen3"]) as server:
        prompt = codec.encode("a long question, " * 20, begin=False)
        first, usage = await complete(session, server, prompt, max_tokens=40, return_token_ids=True)
        assert usage["prompt_tokens_details"]["cached_tokens"] == 0
        grown = prompt + first["token_ids"]
        _, usage = await complete(session, server, grown, max_tokens=1)
        assert usage["prompt_tokens_details"]["cached_tokens"] == (len(grown) - 1) // 16 * 16
        _, usage = await complete(session, server, prompt[:32], max_tokens=1)
        assert usage["prompt_tokens_details"]["cached_tokens"] == 16  # never all of a prompt
        _, usage = await complete(session, server, [7, *prompt], max_tokens=1)
        assert usage["prompt_tokens_details"]["cached_tokens"] == 0
        assert server.stats.cached_tokens == (len(grown) - 1) // 16 * 16 + 16


async def test_a_client_that_leaves_a_stream_stops_it(session):
    async with ScriptedServer(LoopScript("ab "), latency=Latency(0, 0.001)) as server:
        body = {"prompt": "x", "max_tokens": 60_000, "stream": True}
        response = await session.post(server.url + "/completions", data=orjson.dumps(body))
        await response.content.readline()
        response.close()
        await until(lambda: server.stats.in_flight == 0)
        assert server.stats.aborted == 1
        assert 0 < server.stats.generated_tokens < 60_000


@pytest.mark.parametrize("latency", [Latency(), Latency(60, 0), Latency(0, 0.01)])
async def test_a_client_that_leaves_a_plain_call_stops_it(session, latency):
    server = ScriptedServer(LoopScript("ab "), latency=latency, context_length=10**9)
    async with server:
        task = asyncio.create_task(complete(session, server, "x", max_tokens=10**8))
        await until(lambda: server.stats.running == 1)
        task.cancel()
        await until(lambda: server.stats.in_flight == 0)
        assert server.stats.aborted == 1
        assert server.stats.generated_tokens < 10**8
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def test_complete_answers_are_not_aborts(session):
    async with ScriptedServer(EchoScript("x y z")) as server:
        for _ in range(20):
            await complete(session, server, "x")
            await stream(session, server, "x")
        await session.close()
        assert server.stats.aborted == 0
        assert server.stats.requests == 40


async def test_latency_and_places(session):
    loop = asyncio.get_running_loop()
    latency = Latency(0.05, 0.01)
    async with ScriptedServer(LoopScript("ab "), latency=latency, max_sequences=2) as server:
        start = loop.time()
        await complete(session, server, "x", max_tokens=10)
        assert loop.time() - start >= 0.15
        start = loop.time()
        events = await stream(session, server, "x", max_tokens=10)
        assert loop.time() - start >= 0.15
        assert len(events) == 10
        start = loop.time()
        await asyncio.gather(*(complete(session, server, "x", max_tokens=10) for _ in range(6)))
        assert loop.time() - start >= 0.45  # three rounds of two
        assert server.stats.most_running == 2
        assert server.stats.most_in_flight == 6


async def test_many_at_once(session, folders):
    codec = IdTokenizer(folders["qwen3"])
    script = CooperativeScript("student", thinking_words=40)

    async def one(number):
        prompt = codec.encode(QWEN.replace("6*7", str(number)), begin=False)
        ids = list(prompt)
        finish = ""
        while finish != "stop":
            choice, _ = await complete(session, server, ids, max_tokens=20, return_token_ids=True)
            ids += choice["token_ids"]
            finish = choice["finish_reason"]
        full = "".join(script.continue_(codec.data(prompt).decode())) + "<|im_end|>"
        assert codec.data(ids[len(prompt) :]).decode() == full

    async with ScriptedServer(script, tokenizer=folders["qwen3"]) as server:
        await asyncio.gather(*(one(number) for number in range(50)))
        assert server.stats.cached_tokens > 0.5 * server.stats.prompt_tokens


async def test_silence(session, folders):
    for folder, tokens in ((None, 0), (folders["qwen3"], 1)):
        async with ScriptedServer(SilentScript(), tokenizer=folder) as server:
            choice, usage = await complete(session, server, "x")
            assert (choice["text"], choice["finish_reason"]) == ("", "stop")
            assert usage["completion_tokens"] == tokens  # the end token, where there is one
            (event,) = await stream(session, server, "x")
            assert event["choices"][0]["finish_reason"] == "stop"


def test_a_folder_without_a_byte_level_tokenizer(tmp_path):
    with pytest.raises(ConfigError, match=r"no tokenizer\.json"):
        ScriptedServer(EchoScript("x"), tokenizer=tmp_path)
    (tmp_path / "tokenizer.json").write_text('{"model": {"type": "Unigram"}}')
    with pytest.raises(ConfigError, match="byte-level"):
        ScriptedServer(EchoScript("x"), tokenizer=tmp_path)


@pytest.mark.parametrize("how", ["stdin", "term", "int"])
async def test_the_command(session, folders, how):
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tessy.testing", "--role", "teacher", "--until-stdin-closes"),
        *("--tokenizer", str(folders["qwen3"]), "--thinking-words", "10", "--token-ms", "0.1"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    try:
        async with asyncio.timeout(60):
            url = (await process.stdout.readline()).decode().strip()
            body = {"prompt": QWEN, "max_tokens": 1000}
            async with session.post(url + "/completions", json=body) as response:
                text = (await response.json())["choices"][0]["text"]
            script = CooperativeScript("teacher", thinking_words=10)
            assert text == "".join(script.continue_(QWEN))
            if how == "stdin":
                process.stdin.close()
            else:
                process.send_signal(signal.SIGTERM if how == "term" else signal.SIGINT)
            assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def test_the_command_refuses_nonsense():
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tessy.testing", "--fault-rate", "2"),
        stderr=asyncio.subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    _, told = await process.communicate()
    assert process.returncode == 2
    assert b"a rate is from 0 to 1" in told
