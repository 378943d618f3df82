"""What every real engine has to do for us: the same checks for llama.cpp and for vLLM."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

from commands import tessy
from scripted import lines
from tessy.config import Sampling
from tessy.models.client import Client
from tessy.models.probe import probe, stops_early
from tessy.models.wire import Completion, EncodedPrompt, Request

GREEDY = Sampling(temperature=0, top_p=1, top_k=0)


def asked(ids: list[int], tokens: int) -> Request:
    encoded = EncodedPrompt((str(ids).encode(),), len(ids))
    return Request(encoded, max_tokens=tokens, sampling=GREEDY, seed=0, return_ids=True)


async def read_some(client: Client, request: Request, wanted: int) -> Completion:
    """A stream that is left after some events."""
    async with client.stream(request) as events:
        count = 0
        async for _ in events:
            count += 1
            if count == wanted:
                break
    return events.completion()


async def check_streams(client: Client, ids: list[int]) -> None:
    """Ids, the same text streamed and whole, and a stream that is left and gone on from."""
    server = await probe(client)
    assert server.id_prompts
    assert server.return_ids
    assert server.streams
    whole = await client.complete(asked(ids, 24))
    streamed = await client.complete(asked(ids, 24), stream=True)
    assert (streamed.text, streamed.ids) == (whole.text, whole.ids)
    left = await read_some(client, asked(ids, 24), 5)
    assert left.ids is not None
    assert whole.ids is not None
    assert left.ids == whole.ids[: len(left.ids)]
    assert whole.text.startswith(left.text)
    rest = await client.complete(asked([*ids, *left.ids], 24 - len(left.ids)))
    assert left.text + rest.text == whole.text
    assert await stops_early(client) is True, "it goes on when it is left"


async def check_events(client: Client, ids: list[int]) -> Completion:
    """Several tokens an event bring the same text."""
    request = asked(ids, 24)
    several = Request(request.prompt, 24, GREEDY, seed=0, return_ids=True, event_tokens=6)
    one = await client.complete(request, stream=True)
    more = await client.complete(several, stream=True)
    assert (one.text, one.ids) == (more.text, more.ids)
    return more


async def check_modes(tmp_path: Path, questions: Path, options: list[str]) -> None:
    """Streams and chunks make the same text, with the same authors."""
    found = {}
    for mode in ("stream", "chunks"):
        out = tmp_path / mode
        done = await tessy(
            *("synth", questions, "--out", out, *options, "--mode", mode, "--concurrency", "1")
        )
        assert done.code in (0, 1), done.err
        found[mode] = {}
        for record in lines(out / "dataset.jsonl"):
            found[mode][record["id"]] = record["messages"][-1]["content"], record["spans"]
        for record in lines(out / "failures.jsonl"):
            assert record["reason"] in ("answer_limit", "repetition", "thinking_limit"), record
            found[mode][record["id"]] = record["content"], record["spans"]
    assert found["stream"].keys() == found["chunks"].keys()
    for sample, (text, spans) in found["stream"].items():
        other, other_spans = found["chunks"][sample]
        # A limit of tokens falls at another place in another mode.
        length = min(thinking(text), thinking(other))
        assert length > 60, f"{sample}: {text!r}"
        assert text[:length] == other[:length]
        assert authors(spans, length) == authors(other_spans, length)


def thinking(text: str) -> int:
    """Characters of a content that are thinking for certain."""
    end = text.find("\n</think>")
    return len(text if end < 0 else text[:end])


def authors(spans: list[dict], length: int) -> list[tuple[str, int, int]]:
    """Who wrote the first characters; neighbours with one author are one."""
    cut = [(s["role"], s["start"], min(s["end"], length)) for s in spans if s["start"] < length]
    joined = cut[:1]
    for (before, _, _), (role, start, end) in pairwise(cut):
        if role == before:
            joined[-1] = (role, joined[-1][1], end)
        else:
            joined.append((role, start, end))
    return joined


def greedy(folder: Path, thinking: int) -> list[str]:
    """Options for short samples that are the same each time."""
    settings = folder / f"greedy{thinking}.toml"
    sampling = "temperature = 0.0\ntop_p = 1.0\ntop_k = 0\n"
    settings.write_text(
        'predictor = "python:tessy.testing.predictors:digits"\n'
        f"[student.sampling]\n{sampling}[teacher.sampling]\n{sampling}"
        f"[limits]\nthinking_tokens = {thinking}\nanswer_tokens = 8\n"
        'on_thinking_limit = "answer"\n'
    )
    return ["--config", str(settings)]
