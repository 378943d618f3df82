"""Responses of `tessy serve`: what they hold, streamed and whole, by every method."""

from __future__ import annotations

import asyncio
import json

import pytest
from served import asking, chat, metrics, pair, serve, served, stream

from commands import tessy
from scripted import lines
from tessy.synthesis.methods import METHODS
from tessy.testing import CooperativeScript

ALL = ("tessy", *(f"tessy/{name}" for name in METHODS))
QUESTION = "[[task 1]] What is 1 + 1?"


@pytest.fixture
async def one(tokenizers):
    """A server."""
    async with served(tokenizers) as made:
        yield made


async def test_a_response_is_what_synthesis_writes(tokenizers, client, tmp_path):
    questions = tmp_path / "q.jsonl"
    questions.write_text(json.dumps({"id": "q", "prompt": QUESTION}) + "\n")
    async with pair(tokenizers) as servers, serve(tokenizers, servers) as made:
        options = [f"--{role}={server.url}" for role, server in servers.items()]
        options += [f"--{role}-tokenizer={tokenizers[role]}" for role in servers]
        options += ["--predictor", "python:tessy.testing.predictors:digits"]
        done = await tessy("synth", questions, "--out", tmp_path / "run", *options)
        assert done.code == 0, done.err
        status, _, body = await chat(client, made.url, asking(QUESTION, tessy={"spans": True}))
        _, prompted = await stream(client, made.url, "completions", prompt=QUESTION)
    (record,) = lines(tmp_path / "run" / "dataset.jsonl")
    assert status == 200
    (choice,) = body["choices"]
    message = choice["message"]
    content = record["messages"][-1]["content"]
    assert f"<think>\n{message['reasoning_content']}\n</think>\n\n{message['content']}" == content
    assert message["reasoning"] == message["reasoning_content"]
    assert choice["finish_reason"] == "stop"
    counts = body["usage"]["tessy"]
    assert counts == {name: record["stats"][name] for name in counts}
    assert counts["teacher_discarded_tokens"] > 0
    assert body["usage"]["completion_tokens_details"] == {
        "reasoning_tokens": record["stats"]["thinking_tokens"]
    }
    assert prompted.content == {0: content}
    own = [span for span in record["spans"] if span["role"] != "format"]
    assert [span["role"] for span in choice["tessy"]["spans"]] == [each["role"] for each in own]


@pytest.mark.parametrize("model", ALL)
async def test_what_is_streamed_is_what_is_written(one, client, model):
    status, _, whole = await chat(client, one.url, model=model, tessy={"spans": True})
    assert status == 200, whole
    options = {"stream_options": {"include_usage": True}, "tessy": {"spans": True}}
    _, found = await stream(client, one.url, model=model, **options)
    (choice,) = whole["choices"]
    assert found.error is None
    if model == "tessy/teacher-mix":  # every other one is by the student
        assert found.reasoning[0] != choice["message"]["reasoning_content"]
        return
    assert found.reasoning == {0: choice["message"]["reasoning_content"]}
    assert found.content == {0: choice["message"]["content"]}
    assert found.finish == {0: choice["finish_reason"]}
    assert found.about[0]["spans"] == choice["tessy"]["spans"]
    assert found.usage == whole["usage"]


@pytest.mark.parametrize("model", ["tessy", "tessy/student-only", "tessy/teacher-think"])
async def test_text_comes_while_it_is_written(one, client, model):
    _, found = await stream(client, one.url, model=model)
    thinking = [text for _, part, text in found.deltas if part == "reasoning"]
    answer = [text for _, part, text in found.deltas if part == "content"]
    assert len(thinking) > 5
    assert len(answer) > 3
    parts = [part for _, part, _ in found.deltas]
    assert parts == sorted(parts, key="reasoning content".index), "thinking first"


async def test_a_prompt_is_one_message_of_the_user(one, client):
    body = {"model": "tessy", "prompt": [QUESTION, "[[task 2]] Why?"], "n": 2}
    async with client.post(f"{one.url}/completions", json=body) as answer:
        whole = await answer.json()
    assert whole["object"] == "text_completion"
    texts = [choice["text"] for choice in whole["choices"]]
    assert [choice["index"] for choice in whole["choices"]] == [0, 1, 2, 3]
    assert texts[0] == texts[1] != texts[2] == texts[3]
    _, found = await stream(client, one.url, "completions", **{k: body[k] for k in ("prompt", "n")})
    assert found.content == dict(enumerate(texts))
    one_body = {"model": "tessy", "prompt": QUESTION}
    async with client.post(f"{one.url}/completions", json=one_body) as answer:
        single = await answer.json()
    assert whole["usage"]["completion_tokens"] > 3 * single["usage"]["completion_tokens"]
    assert whole["usage"]["prompt_tokens"] < 3 * single["usage"]["prompt_tokens"]


