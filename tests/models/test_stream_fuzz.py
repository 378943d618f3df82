"""Any bytes, cut anywhere: the reader of streams finds the same events, or raises BadResponse.

A longer run: `TESSY_FUZZ_EXAMPLES=200000 pytest tests/models/test_stream_fuzz.py`.
"""

from __future__ import annotations

import os
from itertools import pairwise

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from tessy.config import Sampling, Timeouts
from tessy.errors import BadResponse, ModelError, NotAStream
from tessy.models.stream import EventStream
from tessy.models.wire import Bounds, Request, StreamParser

EXAMPLES = int(os.environ.get("TESSY_FUZZ_EXAMPLES", "200"))
BOUNDS = Bounds.of(Request("x", 64, Sampling(), seed=0), 100)
SMALL = Bounds(asked=1, tokens=3, characters=9, lines=8, whole_bytes=120, stream_bytes=400)

values = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 2**40) | st.floats() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["text", "token_ids", "finish_reason", "a"]), inner)
    ),
    max_leaves=6,
)
choices = st.fixed_dictionaries(
    {},
    optional={
        "text": st.text(max_size=5) | values,
        "finish_reason": st.sampled_from([None, "stop", "length", "abort"]) | values,
        "token_ids": st.lists(st.integers(0, 9), max_size=3) | values,
    },
)
told = st.fixed_dictionaries(
    {"choices": st.lists(choices, min_size=1, max_size=2) | values},
    optional={"usage": values, "error": values, "__verbose": values},
)
good = st.builds(
    lambda text, ids, finish: {
        "choices": [{"text": text, "token_ids": ids, "finish_reason": finish}]
    },
    st.text(max_size=5),
    st.lists(st.integers(0, 9), max_size=2),
    st.sampled_from([None, None, "stop"]),
)
bodies = (good | told | values).map(
    lambda value: orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS)
)
ends = st.sampled_from([b"\n", b"\n\n", b"\r\n\r\n", b"\n\n\n", b"\r\n", b"\r", b""])
lines = st.builds(lambda body, end: b"data: " + body + end, bodies, ends)
noise = st.sampled_from(
    [b": ping\n\n", b"event: x\n", b"id: 7\n", b"retry: 5\n", b"data: [DONE]\n\n", b"data:\n", b"{",
     b"\n", b"\r\n", b" ", b"\xef\xbb\xbf", b"\xff", b"<html>\n", b"data", b"0\r\n"]
) | st.binary(max_size=6)  # fmt: skip
streams = st.lists(lines | lines | noise | bodies, max_size=8).map(b"".join)
cuts = st.lists(st.integers(0, 400), max_size=6)


def parts(body: bytes, at: list[int]) -> list[bytes]:
    """A body, cut at some places."""
    edges = [0, *sorted(min(cut, len(body)) for cut in at), len(body)]
    return [body[a:b] for a, b in pairwise(edges) if b > a]


def read(fed: list[bytes], bounds: Bounds = BOUNDS) -> tuple[object, ...]:
    """The events and the end of a stream; or the kind of error it ends with."""
    parser, found = StreamParser(bounds), []
    try:
        for data in fed:
            found += parser.feed(data)
        return found, parser.check_end(), parser.usage, parser.rest
    except (BadResponse, NotAStream) as error:
        return (type(error),)


@settings(max_examples=EXAMPLES)
@given(streams, cuts)
def test_a_stream_is_the_same_however_it_is_cut(body, at):
    whole = read([body]) if body else read([])
    assert str(read(parts(body, at))) == str(whole)  # NaN is not equal to itself
    assert str(read([bytes([byte]) for byte in body])) == str(whole)


@settings(max_examples=EXAMPLES)
@given(streams, cuts)
def test_bounds_are_kept_whatever_comes(body, at):
    found = read(parts(body, at), SMALL)
    if isinstance(found[0], list):
        assert sum(1 for _ in body.split(b"\n")) - 1 <= SMALL.lines


@settings(max_examples=EXAMPLES)
@given(streams, cuts)
async def test_a_call_ends_with_a_completion_or_an_error_of_its_own(body, at):
    stream = EventStream("http://x/v1", BOUNDS, Timeouts())
    try:
        stream.data_received(b"HTTP/1.1 200 OK\r\n\r\n")
        for part in parts(body, at):
            stream.data_received(part)
        stream.connection_lost(None)
        async for event in stream:
            assert isinstance(event.text, str)
        found = stream.completion()
    except ModelError:
        return
    finally:
        stream.detach()
    assert found.finish in ("stop", "length", "content_filter")
    assert all(type(each) is int and each >= 0 for each in found.ids or ())
    found.text.encode()


@settings(max_examples=EXAMPLES)
@given(st.binary(max_size=300), cuts)
async def test_bytes_that_are_no_http(body, at):
    stream = EventStream("http://x/v1", BOUNDS, Timeouts())
    try:
        for part in parts(body, at):
            stream.data_received(part)
        stream.connection_lost(None)
        await stream.head()
        async for _ in stream:
            pass
        stream.completion()
    except ModelError:
        pass
    finally:
        stream.detach()
