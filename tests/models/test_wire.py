import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tessy.config import Sampling
from tessy.errors import BadResponse
from tessy.models.wire import (
    Bounds,
    Capabilities,
    EncodedPrompt,
    Request,
    StreamParser,
    body,
    parse,
)

ASK = Request(
    [1, 2], 5, Sampling(top_k=0, min_p=0.1), seed=2**40 + 3, stop=("a", "b"), stop_token_ids=(9,),
    return_ids=True,
)  # fmt: skip
BOUNDS = Bounds.of(ASK, 0)
FULL = Capabilities("m", extensions=True, id_prompts=True, return_ids={"return_token_ids": True})


def test_a_strict_server_gets_only_what_openai_has():
    sent = orjson.loads(body(ASK, Capabilities("m"), stream=False))
    allowed = {"model", "prompt", "max_tokens", "temperature", "top_p", "seed", "stop"}
    assert set(sent) == allowed
    assert 0 <= sent["seed"] < 2**31


def test_extensions():
    sent = orjson.loads(body(ASK, FULL, stream=True))
    assert sent["top_k"] == -1
    assert sent["min_p"] == 0.1
    assert sent["stop_token_ids"] == [9]
    assert sent["return_token_ids"] is True
    assert sent["stream_options"] == {"include_usage": True}
    assert "add_special_tokens" not in sent


def test_text_prompts_say_whether_a_begin_marker_is_wanted():
    request = Request("x", 5, Sampling(), 0, add_special_tokens=False, show_special=True)
    sent = orjson.loads(body(request, FULL, stream=False))
    assert sent["add_special_tokens"] is False
    assert sent["skip_special_tokens"] is False


@pytest.mark.parametrize(
    "raw",
    [b"", b"{", b"\xff\xfe", b"[]", b"{}", b'{"choices": []}', b'{"choices": [{"text": null}]}',
     b'{"choices": [{"text": 3}]}', b'{"choices": 3}'],
)  # fmt: skip
def test_bodies_that_are_not_completions(raw):
    with pytest.raises(BadResponse):
        parse(raw, BOUNDS)


def test_ids_of_vllm_and_of_llama_cpp():
    vllm = {"choices": [{"text": "a", "finish_reason": "length", "token_ids": [5, 6]}]}
    llama = {"choices": [{"text": "a", "finish_reason": "stop"}], "__verbose": {"tokens": [7]}}
    assert parse(orjson.dumps(vllm), BOUNDS).ids == (5, 6)
    assert parse(orjson.dumps(llama), BOUNDS).ids == (7,)
    without = {"choices": [{"text": "a", "finish_reason": "stop"}]}
    assert parse(orjson.dumps(without), BOUNDS).ids is None


def events(*choices, usage=None):
    lines = [b"data: " + orjson.dumps({"choices": [c]}) for c in choices]
    if usage:
        lines.append(b"data: " + orjson.dumps({"choices": [], "usage": usage}))
    return [*lines, b": ping", b"", b"data: [DONE]"]


def feed(lines):
    parser = StreamParser(BOUNDS)
    found = [event for line in lines for event in parser.feed(line + b"\n")]
    parser.check_end()
    return found, parser


def test_a_stream_is_parsed():
    usage = {"completion_tokens": 3, "prompt_tokens": 8}
    found, parser = feed(
        events(
            {"text": "a", "token_ids": [1]},
            {"text": "", "token_ids": [2]},
            {"text": "bc", "token_ids": [3]},
            {"text": "", "token_ids": [4], "finish_reason": "stop"},
            usage=usage,
        )
    )
    assert found == [("a", (1,)), ("bc", (2, 3))]
    assert (parser.rest, parser.finish, parser.usage) == ([4], "stop", usage)


STREAM = b"\n\n".join(
    events(
        *({"text": f" w{n} é🤔", "token_ids": [n, n + 1]} for n in range(6)),
        {"text": "", "finish_reason": "length"},
        usage={"completion_tokens": 12, "prompt_tokens": 3},
    )
)


@given(st.lists(st.integers(0, len(STREAM)), max_size=12))
def test_a_stream_may_arrive_cut_anywhere(cuts):
    parser = StreamParser(BOUNDS)
    found, at = [], 0
    for cut in [*sorted(cuts), len(STREAM)]:
        found += parser.feed(STREAM[at:cut])
        at = cut
    assert found == [(f" w{n} é🤔", (n, n + 1)) for n in range(6)]
    assert parser.finish == "length"


def test_a_prompt_that_is_json_already_makes_the_same_body():
    encoded = EncodedPrompt((bytearray(b"[1"), b",", b"2]"), 2)
    for server in (Capabilities("m"), FULL):
        plain = body(ASK, server, stream=True)
        assert body(ASK._replace(prompt=encoded), server, stream=True) == plain
    text = ASK._replace(prompt=EncodedPrompt((b'"a', b'b"')))
    assert orjson.loads(body(text, FULL, stream=False))["add_special_tokens"] is True


def test_an_event_without_ids_has_none():
    found, _ = feed(events({"text": "a", "token_ids": [1]}, {"text": "b", "finish_reason": "stop"}))
    assert found == [("a", (1,)), ("b", None)]


@pytest.mark.parametrize(
    "lines",
    [
        [b'data: {"choices": [{"text": "a"}]}'],  # breaks off
        [b"data: {"],
        [b"<html>"],
        [b'data: {"error": {"message": "no"}}'],
        [b'data: {"choices": [{"text": 5}]}'],
        [b'data: {"choices": [3]}'],
    ],
)
def test_a_broken_stream(lines):
    with pytest.raises(BadResponse):
        feed(lines)


@pytest.mark.parametrize(("return_ids", "sent"), [(True, 4), (False, None)])
def test_an_event_has_several_tokens_only_where_ids_count_them(return_ids, sent):
    server = Capabilities("m", extensions=True, intervals=True, id_prompts=True)
    request = Request(
        [1], 8, Sampling(temperature=0), seed=0, event_tokens=4, return_ids=return_ids
    )
    fields = orjson.loads(body(request, server, stream=True))
    assert fields.get("stream_interval") == sent
