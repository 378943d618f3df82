"""Runs whose client, predictor or cache can't follow: which is named, and the same data."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack

import pytest

import tessy
from scripted import lines, write_questions
from tessy.synthesis import cooperation, watch
from tessy.synthesis.pressure import Bound, Pressure
from tessy.testing import CooperativeScript, Latency, ScriptedServer
from tessy.testing.engine import EngineTimes
from tessy.testing.predictors import DigitPredictor

AT_ONCE = 8


class SlowPredictor(DigitPredictor):
    """Takes its time for each passage."""

    def __init__(self, *, batched: bool) -> None:
        super().__init__()
        self.batched = batched

    def judge(self, passages):
        time.sleep(0.002 * len(passages))
        return super().judge(passages)


def slow_on_the_loop():
    return SlowPredictor(batched=False)


def slow_in_its_thread():
    return SlowPredictor(batched=True)


@pytest.fixture
def decisions(monkeypatch):
    """What was decided, window by window, in windows that are short."""
    made: list[tuple[Bound | None, int]] = []

    class Watched(Pressure):
        def take(self, window):
            super().take(window)
            made.append((self.bound, self.limit))

    monkeypatch.setattr(watch, "Pressure", Watched)
    monkeypatch.setattr(watch, "WINDOW_S", 0.1)
    monkeypatch.setattr(watch, "_FEW_TOKENS", 2000)
    monkeypatch.setattr(cooperation, "_LONG", 500)
    monkeypatch.setattr(cooperation, "_LOOK_AT_CACHE", 4)
    return made


@pytest.fixture
def in_time(monkeypatch):
    """The event loop is never late, as it would be on a busy machine."""

    async def never():
        await asyncio.sleep(watch.WINDOW_S)
        return 0.0

    monkeypatch.setattr(watch, "_lateness", never)


async def written(folder, tokenizers, *, words=120, predictor="digits", **server):
    """The records of a run with two scripted servers."""
    source = write_questions(folder / "q.jsonl", AT_ONCE)
    settings = {}
    async with AsyncExitStack() as stack:
        for seed, role in enumerate(("student", "teacher")):
            script = CooperativeScript(role, seed=seed, thinking_words=words)
            made = ScriptedServer(script, tokenizer=tokenizers[role], **server)
            settings[f"{role}__model"] = (await stack.enter_async_context(made)).url
            settings[f"{role}__tokenizer"] = str(tokenizers[role])
        result = await tessy.asynthesize(
            source, out=folder / "run", concurrency=AT_ONCE, predictor=predictor, **settings
        )
    assert result.finished == AT_ONCE, result.failed
    return [(row["messages"], row["spans"]) for row in lines(folder / "run" / "dataset.jsonl")]


QUICK = "python:tessy.testing.predictors:digits"


@pytest.mark.parametrize(
    ("factory", "bound"),
    [("slow_on_the_loop", Bound.CLIENT), ("slow_in_its_thread", Bound.PREDICTOR)],
)
async def test_fewer_run_only_while_the_client_is_late(
    tmp_path, tokenizers, decisions, factory, bound, request
):
    if bound is Bound.PREDICTOR:
        request.getfixturevalue("in_time")
    (tmp_path / "same").mkdir()
    slow = await written(
        tmp_path,
        tokenizers,
        predictor=f"python:test_synth_pressure:{factory}",
        latency=Latency(0.002, 0.001),
    )
    assert bound in {found for found, _ in decisions}
    least = min(limit for _, limit in decisions)
    assert least < AT_ONCE if bound is Bound.CLIENT else least == AT_ONCE
    assert slow == await written(tmp_path / "same", tokenizers, predictor=QUICK)


@pytest.mark.usefixtures("in_time")
async def test_fewer_run_while_a_cache_holds_too_little(tmp_path, tokenizers, decisions):
    times = EngineTimes(
        decode_s=0.001,
        prefill_s=0.001,
        core_step_s=0.0,
        core_request_s=0.0,
        api_request_s=0.0,
        prefill_token_s=1e-5,
        cache_tokens=4112,
    )
    (tmp_path / "same").mkdir()
    small = await written(
        tmp_path, tokenizers, words=200, predictor=QUICK, engine=times, context_length=4096
    )
    assert Bound.CACHE in {found for found, _ in decisions}
    assert min(limit for _, limit in decisions) < AT_ONCE
    assert small == await written(tmp_path / "same", tokenizers, words=200, predictor=QUICK)
