"""Sections about runs as a whole: right answers, what runs are, their accounts, their lengths."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from tessy.method.trajectory import Role
from tessy.report.charts import histograms
from tessy.report.document import (
    NOTHING,
    Headline,
    Section,
    Table,
    between,
    decimal,
    p_value,
    percent,
    points,
    share,
    whole,
)
from tessy.report.figures.accounts import Totals
from tessy.report.figures.accuracy import Accuracy
from tessy.report.figures.intervals import MANY, Interval
from tessy.report.report import Report, RunReport

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
    "hand_overs_in_1000_words": "hand-overs in 1,000 words of thinking",
    "tokens_a_request": "kept tokens a request",
    "requests_a_sample": "requests a sample",
    "seconds_a_sample": "seconds a sample",
}
_OF_TWO = ("teacher_share", "hand_overs_a_sample", "hand_overs_in_1000_words")
"""Of these an evaluation has none: one model wrote all."""


def headlines(run: RunReport) -> list[Headline]:
    """The figures that a report begins with."""
    finished, figures = run.accounts.finished, run.accounts.finished.figures
    failed = sum(run.accounts.failed.values())
    found = []
    together = "evaluated" not in run.models
    if (right := run.accuracy) is not None:
        which = "with a verdict" if together else "measured"
        of = f"{right.right:,} of {right.verified:,} {which}" if right.verified else ""
        aside = ", ".join(filter(None, [between(right.share, 100, unit="%"), of]))
        value = f"{right.share.value:.1%}" if right.verified else NOTHING
        found.append(Headline("right", value, aside or "no answer was verified"))
    lost_share = run.accounts.lost_share
    lost = f", with {lost_share:.1%} of the tokens" if lost_share > 0 else ""
    found.append(Headline("finished", whole(finished.sums["samples"]), f"{failed:,} failed{lost}"))
    teacher, discarded = figures["teacher_share"], figures["discarded_share"]
    if not math.isnan(teacher.value):
        if together:
            of = between(teacher, 100, unit="%") or "of the tokens"
            found.append(Headline("by the teacher", f"{teacher.value:.1%}", of))
        found.append(Headline("discarded", f"{discarded.value:.1%}", "of finished samples' tokens"))
        tokens = figures["tokens_a_sample"]
        of = between(tokens, digits=0)
        found.append(Headline("tokens a finished sample", whole(tokens.value), of))
        if together:
            overs = figures["hand_overs_in_1000_words"].value
            found.append(Headline("hand-overs", f"{overs:.1f}", "in 1,000 words of thinking"))
    return found


def accuracy(report: Report) -> Section | None:
    """How many answers are right; None if nothing was verified."""
    if not any(run.accuracy for run in report.runs):
        return None
    found = [run.accuracy for run in report.runs]

    def row(title: str, of: Callable[[Accuracy], str]) -> list[str]:
        return [title, *(of(each) if each else NOTHING for each in found)]

    rows = [
        row("right", lambda each: f"{each.right:,}"),
        row("wrong, or without an answer", lambda each: f"{each.wrong:,}"),
        row(
            "of them rejected or failed: not in the data set", lambda each: f"{each.failed_wrong:,}"
        ),
        row("not verified", lambda each: f"{each.unverified:,}"),
        row("of them verifier errors", lambda each: f"{each.errors:,}"),
        row("failed for another reason", lambda each: f"{each.failed:,}"),
        row("right, of right and wrong ones", lambda each: percent(each.share)),
        row("right, if what models failed is wrong", lambda each: percent(each.share_of_ended)),
    ]
    how = (
        "The verifier's verdicts. Intervals are 95%: Wilson's, with samples of one question "
        "counted by how alike they are; that of a difference by bootstrap. A sample that "
        "the verifier rejected at its last attempt counts as wrong."
    )
    if any("evaluated" in run.models for run in report.runs):
        how += " So does every sample of an evaluation that its model failed, as in pass@1."
    if any(each and each.failed and math.isnan(each.share_of_ended.value) for each in found):
        how += " Some questions have no reference: which failed samples have one is not known."
    if any(run.attempts > 1 for run in report.runs):
        attempts = [f"{run.attempts:,}" for run in report.runs]
        rows.insert(0, ["attempts at a sample, at most", *attempts])
    tried_again = [0 if "evaluated" in run.models else run.again for run in report.runs]
    if any(tried_again):
        rows.insert(0, ["samples written again after a failure", *map(whole, tried_again)])
    if any(tried_again) or any(run.attempts > 1 for run in report.runs):
        how += (
            " Where a sample has several attempts, or was written again after a failure, the "
            "verifier chose among answers: its share is not that of single answers."
        )
    tables = [_by_run("Answers", report, rows)]
    if report.paired:
        how += (
            " Runs are compared on the questions on which both were verified; p is that of "
            "McNemar's exact test, where each question has one sample."
        )
        tables.append(_paired(report))
    return Section("accuracy", "Right answers", how, [], tables)


def _paired(report: Report) -> Table:
    first = report.runs[0].label
    pairs = report.paired
    rows = [
        ["questions", *(whole(each.questions) for each in pairs.values())],
        [f"right: {first}", *(f"{each.first:.1%}" for each in pairs.values())],
        ["right: the other", *(f"{each.second:.1%}" for each in pairs.values())],
        ["difference", *(points(each.difference) for each in pairs.values())],
        [f"more often right: {first}", *(whole(each.only_first) for each in pairs.values())],
        ["more often right: the other", *(whole(each.only_second) for each in pairs.values())],
        ["p", *(p_value(each.p) for each in pairs.values())],
    ]
    return Table("Question by question", ["against", *pairs], rows)


def in_all_runs(count: int) -> str:
    """`both runs`, or `all 3 runs`."""
    return "both runs" if count == 2 else f"all {count} runs"


def runs(report: Report) -> Section:
    """What was read."""
    names = sorted({name for run in report.runs for name in run.models})
    rows = [
        ["folder", *(run.path for run in report.runs)],
        ["method", *(run.method for run in report.runs)],
        ["begun", *(run.begun for run in report.runs)],
        ["questions", *(run.questions for run in report.runs)],
    ]
    for name in names:
        rows.append(
            [name.replace("_", " "), *(run.models.get(name, NOTHING) for run in report.runs)]
        )
    how = "What was read: each run's folder, how it was written, and by which models."
    notes = []
    if len(report.runs) > 1:
        notes.append(
            f"{report.shared:,} questions were answered in {in_all_runs(len(report.runs))}. "
            "Comparisons below are about these questions alone, unless they say otherwise. Two "
            "questions are the same if their ids and their texts are."
        )
    return Section("runs", "Runs", how, notes, [_by_run("", report, rows)])


def accounts(report: Report) -> Section:
    """Where every sample and every token went."""
    how = (
        "A sample that ended has finished or failed, so the first table adds up. The teacher "
        "share is the teacher's part of the tokens in the data set (in the paper "
        f"{PAPER_SHARES}). The discarded share is the cost of rolling back and of rejected "
        "drafts: tokens that were generated and are in no sample. Each model counts its own "
        "tokens. Intervals are 95%, by bootstrap over questions "
        f"({report.bootstrap.samples:,} resamples), or with more than {MANY:,} questions by the "
        "normal distribution."
    )
    first = report.runs[0]
    parts = (first.accounts.finished, first.accounts.lost, first.accounts.all)
    titles = _SUMS
    if "evaluated" in first.models:  # one model, which is nobody's student
        alone = (item for item in _SUMS.items() if not item[0].startswith(("teacher", "hand")))
        titles = {name: title.removeprefix("student's ") for name, title in alone}
    sums = [[title, *(whole(part.sums[name]) for part in parts)] for name, title in titles.items()]
    tables = [
        _ended(report),
        Table(
            f"Tokens and time of {first.label}",
            ["", "finished samples", "failed samples", "all"],
            sums + _ratios(parts, ["evaluated" not in first.models] * len(parts)),
        ),
    ]
    tables += [_by_teacher(run) for run in report.runs if run.accounts.teachers]
    if report.side_by_side:
        title = f"Side by side, finished samples of the {report.shared:,} shared questions"
        totals = [report.side_by_side[run.label] for run in report.runs]
        together = ["evaluated" not in run.models for run in report.runs]
        tables.append(_by_run(title, report, _ratios(totals, together)))
    notes = [note for run in report.runs for note in _notes(run)]
    return Section("accounts", "Accounts", how, notes, tables)


def _ended(report: Report) -> Table:
    found = [run.accounts for run in report.runs]
    rows = [
        ["ended", *(whole(each.ended) for each in found)],
        ["finished", *(whole(each.finished.sums["samples"]) for each in found)],
        ["failed", *(whole(sum(each.failed.values())) for each in found)],
    ]
    for reason in dict.fromkeys(reason for each in found for reason in each.failed):
        rows.append([f"failed: {reason}", *(whole(each.failed.get(reason, 0)) for each in found)])
    lost = [percent(Interval(each.lost_share)) for each in found]
    rows.append(["begun, not ended", *(whole(run.under_way) for run in report.runs)])
    rows.append(["tokens lost with failures", *lost])
    return _by_run("Samples", report, rows)


def _by_teacher(run: RunReport) -> Table:
    """What each of several teachers wrote with the student."""
    teachers = run.accounts.teachers.values()
    rows = [
        ["finished samples", *(whole(each.finished.sums["samples"]) for each in teachers)],
        ["failed samples, as their last teacher", *(whole(each.failed) for each in teachers)],
        ["other drafts, rejected", *(whole(each.rejected) for each in teachers)],
        *_ratios([each.finished for each in teachers], [True] * len(teachers)),
    ]
    title = f"Teachers of {run.label}, finished samples"
    return Table(title, ["", *run.accounts.teachers], rows)


def _ratios(parts: Sequence[Totals], together: Sequence[bool]) -> list[list[str]]:
    """Shares and means.

    Args:
        parts: Of what; one for each column.
        together: Whether these are of samples that two models may have written.
    """

    def row(name: str, title: str, shown: Callable[[Interval], str]) -> list[str]:
        of = [each or name not in _OF_TWO for each in together]
        found = [part.figures[name] for part in parts]
        return [
            title,
            *(
                shown(each) if is_shown else NOTHING
                for each, is_shown in zip(found, of, strict=True)
            ),
        ]

    rows = [row(name, title, percent) for name, title in _SHARES.items()]
    rows += [
        row(name, title, lambda each: decimal(each, 1 if each.value < 1000 else 0))
        for name, title in _MEANS.items()
    ]
    return [each for each in rows if set(each[1:]) != {NOTHING}]


def _notes(run: RunReport) -> list[str]:
    found = []
    if run.accounts.cut_off:
        of = run.accounts.finished.sums["samples"]
        found.append(
            f"{run.label}: the thinking of {run.accounts.cut_off:,} finished samples "
            f"({share(run.accounts.cut_off, of)}) was closed at its limit."
        )
    if replaced := run.accounts.replaced:
        found.append(
            f"{run.label}: {replaced:,} more tokens were generated for failures that were written "
            "again. They are in the share of tokens lost, and in no other number."
        )
    if run.accounts.rejected:
        drafts = ", ".join(f"{why} {count:,}" for why, count in run.accounts.rejected.items())
        found.append(f"{run.label}: rejected drafts: {drafts}.")
    return found


def lengths(report: Report) -> Section:
    """How long responses and spans are."""
    how = (
        "Bars are shares of all responses, or of all spans; the last one has everything longer. "
        "Where the student ends the response, it is mostly shorter than the teacher's own (paper, "
        "Fig. 12: 14,602 tokens with gpt-oss, 22,196 for Teacher-Only). Many teacher spans of a "
        "word or two mean that the predictor takes words of the reasoning for style; very long "
        "student spans mean that it takes whole steps for style."
    )
    rows = []
    by_label = {run.label: run.responses for run in report.runs}
    charts = [histograms("Responses", "tokens a response", by_label, [*by_label])]
    for run in report.runs:
        named = {"responses, tokens": run.responses}
        named |= {f"{role}'s spans, words": run.spans[role] for role in Role}
        for name, found in named.items():
            if found.counts:
                numbers = [f"{found.mean:,.1f}", f"{found.median:,.1f}", whole(found.longest)]
                rows.append([f"{run.label}: {name}", whole(sum(found.counts)), *numbers])
        if all(found.counts for found in run.spans.values()):
            spans = {role.value: found for role, found in run.spans.items()}
            title = f"Spans of the thinking: {run.label}"
            charts.append(histograms(title, "words a span", spans))
    table = Table("Lengths", ["", "how many", "mean", "median", "longest"], rows)
    return Section("lengths", "Lengths", how, [], [table], charts)


def _by_run(title: str, report: Report, rows: Sequence[Sequence[str]]) -> Table:
    """A table with a column for each run."""
    return Table(title, ["", *(run.label for run in report.runs)], rows)
