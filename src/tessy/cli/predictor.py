"""`tessy predictor`: annotates text, and trains and evaluates boundary predictors."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from pydantic import Field
from rich.console import Console
from rich.table import Table

from tessy.boundary.settings import WINDOW, TrainSettings
from tessy.cli.options import CommandOptions, command
from tessy.cli.scoring import ScoringOptions, scorer
from tessy.cli.tables import print_table
from tessy.config import Config, ModelRole, ModelSettings
from tessy.display import count_of, visible
from tessy.errors import ConfigError
from tessy.settings.definitions import Location, Option, OptionGroup, UnitName

if TYPE_CHECKING:
    from tessy.boundary.training.annotate import AnnotationCounts
    from tessy.boundary.training.evaluate import PredictorEvaluation
    from tessy.boundary.training.segments import Segment

_SAY_EVERY_S = 2.0
_SHOWN = 20
"""Kinds of spans that `shared` shows."""
_USABLE = 0.5
"""Style F1 of words; the lexicon, which learns nothing, reaches 0.715 (docs/boundary.md)."""
_UNUSED = {WINDOW: ("window", "balance", "cut_share")}
"""Settings that do nothing for a base, …"""
_UNUSED_BY_PRETRAINED = ("hidden",)
"""… and for a model of Hugging Face."""

app = typer.Typer(
    help="Boundary predictors: annotate text, train one, evaluate it; find words that both write.",
    no_args_is_help=True,
)


# --- annotate -----------------------------------------------------------------------------------


class AnnotateOptions(CommandOptions):
    """Options of `tessy predictor annotate`."""

    traces: Annotated[str, Option(argument=True)]
    """Reasoning texts: a run's folder, files or a Hugging Face data set. Or a segment file, to
    label its segments again."""
    annotator: Annotated[str, Option()]
    """The model that marks the style (`http://host:port/v1#name`, `gguf:PATH`, `hf:REPO/FILE`), or
    a predictor such as `lexicon`."""
    out: Annotated[Location, Option()]
    """The segment file; an unfinished one is resumed."""
    config: Annotated[Path | None, Option(unset="none")] = None
    """A TOML file with the annotator's settings below `[student]`; options override it."""
    count: Annotated[int, UnitName("segments"), Option()] = Field(default=1000, ge=1)
    """Segments to draw."""
    words: Annotated[int, Option("segment-words")] = Field(default=60, ge=5)
    """Words in a segment."""
    before: Annotated[int, Option("context-words")] = Field(default=120, ge=0)
    """Words of context before a segment."""


class AnnotatorConfig(Config):
    """A run's settings, where the student is the annotator."""

    student: Annotated[ModelSettings, OptionGroup()] = Field(default_factory=ModelSettings)
    """The annotator."""

    def called(self, model: ModelRole) -> str:
        """See `Config.called`."""
        return "the annotator"

    def option_of(self, model: ModelRole, name: str, value: str) -> str:
        """See `Config.option_of`: there is one model, so no role is named."""
        return f"--{name} {value}"


@app.command()
@command(only=["student.tokenizer", "student.format", "concurrency", "seed"])
def annotate(options: AnnotateOptions, config: AnnotatorConfig) -> None:
    """Draw random segments of reasoning texts, and mark the style in them.

    The same command resumes an annotation that was stopped.
    """
    from tessy.boundary.registry import is_predictor, load
    from tessy.boundary.training.annotate import (
        LINE_BEGINS,
        AnnotationStore,
        by_model,
        by_predictor,
    )
    from tessy.data.outputs import check_outputs, written_to
    from tessy.event_loop import run_loop
    from tessy.method.trajectory import Role
    from tessy.models.checks import check, check_formats

    predictor = load(options.annotator) if is_predictor(options.annotator) else None
    model = config.student.model_copy(update={"model": options.annotator})
    asked = config.model_copy(update={"student": model})
    if predictor is None:
        check(asked, [Role.STUDENT])
        check_formats(asked, [Role.STUDENT])
    begins = re.escape(LINE_BEGINS)
    with written_to(options.out, resumed=True, begins=begins, say=options.say) as out:
        check_outputs({"--out": out}, inputs=[options.traces])
        store = AnnotationStore(out, _segments(options, config.seed), options.annotator)
        if store.counts.done:
            options.say(f"{store.counts.done} of them are already done")
        said = time.monotonic()

        def progress(counts: AnnotationCounts) -> None:
            nonlocal said
            if time.monotonic() - said >= _SAY_EVERY_S:
                said = time.monotonic()
                options.say(f"{counts.done} of {counts.total}, {counts.rate:.1%} accepted")

        try:
            if predictor:
                by_predictor(predictor, store, progress)
            elif store.todo:
                run_loop(by_model(asked, store, progress, options.say))
        finally:
            store.close()
    _summarise(store.counts, options)


