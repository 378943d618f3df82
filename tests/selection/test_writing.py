"""Rows are written as they are, or refused."""

from __future__ import annotations

import pyarrow.parquet
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from export_samples import json_values
from tessy.data.exact import dumps, parse
from tessy.data.rows import rows
from tessy.errors import ConfigError, DataError
from tessy.selection.writing import check_suffix, write_rows

NAMES = st.sampled_from(["id", "prompt", "tests", "level"])
ROWS = st.lists(st.dictionaries(NAMES, json_values, min_size=1), min_size=1, max_size=5)
COLUMNS = st.fixed_dictionaries(
    {},
    optional={
        "id": st.text("abc", max_size=3),
        "level": st.integers(0, 9) | st.none(),
        "share": st.floats(0, 1),
        "tests": st.lists(st.fixed_dictionaries({"in": st.text("xy"), "out": st.integers(0, 3)})),
    },
).filter(bool)


def read(path):
    return [row for _, row in rows(path, what="rows")]


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ROWS)
def test_lines_hold_any_row_as_it_is(tmp_path, made):
    path = tmp_path / "out.jsonl"
    write_rows(path, lambda: made)
    found = read(path)
    assert found == made
    assert [[*row] for row in found] == [[*row] for row in made]


def test_numbers_beyond_64_bits_keep_their_digits(tmp_path):
    line = b'{"big":12345678901234567890123,"exact":0.12345678901234567890123}'
    write_rows(tmp_path / "out.jsonl", lambda: [parse(line)])
    assert (tmp_path / "out.jsonl").read_bytes() == line + b"\n"


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(COLUMNS, min_size=1, max_size=6))
def test_parquet_holds_rows_as_they_are_and_null_for_what_they_lack(tmp_path, made):
    path = tmp_path / "out.parquet"
    write_rows(path, lambda: made)
    names = dict.fromkeys(name for row in made for name in row)
    assert pyarrow.parquet.read_table(path).to_pylist() == [
        {name: row.get(name) for name in names} for row in made
    ]


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ROWS)
def test_parquet_changes_no_row_that_it_takes(tmp_path, made):
    path = tmp_path / "any.parquet"
    path.unlink(missing_ok=True)
    try:
        write_rows(path, lambda: made)
    except DataError:
        assert not path.exists()
        return
    held = pyarrow.parquet.read_table(path).to_pylist()
    for row, found in zip(made, held, strict=True):
        known = {name: value for name, value in found.items() if name in row}
        assert dumps(known, 32) == dumps(row, 32)  # with sorted keys


@pytest.mark.parametrize(
    ("made", "said"),
    [
        ([{"a": 1}, {"a": "x"}], "Parquet can't hold the column 'a'"),
        ([{"a": {"b": 1}}, {"a": {"c": 1}}], "Parquet would change a of a row"),
        ([{"a": parse(b"0.12345678901234567890123")}], "Parquet would change a of a row"),
        (
            [{"a": {"t": "x" * 200, "y": 1}}, {"a": {"t": "x" * 200, "z": 1}}],
            r'a of a row: …x+","y":1\} to …x+","y":1,"z":null\}',
        ),
        ([{"a": parse(b"12345678901234567890123")}], "Parquet can't hold the column 'a'"),
        ([{"a": {}}], "Parquet can't hold"),
    ],
)
def test_what_parquet_cannot_hold_is_refused_and_an_older_file_stays(tmp_path, made, said):
    path = tmp_path / "out.parquet"
    path.write_bytes(b"older")
    with pytest.raises(DataError, match=said):
        write_rows(path, lambda: made)
    assert path.read_bytes() == b"older"
    assert [each.name for each in tmp_path.iterdir()] == ["out.parquet"]


def test_many_rows_are_written_in_groups(tmp_path):
    made = [{"n": number, "late": number if number > 2000 else None} for number in range(2500)]
    write_rows(tmp_path / "out.parquet", lambda: iter(made))
    file = pyarrow.parquet.ParquetFile(tmp_path / "out.parquet")
    assert file.num_row_groups == 3
    assert file.read().to_pylist() == made


@pytest.mark.parametrize("name", ["out", "out.csv", "out.json", "out.jsonl.gz", "folder/"])
def test_other_kinds_of_files_are_refused(name):
    with pytest.raises(ConfigError, match=r"only \.jsonl and \.parquet are written"):
        check_suffix(name)
