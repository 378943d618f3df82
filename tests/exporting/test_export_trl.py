"""What is exported for TRL is trained on by TRL: with its masks, token for token."""

from __future__ import annotations

from pathlib import Path

import pytest

from export_samples import CLOSE, OPEN, record, write_records
from tessy.errors import ConfigError
from tessy.exporting.job import export
from tessy.runs.folder import RunFolder
from tessy.testing import build_tokenizer
from tessy.training.masks import IGNORED, WeightRun, labels, token_weights
from written import Written, write_run

TEMPLATES = Path(__file__).parent.parent / "templates"
datasets = pytest.importorskip("datasets")
END = "<|im_end|>"
THINKING = [("student", "okay, so let's see,"), ("teacher", " x=7 mod 3\n"), ("student", "so")]
"""Seams as tessy's: blanks go with the word after them, new lines with what is before."""
RECORDS = [record(f"q{n}", THINKING, "It is 7.", question=f"What is {n}?") for n in range(4)]


@pytest.fixture(scope="module")
def student(tmp_path_factory):
    """A Llama of one layer with random weights, and its tokenizer with Qwen3's template."""
    import torch
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    folder = build_tokenizer(tmp_path_factory.mktemp("student"), flavour="qwen3", seed=1)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_attention_heads": 2}
    return LlamaForCausalLM(
        LlamaConfig(vocab_size=len(tokenizer), num_hidden_layers=1, **sizes)
    ), tokenizer


def tokenised(row, tokenizer):
    """What docs/export.md says to do with a row."""
    text = tokenizer.apply_chat_template(row["messages"], tokenize=False)
    content = row["messages"][-1]["content"]
    begin = text.rindex(content)
    end = begin + len(content) + len(END)
    encoded = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    runs = [WeightRun(*run) for run in row["weights"]]
    weights = token_weights(encoded["offset_mapping"], runs, begin=begin, end=end)
    return {
        "input_ids": encoded["input_ids"],
        "labels": labels(encoded["input_ids"], weights),
    }


@pytest.mark.parametrize(
    ("mask", "learned"),
    [
        ("capability", " x=7 mod 3\n"),
        ("style", f"{OPEN}okay, so let's see,so{CLOSE}It is 7.{END}"),
        ("none", f"{OPEN}okay, so let's see, x=7 mod 3\nso{CLOSE}It is 7.{END}"),
    ],
)
def test_the_trainer_learns_what_the_mask_keeps_and_nothing_else(student, tmp_path, mask, learned):
    from trl import SFTConfig, SFTTrainer

    model, tokenizer = student
    source = write_records(tmp_path / "dataset.jsonl", RECORDS)
    export([str(source)], out=tmp_path / "out", to="trl", mask=mask)
    files = str(tmp_path / "out" / "train.jsonl")
    data = datasets.load_dataset(
        "json", data_files=files, split="train", cache_dir=str(tmp_path / "cache")
    )
    data = data.map(tokenised, fn_kwargs={"tokenizer": tokenizer}, remove_columns=data.column_names)
    trainer = SFTTrainer(
        model=model,
        processing_class=tokenizer,
        train_dataset=data,
        args=SFTConfig(
            output_dir=str(tmp_path / "sft"),
            max_steps=3,
            per_device_train_batch_size=2,
            max_length=512,
            report_to="none",
            save_strategy="no",
            use_cpu=True,
            bf16=False,
        ),
    )
    batch = next(iter(trainer.get_train_dataloader()))
    for found in batch["labels"].tolist():
        kept = [token for token in found if token != IGNORED]
        assert tokenizer.decode(kept, skip_special_tokens=False) == learned
    assert trainer.train().training_loss > 0


def test_messages_are_trained_on_as_they_are(student, tmp_path):
    from trl import SFTConfig, SFTTrainer

    model, tokenizer = student
    source = write_records(tmp_path / "dataset.jsonl", RECORDS)
    export([str(source)], out=tmp_path / "out", to="trl")
    files = str(tmp_path / "out" / "train.jsonl")
    data = datasets.load_dataset(
        "json", data_files=files, split="train", cache_dir=str(tmp_path / "cache")
    )
    trainer = SFTTrainer(
        model=model,
        processing_class=tokenizer,
        train_dataset=data,
        args=SFTConfig(
            output_dir=str(tmp_path / "sft"),
            max_steps=2,
            max_length=512,
            report_to="none",
            save_strategy="no",
            use_cpu=True,
            bf16=False,
        ),
    )
    assert trainer.train().training_loss > 0