def _segments(options: AnnotateOptions, seed: int) -> list[Segment]:
    """The segments to label: those of a segment file, or drawn from traces."""
    from tessy.boundary.training.segments import draw, is_segment_file, read_segments
    from tessy.boundary.training.traces import read_traces

    if is_segment_file(traces := Path(_local(options.traces))):
        segments = [
            segment.model_copy(update={"spans": None, "annotator": ""})
            for segment in read_segments(traces, labelled=False)[: options.count]
        ]
        options.say(f"labelling {count_of(len(segments), 'segment')} of {options.traces} again")
        return segments
    read = read_traces(options.traces)
    if read.without:
        options.say(f"skipped {count_of(read.without, 'row')} without thinking")
    segments = draw(
        read.traces, options.count, words=options.words, before=options.before, seed=seed
    )
    options.say(f"{count_of(len(segments), 'segment')} of {count_of(len(read.traces), 'trace')}")
    if len(segments) < options.count:
        options.say(f"there is not enough text for {options.count}")
    return segments


def _local(name: str) -> str:
    """A file's name; of a segment file at a URL, that of its copy on this machine."""
    from tessy.data.fetched import local_file

    return local_file(name) if name.endswith(".jsonl") else name


def _summarise(counts: AnnotationCounts, options: AnnotateOptions) -> None:
    from tessy.boundary.training.annotate import rejected_file
    from tessy.data.remote import is_url
    from tessy.errors import DataError

    say = options.say
    say(f"{counts.accepted} of {counts.total} accepted ({counts.rate:.1%}): {options.out}")
    if counts.bare:
        say(f"  {counts.bare} of them contain no style")
    for reason, number in counts.rejected.most_common():
        say(f"  {number} rejected: {reason}")
    if counts.rejected and not is_url(options.out):
        say(f"rejected annotations: {rejected_file(Path(options.out))}")
    if not counts.accepted:
        raise DataError("no annotation was accepted", hint="use a stronger model, or a predictor")


# --- train --------------------------------------------------------------------------------------


class TrainOptions(CommandOptions):
    """Options of `tessy predictor train`."""

    segments: Annotated[Location, Option(argument=True)]
    """A segment file from `tessy predictor annotate`; or a run's folder, for the boundaries that
    were corrected in `tessy view`."""
    out: Annotated[Location, Option()]
    """A new folder; a stopped training in it is resumed."""
    onnx: Annotated[bool, Option()] = False
    """Also write `model.onnx`, of any base but `window`."""


def _refuse_unused(settings: TrainSettings) -> None:
    """Refuse options that do nothing for the base.

    Raises:
        ConfigError: One is given.
    """
    unused = _UNUSED.get(settings.base, _UNUSED_BY_PRETRAINED)
    given = [f"--{each.replace('_', '-')}" for each in unused if each in settings.model_fields_set]
    if given:
        raise ConfigError(
            f"the base {settings.base} does not use {', '.join(given)}",
            hint="leave the option out, or take another --base",
        )


