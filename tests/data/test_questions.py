import json

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from data.hostile_rows import BEFORE, HOSTILE
from tessy.data.exact import dumps
from tessy.data.questions import drawn, read
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
    found = list(read(path))
    assert [q.id for q in found] == ["000000", "7", "000002", "d"]
    assert [q.messages[-1]["content"] for q in found] == ["What?", "Who?", "Why?", "Why?"]
    assert found[0].extra == {"level": 3}
    assert found[2].extra == {"question_spans": "mine", "question_verdict": "yours"}
    assert found[2].messages == tuple(chat)


def test_two_questions_with_the_same_text_are_two(tmp_path):
    line = json.dumps({"prompt": "What?"})
    assert [q.id for q in read(write(tmp_path / "q.jsonl", line, line))] == [
        "000000",
        "000001",
    ]


BAD = [
    ("{", "not JSON"),
    ("[1]", "a question is an object, not list"),
    (
        '{"text": "What?"}',
        "none of prompt, question, problem, instruction, messages, dialogs, conversations is there "
        "(only text); --question-column names another",
    ),
    ('{"prompt": " "}', "prompt is empty"),
    ('{"prompt": 3}', "prompt must be text, not int"),
    ('{"messages": []}', "messages is empty"),
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
    assert len(found) == 1
    assert len(found.bad) == len(BAD)
    assert found.bad[0].where == f"{path}:2"
    assert found.bad[0].number == 1


@pytest.mark.parametrize(
    ("name", "content", "column", "says", "hint"),
    [
        ("q.csv", "q,a\n1+1,2\n2+2,4\n", None, "no row has a question: none of prompt, ", "q, a"),
        ("q.csv", "promt,a\nx,2\n", None, "none of prompt", "mean --question-column promt? there"),
        (
            "q.csv",
            "question,a\nx,2\n",
            "qestion",
            "no row has a column 'qestion'",
            "mean question? ",
        ),
        ("q.csv", "question,a\nx,2\n", "other", "no row has a column 'other'", "of question, a"),
        ("q.jsonl", '{"a": 1}\n{"b": 2}\n{"b": 1}\n', None, "none of prompt", "there are a, b"),
        ("q.jsonl", '{"a": 1}\n{\n', None, "2 bad lines", "fix them"),
        ("q.jsonl", '{"a": 1}\n{}\n', None, "2 bad lines", "fix them"),
        ("q.jsonl", '{"prompt": 1}\n', None, "1 bad line;", "fix them"),
    ],
)
def test_where_every_row_is_bad_to_skip_them_does_not_help(
    tmp_path, name, content, column, says, hint
):
    path = tmp_path / name
    path.write_text(content)
    with pytest.raises(DataError) as error:
        read(path, column=column)
    assert says in str(error.value)
    assert hint in error.value.hint
    assert "--skip-bad" not in error.value.hint
    assert len(read(path, column=column, skip_bad=True).bad) == content.count("\n") - (
        ".csv" in name
    )


def test_the_digest_is_of_the_whole_file_whatever_the_limit(tmp_path):
    path = write(tmp_path / "q.jsonl", '{"prompt": "a"}', '{"prompt": "b"}')
    assert read(path, limit=1).digest == read(path).digest
    assert len(read(path, limit=1)) == 1
    other = write(tmp_path / "r.jsonl", '{"prompt": "a"}', '{"prompt": "c"}')
    assert read(other).digest != read(path).digest


def test_parquet(tmp_path):
    rows = [{"question": "a", "n": 1}, {"question": None, "n": 2}, {"question": "c", "n": 3}]
    path = tmp_path / "q.parquet"
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    with pytest.raises(DataError, match="row 2: question is empty"):
        read(path)
    found = read(path, skip_bad=True)
    assert [(q.id, q.extra) for q in found] == [("000000", {"n": 1}), ("000002", {"n": 3})]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("missing.jsonl", None, "no such file"),
        ("empty.jsonl", "", "contains no questions"),
        ("table.xlsx", "a,b", ".xlsx is not known"),
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


@pytest.mark.parametrize("text", ["What is 1 + 1?", "1 + 1/2 =", "word " * 1000])
def test_a_question_in_place_of_a_file_is_seen(text):
    with pytest.raises(DataError) as error:
        read(text)
    assert len(str(error.value)) < 300
    assert error.value.hint.startswith("the text of a question goes into a file, or in Python a l")


HOSTILE_IDS = [f"{case.kind}, {case.file}" for case in HOSTILE]


@pytest.mark.parametrize("case", HOSTILE, ids=HOSTILE_IDS)
def test_hostile_rows_are_read_or_refused_with_their_place(tmp_path, case):
    path = tmp_path / case.file
    path.write_bytes(case.content)
    if case.says is None:
        assert not read(path).bad
        return
    with pytest.raises(DataError) as error:
        read(path)
    said = f"{error.value}; {error.value.hint}"
    assert case.says in said
    assert str(path) in said
    assert len(said) < 2000
    if case.content.startswith(BEFORE):  # the other rows are not lost with it
        assert f"{path}:2: " in said
        found = read(path, skip_bad=True)
        assert [q.id for q in found] == ["first", "last"]
        assert [(line.id, line.where) for line in found.bad] == [("bad-line:2", f"{path}:2")]


def one(tmp_path, **row):
    path = tmp_path / "q.jsonl"
    path.write_bytes(dumps(row))
    return next(iter(read(path)))


ASKED = [
    ({"problem": "a", "solution": "b"}, ["user: a"], {"solution": "b"}),
    ({"instruction": "a", "input": "b", "output": "c"}, ["user: a\nb"], {"output": "c"}),
    ({"instruction": "a", "input": ""}, ["user: a"], {}),
    ({"prompt": [{"role": "user", "content": "a"}], "data_source": "x"}, ["user: a"],
     {"data_source": "x"}),
    ({"conversations": [{"from": "system", "value": "s"}, {"from": "human", "value": "a"},
                        {"from": "gpt", "value": "b"}, {"from": "human", "value": "c"}]},
     ["system: s", "user: a", "assistant: b", "user: c"], {}),
    ({"prompt": "a", "question": "a"}, ["user: a"], {"question": "a"}),
    ({"problem": "a", "messages": [{"role": "user", "content": "a"},
                                   {"role": "assistant", "content": "b"}]},
     ["user: a"], {"question_messages": [{"role": "user", "content": "a"},
                                         {"role": "assistant", "content": "b"}]}),
    ({"messages": [{"role": "user", "content": [{"type": "text", "text": "a"},
                                                {"type": "text", "text": "b"}]}]},
     ["user: a\nb"], {}),
    ({"prompt": "a", "tools": None, "system": "", "history": []}, ["user: a"],
     {"tools": None, "system": "", "history": []}),
]  # fmt: skip


@pytest.mark.parametrize(("row", "asked", "extra"), ASKED)
def test_the_columns_of_others_are_read(tmp_path, row, asked, extra):
    question = one(tmp_path, **row)
    assert [f"{m['role']}: {m['content']}" for m in question.messages] == asked
    assert question.extra == extra


def test_thinking_of_earlier_turns_is_kept(tmp_path):
    chat = [
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": "b", "reasoning_content": "hm", "tool_calls": None},
        {"role": "user", "content": "c", "reasoning_content": None},
    ]
    assert one(tmp_path, messages=chat).messages == (
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": "b", "reasoning_content": "hm"},
        {"role": "user", "content": "c"},
    )


@given(st.lists(st.sampled_from(["a", "b", "c", ""]), min_size=1, max_size=8))
def test_questions_with_the_text_of_an_earlier_one_are_counted(tmp_path_factory, texts):
    path = tmp_path_factory.mktemp("q") / "q.jsonl"
    rows = [{"prompt": text, "id": n if n % 3 else 0} for n, text in enumerate(texts)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = read(path, skip_bad=True)
    good = [question.messages[0]["content"] for question in found]
    assert found.repeated == len(good) - len(set(good))


def test_the_column_of_the_question_can_be_named(tmp_path):
    row = {"prompt": "a", "question": "b", "text": "c", "system": "s", "empty": None}
    path = tmp_path / "q.jsonl"
    path.write_bytes(dumps(row))
    found = read(path, column="text")
    assert next(iter(found)).messages == ({"role": "user", "content": "c"},)
    assert next(iter(found)).extra == {key: row[key] for key in row if key != "text"}
    with pytest.raises(DataError, match="empty is empty"):
        read(path, column="empty")
    # Another column is another run.
    assert found.digest != read(path, column="question").digest


def test_ids_that_are_numbers_are_text_and_may_not_meet(tmp_path):
    path = write(tmp_path / "q.jsonl", '{"prompt": "a", "id": 7}', '{"prompt": "b", "id": "7"}')
    with pytest.raises(DataError, match=r"q.jsonl:2: id '7' is already at .*q.jsonl:1"):
        read(path)


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (
            ['{"prompt": "a"}', '{"prompt": "b", "id": "000000"}'],
            "2: id '000000' is already at FILE:1, which has no id: its number is one",
        ),
        (
            ['{"prompt": "a", "id": "000001"}', '{"prompt": "b"}'],
            "2: it has no id, and its number, 000001, is the id at FILE:1",
        ),
    ],
)
def test_an_id_that_is_another_row_s_number(tmp_path, rows, said):
    path = write(tmp_path / "q.jsonl", *rows)
    with pytest.raises(DataError) as error:
        read(path)
    assert str(error.value).splitlines()[1] == f"  {path}:{said.replace('FILE', str(path))}"


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(min_value=2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda each: (
        st.lists(each, max_size=4) | st.dictionaries(st.text(max_size=8), each, max_size=4)
    ),
    max_leaves=12,
)
KEYS = st.sampled_from(
    ["id", "prompt", "question", "problem", "instruction", "input", "messages", "conversations",
     "spans", "stats", "verdict", "question_spans", "system", "answer"]
)  # fmt: skip
MESSAGE = st.dictionaries(
    st.sampled_from(["role", "content", "reasoning_content", "tool_calls", "from", "value"]),
    st.sampled_from(["user", "assistant", "system", "tool", "human", "gpt", "", None, 7, ["user"]])
    | JSON,
)
ROW = JSON | st.dictionaries(KEYS, JSON | st.lists(MESSAGE, max_size=3))


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60
)
@given(st.lists(ROW, min_size=1, max_size=4))
def test_read_or_refused_any_json_value_is_a_question_or_a_bad_line(tmp_path, values):
    path = tmp_path / "q.jsonl"
    lines = [json.dumps(value).encode() for value in values]
    if lines[0].startswith(b"["):  # the whole file would be one array
        lines.insert(0, b'{"prompt": "first"}')
    path.write_bytes(b"\n".join(lines))
    found = read(path, skip_bad=True)
    places = [question.where for question in found] + [line.where for line in found.bad]
    assert sorted(places) == sorted(f"{path}:{n + 1}" for n in range(len(lines)))
    for question in found:
        row = json.loads(lines[question.number])
        kept = dumps(list(question.extra.values()))
        assert all(dumps(row[key]) in kept for key in row.keys() & question.extra.keys())


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60
)
@given(st.binary(max_size=60) | st.lists(st.sampled_from(
    [b"{", b"}", b"[", b"]", b'"', b":", b",", b"\n", b"1e999", b"NaN", b'"prompt"', b'"a"',
     b"\xff",
     b"\\ud800", b"\0", b"9" * 30, b" ", b"\r", b"\xef\xbb\xbf"])).map(b"".join))  # fmt: skip
