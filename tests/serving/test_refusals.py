"""What `tessy serve` refuses, before any work, and in OpenAI's shape."""

from __future__ import annotations

import json
import socket
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from served import asking, chat, served, stream

from tessy.serving.handlers import LARGEST_BODY
from tessy.serving.refusals import ApiError
from tessy.serving.requests import chat_request, keeps_to, prompt_request
from tessy.serving.server import ServeSettings
from tessy.testing import build_tokenizer

WRONG = [
    ({"messages": []}, "messages", "invalid_value"),
    ({"messages": None}, "messages", "missing_required_parameter"),
    ({"messages": "hello"}, "messages", "invalid_value"),
    ({"messages": [{"role": "user", "content": ""}]}, "messages", "invalid_value"),
    ({"messages": [{"role": "user", "content": "  \n"}]}, "messages", "invalid_value"),
    ({"messages": [{"role": "tool", "content": "x"}]}, "messages", "invalid_value"),
    ({"messages": [{"role": "user", "content": "x", "name": "ada"}]}, "messages", "invalid_value"),
    (
        {"messages": [{"role": "user", "content": "x"}, {"role": "assistant", "content": "y"}]},
        *("messages", "invalid_value"),
    ),
    (
        {
            "messages": [
                {
                    "role": "user",
                    "content": [{"type": "image_url", "image_url": {"url": "https://x.example"}}],
                }
            ]
        },
        *("messages", "invalid_value"),
    ),
    ({"n": 0}, "n", "invalid_value"),
    ({"n": 129}, "n", "invalid_value"),
    ({"n": True}, "n", "invalid_value"),
    ({"n": "2"}, "n", "invalid_value"),
    ({"temperature": -0.1}, "temperature", "invalid_value"),
    ({"temperature": "0"}, "temperature", "invalid_value"),
    ({"top_p": 0}, "top_p", "invalid_value"),
    ({"top_k": -2}, "top_k", "invalid_value"),
    ({"max_tokens": 0}, "max_tokens", "invalid_value"),
    ({"max_tokens": 5, "max_completion_tokens": 6}, "max_tokens", "invalid_value"),
    ({"stop": [""]}, "stop", "invalid_value"),
    ({"stop": ["x"] * 17}, "stop", "invalid_value"),
    ({"stop": 3}, "stop", "invalid_value"),
    ({"seed": 2**63}, "seed", "invalid_value"),
    ({"stream": 1}, "stream", "invalid_value"),
    ({"stream_options": {"include_usage": True}}, "stream_options", "invalid_value"),
    ({"tools": [{"type": "function"}]}, "tools", "unsupported_parameter"),
    ({"tool_choice": "required"}, "tool_choice", "unsupported_value"),
    ({"functions": [{"name": "f"}]}, "functions", "unsupported_parameter"),
    ({"logprobs": True}, "logprobs", "unsupported_parameter"),
    ({"top_logprobs": 3}, "top_logprobs", "unsupported_value"),
    ({"frequency_penalty": 0.5}, "frequency_penalty", "unsupported_value"),
    ({"presence_penalty": -1}, "presence_penalty", "unsupported_value"),
    ({"logit_bias": {"50256": -100}}, "logit_bias", "unsupported_value"),
    ({"modalities": ["text", "audio"]}, "modalities", "unsupported_value"),
    ({"store": True}, "store", "unsupported_value"),
    ({"reasoning_effort": "high"}, "reasoning_effort", "unsupported_parameter"),
    ({"web_search_options": {}}, "web_search_options", "unsupported_parameter"),
    ({"temprature": 1}, "temprature", "unsupported_parameter"),
    ({"response_format": {"type": "xml"}}, "response_format", "invalid_value"),
    ({"response_format": {"type": "json_schema"}}, "response_format", "invalid_value"),
    (
        {"response_format": {"type": "json_schema", "json_schema": {"schema": 3}}},
        *("response_format", "invalid_value"),
    ),
    ({"tessy": {"span": True}}, "tessy", "unsupported_parameter"),
    ({"tessy": True}, "tessy", "invalid_value"),
]
HARMLESS = {
    **{"user": "me", "metadata": {"a": "b"}, "service_tier": "auto", "store": False},
    **{"frequency_penalty": 0, "presence_penalty": 0.0, "logit_bias": {}, "logprobs": False},
    **{"tools": [], "tool_choice": "auto", "functions": None, "top_logprobs": None},
    **{"parallel_tool_calls": True, "reasoning_effort": None, "modalities": ["text"]},
    **{"response_format": {"type": "text"}, "best_of": 1, "repetition_penalty": 1.0},
}


