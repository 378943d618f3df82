"""Sections about what was written: how close it is to the student's own text, style, samples."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest

from tessy.config import STUDENT_ONLY
from tessy.method.trajectory import Role
from tessy.report import charts
from tessy.report.document import (
    NOTHING,
    Chart,
    Section,
    Table,
    counted,
    decimal,
    one_line,
    share,
    whole,
)
from tessy.report.figures.likelihood import AUTHORS
from tessy.report.figures.style import BINS, Why
from tessy.report.report import Contrast, Report, RunReport

_AUTHORS = {
    "all": "all",
    "student": "thinking, the student's spans",
    "teacher": "thinking, the teacher's spans",
    "answer": "answer",
}
_SHADES = 10


def similarity(report: Report) -> Section:
    """How similar the runs' words are."""
    how = (
        "Cosine similarity of TF-IDF vectors of "
        f"{'words' if report.unit == 'words' else 'tokens of ' + report.unit}, question by "
        "question, averaged. 1 means that both use the same words equally often. In the column of "
        "the student alone, good data is well above Teacher-Only (paper, Fig. 14: gpt-oss 0.849 "
        "alone, 0.898 with TESSY; DeepSeek-R1 0.846 and 0.960; Qwen3-235B 0.899 and 0.971). In the "
        "picture, it lies near the student's own text (Fig. 8)."
    )
    title = "Similarity to the student"
    found = report.similarity
    notes = []
    if not any(_is_the_students(run, report) for run in report.runs):
        notes.append(
            "No run here shows how the student writes by itself. To compare with it, make one of "
            f"the same questions (tessy synth … --method {STUDENT_ONLY} --out DIR) and add it with "
            "--against DIR; a run of --method teacher-only shows where the text came from."
        )
    if found is None:
        if len(report.runs) > 1:
            notes.append("The runs have no question in common, so nothing can be compared.")
        return Section("similarity", title, how, notes)
    if report.left_out_words:
        notes.append(
            f"{report.left_out_words:,} words were left out: there were too many different ones."
        )
    cells = [[found.between(one, other) for other in found.runs] for one in found.runs]
    table = Table(
        f"Mean cosine over {found.questions:,} shared questions",
        ["", *found.runs],
        [[one, *map(decimal, row)] for one, row in zip(found.runs, cells, strict=True)],
        [[_shade(cell.value) for cell in row] for row in cells],
    )
    pictures = []
    if found.clouds:
        caption = "Responses on the first two principal components; large marks are centroids"
        runs = [run.label for run in report.runs]
        pictures.append(charts.scatter(caption, found.clouds, found.explained, runs))
    return Section("similarity", title, how, notes, [table], pictures)


def _is_the_students(run: RunReport, report: Report) -> bool:
    """Whether a run shows how the student writes by itself."""
    student = report.runs[0].models.get("student")
    return run.method == STUDENT_ONLY or (
        student is not None and run.models.get("evaluated") == student
    )


def _shade(value: float) -> int:
    """0 for 0.5 and less, 9 for 1: below a half, texts are about other things."""
    return max(0, min(_SHADES - 1, int((value - 0.5) * 2 * _SHADES)))


def words(report: Report) -> Section:
    """Which words are frequent, and which differ between two sides."""
    how = (
        "Good data uses the student's most frequent words most often, too (paper, Fig. 16). Then "
        "come the words whose frequency differs most, in standard deviations: log-odds with an "
        "informative Dirichlet prior (Monroe, Colaresi and Quinn, 2008). Beyond about 2 it is more "
        "than chance. Words of the subject in the student's column are reasoning that the "
        "predictor took for style. Numbers are left out."
    )
    columns = zip_longest(
        *(
            [f"{each.word} {each.per_1000:.1f}" for each in report.frequent[run.label]]
            for run in report.runs
        ),
        fillvalue=NOTHING,
    )
    frequent = Table(
        "Most frequent words, times per 1,000 tokens",
        ["", *(run.label for run in report.runs)],
        [[str(place), *cells] for place, cells in enumerate(columns, 1)],
    )
    tables = [frequent, *map(_contrast, report.contrasts)]
    runs = [run.label for run in report.runs]
    pictures = [_bars(contrast, runs) for contrast in report.contrasts]
    return Section("words", "Words", how, [], tables, pictures)


def _bars(contrast: Contrast, runs: Sequence[str]) -> Chart:
    sides = {contrast.first: contrast.more, contrast.second: contrast.less}
    title = f"Words that differ: {contrast.first} against {contrast.second}, in standard deviations"
    weights = {name: [(each.word, abs(each.z)) for each in side] for name, side in sides.items()}
    return charts.words(title, weights, runs)


def _contrast(contrast: Contrast) -> Table:
    sides = (
        [[each.word, f"{each.z:+.1f}", "{:,} : {:,}".format(*each.counts)] for each in side]
        for side in (contrast.more, contrast.less)
    )
    rows = zip_longest(*sides, fillvalue=[NOTHING] * 3)
    return Table(
        f"Words that differ: {contrast.first} against {contrast.second}",
        ["", f"more in {contrast.first}", "z", "times", f"more in {contrast.second}", "z", "times"],
        [[str(place), *more, *less] for place, (more, less) in enumerate(rows, 1)],
    )


