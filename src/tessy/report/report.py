"""All that a report says, as numbers: what is counted while runs are read, and what comes of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from tessy.display import Say, count_of
from tessy.method.trajectory import Role
from tessy.report.excerpts import Excerpt, ExcerptPicker
from tessy.report.figures.accounts import Accounts, AccountsCounter, Totals
from tessy.report.figures.accuracy import Accuracy, AccuracyCounter, PairedAccuracy, compare
from tessy.report.figures.intervals import Bootstrap
from tessy.report.figures.lengths import Histogram, LengthCounter, histogram, round_width
from tessy.report.figures.likelihood import Likelihood
from tessy.report.figures.similarity import Similarity, similarity
from tessy.report.figures.style import Style, StyleCounter
from tessy.report.figures.words import (
    Difference,
    Frequency,
    Tokenize,
    WordCounter,
    WordNumbers,
    differences,
    frequent,
)
from tessy.report.source import RunSource
from tessy.runs.reader import JournalReader

_SAY_EVERY = 1000


@dataclass(frozen=True, slots=True)
class RunReport:
    """The figures of one run.

    Attributes:
        label: Its name in the report.
        path: Its folder, as it was given.
        method: How it was written.
        attempts: The maximum number of attempts at a sample.
        again: Samples that were written again after a failure.
        left_out: Questions that its limit left out.
        begun: The date of its first start.
        questions: The name of its questions.
        models: What was served, and the predictors, by role.
        under_way: Samples that were begun and have not ended.
        lacking: What the run has not yet, in a phrase; None if nothing.
        accounts: Of all samples that ended.
        accuracy: None if nothing was verified.
        responses: Tokens of the responses to the questions that are compared.
        spans: Words of the spans of the thinking of these responses, by author.
        style: Of all samples.
        finished: Finished samples to show.
        failed: Failures to show.
    """

    label: str
    path: str
    method: str
    attempts: int
    again: int
    left_out: int
    begun: str
    questions: str
    models: Mapping[str, str]
    under_way: int
    lacking: str | None
    accounts: Accounts
    accuracy: Accuracy | None
    responses: Histogram
    spans: Mapping[Role, Histogram]
    style: Style
    finished: Sequence[Excerpt]
    failed: Sequence[Excerpt]


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
class StudentScores:
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
        paired: The first run's accuracy against each other one's, by the other's label, as far as
            both were verified.
        side_by_side: Totals on those questions, by label; empty for a run alone.
        unit: What similarity counts: `words`, or the tokens of a tokenizer.
        similarity: None for a run alone, or without a shared question.
        frequent: By label, on the shared questions.
        contrasts: Student against teacher within the run; the run against each other one.
        left_out_words: Words for which there was no number.
        scores: None if nothing was scored.
    """

    runs: Sequence[RunReport]
    bootstrap: Bootstrap
    shared: int
    paired: Mapping[str, PairedAccuracy]
    side_by_side: Mapping[str, Totals]
    unit: str
    similarity: Similarity | None
    frequent: Mapping[str, Sequence[Frequency]]
    contrasts: Sequence[Contrast]
    left_out_words: int
    scores: StudentScores | None


@dataclass(slots=True)
class RunCounters:
    """What is counted while a run is read; no text is kept.

    Attributes:
        source: The run.
        under_way: Samples that were begun and have not ended.
        lacking: What the run has not yet, in a phrase; None if nothing.
        again: Samples that were written again after a failure.
        replaced_tokens: Tokens of failures that were written again and ended.
        left_out: Questions that its limit left out.
        excerpts: Samples to show.
        words: Of finished samples.
        methods: Finished samples by method: a served run may have several.
        models: Names by role, as the first record with names has them.
        accounts: Of all samples.
        accuracy: Of all samples.
        style: Of all samples.
        lengths: Of finished samples.
    """

    source: RunSource
    excerpts: ExcerptPicker
    words: WordCounter
    under_way: int = 0
    lacking: str | None = None
    again: int = 0
    replaced_tokens: int = 0
    left_out: int = 0
    methods: Counter[str] = field(default_factory=Counter)
    models: Mapping[str, str] = field(default_factory=dict)
    accounts: AccountsCounter = field(default_factory=AccountsCounter)
    accuracy: AccuracyCounter = field(default_factory=AccuracyCounter)
    style: StyleCounter = field(default_factory=StyleCounter)
    lengths: LengthCounter = field(default_factory=LengthCounter)