def refusal(body: object, read=chat_request) -> ApiError:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    with pytest.raises(ApiError) as found:
        read(raw)
    return found.value


@pytest.mark.parametrize(("wrong", "param", "code"), WRONG, ids=lambda each: str(each)[:40])
def test_what_is_not_honoured_is_refused_by_name(wrong, param, code):
    error = refusal({**asking(), **wrong})
    assert (error.status, error.param, error.code) == (400, param, code)
    assert param in str(error)
    assert set(error.body()["error"]) == {"message", "type", "param", "code"}


def test_the_right_name_is_suggested():
    assert "did you mean temperature?" in str(refusal(asking(temprature=1)))


def test_what_changes_nothing_is_accepted():
    plain = chat_request(json.dumps(asking()).encode())
    assert chat_request(json.dumps(asking(**HARMLESS)).encode()) == plain


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b'"x"', b"null", b"\xff", b'{"n": NaN}'])
def test_a_body_that_is_no_object_of_json(raw):
    assert refusal(raw).code == "invalid_json"


@pytest.mark.parametrize("prompt", ["", " ", [], [""], [1, 2], [[1]], None, ["x"] * 129])
def test_prompts_that_are_none(prompt):
    assert refusal({"model": "tessy", "prompt": prompt}, prompt_request).param == "prompt"


def test_messages_as_others_write_them():
    messages = [
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "1 + 1?"}]},
        {"role": "assistant", "content": "2", "reasoning": "easy", "refusal": None, "audio": None},
        {"role": "user", "content": "And 2 + 2?"},
    ]
    (found,) = chat_request(json.dumps(asking() | {"messages": messages}).encode()).conversations
    assert found == (
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "1 + 1?"},
        {"role": "assistant", "content": "2"},
        {"role": "user", "content": "And 2 + 2?"},
    )


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=5,
)
NAMES = st.sampled_from(sorted({name for wrong, *_ in WRONG for name in wrong} | {"prompt", "x"}))


@given(st.dictionaries(NAMES, VALUES, max_size=4))
def test_any_body_is_read_or_refused(more):
    raw = json.dumps({**asking(), **more}).encode("utf-8", "surrogatepass")
    for read in (chat_request, prompt_request):
        with suppress(ApiError):
            assert read(raw).n >= 1


# --- Over HTTP ------------------------------------------------------------------------------------


async def test_nothing_is_asked_of_a_model_before_a_request_is_checked(tokenizers, client):
    async with served(tokenizers) as made:
        before = [server.stats.requests for server in made.servers.values()]
        for body in ({"model": "gpt"}, {"tools": [1]}, {"response_format": {"type": "x"}}):
            status, _, found = await chat(client, made.url, {**asking(), **body})
            assert status == (404 if "model" in body else 400)
            assert found["error"]["type"] == "invalid_request_error"
            status, streamed = await stream(client, made.url, **body)
            assert status in (400, 404)
            assert streamed.error == found["error"]
        assert before == [server.stats.requests for server in made.servers.values()]


async def test_bodies_that_can_not_be_read(tokenizers, client):
    async with served(tokenizers) as made:
        url = f"{made.url}/chat/completions"
        async with client.post(url, data=b"{", headers={"Content-Type": "application/json"}) as got:
            assert (got.status, (await got.json())["error"]["code"]) == (400, "invalid_json")
        async with client.post(url, data=json.dumps(asking())) as got:
            assert got.status == 415, "a page of another site could send this through a browser"
            assert "application/json" in (await got.json())["error"]["message"]
        huge = b'{"messages": "' + b"x" * (LARGEST_BODY + 1) + b'"}'
        headers = {"Content-Type": "application/json"}
        async with client.post(url, data=huge, headers=headers) as got:
            assert got.status == 413
            assert "MiB" in (await got.json())["error"]["message"]
        for path, status in (("/v1/embeddings", 404), ("/v1/models", 405), ("/", 404)):
            async with client.post(made.root + path, json={}) as got:
                assert got.status == status
                error = (await got.json())["error"]
            assert path in error["message"]
            assert error["code"] == ("not_found" if status == 404 else "method_not_allowed")
        for more in ({"n": 1000}, {"stream_options": {"include_usage": True}}):
            status, _, found = await chat(client, made.url, {**asking(), **more})
            assert (status, found["error"]["code"]) == (400, "invalid_value")
        assert (await chat(client, made.url))[0] == 200


