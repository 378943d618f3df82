"""Everything that a report says, computed: no word of it, and no picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tessy.method.trajectory import Role
from tessy.report.figures.accounts import Accounts, Totals
from tessy.report.figures.bags import Vocabulary, sums
from tessy.report.figures.figures import Bootstrap
from tessy.report.figures.lengths import Histogram, histogram, round_width
from tessy.report.figures.likelihood import Likelihood
from tessy.report.figures.similarity import Similarity, similarity
from tessy.report.figures.style import Style
from tessy.report.figures.words import Counted, Difference, Frequency, differences, frequent
from tessy.report.gather import Gathered
from tessy.report.traces import Shown

STUDENT_ONLY = "student-only"
"""The method whose runs say how the student writes by itself."""


@dataclass(frozen=True, slots=True)
class RunReport:
    """What is said of one run.

    Attributes:
        label: Its name in the report.
        path: Its folder, as it was given.
        method: How it was written.
        begun: The date of its first start.
        questions: The name of its questions.
        models: What was served, and the predictors, by role.
        under_way: Samples that have not ended.
        accounts: Of all that ended.
        responses: Tokens of the responses to the questions that are compared.
        spans: Words of the spans of the thinking, by author.
        style: Of all samples.
        finished: Samples to show.
        failed: Failures to show.
    """

    label: str
    path: str
    method: str
    begun: str
    questions: str
    models: Mapping[str, str]
    under_way: int
    accounts: Accounts
    responses: Histogram
    spans: Mapping[Role, Histogram]
    style: Style
    finished: Sequence[Shown]
    failed: Sequence[Shown]


@dataclass(frozen=True, slots=True)
class Contrast:
    """Words whose frequency differs most between two sides.

    Attributes:
        first: One side.
        second: The other.
        more: What the first has more of.
        less: What the second has more of.
    """

    first: str
    second: str
    more: Sequence[Difference]
    less: Sequence[Difference]


@dataclass(frozen=True, slots=True)
class Scores:
    """How likely the student finds the runs.

    Attributes:
        scorer: Who scored.
        runs: By label.
    """

    scorer: str
    runs: Mapping[str, Likelihood]


@dataclass(frozen=True, slots=True)
class Report:
    """All that a report says.

    Attributes:
        runs: The run it is about, then those it is compared with.
        bootstrap: How intervals are made.
        shared: Questions that all runs answered; of a run alone, those it answered.
        side_by_side: Totals on those questions, by label; empty for a run alone.
        unit: What similarity counts: `words`, or the tokens of a tokenizer.
        similarity: None for a run alone, or without a shared question.
        frequent: By label, on the shared questions.
        contrasts: Student against teacher within the run; the run against each other one.
        left_out_words: Words that the vocabulary had no room for.
        scores: None if nobody scored.
    """

    runs: Sequence[RunReport]
    bootstrap: Bootstrap
    shared: int
    side_by_side: Mapping[str, Totals]
    unit: str
    similarity: Similarity | None
    frequent: Mapping[str, Sequence[Frequency]]
    contrasts: Sequence[Contrast]
    left_out_words: int
    scores: Scores | None

    @property
    def student_only(self) -> str | None:
        """The label of the run that says how the student writes by itself, if there is one."""
        labels = (run.label for run in self.runs if run.method == STUDENT_ONLY)
        return next(labels, None)


def shared_questions(runs: Sequence[Gathered]) -> list[bytes]:
    """The questions that all runs answered, in an order that hangs on the questions alone."""
    answered = [set(run.bags.questions) for run in runs]
    return sorted(set.intersection(*answered))


def build(
    runs: Sequence[Gathered],
    vocabulary: Vocabulary,
    *,
    unit: str,
    bootstrap: Bootstrap,
    scores: Scores | None = None,
) -> Report:
    """Compute a report.

    Args:
        runs: The run it is about, then those it is compared with.
        vocabulary: Their words.
        unit: What similarity counts.
        bootstrap: How intervals are made.
        scores: How likely the student finds them.
    """
    questions = shared_questions(runs)
    compared = len(runs) > 1 and len(questions) > 0
    wanted = set(questions) if compared or len(runs) == 1 else None
    lengths = [
        list(run.lengths.responses) if wanted is None else run.lengths.responses_to(wanted)
        for run in runs
    ]
    width = round_width(np.concatenate([np.asarray(each, np.int64) for each in lengths]))
    span_width = round_width(
        np.concatenate([np.asarray(run.lengths.spans[r], np.int64) for run in runs for r in Role])
    )
    words = vocabulary.words
    return Report(
        runs=[
            _run(run, histogram(each, width=width), span_width, bootstrap)
            for run, each in zip(runs, lengths, strict=True)
        ],
        bootstrap=bootstrap,
        shared=len(questions),
        side_by_side={run.label: run.ledger.finished_on(questions, bootstrap) for run in runs}
        if compared
        else {},
        unit=unit,
        similarity=similarity({run.label: run.bags for run in runs}, questions, bootstrap)
        if compared
        else None,
        frequent={
            run.label: frequent(words, _both(_counts(run, wanted)), sum(each))
            for run, each in zip(runs, lengths, strict=True)
        },
        contrasts=_contrasts(runs, words, wanted) if compared or len(runs) == 1 else [],
        left_out_words=sum(run.bags.left_out for run in runs),
        scores=scores,
    )


def _run(run: Gathered, responses: Histogram, width: int, bootstrap: Bootstrap) -> RunReport:
    settings: Mapping[str, Any] = run.source.settings
    about = settings.get("run", {})
    return RunReport(
        label=run.label,
        path=str(run.source.folder.path),
        method=run.source.method,
        begun=str(about.get("date", "?")),
        questions=str(about.get("questions", "?")),
        models=dict(run.models or about.get("models", {})),
        under_way=run.under_way,
        accounts=run.ledger.accounts(bootstrap),
        responses=responses,
        spans={role: histogram(run.lengths.spans[role], width=width) for role in Role},
        style=run.style.style(),
        finished=run.chosen.finished,
        failed=run.chosen.failed,
    )


def _counts(run: Gathered, questions: set[bytes] | None) -> dict[Role, Counted]:
    """How often each author wrote each word, on some questions or on all."""
    if questions is None:
        return {role: sums(run.bags.words_of(role)) for role in Role}
    rows = [row for row, key in enumerate(run.bags.questions) if key in questions]
    return {role: sums(run.bags.words_of(role), np.array(rows, np.intp)) for role in Role}


def _both(counts: Mapping[Role, Counted]) -> Counted:
    return counts[Role.STUDENT] + counts[Role.TEACHER]


def _contrasts(
    runs: Sequence[Gathered], words: Sequence[str], questions: set[bytes] | None
) -> list[Contrast]:
    first, *others = runs
    mine = _counts(first, questions)
    sides = [("student", "teacher", mine[Role.STUDENT], mine[Role.TEACHER])]
    for other in others:
        theirs = _both(_counts(other, questions))
        sides.append((first.label, other.label, _both(mine), theirs))
    found = []
    for name, against, one, two in sides:
        more, less = differences(words, one, two)
        if more or less:
            found.append(Contrast(name, against, more, less))
    return found