def test_read_or_refused_any_bytes_are_questions_or_an_error_that_names_the_file(tmp_path, content):
    for name in ("q.jsonl", "q.json", "q.csv", "q.jsonl.gz", "q.parquet", "q.arrow"):
        path = tmp_path / name
        path.write_bytes(content)
        error = _error(path)
        assert error is None or str(path) in str(error)


def _error(path):
    try:
        read(path)
    except DataError as error:
        return error


def test_a_byte_order_mark_is_not_part_of_the_question(tmp_path):
    path = tmp_path / "q.jsonl"
    path.write_bytes(b'\xef\xbb\xbf{"prompt": "a"}\n')
    assert next(iter(read(path))).messages[0]["content"] == "a"


@given(st.integers(1, 200), st.integers(1, 200), st.integers(0, 3))
def test_questions_are_drawn_at_random_and_the_same_each_time(many, most, seed):
    numbers = np.arange(many, dtype=np.int64) * 3
    found = drawn(numbers, most, seed)
    assert np.array_equal(found, drawn(numbers, most, seed))
    assert len(found) == min(many, most)
    assert (np.diff(found) > 0).all()
    assert set(found) <= set(numbers)


@pytest.mark.parametrize("sources", [2, 3, 5])
def test_what_is_drawn_of_a_file_whose_sources_alternate_has_all_of_them(sources):
    """Every Nth row would have one source alone."""
    assert set(drawn(np.arange(400), 40) % sources) == set(range(sources))
