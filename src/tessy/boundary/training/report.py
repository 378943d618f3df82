"""Evaluations as numbers, and as a page with the worst cases marked."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict
from importlib import resources
from itertools import pairwise
from typing import Any

import jinja2
from markupsafe import Markup

from tessy.boundary.training.evaluate import Group, PredictorEvaluation
from tessy.boundary.training.metrics import MeasuredFigure, count
from tessy.boundary.training.segments import Segment
from tessy.boundary.training.walk import truth
from tessy.display import visible_value
from tessy.palette import css

TITLES = {
    "word_f1": "style F1, words",
    "word_precision": "style precision, words",
    "word_recall": "style recall, words",
    "character_f1": "style F1, characters",
    "character_kappa": "κ, characters",
    "style_share": "style, share of characters",
    "boundary_precision": "boundary precision, exact",
    "boundary_recall": "boundary recall, exact",
    "boundary_f1": "boundary F1, exact",
    "boundary_precision_near": "boundary precision, within a word",
    "boundary_recall_near": "boundary recall, within a word",
    "boundary_f1_near": "boundary F1, within a word",
    "cut_exact": "cuts on the word",
    "cut_near": "cuts within a word",
    "cut_early": "cuts too early",
    "cut_late": "cuts too late",
    "cut_mean_late_words": "words too late, mean",
    "ece": "ECE",
}
"""The title of each figure, in the order of the table."""
MAIN = ("word_f1", "boundary_f1_near", "cut_near", "ece")
_WORST = 40


def shown(figure: MeasuredFigure) -> str:
    """A figure with its interval; a dash if nothing was counted."""
    if math.isnan(figure.value):
        return "–"
    if math.isnan(figure.low):
        return f"{figure.value:.3f}"
    to = " to " if figure.low < 0 else "–"
    return f"{figure.value:.3f}  {figure.low:.3f}{to}{figure.high:.3f}"


BEGINS = {"--html": rb"<!doctype html>", "--json": rb'\[\s+\{\s+"predictor"'}
"""How these files begin, by option; see `tessy.data.outputs`."""


def numbers(found: Sequence[PredictorEvaluation]) -> list[dict[str, Any]]:
    """All figures, ready for JSON; null if nothing was counted."""
    return [
        {
            "predictor": evaluation.predictor,
            "segments": evaluation.whole.segments,
            "figures": _figures(evaluation.whole),
            "groups": {
                name: {
                    value: {"segments": group.segments, "figures": _figures(group)}
                    for value, group in groups.items()
                }
                for name, groups in evaluation.groups.items()
            },
            "speed": asdict(evaluation.speed) if evaluation.speed else None,
        }
        for evaluation in found
    ]


def _figures(group: Group) -> dict[str, dict[str, float | None]]:
    return {
        name: {key: None if math.isnan(v) else v for key, v in asdict(figure).items()}
        for name, figure in group.figures.items()
    }


def page(found: Sequence[PredictorEvaluation], segments: Sequence[Segment]) -> str:
    """An HTML page: figures, groups, and the worst cases of the first predictor."""
    source = (
        resources.files("tessy.boundary.training").joinpath("report.html.jinja").read_text("utf-8")
    )
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, finalize=visible_value
    )
    return environment.from_string(source).render(
        css=Markup(css()),
        found=found,
        titles=TITLES,
        shown=shown,
        segments=len(segments),
        cases=_worst(found[0], segments),
    )


def _worst(evaluation: PredictorEvaluation, segments: Sequence[Segment]) -> list[dict[str, Any]]:
    """The segments with the largest shares of wrong characters, in pieces of one marking each."""
    cases = []
    for segment, labelling in zip(segments, evaluation.labels, strict=True):
        counts = count(truth(segment), labelling, len(segment.text))
        hits, said, true, length = counts.characters
        wrong = (said - hits) + (true - hits)
        if wrong:
            cases.append((wrong / length, segment, labelling))
    cases.sort(key=lambda case: (-case[0], case[1].id))
    return [
        {
            "segment": segment,
            "wrong": share,
            "pieces": _pieces(segment.text, truth(segment).spans, labelling.spans),
        }
        for share, segment, labelling in cases[:_WORST]
    ]


def _pieces(
    text: str, true: Sequence[tuple[int, int]], said: Sequence[tuple[int, int]]
) -> list[tuple[str, str]]:
    """A text in pieces, each `right`, `missed`, `extra` or plain."""

    def inside(spans: Sequence[tuple[int, int]], at: int) -> bool:
        return any(start <= at < end for start, end in spans)

    edges = sorted({0, len(text), *(edge for span in (*true, *said) for edge in span)})
    names = {(True, True): "right", (True, False): "missed", (False, True): "extra"}
    return [
        (names.get((inside(true, start), inside(said, start)), ""), text[start:end])
        for start, end in pairwise(edges)
    ]
