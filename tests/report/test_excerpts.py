"""Which samples a page shows, and how much of them."""

from __future__ import annotations

from made_runs import STUDENT, TEACHER, Made, answer, last, turn, write_run
from tessy.method.trajectory import Failure
from tessy.report.figures.intervals import Bootstrap
from tessy.report.job import ReportSettings, make_report, write_report

LIMIT = 5_000_000


def test_a_run_with_long_texts_and_many_failures_makes_a_page_that_opens(tmp_path):
    words = [turn(STUDENT, " wait so", 2, " gone", 1), turn(TEACHER, " 7 + 1 = 8", 4)]
    whole = [*words * 700, last(STUDENT, " so", 1), answer("yes", 1)]
    samples = [Made(f"q{number}", whole) for number in range(14)]
    reasons = list(Failure)[1:10]
    long = [turn(STUDENT, " wait" * 500, 500), turn(TEACHER, " 7" * 500, 500)]
    for number in range(200):
        samples.append(Made(f"bad{number}", long, failure=reasons[number % len(reasons)]))
    run = write_run(tmp_path / "run", samples)
    report = make_report(ReportSettings([run], bootstrap=Bootstrap(10)))
    write_report(report, {"html": tmp_path / "report.html"})
    assert (tmp_path / "report.html").stat().st_size < LIMIT
    assert len(report.runs[0].failed) == 150
    assert {each.failure for each in report.runs[0].failed} == set(reasons)
    assert len(report.runs[0].finished) == 12
    assert all(each.left_out for each in [*report.runs[0].finished, *report.runs[0].failed])
