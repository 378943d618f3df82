"""The `openai` package, unchanged, as a client of `tessy serve`."""

from __future__ import annotations

import asyncio

import openai
import pytest
from served import NEVER, SLOW, served

from scripted import until
from tessy.serving.server import ServeSettings

QUESTION = [{"role": "user", "content": "[[task 1]] What is 1 + 1?"}]


def client_of(made, **more) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(base_url=made.url, api_key="none", max_retries=0, **more)


async def test_a_chat(tokenizers):
    async with served(tokenizers) as made, client_of(made) as client:
        models = [model.id async for model in client.models.list()]
        assert models[0] == "tessy"
        assert (await client.models.retrieve("tessy/student-only")).id == "tessy/student-only"
        whole = await client.chat.completions.create(model="tessy", messages=QUESTION, n=2)
    one, two = whole.choices
    assert (one.finish_reason, one.message.role) == ("stop", "assistant")
    assert one.message.content == two.message.content
    assert one.message.reasoning_content
    assert whole.usage.completion_tokens_details.reasoning_tokens > 0
    assert whole.usage.tessy["teacher_tokens"] > 0


async def test_a_stream(tokenizers):
    async with served(tokenizers) as made, client_of(made) as client:
        whole = await client.chat.completions.create(model="tessy", messages=QUESTION)
        stream = await client.chat.completions.create(
            model="tessy", messages=QUESTION, stream=True, stream_options={"include_usage": True}
        )
        reasoning = content = ""
        async for chunk in stream:
            if not chunk.choices:
                assert chunk.usage == whole.usage
                continue
            delta = chunk.choices[0].delta
            assert not (content and getattr(delta, "reasoning_content", None)), "thinking first"
            reasoning += getattr(delta, "reasoning_content", None) or ""
            content += delta.content or ""
        assert chunk.usage is not None
        prompted = await client.completions.create(
            model="tessy", prompt=QUESTION[0]["content"], max_tokens=500
        )
    message = whole.choices[0].message
    assert (reasoning, content) == (message.reasoning_content, message.content)
    assert prompted.choices[0].text == f"<think>\n{reasoning}\n</think>\n\n{content}"


async def test_the_helper_for_streams(tokenizers):
    async with served(tokenizers) as made, client_of(made) as client:
        whole = await client.chat.completions.create(model="tessy", messages=QUESTION)
        async with client.chat.completions.stream(model="tessy", messages=QUESTION) as stream:
            async for _ in stream:
                pass
            final = await stream.get_final_completion()
    assert final.choices[0].message.content == whole.choices[0].message.content


async def test_the_client_without_asyncio(tokenizers):
    def ask(url: str) -> tuple[str, str]:
        with openai.OpenAI(base_url=url, api_key="none") as client:
            whole = client.chat.completions.create(model="tessy", messages=QUESTION)
            with client.chat.completions.create(
                model="tessy", messages=QUESTION, stream=True
            ) as stream:
                pieces = [chunk.choices[0].delta.content or "" for chunk in stream]
            return whole.choices[0].message.content, "".join(pieces)

    async with served(tokenizers) as made:
        whole, streamed = await asyncio.to_thread(ask, made.url)
    assert whole == streamed


async def test_leaving_in_mid_stream(tokenizers):
    pair_of = {"words": 2000, "latency": SLOW}
    async with served(tokenizers, pair_of=pair_of) as made, client_of(made) as client:
        stream = await client.chat.completions.create(model="tessy", messages=QUESTION, stream=True)
        async for _ in stream:
            break
        await stream.close()
        await until(lambda: not made.in_flight)


async def test_leaving_without_asyncio(tokenizers):
    def leave(url: str) -> None:
        with (
            openai.OpenAI(base_url=url, api_key="none") as client,
            client.chat.completions.create(model="tessy", messages=QUESTION, stream=True) as stream,
        ):
            next(iter(stream))

    async with served(tokenizers, pair_of={"words": 2000, "latency": SLOW}) as made:
        await asyncio.to_thread(leave, made.url)
        await until(lambda: not made.in_flight)


@pytest.mark.parametrize("stream", [False, True])
async def test_a_client_whose_time_is_up(tokenizers, stream):
    async with served(tokenizers) as made, client_of(made, timeout=0.3) as client:
        for server in made.servers.values():
            server._model.latency = NEVER
        with pytest.raises(openai.APITimeoutError):
            await client.chat.completions.create(model="tessy", messages=QUESTION, stream=stream)
        await until(lambda: not made.in_flight)


async def test_errors_are_those_that_it_knows(tokenizers, monkeypatch):
    monkeypatch.setenv("SERVE_KEY", "s3cret")
    settings = ServeSettings(port=0, api_key_env="SERVE_KEY", queue=0)
    pair_of = {"words": 2000, "latency": SLOW}
    more = {"concurrency": 1, "student__retries": 0, "teacher__retries": 0}
    async with served(tokenizers, settings, **more, pair_of=pair_of) as made:
        async with client_of(made) as client:
            with pytest.raises(openai.AuthenticationError):
                await client.models.list()
        async with openai.AsyncOpenAI(base_url=made.url, api_key="s3cret", max_retries=0) as client:
            create = client.chat.completions.create
            with pytest.raises(openai.NotFoundError, match="no model 'gpt-4o'"):
                await create(model="gpt-4o", messages=QUESTION)
            with pytest.raises(openai.BadRequestError, match="tools") as found:
                await create(model="tessy", messages=QUESTION, tools=[{"type": "function"}])
            assert (found.value.param, found.value.code) == ("tools", "unsupported_parameter")
            stream = await create(model="tessy", messages=QUESTION, stream=True)
            with pytest.raises(openai.RateLimitError) as full:
                await create(model="tessy", messages=QUESTION)
            assert int(full.value.response.headers["Retry-After"]) >= 1
            await made.servers["teacher"].__aexit__()
            with pytest.raises(openai.APIError, match="teacher"):
                async for _ in stream:
                    pass
