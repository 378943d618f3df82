"""What `tessy predictor` does, once its options are parsed; here the heavy imports begin."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
from pydantic import ValidationError
from rich.console import Console
from rich.table import Table

from tessy.boundary.registry import is_predictor, load
from tessy.boundary.settings import TrainSettings
from tessy.boundary.training import annotate as annotating
from tessy.boundary.training import report
from tessy.boundary.training.evaluate import PredictorEvaluation, evaluate_labels
from tessy.boundary.training.evaluate import evaluate as evaluate_predictor
from tessy.boundary.training.segments import (
    Segment,
    draw,
    gold_file,
    is_segment_file,
    read_segments,
)
from tessy.boundary.training.traces import read_traces
from tessy.boundary.training.train import train as train_predictor
from tessy.cli.places import check_places
from tessy.config import load as load_config
from tessy.display import Say, visible
from tessy.errors import ConfigError, DataError
from tessy.event_loop import run_loop

_EVERY_S = 2.0


def _say(quiet: bool) -> Say:
    def say(line: str) -> None:
        if not quiet:
            print(visible(line), file=sys.stderr, flush=True)

    return say


# --- annotate -----------------------------------------------------------------------------------


def annotate(
    traces: str,
    *,
    annotator: str,
    out: Path,
    count: int,
    words: int,
    before: int,
    overrides: dict[str, Any],
    config: Path | None,
    quiet: bool,
) -> None:
    """Draw segments and have them labelled."""
    say = _say(quiet)
    predictor = load(annotator) if is_predictor(annotator) else None
    chosen = load_config(config, {**overrides, "student.model": None if predictor else annotator})
    check_places({"--out": out}, inputs=[traces])
    if is_segment_file(Path(traces)):
        segments = [
            segment.model_copy(update={"spans": None, "annotator": ""})
            for segment in read_segments(Path(traces), labelled=False)[:count]
        ]
        say(f"{len(segments)} segments of {traces}, to be labelled anew")
    else:
        segments = _drawn(traces, count, words, before, chosen.seed, say)
    store = annotating.AnnotationStore(out, segments, annotator)
    if store.tally.done:
        say(f"{store.tally.done} of them are done already")
    progress = _progress(say)
    try:
        if predictor:
            annotating.by_predictor(predictor, store, progress)
        elif store.todo:
            run_loop(annotating.by_model(chosen, store, progress, say))
    finally:
        store.close()
    _summarise(store.tally, out, say)


def _drawn(source: str, count: int, words: int, before: int, seed: int, say: Say) -> list[Segment]:
    read = read_traces(source)
    if read.without:
        say(f"{read.without} rows without thinking are left out")
    segments = draw(read.traces, count, words=words, before=before, seed=seed)
    say(f"{len(segments)} segments of {len(read.traces)} traces")
    if len(segments) < count:
        say(f"there is no text for {count}")
    return segments


def _progress(say: Say) -> Callable[[annotating.AnnotationCounts], None]:
    last = time.monotonic()

    def progress(tally: annotating.AnnotationCounts) -> None:
        nonlocal last
        if time.monotonic() - last >= _EVERY_S:
            last = time.monotonic()
            say(f"{tally.done} of {tally.total}, {tally.rate:.1%} accepted")

    return progress


def _summarise(tally: annotating.AnnotationCounts, out: Path, say: Say) -> None:
    say(f"{tally.accepted} of {tally.total} accepted ({tally.rate:.1%}): {out}")
    if tally.bare:
        say(f"  {tally.bare} accepted without any style in them")
    for reason, number in tally.rejected.most_common():
        say(f"  {number} rejected: {reason}")
    if tally.rejected:
        say(f"rejected ones: {annotating.rejected_file(out)}")
    if not tally.accepted:
        raise DataError(
            "not one annotation was accepted", hint="ask a stronger model, or use a predictor"
        )


# --- train --------------------------------------------------------------------------------------


def train(path: Path, out: Path, settings: dict[str, Any], *, onnx: bool, quiet: bool) -> None:
    """Train a predictor."""
    say = _say(quiet)
    try:
        chosen = TrainSettings.model_validate(settings)
    except ValidationError as error:
        found = error.errors()[0]
        option = str(found["loc"][0]).replace("_", "-")
        raise ConfigError(f"--{option}: {found['msg']}, not {found['input']!r}") from None
    trained = train_predictor(read_segments(path), out, chosen, onnx=onnx, say=say)
    say(f"{trained.epochs} epochs; on {trained.segments[1]} held-out segments:")
    for name in report.MAIN:
        figure = trained.figures[name]
        say(f"  {report.TITLES[name]}: {figure.value:.3f} ({figure.low:.3f} to {figure.high:.3f})")
    say(f"use it: tessy synth … --predictor {'onnx' if onnx else 'transformers'}:{out}")


# --- evaluate -----------------------------------------------------------------------------------


def evaluate(
    names: list[str],
    *,
    gold: Path | None,
    json: Path | None,
    html: Path | None,
    samples: int,
    quiet: bool,
) -> None:
    """Measure predictors and show the figures."""
    say = _say(quiet)
    inputs: list[str | Path] = [*names, *([gold] if gold else [])]
    check_places({"--json": json, "--html": html}, inputs=inputs)
    segments = read_segments(gold) if gold else gold_file()
    found = [_one(name, segments, samples, say) for name in names]
    if json:
        json.write_bytes(orjson.dumps(report.numbers(found), option=orjson.OPT_INDENT_2))
    if html:
        html.write_text(report.page(found, segments), "utf-8")
    _show(found, len(segments))
    for path in (json, html):
        if path:
            say(f"written: {path}")


def _one(name: str, segments: list[Segment], samples: int, say: Say) -> PredictorEvaluation:
    if Path(name).suffix == ".jsonl":
        return evaluate_labels(name, read_segments(Path(name)), segments, samples=samples)
    return evaluate_predictor(load(name), segments, samples=samples, say=say)


def _show(found: list[PredictorEvaluation], segments: int) -> None:
    console = Console(highlight=False, soft_wrap=True, markup=False)
    table = Table(title=f"{segments} segments, 95% intervals", title_justify="left")
    table.add_column("")
    for evaluation in found:
        table.add_column(visible(evaluation.predictor), justify="right")
    for name, title in report.TITLES.items():
        table.add_row(
            title, *(report.shown(evaluation.whole.figures[name]) for evaluation in found)
        )
    if any(evaluation.speed for evaluation in found):
        table.add_row("ms a decision, one core, batches of 32", *(_speed(e) for e in found))
    console.print(table)
    for group, title in (
        ("subject", "by subject"),
        ("model", "by model"),
        ("position", "by position"),
    ):
        table = Table(
            title=f"style F1 of words, boundary F1 within a word, {title}", title_justify="left"
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
