"""The real llama.cpp: two real models of different families, and two tiny ones of our own.

That streams and chunks make the same text is checked with the tiny ones in float32. With four bits
it is not always so: a prompt is computed in batches and generated text token by token, with other
rounding, and near a tie that is enough for another word (docs/log.md).
"""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from commands import tessy
from engine_checks import asked, check_modes, check_streams, greedy
from scripted import lines, write_questions
from tessy import lab
from tessy.config import ModelSettings
from tessy.models import local
from tessy.models.client import Client
from tessy.models.replicas import Replicas
from tessy.models.tokenizers import PromptPiece, ServerTokenizer
from tiny_models import write_gguf, write_models

ROOT = Path(__file__).parent.parent.parent
MODELS = Path.home() / ".cache" / "tessy" / "models"


@pytest.fixture(scope="module")
def _fetched():
    subprocess.run([sys.executable, ROOT / "examples" / "fetch_models.py"], check=True)


@pytest.mark.models
@pytest.mark.usefixtures("_fetched")
@pytest.mark.parametrize("name", ["SmolLM2-135M-Instruct.Q4_1.gguf", "gemma-3-270m-q4_k_m.gguf"])
async def test_a_server_of_a_real_model_can_do_all_that_we_use(name):
    settings = ModelSettings(model="http://x/v1", retries=2)
    async with local.serve(MODELS / name, slots=2, context_tokens=1024) as url:
        client = Client(url, "", settings)
        codec = ServerTokenizer(Replicas([client]))
        text = "Wait, 2 + 2 = 4.\n\n  So é 🤔 完成了 <|im_end|> </think>"
        ids = await codec.encode(PromptPiece(text))
        assert "".join(token.text for token in await codec.tokens(ids)).strip() == text
        prompt = await codec.encode(PromptPiece("One, two, three, four,"), begin=True)
        await check_streams(client, prompt)
        first = await client.complete(asked(prompt, 24))
        assert "".join(token.text for token in await codec.tokens(first.ids)) == first.text
        again = await client.complete(asked([*prompt, *first.ids], 1))
        assert again.cached_tokens >= len(prompt) + len(first.ids) - 2


@pytest.mark.models
@pytest.mark.usefixtures("_fetched")
def test_the_demo_with_real_models(tmp_path):
    """`make demo-llm`: the very script, with the settings that ship, and a short question."""
    one = tmp_path / "one.jsonl"
    one.write_text('{"id": "000001", "prompt": "How can I add 17 and 25 in my head?"}\n')
    command = [sys.executable, "examples/demo_llm.py", tmp_path / "run", one]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if failed := lines(tmp_path / "run" / "failures.jsonl"):  # with the rounding of another CPU
        assert failed[0]["reason"] in ("answer_limit", "empty_answer", "repetition", "marker")
        assert done.returncode == 1
        return
    assert done.returncode == 0, done.stdout + done.stderr
    assert "⟨teacher⟩" in done.stdout
    assert "num_rows: 1" in done.stdout
    (record,) = lines(tmp_path / "run" / "dataset.jsonl")
    content = record["messages"][-1]["content"]
    assert content.startswith("<think>\n")
    assert content.count("</think>") == 1
    assert record["spans"][-1]["end"] == len(content)
    assert record["models"]["teacher"] == "gemma-3-270m-q4_k_m"
    assert record["stats"]["thinking_tokens"] <= 120
    assert record["stats"]["teacher_tokens"] > 0


async def test_streams_and_chunks_make_the_same_text(tmp_path):
    models = write_models(tmp_path / "models")
    options = greedy(tmp_path, 150)
    for role, folder in models.items():
        path = write_gguf(folder)
        options += [f"--{role}", f"gguf:{path}", f"--{role}-tokenizer", str(folder)]
    await check_modes(tmp_path, write_questions(tmp_path / "q.jsonl", 4), options)


async def test_a_server_that_cannot_start_says_why(tmp_path):
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"GGUF" + bytes(100))
    questions = write_questions(tmp_path / "q.jsonl", 1)
    models = ["--student", f"gguf:{broken}", "--student-format", "plain"]
    models += ["--teacher", "lab:teacher"]
    done = await tessy("synth", questions, "--out", tmp_path / "run", *models)
    assert done.code == 1
    assert "no server for" in done.err
    assert "Traceback" not in done.err.split("error:")[0]


async def test_no_call_waits_for_idle_connections():
    """Each holds a thread of llama.cpp's until the server closes it, five seconds later."""
    body = json.dumps({"prompt": [5, 6, 7], "n_predict": 2}).encode()
    head = f"POST /completion HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"

    async def ask(where):
        reader, writer = await asyncio.open_connection(where.hostname, where.port)
        writer.write(head.encode() + body)
        answered = await reader.readuntil(b"\r\n\r\n")
        (length,) = re.findall(rb"content-length: (\d+)", answered.lower())
        await reader.readexactly(int(length))
        return reader, writer

    model = lab.folder("student") / "model.gguf"
    for _ in range(5):  # whether too few threads show is a race
        async with local.serve(model, slots=4, context_tokens=256, connections=40) as url:
            idle = await asyncio.gather(*(ask(urlsplit(url)) for _ in range(40)))
            closed = sum(reader.at_eof() for reader, _ in idle)
            for _, writer in idle:
                writer.close()
        assert not closed, "the last calls waited until the first connections were closed"
