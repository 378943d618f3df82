"""Sections: whether the text has moved to the student."""

from __future__ import annotations

from tessy.report.build import STUDENT_ONLY, Contrast, Report
from tessy.report.charts import scatter
from tessy.report.document import NOTHING, Chart, Section, Table, decimal, whole
from tessy.report.figures.likelihood import AUTHORS

_AUTHORS = {
    "all": "all",
    "student": "thinking, the student's spans",
    "teacher": "thinking, the teacher's spans",
    "answer": "answer",
}
_SHADES = 10


def similarity(report: Report) -> Section:
    """How alike the runs' words are."""
    how = (
        "Cosine similarity of TF-IDF bags of "
        f"{'words' if report.unit == 'words' else 'tokens of ' + report.unit}, question by "
        "question, averaged: 1 means the same words equally often. What counts is how far a "
        "method lies above Teacher-Only in the column of Student-Only (paper, Fig. 14: gpt-oss "
        "0.849 alone, 0.898 with TESSY; DeepSeek-R1 0.846 and 0.960; Qwen3-235B 0.899 and 0.971). "
        "In the picture, data that has moved to the student lies with the student's (Fig. 8)."
    )
    found = report.similarity
    notes = []
    if report.student_only is None:
        notes.append(
            "No run here says how the student writes by itself. To see it, make one of the same "
            f"questions (tessy synth … --method {STUDENT_ONLY} --out DIR), then give it with "
            "--against DIR; a run of --method teacher-only beside it shows where it came from."
        )
    if found is None:
        if len(report.runs) > 1:
            notes.append("The runs have no question in common, so nothing can be compared.")
        return Section("similarity", "Similarity to the student", how, notes)
    if report.left_out_words:
        notes.append(f"{report.left_out_words:,} words had no room in the vocabulary.")
    cells = [[found.between(one, other) for other in found.runs] for one in found.runs]
    table = Table(
        f"Mean cosine over {found.questions:,} shared questions",
        ["", *found.runs],
        [
            [one, *(decimal(cell) for cell in row)]
            for one, row in zip(found.runs, cells, strict=True)
        ],
        [[_shade(cell.value) for cell in row] for row in cells],
    )
    charts: list[Chart] = []
    if found.clouds:
        title = "Responses on the first two principal components; large marks are centroids"
        charts.append(scatter(title, found.clouds, found.explained))
    return Section("similarity", "Similarity to the student", how, notes, [table], charts)


def _shade(value: float) -> int:
    """0 for 0.5 and less, 9 for 1: below a half, texts are about other things."""
    return max(0, min(_SHADES - 1, int((value - 0.5) * 2 * _SHADES)))


def words(report: Report) -> Section:
    """Which words are frequent, and which tell sides apart."""
    how = (
        "A method has moved to the student if its most frequent words are the student's (paper, "
        "Fig. 16). Below, the words whose frequency differs most: log-odds with an informative "
        "Dirichlet prior (Monroe, Colaresi and Quinn, 2008), in standard deviations; beyond about "
        "2 in either direction is more than chance. Words of the subject in the student's column "
        "are reasoning that the predictor let pass. Numbers are left out."
    )
    tables = [_frequent(report), *(_contrast(each) for each in report.contrasts)]
    return Section("words", "Words", how, [], tables)


def _frequent(report: Report) -> Table:
    columns = [report.frequent[run.label] for run in report.runs]
    rows = []
    for place in range(max(map(len, columns), default=0)):
        cells = [
            f"{column[place].word} {column[place].per_1000:.1f}" if place < len(column) else NOTHING
            for column in columns
        ]
        rows.append([str(place + 1), *cells])
    title = "Most frequent words, times per 1,000 tokens"
    return Table(title, ["", *(run.label for run in report.runs)], rows)


def _contrast(contrast: Contrast) -> Table:
    rows = []
    for place in range(max(len(contrast.more), len(contrast.less))):
        cells = []
        for side in (contrast.more, contrast.less):
            if place < len(side):
                found = side[place]
                one, two = found.counts
                cells += [found.word, f"{found.z:+.1f}", f"{one:,} : {two:,}"]
            else:
                cells += [NOTHING] * 3
        rows.append([str(place + 1), *cells])
    head = ["", f"more in {contrast.first}", "z", "times", f"more in {contrast.second}"]
    title = f"Words that differ: {contrast.first} against {contrast.second}"
    return Table(title, [*head, "z", "times"], rows)


def likelihood(report: Report) -> Section:
    """How likely the student finds the texts."""
    how = (
        "Mean negative log-likelihood per token under the student, in nats; lower is closer to "
        "what the student would write, and to what training leaves untouched. Compare a run with "
        "Teacher-Only on the same questions. The student's spans should be far below the "
        "teacher's; the teacher's are what there is to learn."
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
    rows += [["tokens", *(whole(each.tokens["all"]) for each in runs.values())]]
    rows += [["samples", *(whole(each.samples) for each in runs.values())]]
    notes = [f"Scored by {report.scores.scorer}."]
    for label, each in runs.items():
        notes += [f"{label}: {n:,} samples were not scored: {why}."
                  for why, n in each.left_out.items()]  # fmt: skip
    table = Table("Nats per token", ["", *runs], rows)
    return Section("likelihood", title, how, notes, [table])
