"""Where rows are read from: files, folders, globs, standard input, data sets."""

import datetime
import decimal
import io
import json
import logging
import os
import struct
import sys

import pyarrow
import pyarrow.parquet
import pytest

from data.fuzz_rows import fuzz
from tessy.data import rows as rows_module
from tessy.data.questions import read
from tessy.data.rows import plain, rows
from tessy.data.sources import from_stdin
from tessy.errors import DataError


def write(path, *prompts):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps({"prompt": each}) + "\n" for each in prompts))
    return path


def asked(source):
    return [question.messages[-1]["content"] for question in read(source)]


def test_shards_of_a_folder_are_one_data_set_in_order(tmp_path):
    write(tmp_path / "train-00001-of-00002.jsonl", "c")
    write(tmp_path / "train-00000-of-00002.jsonl", "a", "b")
    (tmp_path / "README.md").write_text("about")
    assert asked(tmp_path) == ["a", "b", "c"]
    found = list(read(tmp_path))
    assert [question.id for question in found] == ["000000", "000001", "000002"]
    assert found[2].where == f"{tmp_path / 'train-00001-of-00002.jsonl'}:1"


@pytest.mark.parametrize(
    ("names", "says"),
    [
        (["train-00000-of-00002.jsonl"], "has 1 shard, of 2 by name"),
        (["train.jsonl", "test.jsonl"], "several data sets: test.jsonl, train.jsonl"),
        (["a-1.jsonl", "a-2.csv"], "several data sets"),
        (["notes.txt"], "without dataset.jsonl or other data"),
        (["journal.sqlite"], "without dataset.jsonl"),
    ],
)
def test_a_folder_that_is_not_one_data_set_is_refused(tmp_path, names, says):
    for name in names:
        write(tmp_path / name, "a")
    with pytest.raises(DataError, match=says) as error:
        read(tmp_path)
    assert error.value.hint


def test_a_run_without_a_data_set_says_where_it_comes_from(tmp_path):
    (tmp_path / "shards" / "0000").mkdir(parents=True)
    (tmp_path / "run.toml").touch()
    with pytest.raises(DataError, match=r"without dataset\.jsonl") as error:
        read(tmp_path)
    assert "resumes it; tessy merge writes it" in error.value.hint


def test_globs(tmp_path, monkeypatch):
    write(tmp_path / "x" / "a.jsonl", "a")
    write(tmp_path / "y" / "b.jsonl", "b")
    write(tmp_path / "y" / "notes.txt", "no")
    assert asked(str(tmp_path / "*" / "*")) == ["a", "b"]
    assert asked(str(tmp_path / "**" / "[b].jsonl")) == ["b"]
    monkeypatch.chdir(tmp_path)
    assert asked("y/*") == ["b"]
    with pytest.raises(DataError, match="no data file matches"):
        read("z/*.jsonl")


def test_save_to_disk(tmp_path):
    datasets = pytest.importorskip("datasets")
    data = datasets.Dataset.from_list([{"prompt": str(n), "n": n} for n in range(5)])
    data.save_to_disk(str(tmp_path / "one"), num_shards=2)
    assert asked(tmp_path / "one") == ["0", "1", "2", "3", "4"]
    datasets.DatasetDict({"train": data}).save_to_disk(str(tmp_path / "dict"))
    assert asked(tmp_path / "dict") == ["0", "1", "2", "3", "4"]
    datasets.DatasetDict({"train": data, "test": data}).save_to_disk(str(tmp_path / "two"))
    with pytest.raises(DataError, match="several splits: train, test"):
        read(tmp_path / "two")
    assert len(asked(tmp_path / "two" / "test")) == 5
    (tmp_path / "one" / "data-00001-of-00002.arrow").unlink()
    with pytest.raises(DataError, match="1 shard, of 2"):
        read(tmp_path / "one")


@pytest.mark.parametrize("splits", ["null", '{"splits": 3}', "[", '{"splits": ["../.."]}'])
def test_a_folder_that_only_says_it_was_saved(tmp_path, splits):
    (tmp_path / "dataset_dict.json").write_text(splits)
    with pytest.raises(DataError, match=r"dataset_dict.json|several splits"):
        read(tmp_path)


