"""Each format, written and loaded with what it is for."""

from __future__ import annotations

import json

import orjson
import pytest
from hypothesis import given

from export_samples import CLOSE, OPEN, any_record, record, write_records
from tessy.data.parquet import from_row, schema, to_row
from tessy.data.rows import rows
from tessy.exporting.huggingface import card
from tessy.exporting.job import export
from tessy.exporting.parquet import ParquetWriter
from tessy.exporting.portable import portable
from tessy.exporting.samples import ExportCounts, ExportSample
from tessy.exporting.settings import ExportSettings

CHAT = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "What is 2 + 2?"},
    {"role": "assistant", "content": "4"},
    {"role": "user", "content": "And 3 + 3?"},
]
TWICE = [{"role": "user", "content": "One."}, {"role": "user", "content": "Two."}]
LATE_SYSTEM = [{"role": "user", "content": "One."}, {"role": "system", "content": "Be brief."}]
EXPORTED = [
    record("q0", difficulty="hard", tags=[1, {"a": None}]),
    record("q1", messages=CHAT, forced=True),
    record("q2", [("student", "嗯 🤔 "), ("teacher", "x̂≤7\n")]),
]


@pytest.fixture
def make(tmp_path):
    """Exports records to a format; the folder."""

    def made(to, records=EXPORTED, **settings):
        source = write_records(tmp_path / "dataset.jsonl", records)
        out = tmp_path / f"out-{to}"
        export([str(source)], out=out, to=to, force=True, **settings)
        return out

    return made


def load(tmp_path, kind, files):
    import datasets

    return datasets.load_dataset(
        kind, data_files=str(files), split="train", cache_dir=str(tmp_path / "cache")
    )


def dropped(folder):
    return [json.loads(line) for line in (folder / "dropped.jsonl").read_text().splitlines()]


# --- TRL ----------------------------------------------------------------------------------------


def test_trl_is_messages(make, tmp_path):
    data = load(tmp_path, "json", make("trl") / "train.jsonl")
    assert data.column_names == ["id", "messages"]
    assert data["messages"] == [made["messages"] for made in EXPORTED]


@pytest.mark.parametrize(
    ("mask", "kept"),
    [
        ("capability", ["x=7 " + CLOSE]),
        ("style", [OPEN + "okay, ", "It is 7."]),
        ("none", [OPEN + "okay, x=7 " + CLOSE + "It is 7."]),
    ],
)
def test_trl_weights_are_runs_of_characters(make, tmp_path, mask, kept):
    """By the rules of `tessy.training.masks`: a marker goes with the text before it."""
    data = load(tmp_path, "json", make("trl", mask=mask) / "train.jsonl")
    content, runs = data[0]["messages"][-1]["content"], data[0]["weights"]
    assert [content[start:end] for start, end, weight in runs if weight] == kept
    assert "".join(content[start:end] for start, end, _ in runs) == content


# --- ShareGPT -----------------------------------------------------------------------------------


def test_sharegpt_is_from_and_value(make, tmp_path):
    data = load(tmp_path, "json", make("sharegpt") / "train.jsonl")
    assert data.column_names == ["id", "conversations"]
    speakers = [said["from"] for said in data[1]["conversations"]]
    assert speakers == ["system", "human", "gpt", "human", "gpt"]
    for row, made in zip(data, EXPORTED, strict=True):
        values = [said["value"] for said in row["conversations"]]
        assert values == [message["content"] for message in made["messages"]]


def test_sharegpt_comes_with_what_its_tools_want_to_be_told(make):
    import yaml

    out = make("sharegpt", [record(f"q{n}", question=str(n)) for n in range(40)], validation=0.3)
    info = orjson.loads((out / "dataset_info.json").read_bytes())
    assert {name: (out / entry["file_name"]).is_file() for name, entry in info.items()} == {
        "out-sharegpt": True,
        "out-sharegpt_validation": True,
    }
    said = yaml.safe_load((out / "axolotl.yaml").read_text())
    assert (out / said["datasets"][0]["path"]).is_file()
    assert (out / said["test_datasets"][0]["path"]).is_file()
    assert said["datasets"][0]["message_property_mappings"] == {"role": "from", "content": "value"}