# --- What the student's template and tokenizer make of it ---------------------------------------

QWEN = "qwen3.jinja"
SAID_OF_OLD = [
    {"role": "user", "content": "What is 1+1?"},
    {"role": "assistant", "content": "<think>\nHm.\n</think>\n\nIt is 2."},
    {"role": "user", "content": "And then?"},
]


def exported(tmp_path, records, template, **more):
    """What `--to trl` says about a tokenizer with this template."""
    folder = build_tokenizer(tmp_path / "tokenizer", flavour="qwen3")
    if template is not None:
        text = (TEMPLATES / template).read_text("utf-8") if "{" not in template else template
        (folder / "chat_template.jinja").write_text(text, "utf-8")
    source, said = write_records(tmp_path / "dataset.jsonl", records), []
    more = {"student_tokenizer": str(folder), **more}
    export([str(source)], out=tmp_path / "out", to="trl", say=said.append, **more)
    return "\n".join(said)


def test_what_the_template_keeps_is_said(tmp_path):
    assert "on 4 samples: all are rendered as they are" in exported(tmp_path, RECORDS, QWEN)


@pytest.mark.parametrize(
    ("template", "messages", "said"),
    [
        ("deepseek-r1-distill.jinja", None, "1: the response is changed"),
        (QWEN, SAID_OF_OLD, "1: thinking of earlier turns is left out"),
        (
            QWEN,
            [{"role": "user", "content": "What is <|im_end|>?"}],
            "1: text in it becomes control tokens",
        ),
        (
            "{{ messages[-1].content }}",
            None,
            "1: a message is not shown as it is\n  the first one: it leaves out message 1 (user)",
        ),
        ("{{ raise_exception('no!') }}", None, "1: the template refuses it\n  the first one: no!"),
        (QWEN, None, "it has no {% generation %}"),
    ],
)
def test_what_the_template_drops_is_said(tmp_path, template, messages, said):
    assert said in exported(tmp_path, [record("q", THINKING, messages=messages)], template)


def test_without_a_tokenizer_it_is_said_that_nothing_was_tried(tmp_path):
    said = exported(tmp_path, RECORDS, QWEN, student_tokenizer=None)
    assert "was not tried: no run names the student's tokenizer (--student-tokenizer" in said


async def test_a_run_of_a_model_that_ships_is_tried_with_its_own_template(tmp_path):
    """The run's settings name no tokenizer: `lab:student` brings one."""
    await write_run(RunFolder(tmp_path / "run"), [Written("q0", student="So", answer="4")])
    (tmp_path / "run" / "run.toml").write_text('[student]\nmodel = "lab:student"\n')
    said: list[str] = []
    export(str(tmp_path / "run"), out=tmp_path / "out", to="trl", say=said.append)
    tried = "tried the chat template of lab:student on 1 sample"
    assert f"{tried}: all are rendered as they are" in said


def test_a_tokenizer_that_cannot_be_used_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="chat template"):
        exported(tmp_path, RECORDS, "{% if %}")
    with pytest.raises(ConfigError, match="is for --to trl"):
        export(["x"], out=tmp_path / "o", to="alpaca", student_tokenizer="x")


@pytest.mark.parametrize("to", ["trl", "sharegpt", "alpaca", "parquet"])
def test_thinking_beside_an_earlier_answer_is_kept_or_the_sample_is_dropped(tmp_path, to):
    old = [
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": "b", "reasoning_content": "hm"},
        {"role": "user", "content": "c"},
    ]
    source = write_records(tmp_path / "d.jsonl", [record("q", messages=old), record("r")])
    counts = export([str(source)], out=tmp_path / "out", to=to)
    assert counts.kept.total() == (2 if to == "trl" else 1)
    kept = "reasoning_content" in (tmp_path / "out" / "dropped.jsonl").read_text()
    assert kept is (to != "trl")
    if to == "trl":
        assert "hm" in (tmp_path / "out" / "train.jsonl").read_text()
