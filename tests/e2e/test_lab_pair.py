"""The models that ship: they load, are the same in both engines, and are what the study needs."""

from __future__ import annotations

import asyncio
import hashlib
import json
import re

import aiohttp
import pytest

from e2e.conftest import lines, tessy
from tessy.errors import ConfigError
from tessy.lab.encode import Encoder
from tessy.lab.families import FAMILIES, TARGET
from tessy.lab.members import Member
from tessy.lab.questions import Split, questions
from tessy.lab.settings import settings_for
from tessy.lab.train import LOG_FILE, TRAINING_FILE
from tessy.lab.vocabulary import write_vocabulary
from tessy.lab.voices import voice
from tessy.method.trajectory import Role
from tessy.models import local, weights
from tessy.models.address import parse
from tessy.runs.folder import RunFolder
from tessy.runs.reader import Reader

pytest.importorskip("reasoning_gym", reason="it needs a C compiler to install")

COUNT = 40
LONGEST = 400


def rows(family, count=COUNT):
    return list(questions(FAMILIES[family], Split.TEST, count, 7))


async def answered(member, asked):
    """What a model writes for each question, greedily, by llama.cpp: ids."""
    folder = weights.lab_folder(member)
    encoder = Encoder(folder, member.role)
    async with (
        local.serve(weights.fetch(parse(f"lab:{member}")), slots=4, context_tokens=1024) as url,
        aiohttp.ClientSession() as session,
    ):

        async def ask(row):
            body = {"prompt": encoder.prompt(row["prompt"]), "n_predict": LONGEST}
            body |= {"temperature": 0, "return_tokens": True}
            async with session.post(url.removesuffix("/v1") + "/completion", json=body) as response:
                return (await response.json())["tokens"]

        return await asyncio.gather(*map(ask, asked))


@pytest.fixture(scope="module")
def written():
    """Ids that each model writes for a few dozen questions of each family."""
    asked = [row for family in FAMILIES for row in rows(family)]
    return asked, {member: asyncio.run(answered(member, asked)) for member in Member}


@pytest.fixture(scope="module")
def right(tmp_path_factory):
    """The share of right answers by model and family, as `tessy eval` measures it."""
    folder = tmp_path_factory.mktemp("right")
    asked = [row for family in FAMILIES for row in rows(family)]
    (folder / "q.jsonl").write_text("".join(json.dumps(row) + "\n" for row in asked))

    async def measure(member):
        done = await tessy(
            *("eval", folder / "q.jsonl", "--model", f"lab:{member}", "--out", folder / member),
            *("--group", "family", "--quiet"),
        )
        assert done.code == 0, done.err
        found = json.loads((folder / member / "evaluation.json").read_text("utf-8"))["groups"]
        return {family: found[family]["pass_at"]["1"]["value"] for family in FAMILIES}

    return {member: asyncio.run(measure(member)) for member in Member}


def test_the_teachers_are_strong_at_the_target_and_the_student_is_not(right):
    assert right[Member.TEACHER][TARGET] >= 0.9
    assert right[Member.RELATIVE][TARGET] >= 0.9
    assert 0.2 <= right[Member.STUDENT][TARGET] <= 0.5


@pytest.mark.parametrize("family", [name for name in FAMILIES if name != TARGET])
def test_the_student_is_good_at_the_other_families(right, family):
    assert right[Member.STUDENT][family] >= 0.85


@pytest.mark.parametrize("member", Member)
def test_both_engines_write_the_same(written, member):
    """The f16 file by llama.cpp, and the float16 weights by transformers, greedily."""
    import torch
    from transformers import LlamaForCausalLM

    folder = weights.lab_folder(member)
    encoder = Encoder(folder, member.role)
    model = LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32)
    asked, ids = written
    same = []
    for row, found in list(zip(asked, ids[member], strict=True))[::8]:
        prompt = torch.tensor([encoder.prompt(row["prompt"])])
        with torch.no_grad():
            out = model.generate(
                prompt,
                attention_mask=torch.ones_like(prompt),
                do_sample=False,
                max_new_tokens=len(found),
            )
        theirs = out[0, prompt.shape[1] :].tolist()
        same.append(theirs[: len(found)] == found[: len(theirs)])
    assert sum(same) >= len(same) - 1  # a tie may turn: attention's sums are rounded otherwise


@pytest.mark.parametrize("member", Member)
def test_what_ships_is_what_the_command_makes(member, tmp_path):
    """The settings are today's, and so are the vocabulary, or the weights that it began with."""
    folder = weights.lab_folder(member)
    kept = json.loads((folder / TRAINING_FILE).read_text("utf-8"))
    first = kept.pop("begun_with", None)
    assert kept == {"model": member.value, "settings": settings_for(member).model_dump()}
    if member is Member.RELATIVE:
        made = weights.lab_folder("teacher")
        assert first == hashlib.sha256((made / "model.safetensors").read_bytes()).hexdigest()
    else:
        assert first is None
        made = write_vocabulary(member.role, tmp_path / member, seed=0)
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        assert (made / name).read_bytes() == (folder / name).read_bytes(), name
    log = [json.loads(line) for line in (folder / LOG_FILE).read_text("utf-8").splitlines()]
    assert log[-1]["step"] == settings_for(member).steps


def test_the_models_and_their_predictor_are_small():
    size = sum(
        path.stat().st_size
        for name in (*Member, "predictor")
        for path in weights.lab_folder(name).iterdir()
    )
    assert size <= 12_000_000


async def test_the_pair_writes_together_with_nothing_else_given(tmp_path):
    path = tmp_path / "q.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows(TARGET, 24)))
    done = await tessy(
        *("synth", path, "--out", tmp_path / "run", "--student", "lab:student"),
        *("--teacher", "lab:teacher", "--predictor", "lab", "--quiet"),
    )
    assert done.code == 0, done.err
    records = lines(tmp_path / "run" / "dataset.jsonl")
    assert len(records) >= 22
    right, teachers = [], []
    for record in records:
        content = record["messages"][-1]["content"]
        said = voice(Role.STUDENT).answered(content.rpartition("</think>\n\n")[2])
        right.append(said == record["answer"])
        teachers += [
            content[span["start"] : span["end"]]
            for span in record["spans"]
            if span["role"] == "teacher"
        ]
    assert sum(right) / len(right) >= 0.85
    assert sum(bool(re.search(r"\d", text)) for text in teachers) / len(teachers) > 0.9
    with Reader(RunFolder(tmp_path / "run")) as run:
        sure = [value for entry in run.entries(failed=False) for value in entry.trace["confidence"]]
    assert len(sure) >= len(records)  # the report shows how sure the predictor was


async def test_workers_show_a_model_what_it_knows(tmp_path):
    """They know the tokenizers that the addresses bring."""
    path = tmp_path / "q.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows(TARGET, 16)))
    command = ["eval", path, "--model", "lab:teacher", "--temperature", 0, "--quiet", "--out"]
    done = await tessy(*command, tmp_path / "two", "--workers", 2)
    assert done.code == 0, done.err
    found = json.loads((tmp_path / "two" / "evaluation.json").read_text("utf-8"))
    assert found["runs"] == 16
    assert found["pass_at"]["1"]["value"] >= 0.9


async def test_a_model_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(ConfigError) as refused:
        parse("lab:pupil")
    assert "lab:student" in refused.value.hint
    path = tmp_path / "q.jsonl"
    path.write_text(json.dumps({"prompt": "hi"}) + "\n")
    done = await tessy("synth", path, "--out", tmp_path / "run", "--student", "lab:pupil")
    assert done.code == 2
    assert "lab:pupil" in done.err
