"""Questions are read again each time, and not held: what is read is what was checked."""

import gzip
import json
import pickle
import tracemalloc

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tessy.data import questions as module
from tessy.data.questions import read, shard_of
from tessy.errors import DataError, InputError

ROWS = st.lists(
    st.fixed_dictionaries(
        {"id": st.sampled_from([None, *"abcde", "000001", ""]), "prompt": st.sampled_from("?! ")}
    ),
    min_size=1,
    max_size=12,
)


def write(path, rows):
    if path.suffix == ".parquet":
        kinds = pyarrow.schema([("id", pyarrow.string()), ("prompt", pyarrow.string())])
        pyarrow.parquet.write_table(
            pyarrow.Table.from_pylist(rows, kinds), path, row_group_size=max(1, len(rows) // 2)
        )
    elif path.suffix == ".arrow":
        table = pyarrow.Table.from_pylist(rows)
        with pyarrow.ipc.new_stream(path, table.schema) as out:
            out.write_table(table, max_chunksize=3)
    elif path.suffix == ".json":
        path.write_text(json.dumps(rows))
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def expected(rows):
    """Ids of good questions and numbers of bad rows, by the plain way of holding all of them."""
    good, bad = {}, []
    for number, row in enumerate(rows):
        made = f"{number:06d}" if row["id"] is None else row["id"]
        if row["prompt"].isspace() or not made or made in good:
            bad.append(number)
        else:
            good[made] = number
    return good, bad


@pytest.mark.parametrize("suffix", ["jsonl", "json", "parquet", "arrow"])
@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=40
)
@given(rows=ROWS, limit=st.none() | st.integers(1, 12), shards=st.integers(1, 5))
def test_read_again_good_questions_come_in_order_and_each_in_its_shard(
    tmp_path, suffix, rows, limit, shards
):
    found = read(write(tmp_path / f"q.{suffix}", rows), limit=limit, skip_bad=True)
    good, bad = expected(rows[:limit])
    for _ in range(2):
        assert {question.id: question.number for question in found} == good
    assert [question.number for question in found] == sorted(good.values())
    assert [line.number for line in found.bad] == bad
    assert len(found) == found.count == len(good)
    assert found.shard_sizes(shards) == [
        sum(shard_of(each, shards) == shard for each in good) for shard in range(shards)
    ]
    for shard in range(shards):
        of_shard = list(found.take(found.numbers(shard, shards)))
        assert [q.id for q in of_shard] == [
            each for each in good if shard_of(each, shards) == shard
        ]
        whole = [question for question in found if shard_of(question.id, shards) == shard]
        assert of_shard == whole


@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
def test_an_id_that_is_there_three_times_is_named_with_both_places(tmp_path, suffix):
    rows = [{"id": each, "prompt": "?"} for each in "abcadae"]
    path = write(tmp_path / f"q.{suffix}", rows)
    with pytest.raises(DataError) as error:
        read(path)
    place = f"{path}:" if suffix == "jsonl" else f"{path}: row "
    assert str(error.value).splitlines() == [
        "2 bad lines; nothing was started",
        f"  {place}4, {place}6: id 'a' is already at {place}1",
    ]


def test_ids_with_the_same_hash_are_not_the_same(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_id_hash", lambda made: b"%8d" % (ord(made) % 2))
    rows = [{"id": each, "prompt": "?"} for each in "abcdc"]
    found = read(write(tmp_path / "q.jsonl", rows), skip_bad=True)
    assert [question.id for question in found] == [*"abcd"]
    assert [line.reason for line in found.bad] == [f"id 'c' is already at {tmp_path}/q.jsonl:3"]


@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
def test_questions_that_change_are_noticed_with_their_place(tmp_path, suffix):
    rows = [{"id": each, "prompt": "?"} for each in "abc"]
    path = write(tmp_path / f"q.{suffix}", rows)
    found = read(path)
    write(path, [*rows[:1], {"id": "b", "prompt": "!"}, *rows[2:]])
    again = iter(found)
    assert next(again).id == "a"
    with pytest.raises(DataError, match=r"2: this is no longer the row that was checked") as error:
        next(again)
    assert str(path) in str(error.value)
    assert error.value.hint
    assert [question.id for question in found.take(found.numbers()[2:])] == ["c"]
    write(path, rows[:2])
    with pytest.raises(DataError, match="ends after row 2"):
        list(found)
    write(path, [*rows, *rows])  # what was added is not used
    assert [question.id for question in found] == [*"abc"]
    path.unlink()
    with pytest.raises(DataError, match="no such file"):
        list(found)


def test_a_check_that_refuses_questions_makes_bad_lines_of_them(tmp_path):
    def check(question):
        if question.messages[0]["content"] == "!":
            raise InputError("not this one")

    rows = [{"id": each, "prompt": prompt} for each, prompt in zip("abba", "?!??", strict=True)]
    path = write(tmp_path / "q.jsonl", rows)
    found = read(path, skip_bad=True, check=check)
    assert [question.id for question in found] == ["a"]
    assert [(line.number, line.checked) for line in found.bad] == [
        (1, True), (2, False), (3, False)
    ]  # fmt: skip
    assert "not this one" in found.bad[0].reason
    with pytest.raises(DataError, match=r"3 bad lines[\s\S]*q.jsonl:2: not this one"):
        read(path, check=check)
    with pytest.raises(DataError, match="not this one"):
        read(write(path, rows[:2]), check=check)


@pytest.mark.parametrize("suffix", ["csv", "jsonl.gz"])
def test_some_of_the_questions_of_a_table_and_of_a_packed_file(tmp_path, suffix):
    path = tmp_path / f"q.{suffix}"
    if suffix == "csv":
        path.write_bytes(b'id,prompt\na,"1\n2"\n\nb,\xff\nc,3,4\nd,4\ne,5\n')
    else:
        lines = [{"id": "a", "prompt": "1\n2"}, 3, 4, {"id": "d", "prompt": "4"}, {"prompt": "5"}]
        path.write_bytes(gzip.compress(b"\n\n".join(json.dumps(each).encode() for each in lines)))
    found = read(path, skip_bad=True)
    assert [line.number for line in found.bad] == [1, 2]
    assert [(q.number, q.messages[0]["content"]) for q in found] == [
        (0, "1\n2"),
        (3, "4"),
        (4, "5"),
    ]
    assert [q.number for q in found.take(np.array([3]))] == [3]


def test_another_process_can_read_the_questions_again(tmp_path):
    found = read(write(tmp_path / "q.jsonl", [{"id": "a", "prompt": "?"}]))
    assert list(pickle.loads(pickle.dumps(found))) == list(found)


def test_the_digest_depends_on_rows_beyond_the_limit(tmp_path):
    rows = [{"id": each, "prompt": "?"} for each in "abc"]
    path = tmp_path / "q.parquet"
    before = read(write(path, rows), limit=1).digest
    assert read(path).digest == before
    assert read(write(path, [*rows, rows[0]]), limit=1).digest != before


@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
def test_a_question_takes_few_bytes(tmp_path, suffix):
    def peak(count):
        rows = [{"id": None, "prompt": f"{number} " + "?" * 200} for number in range(count)]
        path = write(tmp_path / f"{count}.{suffix}", rows)
        del rows
        tracemalloc.start()
        try:
            found = read(path)
            assert sum(1 for _ in found) == count
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(500)  # what is loaded once
    assert (peak(10_000) - peak(2000)) / 8000 < 100