@app.command()
@command()
def train(options: TrainOptions, settings: TrainSettings) -> None:
    """Train a boundary predictor on a segment file, or on boundaries corrected in `tessy view`.

    The same command resumes a training that was stopped. Needs the extra `train`.
    """
    from tessy.boundary.training import report
    from tessy.boundary.training.corrections import corrected_segments
    from tessy.boundary.training.segments import read_segments
    from tessy.boundary.training.train import train
    from tessy.data.outputs import written_to
    from tessy.runs.missing import near_run

    _refuse_unused(settings)
    say, out = options.say, options.out
    place = Path(_local(options.segments))
    is_run = place.is_dir() or (not place.exists() and near_run(place) is not None)
    segments = corrected_segments(place) if is_run else read_segments(place)
    with written_to(out, resumed=True, say=say) as folder:
        trained = train(segments, folder, settings, onnx=options.onnx, say=say)
    say(f"{trained.epochs} epochs; on {trained.segments[1]} held-out segments:")
    for name in report.MAIN:
        figure = trained.figures[name]
        say(f"  {report.TITLES[name]}: {figure.value:.3f} ({figure.low:.3f} to {figure.high:.3f})")
    scheme = "window" if settings.base == WINDOW else "onnx" if options.onnx else "transformers"
    if trained.figures["word_f1"].value < _USABLE:
        say("it finds too little style in text that it has not seen: correct or annotate more")
    else:
        say(f"use it: tessy synth … --predictor {scheme}:{out}")


# --- evaluate -----------------------------------------------------------------------------------


class EvaluateOptions(CommandOptions):
    """Options of `tessy predictor evaluate`."""

    predictor: Annotated[str, Option(argument=True)]
    """A predictor's name, or a labelled segment file to score as one."""
    gold: Annotated[Location | None, Option(unset="the gold set that ships with tessy")] = None
    """A segment file with the right labels."""
    against: Annotated[tuple[str, ...], Option(unset="no comparison")] = ()
    """Another predictor to compare with."""
    json_file: Annotated[Location | None, Option("json", unset="not written")] = None
    """Write all metrics to this JSON file."""
    html: Annotated[Location | None, Option(unset="not written")] = None
    """Write an HTML page with the metrics and the worst cases."""
    bootstrap_samples: Annotated[int, Option()] = Field(default=1000, ge=0)
    """Bootstrap samples for the confidence intervals."""


@app.command()
@command()
def evaluate(options: EvaluateOptions) -> None:
    """Measure how well a predictor finds style and its boundaries."""
    from contextlib import ExitStack

    import orjson

    from tessy.boundary.training import report
    from tessy.boundary.training.segments import gold_file, read_segments
    from tessy.data.outputs import check_outputs, written_to

    names = [options.predictor, *options.against]
    wanted = {"--json": options.json_file, "--html": options.html}
    with ExitStack() as stack:
        files = {
            name: stack.enter_context(
                written_to(place, begins=report.BEGINS[name], say=options.say)
            )
            for name, place in wanted.items()
            if place
        }
        inputs = [*names, *([options.gold] if options.gold else [])]
        check_outputs(files, inputs=inputs, begins=report.BEGINS)
        segments = read_segments(Path(_local(options.gold))) if options.gold else gold_file()
        found = [_measured(name, segments, options) for name in names]
        if "--json" in files:
            numbers = orjson.dumps(report.numbers(found), option=orjson.OPT_INDENT_2)
            files["--json"].write_bytes(numbers)
        if "--html" in files:
            files["--html"].write_text(report.page(found, segments), "utf-8")
    _show(found, len(segments))
    for place in filter(None, wanted.values()):
        options.say(f"written: {place}")


def _measured(name: str, segments: list[Segment], options: EvaluateOptions) -> PredictorEvaluation:
    from tessy.boundary.registry import load
    from tessy.boundary.training.evaluate import evaluate, evaluate_labels
    from tessy.boundary.training.segments import read_segments

    samples = options.bootstrap_samples
    if Path(name).suffix == ".jsonl":
        labels = read_segments(Path(_local(name)))
        return evaluate_labels(name, labels, segments, samples=samples)
    return evaluate(load(name), segments, samples=samples, say=options.say)


