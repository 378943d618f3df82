"""`http://…`: a classifier of a server whose pooling endpoint answers as vLLM's does.

The shapes of requests and answers are those of vLLM 0.32.0 with `--runner pooling`, seen there.
"""

from __future__ import annotations

import asyncio
import json
import threading
from contextlib import contextmanager

import pytest
from aiohttp import web

from boundary.test_transformers import make
from models.wrong_types import wrong
from tessy.boundary.registry import load
from tessy.errors import ConfigError, Outage, PredictorError
from tessy.method.judgement import Passage
from tessy.method.trajectory import Role
from tessy.models import client as client_module
from tessy.testing import build_tokenizer


@contextmanager
def pooling(answer):
    """A server in a thread, since a predictor is asked from a thread that runs no event loop."""
    calls, started, loop = [], threading.Event(), asyncio.new_event_loop()
    address = []

    async def handle(request):
        calls.append(await request.json())
        calls[-1]["key"] = request.headers.get("Authorization")
        body, status = answer(calls[-1], len(calls))
        if isinstance(body, bytes):
            return web.Response(body=body, status=status, content_type="application/json")
        return web.json_response(body, status=status)

    async def serve():
        app = web.Application(client_max_size=2**24)
        app.add_routes([web.post("/pooling", handle)])
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        address.append(runner.addresses[0][1])
        started.set()
        return runner

    def run():
        asyncio.set_event_loop(loop)
        runner = loop.run_until_complete(serve())
        loop.run_forever()
        loop.run_until_complete(runner.cleanup())

    thread = threading.Thread(target=run)
    thread.start()
    started.wait()
    try:
        yield f"http://127.0.0.1:{address[0]}", calls
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    return make(tmp_path_factory.mktemp("digits"))


@pytest.fixture
def right(digits):
    """Answers with the probabilities of the real network, rows in the wrong order."""
    import torch
    from transformers import AutoModelForTokenClassification

    model = AutoModelForTokenClassification.from_pretrained(digits).eval()

    def answer(call, _):
        rows = []
        for index, ids in enumerate(call["input"]):
            with torch.inference_mode():
                logits = model(input_ids=torch.tensor([ids])).logits[0]
            rows.append({"index": index, "data": torch.softmax(logits, -1).tolist()})
        return {"data": rows[::-1]}, 200

    return answer


PASSAGES = [
    Passage(role, context, text, final)
    for role in Role
    for context in ("", "so 12 it is ")
    for text in ("so 42 is ", "", "42 well ", "hm")
    for final in (False, True)
]


def test_it_judges_as_the_same_classifier_does_here(digits, right):
    with pooling(right) as (url, calls):
        served = load(f"{url}?tokenizer={digits}#digits")
        found = served.judge(PASSAGES)
    here = load(f"transformers:{digits}").judge(PASSAGES)
    for served_, ours in zip(found, here, strict=True):
        # A batch is padded here, which moves a probability by less than a hundredth.
        assert served_.confidence == pytest.approx(ours.confidence, abs=0.01)
        assert served_._replace(confidence=None) == ours._replace(confidence=None)
    assert len(calls) == 1
    assert calls[0]["model"] == "digits"
    assert (calls[0]["task"], calls[0]["use_activation"]) == ("token_classify", True)
    assert all(row for row in calls[0]["input"])


def test_its_key_is_sent(digits, right, monkeypatch):
    monkeypatch.setenv("POOLING_KEY", "secret")
    with pooling(right) as (url, calls):
        load(f"{url}/v1?tokenizer={digits}&api_key_env=POOLING_KEY").judge(PASSAGES[:1])
    assert calls[0]["key"] == "Bearer secret"
    assert "model" not in calls[0]


def test_a_server_that_fails_for_a_moment_is_asked_again(digits, right):
    def busy(call, number):
        return ({"error": {"message": "busy"}}, 503) if number == 1 else right(call, number)

    with pooling(busy) as (url, calls):
        assert load(f"{url}?tokenizer={digits}").judge([PASSAGES[0]])[0].boundary == 3
    assert len(calls) == 2


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"data": []},
        {"data": [{"index": 0, "data": [[0.5, 0.5]]}]},
        {"data": [{"index": 0, "data": [[0.2, 0.3, 0.5]] * 4}]},
        {"data": [{"index": 0, "data": [0.1, 0.2, 0.3, 0.4]}]},
        {"data": [{"index": 0}]},
        {"data": "no"},
        [1],
    ],
)
def test_an_answer_that_is_none(digits, body):
    with pooling(lambda *_: (body, 200)) as (url, _), pytest.raises(PredictorError, match="answer"):
        load(f"{url}?tokenizer={digits}").judge([Passage(Role.STUDENT, "", "so 42 is ", True)])


