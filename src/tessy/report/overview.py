"""Sections: what the runs are, what they came to, how long their texts are."""

from __future__ import annotations

from tessy.method.trajectory import Role
from tessy.report.build import Report, RunReport
from tessy.report.charts import histograms
from tessy.report.document import Section, Table, decimal, percent, share, whole
from tessy.report.figures.accounts import Totals
from tessy.report.figures.figures import Figure

PAPER_SHARES = "77.65% with gpt-oss-120b, 66.5% with DeepSeek-R1, 69.2% with Qwen3-235B"

_SUMS = {
    "student_tokens": "student's tokens, kept",
    "teacher_tokens": "teacher's tokens, kept",
    "student_discarded_tokens": "student's tokens, discarded",
    "teacher_discarded_tokens": "teacher's tokens, discarded",
    "thinking_tokens": "of the kept: thinking",
    "answer_tokens": "of the kept: answer",
    "turns": "turns",
    "hand_overs": "hand-overs",
    "requests": "requests",
    "seconds": "seconds, added up over samples",
}
_SHARES = {
    "teacher_share": "teacher share of the kept tokens",
    "discarded_share": "discarded share of the generated tokens",
}
_MEANS = {
    "tokens_a_sample": "tokens a sample",
    "thinking_tokens_a_sample": "thinking tokens a sample",
    "answer_tokens_a_sample": "answer tokens a sample",
    "turns_a_sample": "turns a sample",
    "hand_overs_a_sample": "hand-overs a sample",
    "tokens_a_request": "kept tokens a request",
    "requests_a_sample": "requests a sample",
    "seconds_a_sample": "seconds a sample",
}


def runs(report: Report) -> Section:
    """What was read."""
    names = sorted({name for run in report.runs for name in run.models})
    rows = [
        ["folder", *(run.path for run in report.runs)],
        ["method", *(run.method for run in report.runs)],
        ["begun", *(run.begun for run in report.runs)],
        ["questions", *(run.questions for run in report.runs)],
        *([name.replace("_", " "), *(run.models.get(name, "–") for run in report.runs)]
          for name in names),
    ]  # fmt: skip
    how = "What was read: each run's folder, how it was written, and by which models."
    notes = []
    if len(report.runs) > 1:
        notes.append(
            f"{report.shared:,} questions were answered in all {len(report.runs)} runs. Side by "
            "side below stands what is about these alone, unless it says otherwise. Questions are "
            "the same if both their ids and their texts are."
        )
    return Section("runs", "Runs", how, notes, [_table("", "", report, rows)])


def accounts(report: Report) -> Section:
    """Where every sample and every token went."""
    how = (
        "Every sample that ended is finished or failed, so the first table adds up. Teacher share "
        "is the teacher's part of the tokens that the data set keeps (the paper has "
        f"{PAPER_SHARES}). The discarded share is what rolling back costs: generated, paid for, "
        "and in no sample. Tokens are each model's own, as its server counts them. Intervals are "
        f"95%, by bootstrap over questions ({report.bootstrap.samples:,} resamples)."
    )
    tables = [_ended(report), _totals(report.runs[0])]
    if report.side_by_side:
        tables.append(_side_by_side(report))
    notes = [note for run in report.runs for note in _notes(run)]
    return Section("accounts", "Accounts", how, notes, tables)


def _ended(report: Report) -> Table:
    reasons = dict.fromkeys(reason for run in report.runs for reason in run.accounts.failed)
    found = [run.accounts for run in report.runs]
    rows = [
        ["ended", *(whole(each.ended) for each in found)],
        ["finished", *(whole(each.finished.sums["samples"]) for each in found)],
        ["failed", *(whole(sum(each.failed.values())) for each in found)],
        *([f"failed: {reason}", *(whole(each.failed.get(reason, 0)) for each in found)]
          for reason in reasons),
        ["under way", *(whole(run.under_way) for run in report.runs)],
        ["tokens lost with failed samples",
         *(percent(Figure(each.lost_share)) for each in found)],
    ]  # fmt: skip
    return _table("Samples", "", report, rows)


def _totals(run: RunReport) -> Table:
    parts = (run.accounts.finished, run.accounts.lost, run.accounts.all)
    rows = [[title, *(whole(part.sums[name]) for part in parts)] for name, title in _SUMS.items()]
    rows += _figures(parts)
    title = f"Tokens and time of {run.label}"
    return Table(title, ["", "finished samples", "failed samples", "all"], rows)


def _side_by_side(report: Report) -> Table:
    rows = _figures([report.side_by_side[run.label] for run in report.runs])
    title = f"Side by side, finished samples of the {report.shared:,} shared questions"
    return _table(title, "", report, rows)


def _figures(parts: list[Totals] | tuple[Totals, ...]) -> list[list[str]]:
    rows = [[title, *(percent(p.figures[name]) for p in parts)] for name, title in _SHARES.items()]
    return rows + [
        [title, *(_mean(part.figures[name]) for part in parts)] for name, title in _MEANS.items()
    ]


def _mean(figure: Figure) -> str:
    return decimal(figure, 1 if abs(figure.value) < 1000 else 0)


def _notes(run: RunReport) -> list[str]:
    found = []
    if run.accounts.cut_off:
        of = run.accounts.finished.sums["samples"]
        found.append(
            f"{run.label}: the thinking of {run.accounts.cut_off:,} finished samples "
            f"({share(run.accounts.cut_off, of)}) was closed at its limit."
        )
    if run.accounts.set_aside:
        drafts = ", ".join(f"{why} {count:,}" for why, count in run.accounts.set_aside.items())
        found.append(f"{run.label}: drafts that were set aside: {drafts}.")
    return found


def lengths(report: Report) -> Section:
    """How long responses and spans are."""
    how = (
        "Bars are shares of all responses, or of all spans. Responses of a method that the student "
        "ends are mostly shorter than the teacher's own (paper, Fig. 12: 14,602 tokens with "
        "gpt-oss against 22,196 of Teacher-Only). Spans of a word or two from the teacher say that "
        "the predictor calls words of reasoning style; very long ones of the student, that it "
        "lets reasoning pass. The last bin holds all that is longer."
    )
    rows = [
        [name, whole(sum(each.counts)), *_three(each.mean, each.median, each.longest)]
        for run in report.runs
        for name, each in (
            (f"{run.label}: responses, tokens", run.responses),
            *((f"{run.label}: {role}'s spans, words", run.spans[role]) for role in Role),
        )
        if each.counts
    ]
    table = Table("Lengths", ["", "how many", "mean", "median", "longest"], rows)
    charts = [
        histograms(
            "Responses", "tokens a response", {run.label: run.responses for run in report.runs}
        ),
        *(
            histograms(
                f"Spans of the thinking: {run.label}",
                "words a span",
                {role.value: found for role, found in run.spans.items()},
            )
            for run in report.runs
            if all(found.counts for found in run.spans.values())
        ),
    ]
    return Section("lengths", "Lengths", how, [], [table], charts)


def _three(mean: float, median: float, longest: float) -> list[str]:
    return [f"{mean:,.1f}", f"{median:,.1f}", whole(longest)]


def _table(title: str, corner: str, report: Report, rows: list[list[str]]) -> Table:
    return Table(title, [corner, *(run.label for run in report.runs)], rows)