async def test_choices_have_seeds_of_their_own_and_a_seed_repeats_them(tokenizers, client):
    """The seeds that a server is sent, since scripted ones write the same for all."""
    async with served(tokenizers) as made:
        seeds = _watch_seeds(made)
        await chat(client, made.url, n=2)
        first = sorted(seeds)
        seeds.clear()
        await chat(client, made.url, n=2)
        assert sorted(seeds) == first, "derived from the messages"
        assert len(set(first)) == len(first)
        seeds.clear()
        await chat(client, made.url, n=2, seed=7)
        other = sorted(seeds)
        assert set(other).isdisjoint(first)
        seeds.clear()
        await chat(client, made.url, n=2, seed=7)
        assert sorted(seeds) == other
        seeds.clear()
        await chat(client, made.url, asking("[[task 1]] Another text", n=2))
        assert set(seeds).isdisjoint(first)


def _watch_seeds(made) -> list[int]:
    return _watch(made, lambda request: request.seed)


def _watch(made, what):
    """What the scripted servers are asked for."""
    found = []
    for server in made.servers.values():
        admit = server._rules.admit

        def seen(request, admit=admit):
            found.append(what(request))
            return admit(request)

        object.__setattr__(server, "_rules", _Seen(server._rules, seen))
    return found


class _Seen:
    def __init__(self, rules, admit):
        self._rules, self.admit = rules, admit

    def __getattr__(self, name):
        return getattr(self._rules, name)


async def test_sampling_is_of_both_models(tokenizers, client):
    async with served(tokenizers) as made:
        asked = _watch(made, lambda r: (r.temperature, r.top_p, r.top_k, r.min_p))
        await chat(client, made.url)
        assert set(asked) == {(0.7, 0.8, 20, 0.0)}
        asked.clear()
        await chat(client, made.url, temperature=0, top_p=0.5, top_k=-1, min_p=0.25)
        assert set(asked) == {(0, 0.5, -1, 0.25)}
        asked.clear()
        await chat(client, made.url)
        assert set(asked) == {(0.7, 0.8, 20, 0.0)}, "nothing is left of another request"


async def test_a_schema_is_for_the_answer_alone(tokenizers, client):
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}}
    asked = {"type": "json_schema", "json_schema": {"name": "n", "schema": schema}}
    async with served(tokenizers) as made:
        sent = _watch(made, lambda r: (r.model_extra or {}).get("json_schema"))
        status, _, told = await chat(client, made.url, response_format=asked)
        assert status == 502, "the scripted model writes no JSON"
        assert told["error"]["code"] == "schema_not_kept"
        assert sent.count(schema) == 1
        sent.clear()
        await chat(client, made.url, response_format={"type": "json_object"})
        assert sent.count({"type": "object"}) == 1
        sent.clear()
        await chat(client, made.url, model="tessy/teacher-reference", response_format=asked)
        assert sent.count(schema) == 1, "not for the teacher's reference"
    async with served(None, pair_of={"accept_extensions": False, "accept_ids": False}) as made:
        status, _, body = await chat(client, made.url, response_format=asked)
        assert status == 400
        assert body["error"]["param"] == "response_format"
        assert "student" in body["error"]["message"]
        status, _, _ = await chat(client, made.url, response_format={"type": "text"})
        assert status == 200


async def test_an_answer_ends_before_a_stop_text(one, client):
    _, _, usual = await chat(client, one.url)
    answer = usual["choices"][0]["message"]["content"]
    words = answer.split()
    stop = f"{words[3][-1]} {words[4][:2]}"  # across two words, and so across two events
    expected = answer[: answer.index(stop)].rstrip()
    for model in ("tessy", "tessy/teacher-score"):
        _, _, whole = await chat(client, one.url, model=model, stop=["never", stop])
        (choice,) = whole["choices"]
        assert choice["finish_reason"] == "stop"
        assert choice["message"]["reasoning_content"]
        if model == "tessy":
            assert choice["message"]["content"] == expected
        _, found = await stream(client, one.url, model=model, stop=["never", stop])
        assert found.content == {0: choice["message"]["content"]}
        assert stop not in found.content[0]


async def test_an_answer_of_a_server_that_does_not_stream_ends_there_too(client):
    async with served(None, pair_of={"streams": False}) as made:
        _, _, usual = await chat(client, made.url)
        answer = usual["choices"][0]["message"]["content"]
        stop = answer.split()[3]
        expected = answer[: answer.index(stop)].rstrip()
        _, _, whole = await chat(client, made.url, stop=stop)
        _, found = await stream(client, made.url, stop=stop)
    assert whole["choices"][0]["message"]["content"] == expected
    assert found.content == {0: expected}
    assert found.reasoning == {0: whole["choices"][0]["message"]["reasoning_content"]}


@pytest.mark.parametrize("most", [1, 20, 100, 125])
@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
async def test_a_limit_is_for_thinking_and_answer_together(one, client, most, name):
    status, _, whole = await chat(client, one.url, **{name: most})
    assert status == 200, whole
    (choice,) = whole["choices"]
    used = whole["usage"]["completion_tokens"]
    assert used <= most
    _, _, usual = await chat(client, one.url)
    (without,) = usual["choices"]
    if usual["usage"]["completion_tokens"] <= most:
        assert choice["finish_reason"] == "stop"
        return
    assert choice["finish_reason"] == "length"
    assert choice["tessy"]["failure"] in ("thinking_limit", "answer_limit")
    begin = choice["message"]["reasoning_content"]
    assert without["message"]["reasoning_content"].startswith(begin)
    _, found = await stream(client, one.url, **{name: most})
    assert found.reasoning.get(0, "") == begin
    assert found.content.get(0, "") == choice["message"]["content"]
    assert found.finish == {0: "length"}