@pytest.mark.parametrize("to", ["sharegpt", "alpaca"])
def test_a_conversation_out_of_turn_is_dropped_and_said(make, to):
    chats = {"twice": TWICE, "late": LATE_SYSTEM, "good": CHAT, "only": CHAT[:1]}
    out = make(to, [record(name, messages=chat) for name, chat in chats.items()])
    assert {drop["id"]: drop["reason"] for drop in dropped(out)} == dict.fromkeys(
        ("twice", "late", "only"), "not_expressible"
    )
    assert [json.loads(line)["id"] for line in (out / "train.jsonl").open()] == ["good"]


@pytest.mark.parametrize("to", ["trl", "sharegpt", "alpaca", "parquet", "hf"])
def test_thinking_beside_a_content_is_kept_or_dropped_and_said(make, to):
    chat = [CHAT[0], CHAT[1], {**CHAT[2], "reasoning_content": "hm"}, *CHAT[3:]]
    assert chat[2]["role"] == "assistant"
    out = make(to, [record("plain", messages=CHAT), record("thinks", messages=chat)])
    drops = {drop["id"]: drop["reason"] for drop in dropped(out)}
    if to == "trl":
        kept = [json.loads(line) for line in (out / "train.jsonl").open()]
        assert kept[1]["messages"][2]["reasoning_content"] == "hm"
        assert not drops
    else:
        assert drops == {"thinks": "not_expressible"}


# --- Alpaca -------------------------------------------------------------------------------------


def test_alpaca_has_earlier_turns_as_history(make, tmp_path):
    out = make("alpaca")
    data = {row["id"]: row for row in load(tmp_path, "json", out / "train.jsonl")}
    assert data["q1"] == {
        "id": "q1",
        "instruction": "And 3 + 3?",
        "input": "",
        "output": EXPORTED[1]["messages"][-1]["content"],
        "system": "Be brief.",
        "history": [["What is 2 + 2?", "4"]],
    }
    assert data["q0"]["history"] == []
    assert not list(out.glob("*.waiting"))


def test_alpaca_loads_when_the_only_history_comes_late(make, tmp_path):
    """`datasets` takes the type of a column from the first 10 MB."""
    long = [record(f"q{n}", answer="word " * 200_000) for n in range(12)]
    data = load(tmp_path, "json", make("alpaca", [*long, EXPORTED[1]]) / "train.jsonl")
    assert data.num_rows == 13
    assert data[0]["history"] == [["What is 2 + 2?", "4"]]


# --- Parquet ------------------------------------------------------------------------------------


@given(any_record())
def test_a_record_comes_back_from_a_row(made):
    import pyarrow as pa

    before = json.dumps(made)
    table = pa.Table.from_pylist([to_row(made)], schema())
    assert from_row(table.to_pylist()[0]) == made
    assert json.dumps(made) == before


@given(any_record())
def test_a_row_of_another_schema_is_left_alone(made):
    assert from_row(made) == made


def test_parquet_is_the_same_to_every_reader(make, tmp_path):
    import duckdb
    import polars
    import pyarrow.parquet

    path = make("parquet") / "train-00000-of-00001.parquet"
    expected = pyarrow.parquet.read_table(path).to_pylist()
    assert [from_row(row) for row in expected] == EXPORTED
    assert load(tmp_path, "parquet", path).to_list() == expected
    assert polars.read_parquet(path).to_dicts() == expected
    found = duckdb.sql(f"select stats.teacher_tokens, models.student, len(spans) from '{path}'")
    assert found.fetchall()[0] == (6, "small", 5)


def test_parquet_is_exported_again_as_it_was(make, tmp_path):
    out = make("parquet")
    again = tmp_path / "again"
    export([str(out / "train-00000-of-00001.parquet")], out=again, to="parquet")
    (one,), (other,) = out.glob("train*"), again.glob("train*")
    assert [row for _, row in rows(other, what="")] == [row for _, row in rows(one, what="")]