def _show(found: list[PredictorEvaluation], segments: int) -> None:
    """Print the metrics of predictors side by side, overall and by group."""
    from tessy.boundary.training import report

    console = Console(highlight=False, soft_wrap=True, markup=False)
    table = Table(title=f"{count_of(segments, 'segment')}, 95% intervals", title_justify="left")
    table.add_column("")
    for evaluation in found:
        table.add_column(visible(evaluation.predictor), justify="right")
    for name, title in report.TITLES.items():
        table.add_row(
            title, *(report.shown(evaluation.whole.figures[name]) for evaluation in found)
        )
    if any(evaluation.speed for evaluation in found):
        table.add_row("ms a decision, one core, batches of 32", *map(_speed, found))
    console.print(table)
    for group in ("subject", "model", "position"):
        table = Table(
            title=f"style F1 of words, boundary F1 within a word, by {group}", title_justify="left"
        )
        table.add_column("")
        table.add_column("segments", justify="right")
        for evaluation in found:
            table.add_column(visible(evaluation.predictor), justify="right")
        for value, members in found[0].groups[group].items():
            cells = [evaluation.groups[group][value].figures for evaluation in found]
            table.add_row(
                visible(value),
                str(members.segments),
                *(f"{c['word_f1'].value:.3f}  {c['boundary_f1_near'].value:.3f}" for c in cells),
            )
        console.print(table)


def _speed(evaluation: PredictorEvaluation) -> str:
    return f"{evaluation.speed.milliseconds:.2f}" if evaluation.speed else "–"


# --- shared -------------------------------------------------------------------------------------


class SharedOptions(ScoringOptions):
    """Options of `tessy predictor shared`."""

    run: Annotated[Location, Option(argument=True)]
    """The folder of a run with `--min-style-words` above 1."""
    samples: Annotated[int, Option()] = Field(default=100, ge=1)
    """The maximum number of samples to score."""
    probability: Annotated[float, Option()] = Field(default=0.05, gt=0, lt=1)
    """From which mean probability on words count as shared."""


@app.command()
@command()
def shared(options: SharedOptions) -> None:
    """Find style words that both models write: where the teacher may keep them.

    The student scores the short style spans that stayed with the teacher. Prints
    `handover.shared_words` for a TOML file.
    """
    import asyncio

    from tessy.report.scoring.shared import shared_spans
    from tessy.report.source import open_runs
    from tessy.runs.remote import reading

    (run,) = open_runs([reading(options.run)])
    open_scorer = scorer(options, run)
    if open_scorer is None:
        raise ConfigError(
            "no student is given", hint="--student http://localhost:8000/v1, or --student-weights"
        )
    spans = asyncio.run(shared_spans(run, open_scorer, options.samples, options.say))
    table = Table(title="the teacher's short style spans, and how the student likes them")
    table.add_column("words")
    for column in ("spans", "of all", "mean probability", "at least that likely"):
        table.add_column(column, justify="right")
    total = sum(len(span.probabilities) for span in spans)
    for span in spans[:_SHOWN]:
        count = len(span.probabilities)
        likely = sum(each >= options.probability for each in span.probabilities)
        cells = [f"{count:,}", f"{count / total:.0%}", f"{span.mean:.3f}", f"{likely / count:.0%}"]
        table.add_row(visible(span.words), *cells)
    print_table(table)
    likely = sum(each >= options.probability for span in spans for each in span.probabilities)
    print(f"{likely / total:.0%} of {total:,} spans are at least {options.probability} probable")
    words = [s.words for s in spans if s.mean >= options.probability and " " not in s.words]
    listed = ", ".join(f'"{word}"' for word in words)
    print(f"[handover]\nmin_style_words = 2\nshared_words = [{listed}]")
