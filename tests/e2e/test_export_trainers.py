"""LLaMA-Factory and Axolotl read exports and train on them: `make test-trainers`, several GB.

They need other versions of torch and transformers than tessy's tests, so each has an environment
of its own. What they were given is read back from what they saved, token for token.
"""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from export_samples import record, write_records
from tessy.exporting.job import export
from tiny_models import write_model

FACTORY = os.environ.get("TESSY_LLAMAFACTORY", "")
AXOLOTL = os.environ.get("TESSY_AXOLOTL", "")
CHAT = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "What is 2 + 2?"},
    {"role": "assistant", "content": "4"},
    {"role": "user", "content": "And 3 + 3?"},
]
THINKING = [
    ("student", "okay, so"),
    ("teacher", " x=7 mod 3\n    f(2)=1\n"),
    ("student", " hmm 🤔"),
]
RECORDS = [record(f"q{n}", THINKING, f"It is {n}.", question=f"What is {n}?") for n in range(6)]
RECORDS.append(record("chat", THINKING, "6", messages=CHAT))
IGNORED = -100
TRAINING = """
output_dir: {folder}/trained
max_steps: 2
learning_rate: 0.0001
"""
LLAMA_FACTORY = """
model_name_or_path: {model}
stage: sft
do_train: true
finetuning_type: full
dataset: {name}
dataset_dir: {data}
template: qwen3
cutoff_len: 2048
tokenized_path: {folder}/tokens
per_device_train_batch_size: 2
use_cpu: true
report_to: none
"""
AXOLOTL_ITSELF = """
base_model: {model}
dataset_prepared_path: {folder}/tokens
sequence_len: 2048
micro_batch_size: 2
gradient_accumulation_steps: 1
optimizer: adamw_torch
lr_scheduler: constant
bf16: false
fp16: false
sample_packing: false
"""


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("models") / "student", "qwen3", 1)


def exported(folder, to):
    source = write_records(folder / "dataset.jsonl", RECORDS)
    export([str(source)], out=folder / to, to=to)
    return folder / to


def run(folder: Path, binaries: str, command: list[str], settings: str, **values) -> None:
    config = folder / "config.yaml"
    config.write_text((settings + TRAINING).format(folder=folder, **values))
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    environment |= {
        "PATH": f"{binaries}:{environment['PATH']}",
        "CUDA_VISIBLE_DEVICES": "",
        "AXOLOTL_DO_NOT_TRACK": "1",
    }
    done = subprocess.run(
        [f"{binaries}/{command[0]}", *command[1:], str(config)],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
        timeout=900,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert list((folder / "trained").glob("*.safetensors")), "it has trained"


def learned(folder: Path, model: Path) -> list[str]:
    """The text that carried loss, of each sample."""
    from datasets import load_from_disk
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model)
    paths = [info.parent for info in (folder / "tokens").rglob("state.json")]
    rows = [row for path in paths for row in load_from_disk(str(path))]
    found = []
    for row in rows:
        kept = [token for token in row["labels"] if token != IGNORED]
        found.append(tokenizer.decode(kept, skip_special_tokens=False))
    return found


EARLIER = re.compile(r"(<think>\n\n</think>\n\n)?4<\|im_end\|>\n?")
"""LLaMA-Factory puts an empty thinking before an earlier turn that has none; Axolotl does not."""


def check(texts: list[str]) -> None:
    """Every response is learned as it is, thinking included, and its end; so are earlier turns."""
    responses = {made["messages"][-1]["content"] for made in RECORDS}
    assert len(texts) == len(RECORDS)
    last = {EARLIER.sub("", text, count=1).rstrip("\n") for text in texts}
    assert last == {f"{response}<|im_end|>" for response in responses}
    assert sum(EARLIER.match(text) is not None for text in texts) == 1


@pytest.mark.skipif(not FACTORY, reason="make test-trainers installs LLaMA-Factory and runs this")
@pytest.mark.parametrize("to", ["sharegpt", "alpaca"])
def test_llama_factory(tmp_path, model, to):
    data = exported(tmp_path, to)
    command = ["llamafactory-cli", "train"]
    run(tmp_path, FACTORY, command, LLAMA_FACTORY, model=model, data=data, name=to)
    check(learned(tmp_path, model))


@pytest.mark.skipif(not AXOLOTL, reason="make test-trainers installs Axolotl and runs this")
def test_axolotl(tmp_path, model):
    data = exported(tmp_path, "sharegpt")
    snippet = (data / "axolotl.yaml").read_text().replace("path: ", f"path: {data}/")
    run(tmp_path, AXOLOTL, ["axolotl", "train"], AXOLOTL_ITSELF + snippet, model=model)
    check(learned(tmp_path, model))
