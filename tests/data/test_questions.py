import json

import pyarrow
import pyarrow.parquet
import pytest

from tessy.data.questions import read
from tessy.errors import DataError


def write(path, *lines):
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def test_all_forms_of_a_question(tmp_path):
    chat = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Why?"}]
    path = write(
        tmp_path / "q.jsonl",
        json.dumps({"prompt": "What?", "level": 3}),
        "",
        json.dumps({"id": 7, "question": "Who?"}),
        json.dumps({"messages": chat, "spans": "mine", "verdict": "yours"}),
        json.dumps({"id": "d", "dialogs": chat}),
    )
    found = read(path).good
    assert [q.id for q in found] == ["000000", "7", "000002", "d"]
    assert [q.messages[-1]["content"] for q in found] == ["What?", "Who?", "Why?", "Why?"]
    assert found[0].extra == {"level": 3}
    assert found[2].extra == {"question_spans": "mine", "question_verdict": "yours"}
    assert found[2].messages == tuple(chat)


def test_two_questions_with_the_same_text_are_two(tmp_path):
    line = json.dumps({"prompt": "What?"})
    assert [q.id for q in read(write(tmp_path / "q.jsonl", line, line)).good] == [
        "000000",
        "000001",
    ]


BAD = [
    ("{", "not JSON"),
    ("[1]", "a question is an object, not list"),
    ('{"text": "What?"}', "none of prompt, question, messages, dialogs is there (only text)"),
    ('{"prompt": " "}', "prompt is empty"),
    ('{"prompt": 3}', "prompt must be text, not int"),
    ('{"messages": []}', "messages must be a list"),
    ('{"messages": [{"role": "bot", "content": "x"}]}', "messages[0].role must be one of"),
    ('{"messages": [{"role": "assistant", "content": "x"}]}', "must end with the user"),
    ('{"messages": [{"role": "user", "content": ""}]}', "messages[0].content is empty"),
    ('{"prompt": "a", "id": [1]}', "id must be text or a whole number"),
    ('{"prompt": "a", "id": "same"}', "is already at"),
]


@pytest.mark.parametrize(("line", "reason"), BAD)
def test_a_bad_line_is_named_with_file_number_and_reason(tmp_path, line, reason):
    path = write(tmp_path / "q.jsonl", '{"prompt": "fine", "id": "same"}', line)
    with pytest.raises(DataError) as error:
        read(path)
    assert f"{path}:2: " in str(error.value)
    assert reason in str(error.value)
    assert "--skip-bad" in error.value.hint


def test_all_bad_lines_are_named_at_once_and_can_be_skipped(tmp_path):
    path = write(tmp_path / "q.jsonl", '{"prompt": "fine", "id": "same"}', *(b for b, _ in BAD))
    with pytest.raises(DataError, match=f"{len(BAD)} bad lines; nothing was started"):
        read(path)
    found = read(path, skip_bad=True)
    assert len(found.good) == 1
    assert len(found.bad) == len(BAD)
    assert found.bad[0].where == f"{path}:2"
    assert found.bad[0].number == 1


def test_the_digest_is_of_the_whole_file_whatever_the_limit(tmp_path):
    path = write(tmp_path / "q.jsonl", '{"prompt": "a"}', '{"prompt": "b"}')
    assert read(path, limit=1).digest == read(path).digest
    assert len(read(path, limit=1).good) == 1
    other = write(tmp_path / "r.jsonl", '{"prompt": "a"}', '{"prompt": "c"}')
    assert read(other).digest != read(path).digest


def test_parquet(tmp_path):
    rows = [{"question": "a", "n": 1}, {"question": None, "n": 2}, {"question": "c", "n": 3}]
    path = tmp_path / "q.parquet"
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    with pytest.raises(DataError, match="row 2: none of"):
        read(path)
    found = read(path, skip_bad=True)
    assert [(q.id, q.extra) for q in found.good] == [("000000", {"n": 1}), ("000002", {"n": 3})]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("missing.jsonl", None, "no such file"),
        ("empty.jsonl", "", "contains no questions"),
        ("table.csv", "a,b", ".csv is not known"),
        ("broken.parquet", "no parquet", "broken.parquet"),
        (".", None, "is a folder"),
    ],
)
def test_files_that_cannot_be_read(tmp_path, name, content, message):
    path = tmp_path / name
    if content is not None:
        path.write_text(content)
    with pytest.raises(DataError, match=message):
        read(path)


def test_a_byte_order_mark_is_not_part_of_the_question(tmp_path):
    path = tmp_path / "q.jsonl"
    path.write_bytes(b'\xef\xbb\xbf{"prompt": "a"}\n')
    assert read(path).good[0].messages[0]["content"] == "a"