async def test_only_who_has_the_key(tokenizers, client, monkeypatch):
    monkeypatch.setenv("SERVE_KEY", "s3cret")
    async with served(tokenizers, ServeSettings(port=0, api_key_env="SERVE_KEY")) as made:
        wrong = ("Bearer no", "Basic s3cret", "Bearer", "s3cret", "Bearer \udcff")
        for headers in ({}, *({"Authorization": each} for each in wrong)):
            for path in ("chat/completions", "models", "nothing"):
                method = client.post if "chat" in path else client.get
                async with method(f"{made.url}/{path}", headers=headers) as got:
                    assert got.status == 401
                    error = (await got.json())["error"]
                    assert error["code"] == "invalid_api_key"
                    assert "s3cret" not in str(error)
        headers = {"Authorization": "Bearer s3cret"}
        async with client.post(
            f"{made.url}/chat/completions", json=asking(), headers=headers
        ) as got:
            assert got.status == 200
        async with client.get(f"{made.root}/health") as got:
            assert got.status == 200


async def test_other_sites_do_not_reach_the_loopback_through_a_browser(tokenizers, client):
    async with served(tokenizers) as made:
        for headers in ({"Host": "evil.example"}, {"Origin": "https://evil.example"}):
            async with client.get(f"{made.url}/models", headers=headers) as got:
                assert (got.status, (await got.json())["error"]["code"]) == (403, "not_local")
    async with served(tokenizers, ServeSettings(port=0, host="0.0.0.0")) as made:
        url = made.url.replace("0.0.0.0", "127.0.0.1")
        async with client.get(f"{url}/models", headers={"Host": "gpu7.example"}) as got:
            assert got.status == 200


async def test_the_loopback_of_ipv6(tokenizers, client):
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("there is no IPv6")
    async with served(tokenizers, ServeSettings(port=0, host="::1")) as made:
        assert made.url.startswith("http://[::1]:")
        async with client.get(f"{made.url}/models") as got:
            assert got.status == 200
        async with client.get(f"{made.url}/models", headers={"Host": "evil.example"}) as got:
            assert got.status == 403


async def test_a_conversation_that_a_template_does_not_show(tmp_path, tokenizers, client):
    folder = build_tokenizer(tmp_path / "student", flavour="qwen3", vocabulary=500, seed=1)
    (folder / "chat_template.jinja").write_text(
        "{% for m in messages %}{% if m.role == 'user' %}<|im_start|>user\n{{ m.content }}"
        "<|im_end|>\n{% endif %}{% endfor %}<|im_start|>assistant\n"
    )
    async with served({**tokenizers, "student": folder}) as made:
        messages = [{"role": "system", "content": "Be brief."}, *asking()["messages"]]
        status, _, body = await chat(client, made.url, asking() | {"messages": messages})
        assert status == 400
        assert body["error"]["param"] == "messages"
        assert "student" in body["error"]["message"]
        assert "Be brief." in body["error"]["message"]
        status, _, _ = await chat(
            client, made.url, {"model": "tessy/teacher-only", "messages": messages}
        )
        assert status == 200, "the teacher's template shows it"


async def test_a_prompt_that_is_too_long(tokenizers, client):
    async with served(tokenizers, pair_of={"context_length": 500}) as made:
        for count in (900, 100_000):
            long = asking("[[task 1]] " + "why? " * count)
            status, _, whole = await chat(client, made.url, long)
            assert (status, whole["error"]["code"]) == (400, "context_length_exceeded")
            status, found = await stream(client, made.url, **long)
            assert (status, found.error["code"]) == (400, "context_length_exceeded")
        assert (await chat(client, made.url))[0] == 200


@pytest.mark.parametrize(
    ("schema", "answer", "why"),
    [
        ({"type": "object", "required": ["n"]}, '{"n": 1}', None),
        ({"type": "object", "required": ["n"]}, '{"m": 1}', "required"),
        ({"type": "object"}, "**Answer:** 7", "not JSON"),
        ({"type": "integer", "minimum": 3}, "2", "minimum"),
        ({"$ref": "#/$defs/n", "$defs": {"n": {"type": "integer"}}}, "2", None),
        ({"$ref": "#/$defs/nothing"}, "2", "what is not there"),
        ({"$ref": "https://elsewhere.example/schema.json"}, "2", "what is not there"),
    ],
)
def test_an_answer_keeps_to_its_schema(schema, answer, why):
    found = keeps_to(schema, answer)
    assert found is None if why is None else why in found


def test_what_is_no_schema_is_refused():
    form = {"type": "json_schema", "json_schema": {"schema": {"type": "objekt"}}}
    found = refusal(asking() | {"response_format": form}, chat_request)
    assert found.param == "response_format"
    assert "'objekt' is not valid" in str(found)