def test_arrow_files(tmp_path):
    table = pyarrow.table({"prompt": ["a", "b"]})
    for name, make in (("s", pyarrow.ipc.new_stream), ("f", pyarrow.ipc.new_file)):
        with make(tmp_path / f"{name}.arrow", table.schema) as out:
            out.write_table(table)
        assert asked(tmp_path / f"{name}.arrow") == ["a", "b"]


def test_an_arrow_file_that_points_outside_itself_is_refused(tmp_path):
    table = pyarrow.table({"prompt": ["a", "b"], "raw": [b"a" * 77, b"b" * 11]})
    path = tmp_path / "q.arrow"
    with pyarrow.ipc.new_stream(path, table.schema) as out:
        out.write_table(table)
    offsets = struct.pack("<3i", 0, 77, 88)
    assert path.read_bytes().count(offsets) == 1
    path.write_bytes(path.read_bytes().replace(offsets, struct.pack("<3i", 0, 77, 4000)))
    with pytest.raises(DataError, match=r"q\.arrow: after row 0"):
        read(path)


@pytest.mark.parametrize("compression", ["zstd", "gzip", "bz2"])
def test_compressed_files(tmp_path, compression):
    suffix = {"zstd": ".zst", "gzip": ".gz", "bz2": ".bz2"}[compression]
    raw = b"".join(b'{"prompt": "%s"}\n' % os.urandom(16).hex().encode() for _ in range(2000))
    path = tmp_path / f"q.jsonl{suffix}"
    with pyarrow.output_stream(path, compression=compression) as out:
        out.write(raw)
    assert len(read(path)) == 2000
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=f"q.jsonl{suffix}"):
        read(path)


def test_standard_input_is_read_once_and_can_be_read_again(monkeypatch):
    raw = io.TextIOWrapper(io.BytesIO(b'\xef\xbb\xbf{"prompt": "a"}\n{"prompt": 1}\n'), "utf-8")
    monkeypatch.setattr(sys, "stdin", raw)
    for _ in range(2):
        found = read("-", skip_bad=True)
        assert [question.where for question in found] == ["standard input:1"]
        assert [line.where for line in found.bad] == ["standard input:2"]
    assert from_stdin().stat().st_mode & 0o077 == 0  # nobody else's
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b""), "utf-8"))
    with pytest.raises(DataError, match="contains no questions"):
        read("-")


def test_a_terminal_is_no_data_set(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setattr(sys, "stdin", Terminal())
    with pytest.raises(DataError, match="that is a terminal"):
        read("-")


def test_what_is_no_file(tmp_path):
    os.mkfifo(tmp_path / "q.jsonl")
    with pytest.raises(DataError, match="is no file"):
        read(tmp_path / "q.jsonl")
    with pytest.raises(DataError, match="too long"):
        read(tmp_path / ("q" * 5000))


def test_a_long_line_is_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr("tessy.data.sources.LONGEST_LINE", 100)
    with pytest.raises(DataError, match=r"q.jsonl:2: longer than"):
        read(write(tmp_path / "q.jsonl", "a", "b" * 200))


HUB = [
    ("o/n", ("o/n", None, "train")),
    ("o/n:test", ("o/n", None, "test")),
    ("o/n:main:test", ("o/n", "main", "test")),
    ("o/n:train[:100]", ("o/n", None, "train[:100]")),
    ("o/n:main:train[10:20]", ("o/n", "main", "train[10:20]")),
    ("o/n-v1.5:all", ("o/n-v1.5", None, "all")),
]


@pytest.mark.parametrize(("source", "called"), HUB)
def test_a_data_set_with_configuration_and_split(monkeypatch, source, called):
    datasets = pytest.importorskip("datasets")
    calls = []

    def load_dataset(name, config, *, split):
        calls.append((name, config, split))
        return [{"prompt": "a", "when": datetime.date(2026, 1, 2)}]

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    found = next(iter(read(source)))
    assert set(calls) == {called}  # to check all, and to use them
    assert (found.where, found.extra) == (f"{source}: row 1", {"when": "2026-01-02"})


def test_values_that_json_does_not_have(tmp_path):
    exact = decimal.Decimal("12345678901234567890.12345678901234567890")
    assert plain(float("nan"), "n") is None
    assert str(plain(exact, "n")) == str(exact)
    assert plain(decimal.Decimal(10**30), "n") == 10**30
    assert plain({"a": [(1, 2.5)]}, "n") == {"a": [[1, 2.5]]}
    for value, says in ((b"x", "holds bytes"), (float("inf"), "infinite"), (object(), "object")):
        with pytest.raises(ValueError, match=f"n .*{says}"):
            plain([value], "n")
    rows_ = [{"prompt": "a", "x": b"1"}, {"prompt": "b", "x": None}]
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows_), tmp_path / "q.parquet")
    found = read(tmp_path / "q.parquet", skip_bad=True)
    assert [line.reason for line in found.bad] == [
        "x holds bytes, which JSON can't hold: leave it out"
    ]
    assert len(found) == 1