def test_an_answer_with_a_value_of_a_wrong_type(digits):
    good = {"data": [{"index": 0, "data": [[0.25, 0.75]] * 4}]}
    answers = [
        (what, raw) for what, raw in wrong(good) if not what.startswith("('data', 0, 'data', 2")
    ]
    refused = 0
    with pooling(lambda _, number: (answers[number - 1][1], 200)) as (url, calls):
        for what, _ in answers:
            predictor = load(f"{url}?tokenizer={digits}")
            predictor._network._settings = predictor._network._settings.model_copy(
                update={"retries": 0}
            )
            try:
                (judgement,) = predictor.judge([Passage(Role.STUDENT, "", "so 42 is ", True)])
            except PredictorError:
                refused += 1
            else:
                assert 0 <= judgement.settled <= 9, what
    assert len(calls) == len(answers)
    assert refused > 200


def test_rows_of_other_texts(digits):
    rows = {"data": [{"index": 0, "data": [[0.25, 0.75]] * 4}] * 2}
    passages = [Passage(Role.STUDENT, "", text, True) for text in ("so 42 is ", "so 43 is ")]
    with (
        pooling(lambda *_: (rows, 200)) as (url, _),
        pytest.raises(PredictorError, match="indices"),
    ):
        load(f"{url}?tokenizer={digits}").judge(passages)


@pytest.fixture
def quick(monkeypatch):
    """Retries without waiting."""
    monkeypatch.setattr(client_module, "_LONGEST_WAIT_S", 0.01)


def test_a_server_that_is_gone_stops_the_run(digits, right, quick):
    with pooling(right) as (url, _):
        predictor = load(f"{url}?tokenizer={digits}")
        predictor.judge(PASSAGES[:1])
    with pytest.raises(Outage, match="can't be used") as error:
        predictor.judge(PASSAGES[1:])
    assert "resumes the run" in error.value.hint


@pytest.mark.parametrize("status", [401, 403, 404, 302])
def test_a_server_that_takes_no_requests_stops_the_run(digits, status, quick):
    refusing = pooling(lambda *_: ({}, status))
    with refusing as (url, _), pytest.raises(Outage, match=str(status)) as stopped:
        load(f"{url}?tokenizer={digits}").judge(PASSAGES[:1])
    assert ("api_key_env=" in stopped.value.hint) == (status in (401, 403))


def test_a_server_that_fails_and_is_there_fails_the_sample(digits, quick):
    with pooling(lambda *_: ({}, 500)) as (url, _), pytest.raises(PredictorError, match="500"):
        load(f"{url}?tokenizer={digits}").judge(PASSAGES[:1])


def test_a_server_that_serves_no_classifier(digits):
    refused = {"error": {"message": "task token_classify is not supported"}}, 400
    with pooling(lambda *_: refused) as (url, _), pytest.raises(PredictorError, match="supported"):
        load(f"{url}?tokenizer={digits}").judge(PASSAGES[:1])


@pytest.mark.parametrize(
    ("url", "error", "said"),
    [
        ("http://h:1", ConfigError, "which tokenizer"),
        ("http://?tokenizer=x", ConfigError, "is no predictor"),
        ("http://h:1?tokenizer=x&shift=2", ConfigError, "is no predictor"),
        ("http://h:1?tokenizer=x&colour=red", ConfigError, "colour is no option"),
        ("http://h:1?tokenizer=/nowhere", ConfigError, "there is no /nowhere/tokenizer.json"),
        ("http://h:1?tokenizer={tokenizer}&api_key_env=NOT_SET", ConfigError, "NOT_SET"),
    ],
)
def test_addresses_that_cannot_be_used(tmp_path, url, error, said):
    tokenizer = build_tokenizer(tmp_path / "tokenizer")
    with pytest.raises(error, match=said):
        load(url.format(tokenizer=tokenizer))


def test_which_label_is_style_is_read_beside_the_tokenizer(tmp_path, right):
    folder = make(tmp_path / "model", labels=("style", "capability"), style=0)

    def flipped(call, number):
        body, status = right(call, number)
        for row in body["data"]:
            row["data"] = [pair[::-1] for pair in row["data"]]
        return body, status

    with pooling(flipped) as (url, _):
        assert load(f"{url}?tokenizer={folder}").judge([PASSAGES[0]])[0].boundary == 3
    assert "id2label" in json.loads((folder / "config.json").read_text())