async def test_an_answer_that_is_cut_off_is_there_up_to_its_end(one, client):
    _, _, usual = await chat(client, one.url, tessy={"spans": True})
    (without,) = usual["choices"]
    thinking = usual["usage"]["completion_tokens_details"]["reasoning_tokens"]
    _, _, whole = await chat(client, one.url, max_tokens=thinking + 10, tessy={"spans": True})
    (choice,) = whole["choices"]
    answer = choice["message"]["content"]
    assert 0 < len(answer) < len(without["message"]["content"])
    assert without["message"]["content"].startswith(answer)
    assert whole["usage"]["completion_tokens"] == thinking + 10
    last = choice["tessy"]["spans"][-1]
    assert (last["part"], last["role"], last["start"], last["end"]) == (
        *("content", "student", 0),
        len(answer),
    )
    _, found = await stream(client, one.url, max_tokens=thinking + 10)
    assert found.content == {0: answer}
    _, found = await stream(
        client, one.url, "completions", prompt=QUESTION, max_tokens=thinking + 10
    )
    assert found.content[0].endswith(f"\n</think>\n\n{answer}")
    assert found.finish == {0: "length"}


async def test_models_are_listed_and_can_be_looked_up(one, client):
    async with client.get(f"{one.url}/models") as answer:
        listed = await answer.json()
    assert [entry["id"] for entry in listed["data"]] == list(ALL)
    async with client.get(f"{one.url}/models/tessy/student-only") as answer:
        assert (await answer.json()) == listed["data"][2]
    async with client.get(f"{one.url}/models/tessy%2Fstudent-only") as answer:
        assert answer.status == 200
    async with client.get(f"{one.url}/models/tesy") as answer:
        assert answer.status == 404
        assert "did you mean tessy?" in (await answer.json())["error"]["message"]


async def test_a_student_alone_has_the_methods_of_a_student(tokenizers, client):
    async with pair(tokenizers) as servers:
        del servers["teacher"]
        async with serve(tokenizers, servers, method="student-only") as made:
            assert made.server.models == ("tessy", "tessy/student-only")
            status, _, body = await chat(client, made.url, model="tessy/teacher-only")
            assert status == 404
            assert body["error"]["code"] == "model_not_found"
            status, _, _ = await chat(client, made.url)
            assert status == 200


async def test_settings_of_a_method_are_for_it_alone(tokenizers, client):
    settings = {"answer_by": "teacher", "handover": {"min_style_words": 2}}
    async with served(tokenizers, **settings) as made:
        assert made.server.models == ALL
        for model, role in (("tessy", "teacher"), ("tessy/rewrite", "student")):
            _, _, body = await chat(client, made.url, model=model, tessy={"spans": True})
            last = body["choices"][0]["tessy"]["spans"][-1]
            assert (last["part"], last["role"]) == ("content", role)


async def test_metrics_count_what_was_served(tokenizers, client):
    async with served(tokenizers) as made:
        _, _, body = await chat(client, made.url, n=2)
        await stream(client, made.url)
        await chat(client, made.url, temperature=-1)
        found = await metrics(client, made)
        counts = body["usage"]["tessy"]
        assert found['tessy_requests_total{endpoint="/v1/chat/completions",status="200"}'] == 2
        assert found['tessy_requests_total{endpoint="/v1/chat/completions",status="400"}'] == 1
        assert found['tessy_samples_total{end="finished"}'] == 3
        for role in ("student", "teacher"):
            discarded = counts[f"{role}_discarded_tokens"]
            generated = counts[f"{role}_tokens"] + discarded
            assert found[f'tessy_generated_tokens_total{{role="{role}"}}'] == generated * 3 / 2
            assert found[f'tessy_discarded_tokens_total{{role="{role}"}}'] == discarded * 3 / 2
        assert found["tessy_hand_overs_total"] == counts["hand_overs"] * 3 / 2
        assert found["tessy_time_to_first_token_seconds_count"] == 1
        assert found["tessy_queue"] == found["tessy_running"] == 0
        async with client.get(f"{made.root}/health") as answer:
            assert (answer.status, await answer.json()) == (200, {"status": "ok"})


async def test_many_at_once_get_their_own_responses(tokenizers, client):
    async with served(tokenizers, concurrency=8) as made:
        texts = [f"[[task {n}]] What is {n}?" for n in range(20)]
        found = await asyncio.gather(*(chat(client, made.url, asking(text)) for text in texts))
    script = CooperativeScript("student", seed=0, thinking_words=60, unicode=True)
    for text, (status, _, body) in zip(texts, found, strict=True):
        assert status == 200
        thinking = body["choices"][0]["message"]["reasoning_content"]
        assert len(thinking.split()) == len(script.plan(text))
    assert len({body["choices"][0]["message"]["content"] for *_, body in found}) > 15
