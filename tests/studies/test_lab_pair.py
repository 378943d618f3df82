"""The models that ship: made by today's code, the same in both engines, and fit for the study."""

from __future__ import annotations

import asyncio
import hashlib
import json

import aiohttp
import pytest

from commands import run
from studies.lab.encode import Encoder
from studies.lab.families import FAMILIES, OTHERS, TARGET
from studies.lab.members import Member
from studies.lab.questions import Split, questions
from studies.lab.settings import CONTEXT_TOKENS, settings_for
from studies.lab.train import LOG_FILE, TRAINING_FILE
from studies.lab.vocabulary import TOKENIZER_FILES
from tessy import lab
from tessy.models import local

pytest.importorskip("reasoning_gym", reason="it needs a C compiler to install")

pytestmark = pytest.mark.xdist_group("lab")  # whose pair is measured once
LONGEST = 400


def rows(*, target, other):
    counts = {name: target if name == TARGET else other for name in FAMILIES}
    return [
        row
        for name, count in counts.items()
        for row in questions(FAMILIES[name], Split.TEST, count, 7)
    ]


@pytest.fixture(scope="module")
def right(tmp_path_factory):
    """The share of right answers by model and family, greedily, as `tessy eval` measures it."""
    folder = tmp_path_factory.mktemp("right")
    path = folder / "q.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows(target=30, other=12)))
    found = {}
    for member in Member:
        done = run(
            *("eval", path, "--model", f"lab:{member}", "--out", folder / member),
            *("--group", "family", "--temperature", "0", "--quiet"),
        )
        assert done.code == 0, done.err
        groups = json.loads((folder / member / "evaluation.json").read_text("utf-8"))["groups"]
        found[member] = {name: groups[name]["pass_at"]["1"]["value"] for name in FAMILIES}
    return found


def test_the_teachers_are_strong_at_the_target_and_the_student_is_not(right):
    assert right[Member.TEACHER][TARGET] >= 0.9
    assert right[Member.RELATIVE][TARGET] >= 0.9
    assert 0.2 <= right[Member.STUDENT][TARGET] <= 0.5


@pytest.mark.parametrize("family", OTHERS)
def test_the_student_is_good_at_the_other_families(right, family):
    assert right[Member.STUDENT][family] >= 0.8


async def written(member, encoder, asked):
    """What llama.cpp writes for each question, greedily: ids."""
    async with (
        local.serve(
            lab.folder(member) / "model.gguf", slots=4, context_tokens=CONTEXT_TOKENS
        ) as url,
        aiohttp.ClientSession() as session,
    ):

        async def ask(row):
            body = {"prompt": encoder.prompt(row["prompt"]), "n_predict": LONGEST}
            body |= {"temperature": 0, "return_tokens": True}
            async with session.post(url.removesuffix("/v1") + "/completion", json=body) as response:
                return (await response.json())["tokens"]

        return await asyncio.gather(*map(ask, asked))


@pytest.mark.parametrize("member", Member)
async def test_both_engines_write_the_same(member):
    """The float16 file by llama.cpp, and the float16 weights by transformers, greedily."""
    import torch
    from transformers import LlamaForCausalLM

    folder, asked = lab.folder(member), rows(target=2, other=1)
    encoder = Encoder(folder, member.role)
    model = LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32)
    same = []
    for row, ours in zip(asked, await written(member, encoder, asked), strict=True):
        prompt = torch.tensor([encoder.prompt(row["prompt"])])
        with torch.no_grad():
            out = model.generate(
                prompt,
                attention_mask=torch.ones_like(prompt),
                do_sample=False,
                max_new_tokens=len(ours),
            )
        theirs = out[0, prompt.shape[1] :].tolist()
        same.append(theirs[: len(ours)] == ours[: len(theirs)])
    assert sum(same) >= len(same) - 1  # a tie may turn: attention's sums are rounded differently


@pytest.mark.parametrize("member", Member)
def test_what_ships_was_made_with_the_settings_of_today(member):
    """With today's vocabulary, too: test_lab_training.py makes it again."""
    folder = lab.folder(member)
    kept = json.loads((folder / TRAINING_FILE).read_text("utf-8"))
    first = kept.pop("begun_with", None)
    assert kept == {"model": member.value, "settings": settings_for(member).model_dump()}
    if member is Member.RELATIVE:
        teacher = lab.folder("teacher")
        assert first == hashlib.sha256((teacher / "model.safetensors").read_bytes()).hexdigest()
        for name in TOKENIZER_FILES:
            assert (teacher / name).read_bytes() == (folder / name).read_bytes(), name
    else:
        assert first is None
    log = [json.loads(line) for line in (folder / LOG_FILE).read_text("utf-8").splitlines()]
    assert log[-1]["step"] == settings_for(member).steps


def test_the_package_has_these_members():
    assert tuple(Member) == lab.MEMBERS
