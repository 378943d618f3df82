"""*Exact*: what is read is written again with the same values."""

import json
from decimal import Decimal

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from made_runs import Made, answer, last, write_run
from tessy import load
from tessy.data.exact import ExactFloat, ExactInt, dumps, loads, parse
from tessy.data.parquet import from_row, to_row
from tessy.data.questions import Question
from tessy.data.record import finished
from tessy.data.rows import row_bytes
from tessy.exporting.job import export
from tessy.method.trajectory import Role, Trajectory

NUMBERS = [
    "0", "-1", "9223372036854775808", "18446744073709551615", "18446744073709551616",
    "-9223372036854775809", "123456789012345678901234567890", "1" + "0" * 400, "0.1", "1e22",
    "2.5e-300", "3.141592653589793238462643", "1e-400", "-0.12345678901234567890123", "5e-324",
]  # fmt: skip


@pytest.mark.parametrize("text", NUMBERS)
def test_exact_a_number_is_what_was_written(text):
    raw = f'{{"n": [{text}]}}'.encode()
    for value in (parse(raw), loads(raw), loads(dumps(parse(raw)))):
        assert Decimal(str(value["n"][0])) == Decimal(text)
    assert Decimal(json.loads(dumps(parse(raw)), parse_float=Decimal)["n"][0]) == Decimal(text)


WHOLE = st.integers() | st.integers(min_value=2**63) | st.integers(max_value=-(2**63))
DECIMALS = st.decimals(allow_nan=False, allow_infinity=False).filter(
    lambda value: -300 < value.adjusted() < 300
)


@given(WHOLE)
def test_exact_integers_of_any_size(value):
    found = parse(b"%d" % value)
    assert found == value
    assert isinstance(found, ExactInt) == (not -(2**63) <= value < 2**64)
    assert dumps(found) == b"%d" % value


@given(DECIMALS)
def test_exact_decimals_of_any_length(value):
    text = format(value, "e")
    found = parse(text.encode())
    assert Decimal(str(found)) == Decimal(dumps(found).decode()) == value


TREES = st.recursive(
    st.none() | st.booleans() | WHOLE | st.floats(allow_nan=False, allow_infinity=False) | st.text(
        st.characters(exclude_categories=["Cs"])
    ),
    lambda each: st.lists(each) | st.dictionaries(st.text(max_size=5), each, max_size=4),
    max_leaves=15,
)  # fmt: skip


@settings(max_examples=60)
@given(TREES)
def test_exact_any_json_comes_back(value):
    raw = json.dumps(value).encode()
    assert parse(raw) == value
    assert loads(dumps(parse(raw))) == value
    assert type(row_bytes(parse(raw))) is bytes


@settings(max_examples=60)
@given(st.dictionaries(st.sampled_from(["answer", "x", "", "é"]), TREES))
def test_exact_any_column_comes_back_from_the_journal_and_from_parquet(columns):
    asked = Question(
        0, "a", ({"role": "user", "content": "What?"},), parse(json.dumps(columns).encode())
    )
    made = finished("a", asked, Trajectory(), method="tessy", models={"student": "s"}, seed=2**62)
    journal = loads(dumps(made))
    assert journal == made
    assert from_row(to_row(journal)) == made


def test_what_orjson_reads_rightly_is_written_as_before():
    value = {"id": "a", "n": [1, 2.5, True, None, "é\n"], "role": Role.STUDENT}
    assert dumps(value) == orjson.dumps(value)


def test_exact_through_a_run_and_its_exports(tmp_path, monkeypatch):
    raw = b'{"answer": 123456789012345678901234567890, "pi": 3.141592653589793238462643, "f": 0.1}'
    extra = parse(raw)
    assert [type(extra[key]) for key in ("answer", "pi", "f")] == [ExactInt, ExactFloat, float]
    asked = Question(0, "a", ({"role": "user", "content": "What?"},), extra)
    monkeypatch.setattr("made_runs.Question", lambda *_: asked)
    made = Made("a", [last(Role.TEACHER, "Hm.", 2), answer("It is 1.", 3)])
    run = write_run(tmp_path / "run", [made])
    (record,) = load(run).records()
    assert dumps({key: record[key] for key in extra}) == dumps(extra)
    assert dumps(from_row(to_row(record))["answer"]) == b"123456789012345678901234567890"
    export(run, out=tmp_path / "out", to="parquet")
    (again,) = (s.record for s in _samples(tmp_path / "out"))
    assert dumps({key: again[key] for key in extra}) == dumps(extra)


def _samples(folder):
    from tessy.exporting.sources import find_source

    (file,) = folder.glob("*.parquet")
    return find_source(str(file)).samples()
