"""Tables in narrow terminals and in pipes."""

from __future__ import annotations

import pytest
from rich.table import Table

from tessy.cli.evaluate import _tables
from tessy.cli.tables import print_table
from tessy.evaluation.measure import EvalOutcome, EvalSample, measure

RIGHT, WRONG = EvalOutcome.RIGHT, EvalOutcome.WRONG


@pytest.mark.parametrize("columns", ["30", "80", "200"])
def test_numbers_are_never_cut_and_words_fold(capsys, monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", columns)
    made = Table("group")
    made.add_column("share right", justify="right")
    made.add_column("questions and more", justify="right")
    made.add_column("")
    names = ["letter_counting_of_long_names", "[b]"]
    numbers = ["100.0% (100.0–100.0)", "1,234,567"]
    for name in names:
        made.add_row(name, *numbers, "may be chance: too few questions")
    print_table(made)
    out = capsys.readouterr().out
    assert "…" not in out
    assert all(out.count(number) == 2 for number in numbers)
    if columns == "80":
        assert max(map(len, out.splitlines())) <= 80
    letters = "".join(char for char in out if char.isalpha() or char == "_")
    assert columns == "30" or all(letters.count(each[:6]) for each in names if each[0] != "[")
    assert "[b]" in out


def test_an_evaluation_has_a_row_for_each_group(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    groups = [f"family_of_puzzles_{n}" for n in range(9)]
    samples = [
        EvalSample(f"{group}{n}", group, RIGHT if n < 40 - at else WRONG, 9, 1)
        for at, group in enumerate(groups)
        for n in range(40)
    ]
    for table in _tables(measure("a/model", samples)):
        print_table(table)
    out = capsys.readouterr().out
    assert "…" not in out
    assert "100.0% (91.2–100.0)" in out, "never of zero width"
    assert "97.5% (87.1–99.6)" in out
    assert out.count("%") >= 1 + len(groups)