def likelihood(report: Report) -> Section:
    """How likely the student finds the texts."""
    how = (
        "Mean negative log-likelihood per token under the student, in nats. Lower means closer to "
        "what the student would write itself, and so less that training has to change. Compare a "
        "run with Teacher-Only on the same questions. The student's spans should be far below the "
        "teacher's, which are what the student is to learn."
    )
    title = "Likelihood under the student"
    if report.scores is None:
        note = (
            "Nothing was scored. The student's server scores with --student URL, if it returns "
            "log-probabilities of a prompt (vLLM does, llama.cpp does not); transformers does "
            "with --student-weights FOLDER. Scores are kept in each run's folder."
        )
        return Section("likelihood", title, how, [note])
    runs = report.scores.runs
    rows = [
        [_AUTHORS[author], *(decimal(each.nll[author]) for each in runs.values())]
        for author in AUTHORS
    ]
    rows.append(["tokens", *(whole(each.tokens["all"]) for each in runs.values())])
    rows.append(["samples", *(whole(each.samples) for each in runs.values())])
    notes = [f"Scored by {report.scores.scorer}."]
    for label, each in runs.items():
        for why, count in each.left_out.items():
            notes.append(f"{label}: {count:,} samples were not scored: {why}.")
    table = Table("Nats per token", ["", *runs], rows)
    return Section("likelihood", title, how, notes, [table])


def style(report: Report) -> Section:
    """The words at hand-overs, and what was discarded."""
    how = (
        "Of all samples that ended. The student should take over with words of style (wait, so, "
        "okay), the teacher with words of the subject. Discarded text begins with a word that the"
        " predictor called the other kind: look for words where it was wrong. Forced spans were "
        "kept against the predictor, since otherwise the text would not have gone on. More than a"
        " few in a hundred mean that the predictor does not fit these models."
    )
    shown = [
        (place, run)
        for place, run in enumerate(report.runs)
        if not place or any(run.style.opening.values())
    ]
    notes = [
        f"{run.label}: its journal does not have the predictor's confidence at boundaries."
        for _, run in shown
        if run.style.confidence is None
    ]
    tables = [table for _, run in shown for table in _style_tables(run)]
    found = [
        charts.shares(
            f"The predictor's confidence at boundaries, mean {run.style.mean_confidence or 0:.3f}: "
            f"{run.label}",
            "P(other kind)",
            run.style.confidence,
            1 / BINS,
            place,
        )
        for place, run in shown
        if run.style.confidence is not None and any(run.style.confidence)
    ]
    return Section("style", "Style", how, notes, tables, found)


def _style_tables(run: RunReport) -> list[Table]:
    found = run.style
    hand_overs = [
        [f"the {role}", counted(found.opening[role]), counted(found.closing[role])]
        for role in Role
        if found.opening[role]
    ]
    discarded = [
        [why.value, whole(each.times), whole(each.words), counted(each.first)]
        for why, each in ((why, found.discarded[why]) for why in Why)
        if each.times
    ]
    marked = []
    for why, spans in (("forced", found.forced), ("tolerated", found.tolerated)):
        for role, each in spans.items():
            if each.spans:
                texts = [(f"“{one_line(text, 40)}”", count) for text, count in each.words]
                samples = share(each.samples, found.samples)
                marked.append([why, f"the {role}'s", whole(each.spans), samples, counted(texts)])
    tables = [
        Table(
            f"Hand-over words: {run.label}",
            ["", "takes over with", "hands over after"],
            hand_overs or [["none", NOTHING, NOTHING]],
        ),
        Table(
            f"Discarded: {run.label}",
            ["why", "times", "words", "first words"],
            discarded or [["nothing", "0", "0", NOTHING]],
        ),
        Table(
            f"Kept, though of the other kind: {run.label}",
            ["why", "spans", "how many", "of the samples", "which"],
            marked or [["none", NOTHING, "0", share(0, found.samples), NOTHING]],
        ),
    ]
    return tables


def traces(report: Report) -> Section:
    """Some finished samples, whole."""
    run = report.runs[0]
    how = (
        f"{len(run.finished)} of the finished samples of {run.label}: who wrote what, and, struck "
        "through, what was discarded where. Read some before training on them. The middle of long "
        "ones is left out; tessy show prints them whole."
    )
    return Section("traces", "Traces", how, traces=run.finished)


def failures(report: Report) -> Section:
    """What failed, and how it ended."""
    run = report.runs[0]
    count = sum(run.accounts.failed.values())
    how = (
        "Failed samples, each with the end of what was written. Where most have one reason, there "
        "is mostly one cause: docs/failures.md says what to do about it. The same command with "
        "--retry-failed writes them again."
    )
    notes = [] if count else ["None failed."]
    if count > len(run.failed):
        notes.append(f"{len(run.failed):,} of {count:,} are shown, some of each reason.")
    rows = [[each.id, str(each.failure), each.detail, one_line(each.prompt)] for each in run.failed]
    tables = [Table("", ["sample", "reason", "detail", "question"], rows)] if rows else []
    return Section("failures", "Failures", how, notes, tables, traces=run.failed)