def test_row_groups_and_files_are_bounded(tmp_path):
    import pyarrow.parquet

    writer = ParquetWriter(tmp_path / "data", "train", group=2000, shard=5000)
    rows_ = [to_row(record(f"q{n}", answer="x" * 500)) for n in range(40)]
    for row in rows_:
        writer.write(row)
    writer.finish()
    paths = sorted((tmp_path / "data").iterdir())
    count = len(paths)
    assert count > 3
    assert [p.name for p in paths] == [
        f"train-{n:05d}-of-{count:05d}.parquet" for n in range(count)
    ]
    found = []
    for path in paths:
        file = pyarrow.parquet.ParquetFile(path)
        groups = [file.metadata.row_group(n) for n in range(file.num_row_groups)]
        assert all(group.num_rows <= 3 for group in groups)
        assert groups[0].column(0).compression == "ZSTD"
        found += file.read().column("id").to_pylist()
    assert found == [row["id"] for row in rows_]


# --- Hugging Face -------------------------------------------------------------------------------


def test_hf_is_a_data_set_with_a_card(make, tmp_path):
    import datasets
    from huggingface_hub import DatasetCard

    records = [record(f"q{n}", question=str(n)) for n in range(40)]
    out = make("hf", records, validation=0.3, licence="cc-by-4.0", max_tokens=99)
    data = datasets.load_dataset(str(out), cache_dir=str(tmp_path / "cache"))
    assert set(data) == {"train", "validation"}
    assert sum(split.num_rows for split in data.values()) == 40
    about = DatasetCard.load(out / "README.md")
    assert about.data.license == "cc-by-4.0"
    assert about.data.size_categories == ["n<1K"]
    for said in ("40 samples read = 40 kept + 0 dropped", "`max-tokens`: 99", "| method | tessy |"):
        assert said in about.text


def test_hf_says_nothing_of_this_machine(make, tmp_path):
    """Models and predictors that are files are named without their folders."""
    out = make("hf", decontaminate=(str(write_questions(tmp_path)),))
    (path,) = (out / "data").iterdir()
    data = [row for _, row in rows(path, what="rows")]
    texts = [file.read_text("utf-8") for file in out.iterdir() if file.is_file()]
    everything = "".join([*texts, json.dumps(data)])
    for secret in ("/home/me", "secret", str(tmp_path)):
        assert secret not in everything
    assert "onnx:mine" in (out / "README.md").read_text()


def write_questions(folder):
    path = folder / "benchmark.jsonl"
    path.write_text('{"question": "Something else?"}\n')
    return path


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("/home/me/models/qwen", "qwen"),
        ("gguf:/home/me/tiny.gguf", "gguf:tiny.gguf"),
        ("onnx:~/mine/", "onnx:mine"),
        ("../there/tok", "tok"),
        ("http://node7.cluster.local:8000/v1", "a server"),
        ("Qwen/Qwen3-8B", "Qwen/Qwen3-8B"),
        ("owner/set-v1.1:train", "owner/set-v1.1:train"),
        ("data/private/customer/q.jsonl", "q.jsonl"),
        ("customer/q.jsonl", "q.jsonl"),
        ("gguf:models/x.gguf", "gguf:x.gguf"),
        ("onnx:mine/v2", "onnx:v2"),
        ("transformers:owner/net", "transformers:owner/net"),
        ("transformers:my/own/net", "transformers:net"),
        ("HTTP://10.0.0.1:8000/v1", "a server"),
        ({"teacher_only_system_prompt": "/no_think"}, {"teacher_only_system_prompt": "/no_think"}),
        ("hf:owner/repo/file.gguf", "hf:owner/repo/file.gguf"),
        ("python:tessy.testing.predictors:digits", "python:tessy.testing.predictors:digits"),
        ({"system_prompt": "/no_think"}, {"system_prompt": "/no_think"}),
        ([1, None, ["/a/b"]], [1, None, ["b"]]),
    ],
)
def test_names_are_made_fit_to_be_published(value, shown):
    assert portable(value) == shown


def test_a_hostile_name_does_not_become_markup():
    made = record()
    made["method"] = "x|`y`\n# <b>[z](javascript:0)"
    counts = ExportCounts(read=1)
    counts.keep(ExportSample(made), "train")
    text = card("name", ExportSettings(to="hf"), [], counts)
    assert "\n| method | x\\|\\`y\\` \\# \\<b\\>\\[z\\](javascript:0) | 1 |\n" in text
