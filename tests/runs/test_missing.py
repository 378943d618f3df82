"""A run that is not where a command looks for it."""

from __future__ import annotations

from pathlib import Path

import pytest

import tessy
from commands import run
from made_runs import Made, answer, last, write_run
from tessy.errors import JournalError
from tessy.method.trajectory import Role


@pytest.fixture
def above(tmp_path):
    made = Made("q0", [last(Role.STUDENT, "So", 1), answer("4", 1)])
    for name in ("first", "second"):
        write_run(tmp_path / "runs" / name, [made])
    (tmp_path / "runs" / "frist-notes").mkdir()
    (tmp_path / "q.jsonl").write_text('{"id": "q0", "prompt": "2 + 2?"}\n')
    return tmp_path


@pytest.mark.parametrize(
    "arguments",
    [
        ["show", "{run}"],
        ["report", "{run}"],
        ["report", "runs/second", "--against", "{run}"],
        ["merge", "{run}"],
        ["export", "{run}", "--to", "trl", "--out", "out"],
        ["verify", "{run}", "--with", "exact"],
        ["view", "{run}", "--no-open"],
        ["predictor", "train", "{run}", "--out", "out"],
        ["select", "q.jsonl", "--by", "student={run}", "--out", "out.jsonl"],
    ],
    ids=lambda arguments: arguments[0],
)
@pytest.mark.parametrize("typed", ["runs/frist", "run/first"])
def test_a_mistyped_run_is_answered_with_the_one_that_was_meant(
    above, monkeypatch, arguments, typed
):
    monkeypatch.chdir(above)
    done = run(*(each.format(run=typed) for each in arguments))
    assert done.code in (1, 2), done.out
    assert "hint: did you mean runs/first?" in done.err
    assert sorted(each.name for each in above.iterdir()) == ["q.jsonl", "runs"], (
        "and nothing was made"
    )


def test_a_folder_above_a_run_or_in_it_is_named(above):
    with pytest.raises(JournalError, match="no shards with a journal") as found:
        tessy.load(above / "runs")
    first, second = above / "runs/first", above / "runs/second"
    assert found.value.hint == f"it has runs in it: {first}, {second}"
    with pytest.raises(JournalError, match="no shards with a journal") as found:
        tessy.load(first / "shards")
    assert found.value.hint == f"the run's folder is {first}"
    with pytest.raises(JournalError, match="it is a file") as found:
        tessy.load(above / "q.jsonl")
    assert found.value.hint == "name the run's folder"


def test_nothing_is_suggested_where_no_run_is_near(above):
    with pytest.raises(JournalError, match="there is no such folder") as found:
        tessy.load(above / "runs" / "qwerty")
    assert found.value.hint is None
    with pytest.raises(JournalError, match="there is no such folder") as found:
        tessy.load(Path("/no/such/folder"))
    assert found.value.hint is None


def test_a_mistyped_url_is_answered_with_the_run_that_was_meant(above):
    there = (above / "runs").as_uri()
    with pytest.raises(JournalError, match="is no run") as found:
        tessy.load(f"{there}/frist")
    assert found.value.hint == f"did you mean {there}/first?"
    for other in ("qwerty", "frist-notes"):
        with pytest.raises(JournalError, match="is no run") as found:
            tessy.load(f"{there}/{other}")
        assert found.value.hint is None
