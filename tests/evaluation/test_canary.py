"""What a canary says of two runs is what the summary and the report say of them."""

from __future__ import annotations

import io

from rich.console import Console

from made_runs import TEACHER, Made, answer, last, write_run
from tessy.evaluation.canary import Canary, side_of, table
from tessy.method.trajectory import Failure
from tessy.report.source import open_runs
from tessy.runs.folder import RunFolder
from tessy.runs.progress import right_of
from tessy.runs.reader import JournalReader

TURNS = [last(TEACHER, " x=7", 2), answer("It is 7.", 3)]
ENDS = ["right", "right", "wrong", None, "error", Failure.REJECTED, Failure.THINKING_LIMIT]


def made(ends):
    for number, end in enumerate(ends):
        failed = isinstance(end, Failure)
        yield Made(f"q{number}", TURNS, **({"failure": end} if failed else {"verdict": end}))


def rows(found: Canary) -> dict[str, list[str]]:
    console = Console(file=io.StringIO(), record=True, width=200)
    console.print(table(found))
    lines = [line.split("│")[1:-1] for line in console.export_text().splitlines()]
    return {cells[0].strip(): [cell.strip() for cell in cells[1:]] for cells in lines if cells}


def test_right_answers_are_counted_as_the_summary_counts_them(tmp_path):
    folders = [write_run(tmp_path / "a", made(ENDS)), write_run(tmp_path / "b", made(ENDS[:4]))]
    ids = {f"q{number}" for number in range(len(ENDS))}
    sides = [side_of(source, ids) for source in open_runs(folders)]
    found = rows(Canary(*sides, tmp_path / "b", verified=True, bad=0, left=0))
    for place, folder in enumerate(folders):
        with JournalReader(RunFolder(folder)) as reader:
            said = right_of(reader.totals())
        assert said.startswith(found["right"][place].split(": ")[0])
    assert found["right"][0].startswith("2 of 4: 50.0%")
    assert found["right, if what models failed is wrong"][0] == "–", "q3 has no reference"
    assert found["failed"][0].startswith("2 of 7: ")
    referenced = [side_of(source, ids - {"q3"}) for source in open_runs(folders)]
    found = rows(Canary(*referenced, tmp_path / "b", verified=True, bad=0, left=0))
    assert found["right, if what models failed is wrong"][0].startswith("40.0%")
    only = [side_of(source, {"q0", "q2"}) for source in open_runs(folders)]
    found = rows(Canary(*only, tmp_path / "b", verified=True, bad=0, left=0))
    assert found["right"][0].startswith("1 of 2: 50.0%")
    assert "right, if what models failed is wrong" not in found