def read_run(
    source: RunSource, numbers: WordNumbers, tokenize: Tokenize | None, traces: int, say: Say
) -> RunCounters:
    """Read a run, sample by sample.

    Args:
        source: The run.
        numbers: Of the words, for all runs of the report.
        tokenize: The student's tokenizer, if similarity is to count its tokens.
        traces: How many finished samples to show.
        say: Called with lines about progress.

    Raises:
        JournalError: The journal can't be read.
    """
    run = RunCounters(source, ExcerptPicker(traces), WordCounter(numbers, tokenize))
    run.accuracy.evaluation = source.evaluated is not None
    run.accuracy.verifier = source.verifier
    run.accuracy.unverifiable = source.unverifiable
    for count, sample in enumerate(source.samples(), 1):
        run.accounts.add(sample)
        run.accuracy.add(sample)
        run.style.add(sample)
        run.excerpts.add(sample)
        if sample.failure is None:
            run.lengths.add(sample)
            run.words.add(sample)
            run.methods[sample.method] += 1
            run.models = run.models or sample.models
        if count % _SAY_EVERY == 0:
            say(f"{source.label}: {count_of(count, 'sample')} read")
    say(f"{source.label}: {count_of(run.style.samples, 'sample')}")
    with JournalReader(source.folder) as reader:
        # Samples may have ended since: those that were not read count as not ended.
        run.lacking = reader.lacking(ended=run.style.samples)
        run.under_way, run.again = len(reader.running()), len(reader.again())
        run.left_out, run.replaced_tokens = reader.left_out(), reader.replaced_tokens()
    return run


def shared_questions(runs: Sequence[RunCounters]) -> list[bytes]:
    """The questions that all runs answered, in an order that depends on the questions alone."""
    return sorted(set.intersection(*(set(run.words.questions) for run in runs)))


def build_report(
    runs: Sequence[RunCounters],
    numbers: WordNumbers,
    *,
    unit: str,
    bootstrap: Bootstrap,
    scores: StudentScores | None = None,
) -> Report:
    """Compute a report.

    Args:
        runs: The run it is about, then those it is compared with.
        numbers: Of their words.
        unit: What similarity counts.
        bootstrap: How intervals are made.
        scores: How likely the student finds the runs.
    """
    shared = shared_questions(runs)
    compared = len(runs) > 1 and len(shared) > 0
    questions = set(shared) if compared else None
    by_label = {run.source.label: run for run in runs}
    responses = {label: run.lengths.responses_to(questions) for label, run in by_label.items()}
    response_width = round_width([length for each in responses.values() for length in each])
    spans = {label: run.lengths.spans_of(questions) for label, run in by_label.items()}
    span_width = round_width(
        np.concatenate([found for each in spans.values() for found in each.values()])
    )
    words = numbers.words
    first, *others = by_label
    student, teacher = (runs[0].words.by(role, questions) for role in Role)
    counts = {label: run.words.by(None, questions) for label, run in by_label.items()}
    contrasts = [Contrast("student", "teacher", *differences(words, student, teacher))]
    for other in others if compared else []:
        found = differences(words, counts[first], counts[other])
        contrasts.append(Contrast(first, other, *found))
    return Report(
        runs=[
            _run_report(
                run,
                bootstrap,
                histogram(responses[label], response_width),
                {role: histogram(found, span_width) for role, found in spans[label].items()},
            )
            for label, run in by_label.items()
        ],
        bootstrap=bootstrap,
        shared=len(shared),
        paired=_paired(runs, bootstrap),
        side_by_side={
            label: run.accounts.finished_on(shared, bootstrap)
            for label, run in by_label.items()
            if compared
        },
        unit=unit,
        similarity=similarity(
            {label: run.words for label, run in by_label.items()}, shared, bootstrap
        )
        if compared
        else None,
        frequent={
            label: frequent(words, counts[label], sum(lengths))
            for label, lengths in responses.items()
        },
        contrasts=[each for each in contrasts if each.more or each.less],
        left_out_words=sum(run.words.left_out for run in runs),
        scores=scores,
    )


def _paired(runs: Sequence[RunCounters], bootstrap: Bootstrap) -> dict[str, PairedAccuracy]:
    first, *others = runs
    found = {
        other.source.label: compare(
            first.accuracy.by_question, other.accuracy.by_question, bootstrap
        )
        for other in others
    }
    return {label: pair for label, pair in found.items() if pair is not None}


def _method(run: RunCounters) -> str:
    if len(run.methods) < 2:
        return run.source.method
    counts = ", ".join(f"{name} {count:,}" for name, count in run.methods.most_common())
    return f"several, taken together here: {counts}"


def _run_report(
    run: RunCounters, bootstrap: Bootstrap, responses: Histogram, spans: Mapping[Role, Histogram]
) -> RunReport:
    about = run.source.settings.get("run", {})
    return RunReport(
        label=run.source.label,
        path=str(run.source.folder.path),
        method=_method(run),
        attempts=run.source.attempts,
        again=run.again,
        left_out=run.left_out,
        begun=str(about.get("date", "?")),
        questions=str(about.get("questions", "?")),
        models=_models(run, about.get("models", {})),
        under_way=run.under_way,
        lacking=run.lacking,
        accounts=run.accounts.accounts(bootstrap, run.replaced_tokens),
        accuracy=run.accuracy.accuracy(),
        responses=responses,
        spans=spans,
        style=run.style.style(),
        finished=run.excerpts.finished,
        failed=run.excerpts.failed,
    )


def _models(run: RunCounters, served: Mapping[str, str]) -> dict[str, str]:
    """Names by role: of a record, but all of several teachers, as `run.toml` has them."""
    if (model := run.source.evaluated) is not None:
        return {"evaluated": model}
    if any(run.accounts.teachers):
        predictors = {role: name for role, name in run.models.items() if "predictor" in role}
        return {**served, **predictors}
    return dict(run.models or served)
