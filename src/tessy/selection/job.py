"""The whole selection: read questions, drop, draw, write.

asked         all questions are read once, and checked
measures      what `tessy eval` and judges measured of each
conditions    decide by that
overlap       drops what shares words with test questions
similar       drops what is nearly another question
draw          draws from what is left
writing       writes the rows of those that are kept

Questions are read again for each step that needs their text, and not held.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tessy.data.columns import id_in
from tessy.data.given import Given, as_source
from tessy.data.outputs import check_outputs, is_there, written_to
from tessy.display import Say
from tessy.errors import ConfigError, DataError
from tessy.exporting.overlap import SimilarTexts, WordOverlap, questions_in
from tessy.runs.counters import RunResult
from tessy.runs.progress import Progress, Show
from tessy.selection.agreement import Agreement, auc, spearman
from tessy.selection.asked import AskedQuestions, read_asked
from tessy.selection.choice import Cause, Choice, SelectReason
from tessy.selection.conditions import Condition, check_bounds, conditions_of
from tessy.selection.draw import drawn
from tessy.selection.judge import rate
from tessy.selection.measures import Measures, measured, named_runs
from tessy.selection.settings import JUDGE, JudgeConfig, SelectSettings
from tessy.selection.similar import Text, near_duplicates
from tessy.selection.writing import check_suffix, lines, write_rows
from tessy.settings.loading import load_settings
from tessy.synthesis.methods.prompts import HIGHEST

_LISTS = ("keep", "decontaminate")
"""Settings that may be given as one text."""


@dataclass(frozen=True, slots=True)
class SelectResult:
    """What a selection did: kept + dropped = read.

    Attributes:
        read: Lines that were read.
        kept: Questions that were written.
        dropped: Those that were not, by reason and what it is about, such as
            `condition: not teacher>0`.
        strata: Of each stratum, how many were drawn, and of how many; empty without strata.
        agreements: How the judge's scores agree with measured rates; empty without both.
        judged: The run of the judge; None without one, or if its scores were read by `by`.
    """

    read: int
    kept: int
    dropped: Counter[str]
    strata: dict[str, tuple[int, int]]
    agreements: tuple[Agreement, ...]
    judged: RunResult | None


def dropped_file(out: str) -> str:
    """The file of dropped questions beside that of the selected ones; both may be URLs."""
    return out.rpartition(".")[0] + ".dropped.jsonl"


def select(
    questions: Given,
    *,
    out: str | Path,
    by: Mapping[str, str | Path] | Iterable[str] = (),
    config: SelectSettings | None = None,
    judge: JudgeConfig | None = None,
    judge_out: str | Path | None = None,
    limit: int | None = None,
    skip_bad: bool = False,
    question_column: str | None = None,
    retry_failed: bool = False,
    progress: Progress | None = None,
    **settings: Any,
) -> SelectResult:
    """Select questions by what was measured of them, as `tessy select` does.

    Args:
        questions: As `tessy.synthesize` takes them.
        out: The file of the selected questions, `.jsonl` or `.parquet`, also at a URL. What is
            dropped is in a file beside it, `NAME.dropped.jsonl`.
        by: What was measured: runs by name, or texts `NAME=RUN`.
        config: What to select; or give it by `settings`.
        judge: The settings of a judge (`selection.settings.load_judge`), who then rates the
            questions.
        judge_out: The folder of the judge's run; an unfinished run in it is resumed.
        limit: Use only the first questions.
        skip_bad: Drop bad lines instead of refusing to start.
        question_column: The column of the question; by default the one that is there.
        retry_failed: Have the judge rate questions again that got no score.
        progress: Shows the progress; by default nothing is shown.
        **settings: As in `SelectSettings`: `keep=["teacher>=0.5"]`, `count=1000`, …

    Returns:
        How many questions were read, kept and dropped, with reasons.

    Raises:
        ConfigError: An argument can't be used; no model was called.
        DataError: Questions or measurements can't be read, or no question is kept.
        MissingExtra: A filter's library is not installed.
        TessyError: The subclass says why the judge could not start, or had to stop.
        JudgeStopped: A signal stopped the judge.
    """
    questions = as_source(questions)
    if config is not None and (by or settings):
        raise ConfigError(
            "both SelectSettings and single settings are given",
            hint="config.model_copy(update=…), or single settings alone",
        )
    chosen = config or _settings(by, settings)
    progress = progress or Progress(Show.QUIET)
    runs = named_runs(chosen.by)
    _check_judge(judge is not None, judge_out is not None, runs)
    names = [*runs, *([JUDGE] if judge is not None else [])]
    conditions = conditions_of(chosen.keep, names)
    check_suffix(str(out))
    lines_used: dict[str, Any] = {
        "limit": limit,
        "skip_bad": skip_bad,
        "question_column": question_column,
    }
    several = (str(out), dropped_file(str(out)))
    with ExitStack() as stack:
        kept_at, dropped_at = (
            stack.enter_context(written_to(each, say=progress.say)) for each in several
        )
        check_outputs(
            {"--out": kept_at, "what is dropped,": dropped_at},
            inputs=[questions, *chosen.decontaminate, *runs.values()],
        )
        if is_there(several[0]) and not is_there(several[1]):
            raise ConfigError(
                f"--out {out} is there, and no selection wrote it: it has no "
                f"{Path(several[1]).name}",
                hint="name a new file, or delete this one",
            )
        seed = None if chosen.count is None else chosen.seed
        asked = read_asked(questions, **lines_used, stratify=chosen.stratify, seed=seed)
        filters = _filters(chosen, progress.say)
        measures = {name: measured(name, run, asked) for name, run in runs.items()}
        check_bounds(conditions, {JUDGE: HIGHEST} | {n: m.most for n, m in measures.items()})
        judged = None
        if judge is not None and judge_out is not None:
            more: dict[str, Any] = {"retry_failed": retry_failed, "progress": progress}
            judged = rate(questions, out=judge_out, config=judge, **lines_used, **more)
            measures[JUDGE] = measured(JUDGE, str(judged.folder), asked)
        for each in measures.values():
            progress.say(each.summary(asked.good))
        choice = _choose(asked, conditions, measures, filters, chosen, progress.say)
        if chosen.count is not None and (left := len(choice.kept)) < chosen.count:
            progress.say(f"only {left:,} questions are left, of {chosen.count:,} asked for")
        strata = _draw(asked, choice, chosen)
        _refuse_none(choice)
        _write(asked, choice, kept_at, dropped_at)
    return SelectResult(
        read=len(asked.good),
        kept=len(choice.kept),
        dropped=choice.counts(),
        strata=strata if chosen.stratify is not None else {},
        agreements=tuple(_agreements(asked, conditions, measures)),
        judged=judged,
    )


def _check_judge(has_judge: bool, has_folder: bool, runs: Mapping[str, str]) -> None:
    """Make sure that it is clear who rates the questions.

    Raises:
        ConfigError: It is not.
    """
    if has_judge and not has_folder:
        raise ConfigError(
            "no folder for the judge's run is given", hint="--judge-out runs/judge keeps its scores"
        )
    if has_folder and not has_judge:
        raise ConfigError(
            "a folder for a judge's run is given, and no judge",
            hint="--judge http://localhost:8001/v1; scores that are there: --by judge=RUN",
        )
    if has_judge and JUDGE in runs:
        raise ConfigError(
            f"--by {JUDGE}= and --judge both give the judge's scores", hint="leave one out"
        )


def _settings(
    by: Mapping[str, str | Path] | Iterable[str], settings: dict[str, Any]
) -> SelectSettings:
    if isinstance(by, Mapping):
        by = [f"{name}={run}" for name, run in by.items()]
    lists = {"by": by, **{name: settings[name] for name in _LISTS if name in settings}}
    several = {name: [each] if isinstance(each, str) else [*each] for name, each in lists.items()}
    return load_settings(SelectSettings, overrides={**settings, **several})


def _filters(settings: SelectSettings, say: Say) -> tuple[WordOverlap | None, SimilarTexts | None]:
    """What finds words of test questions, and similar texts; None if that is not asked for.

    Raises:
        DataError: A file of test questions can't be read.
        MissingExtra: `datasketch` is not installed.
    """
    similar, threshold = None, settings.near_duplicates
    if threshold is not None:
        similar = SimilarTexts(threshold)
    if not settings.decontaminate:
        return None, similar
    overlap = WordOverlap(questions_in(settings.decontaminate), settings.ngram)
    say(str(overlap))
    return overlap, similar


def _choose(
    asked: AskedQuestions,
    conditions: list[Condition],
    measures: Mapping[str, Measures],
    filters: tuple[WordOverlap | None, SimilarTexts | None],
    settings: SelectSettings,
    say: Say,
) -> Choice:
    """Drop questions by conditions, then by their words."""
    choice = Choice(len(asked.good))
    bad = {line.number: f"{line.where}: {line.reason}" for line in asked.questions.bad}
    choice.drop(~asked.good, Cause(SelectReason.BAD_QUESTION, bad.__getitem__))
    for condition in conditions:
        _apply(condition, measures[condition.name], choice, unmeasured=settings.keep_unmeasured)
    overlap, similar = filters
    if overlap is not None:
        say(f"{len(choice.kept):,} questions are compared with test questions")
        found = {
            question.number: shared
            for question in asked.questions.take(choice.kept)
            if (shared := overlap.find(question.messages)) is not None
        }
        choice.drop([*found], Cause(SelectReason.CONTAMINATED, found.__getitem__))
    if similar is not None:
        say(f"{len(choice.kept):,} questions are compared with each other")

        def texts(numbers: NDArray[np.int64]) -> Iterator[Text]:
            for question in asked.questions.take(numbers):
                said = [each["content"] for each in question.messages if each["role"] != "system"]
                yield question.number, question.id, "\n".join(said)

        like = dict(near_duplicates(similar, texts, choice.kept))
        choice.drop([*like], Cause(SelectReason.NEAR_DUPLICATE, like.__getitem__))
    return choice


def _apply(condition: Condition, by: Measures, choice: Choice, *, unmeasured: bool) -> None:
    """Drop the questions for which a condition does not hold, or is not known to hold."""
    is_known = ~np.isnan(by.values)
    if not unmeasured:
        choice.drop(~is_known, Cause(SelectReason.UNMEASURED, by.told, by.name))

    def detail(row: int) -> str:
        return f"{by.told(row)}: not {condition}"

    fails = is_known & ~condition.holds(by.values)
    choice.drop(fails, Cause(SelectReason.CONDITION, detail, f"not {condition}"))


def _draw(
    asked: AskedQuestions, choice: Choice, settings: SelectSettings
) -> dict[str, tuple[int, int]]:
    """Draw from what is left; returns how many of each stratum, and of how many."""
    if settings.count is None:
        return {}
    left = choice.kept
    strata = asked.strata[left]
    taken = drawn(asked.lots[left], strata, settings.count)

    def detail(row: int) -> str:
        of = f" of {asked.names[asked.strata[row]]!r}" if settings.stratify is not None else ""
        return f"others{of} were drawn, with seed {settings.seed}"

    choice.drop(left[~taken], Cause(SelectReason.NOT_DRAWN, detail))
    sizes = np.bincount(strata, minlength=len(asked.names))
    counts = np.bincount(strata[taken], minlength=len(asked.names))
    named = zip(asked.names, counts, sizes, strict=True)
    return {name: (int(count), int(size)) for name, count, size in named if size}


def _refuse_none(choice: Choice) -> None:
    """Make sure that a question is kept.

    Raises:
        DataError: None is; the message says why.
    """
    if len(choice.kept):
        return
    said = [f"{count:,} {label}" for label, count in choice.counts().items()]
    raise DataError("\n  ".join(["no question is kept", *said]), hint="drop less")


def _write(asked: AskedQuestions, choice: Choice, out: Path, dropped: Path) -> None:
    """Write the rows that are kept, and why the others are not."""
    kept = choice.kept
    write_rows(out, lambda: (row for _, row in asked.questions.rows(kept)))
    others = np.setdiff1d(np.arange(len(asked.good)), kept, assume_unique=True)
    bad = {line.number: line.id for line in asked.questions.bad}
    with lines(dropped) as write:
        for number, row in asked.questions.rows(others):
            cause = choice.cause(number)
            assert cause is not None
            name = bad[number] if number in bad else id_in(row, number)
            write({"id": name, "reason": cause.reason, "detail": cause.detail(number)})


def _agreements(
    asked: AskedQuestions, conditions: list[Condition], measures: Mapping[str, Measures]
) -> Iterator[Agreement]:
    """How the judge's scores agree with measured rates."""
    scores = [each for each in measures.values() if each.most != 1]
    rates = [each for each in measures.values() if each.most == 1]
    about = [each for each in conditions if measures[each.name].most == 1]
    for score in scores:
        for by in rates:
            yield spearman(f"{score.name} and {by.name}", score.values, by.values)
        if about:
            known = asked.good.copy()
            worth = asked.good.copy()
            for condition in about:
                values = measures[condition.name].values
                known &= ~np.isnan(values)
                worth &= condition.holds(values)
            said = " and ".join(map(str, about))
            yield auc(f"{score.name} and {said}", score.values, worth, known)
