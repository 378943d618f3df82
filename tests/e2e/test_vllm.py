"""The real vLLM, with tiny models of random weights: `make test-vllm`, not part of `make test`."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
import subprocess
import time
import urllib.request
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from commands import tessy
from engine_checks import asked, check_events, check_modes, check_streams, greedy, read_some
from scoring_server import logprobs
from scripted import write_questions
from tessy.config import ModelSettings
from tessy.models.client import Client
from tessy.models.logprobs import LogprobsField, logprobs_field, prompt_logprobs
from tessy.models.probe import probe
from tessy.models.tokenizers import LocalTokenizer, PromptPiece
from tiny_models import write_models

PYTHON = os.environ.get("TESSY_VLLM_PYTHON", "")
pytestmark = [
    pytest.mark.vllm,
    pytest.mark.skipif(not PYTHON, reason="make test-vllm installs vLLM and runs these"),
]
BLOCK = 32
START_S = 300


@contextmanager
def served(folder: Path):
    """A vLLM server of a model; yields its URL."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = (folder / "log.txt").open("w")
    command = [PYTHON, "-m", "vllm.entrypoints.openai.api_server", "--model", str(folder)]
    command += ["--served-model-name", folder.name]
    command += ["--host", "127.0.0.1", "--port", str(port), "--enforce-eager"]
    command += ["--dtype", "float32", "--max-model-len", "4096", "--block-size", str(BLOCK)]
    command += ["--enable-prompt-tokens-details"]
    environment = {**os.environ, "VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_NO_USAGE_STATS": "1"}
    environment.pop("PYTHONPATH", None)
    process = subprocess.Popen(
        command, stdout=log, stderr=log, env=environment, start_new_session=True
    )
    try:
        url = f"http://127.0.0.1:{port}"
        wait_for(f"{url}/health", process, folder / "log.txt")
        yield f"{url}/v1"
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(60)
        log.close()


def wait_for(url: str, process: subprocess.Popen, log: Path) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except OSError:
            assert process.poll() is None, log.read_text()[-3000:]
            time.sleep(0.5)
    raise AssertionError(f"vLLM did not start: {log.read_text()[-3000:]}")


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    return write_models(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def urls(models):
    with served(models["student"]) as student, served(models["teacher"]) as teacher:
        yield {"student": student, "teacher": teacher}


def counts(url: str) -> dict[str, float]:
    """The server's own counts: prompt tokens looked up in the prefix cache, and found there."""
    with urllib.request.urlopen(url.removesuffix("/v1") + "/metrics") as answer:
        text = answer.read().decode()
    found = {}
    for name in (
        "prefix_cache_queries_total",
        "prefix_cache_hits_total",
        "generation_tokens_total",
    ):
        (value,) = re.findall(rf"^vllm:{name}{{.*}} (\S+)$", text, re.MULTILINE)
        found[name] = float(value)
    return found


@pytest.mark.parametrize("role", ["student", "teacher"])
async def test_streams_of_ids_that_are_left(urls, models, role):
    settings = ModelSettings(model="http://x/v1", retries=2, event_tokens=6)
    codec = LocalTokenizer(models[role])
    prompt = await codec.encode(PromptPiece("One, two, three, four,"))
    with closing(Client(urls[role], "", settings)) as client:
        await check_streams(client, prompt)
        assert client.capabilities.intervals, "it lets a call say how many tokens an event has"
        await check_events(client, prompt)


async def test_a_stream_that_is_left_generates_no_more(urls, models):
    codec = LocalTokenizer(models["student"])
    prompt = await codec.encode(PromptPiece("One, two, three, four,"))
    settings = ModelSettings(model="http://x/v1", retries=2)
    with closing(Client(urls["student"], "", settings)) as client:
        await probe(client)
        before = counts(urls["student"])["generation_tokens_total"]
        await read_some(client, asked(prompt, 3000), 1)
        await asyncio.sleep(3)  # for a server that goes on, time to be seen doing so
        after = counts(urls["student"])["generation_tokens_total"]
    assert after - before < 1500, "half of what was asked for"


@pytest.mark.parametrize("field", LogprobsField)
async def test_it_says_how_probable_a_prompt_is_as_transformers_does(urls, models, field):
    import torch
    from transformers import AutoModelForCausalLM

    codec = LocalTokenizer(models["student"])
    ids = await codec.encode(PromptPiece("One, two, three, four, so " * 30))
    settings = ModelSettings(model="http://x/v1", retries=2)
    with closing(Client(urls["student"], "", settings)) as client:
        await probe(client)
        assert await logprobs_field(client) is LogprobsField.PROMPT_LOGPROBS
        found = await prompt_logprobs(client, ids, field)
    model = AutoModelForCausalLM.from_pretrained(models["student"], dtype=torch.float32).eval()
    expected = logprobs(model, ids)
    assert found[0] is expected[0] is None
    assert found[1:] == pytest.approx(expected[1:], rel=1e-3, abs=1e-3)


def options(urls, models, tmp_path: Path, thinking: int) -> list[str]:
    found = greedy(tmp_path, thinking)
    for role, url in urls.items():
        found += [f"--{role}", url, f"--{role}-tokenizer", str(models[role])]
    return found


async def test_streams_and_chunks_make_the_same_text(tmp_path, urls, models):
    questions = write_questions(tmp_path / "q.jsonl", 4)
    await check_modes(tmp_path, questions, options(urls, models, tmp_path, 150))


async def test_a_trajectory_hits_the_prefix_cache(tmp_path, urls, models):
    """At least nine of ten prompt tokens, as far as whole blocks allow it."""
    questions = write_questions(tmp_path / "q.jsonl", 1)
    before = {role: counts(url) for role, url in urls.items()}
    done = await tessy(
        *("synth", questions, "--out", tmp_path / "run", "--mode", "stream"),
        *options(urls, models, tmp_path, 1500),
    )
    assert done.code in (0, 1), done.err
    for role, url in urls.items():
        after = counts(url)
        asked, hit = (
            after[name] - before[role][name]
            for name in ("prefix_cache_queries_total", "prefix_cache_hits_total")
        )
        print(f"{role}: {hit:,.0f} of {asked:,.0f} prompt tokens were cached: {hit / asked:.1%}")
        assert hit > 0.9 * asked