def test_columns_of_a_name_twice(tmp_path):
    table = pyarrow.table([["a"], ["b"]], names=["prompt", "prompt"])
    pyarrow.parquet.write_table(table, tmp_path / "q.parquet")
    with pytest.raises(DataError, match="the column 'prompt' is there twice"):
        read(tmp_path / "q.parquet")


def test_the_digest_does_not_depend_on_the_files_form(tmp_path):
    table = [{"prompt": "a", "n": 1}, {"prompt": "b", "n": 2}]
    (tmp_path / "a.json").write_text(json.dumps(table, indent=1))
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\r\n" for row in table))
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(table), tmp_path / "a.parquet")
    digests = {read(tmp_path / f"a.{kind}").digest for kind in ("json", "jsonl", "parquet")}
    assert len(digests) == 1


def test_a_bad_item_of_an_array_is_skipped_alone(tmp_path):
    items = ['{"prompt": "a", "n": 123456789012345678901234567890}', '{"prompt": NaN}', "7"]
    (tmp_path / "q.json").write_text("[ " + " ,\n".join([*items, '{"prompt": "[b]"}']) + " ] \n")
    found = read(tmp_path / "q.json", skip_bad=True)
    assert [q.messages[0]["content"] for q in found] == ["a", "[b]"]
    assert next(iter(found)).extra == {"n": 123456789012345678901234567890}
    path = tmp_path / "q.json"
    assert [line.where for line in found.bad] == [f"{path}: item 2", f"{path}: item 3"]


def test_csv_values_are_text(tmp_path):
    (tmp_path / "q.csv").write_bytes(b'id,prompt,answer\n007,"a\nb",1e5\n8,c,\n')
    found = [row for _, row in rows(tmp_path / "q.csv", what="questions")]
    assert found == [
        {"id": "007", "prompt": "a\nb", "answer": "1e5"},
        {"id": "8", "prompt": "c", "answer": None},
    ]
    assert rows_module.row_bytes(found[0])


def test_files_changed_at_random_are_read_or_refused():
    counts, faults = fuzz(1, seed=1)
    assert not faults, faults[0]
    assert counts["read"]
    assert counts["refused"]


def test_a_name_below_a_folder_is_no_data_set_of_a_hub(tmp_path, monkeypatch):
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(datasets, "load_dataset", lambda *_, **__: pytest.fail("it was asked"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").mkdir()
    with pytest.raises(DataError, match="runs/frist: no such file or folder") as error:
        read("runs/frist")
    assert error.value.hint.startswith("runs is a folder here, so runs/frist is not asked for")


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("data/sums.json", "did you mean data/sums.jsonl?"),
        ("data/sums", "did you mean data/sums.jsonl?"),
        ("data/frist", "did you mean data/first?"),
        ("data/.hiden.jsonl", "questions are in a .jsonl, "),
        ("sums.json", "questions are in a .jsonl, "),
        ("nowhere/sums.json", "questions are in a .jsonl, "),
    ],
)
def test_a_name_that_is_near_one_of_its_folder(tmp_path, monkeypatch, name, hint):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data" / "first").mkdir(parents=True)
    for each in ("sums.jsonl", ".hidden.jsonl"):
        (tmp_path / "data" / each).touch()
    with pytest.raises(DataError, match=f"{name}: no such file") as error:
        read(name)
    assert error.value.hint.startswith(hint)


def test_retries_of_a_hub_are_not_logged(monkeypatch, caplog):
    datasets = pytest.importorskip("datasets")

    def load_dataset(*_, **__):
        logging.getLogger("huggingface_hub.utils._http").warning("thrown while requesting HEAD")
        raise ConnectionError("nobody there")

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    logging.getLogger("huggingface_hub").setLevel(logging.WARNING)
    with pytest.raises(DataError, match="no such file, and no data set: nobody there"):
        read("owner/name")
    assert not caplog.records
