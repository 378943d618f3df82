"""The card of a trained predictor: README.md in its folder."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tessy.boundary.settings import ClassifierSettings
from tessy.boundary.training.metrics import Figure
from tessy.boundary.training.segments import Segment

_SHOWN = ("word_f1", "boundary_f1", "boundary_f1_near", "cut_near", "ece")


def card(
    settings: Mapping[str, Any],
    parts: tuple[int, int],
    figures: Mapping[str, Figure],
    reading: ClassifierSettings,
    segments: Sequence[Segment],
) -> str:
    """Write a card in Markdown.

    Args:
        settings: How it was trained.
        parts: Segments learned from, and held out.
        figures: On the segments held out.
        reading: How its output is read.
        segments: All of them, for where they are from.
    """
    rows = [
        f"| {name} | {figure.value:.3f} | {figure.low:.3f} to {figure.high:.3f} |"
        for name, figure in figures.items()
        if name in _SHOWN
    ]
    return "\n".join(
        [
            "# A boundary predictor of tessy",
            "",
            "It tells style from capability in the thinking of reasoning models, token by token.",
            "",
            f"Trained on {parts[0]} segments; {parts[1]} others were held out to choose the epoch "
            "and to calibrate, so these figures of them are a little too good. Intervals: 95%, "
            "bootstrap.",
            "",
            "| on held-out segments | | |",
            "|---|---|---|",
            *rows,
            "",
            "| setting | |",
            "|---|---|",
            *(f"| {name} | {_shown(name, value)} |" for name, value in settings.items()),
            f"| temperature, bias | {reading.temperature:.3f}, {reading.bias:.3f} |",
            f"| threshold for the teacher's text | {reading.thresholds.teacher} |",
            f"| threshold for the student's text | {reading.thresholds.student} |",
            "",
            *_sources("Annotated by", [segment.annotator for segment in segments]),
            *_sources("Written by", [segment.model for segment in segments]),
            *_sources("About", [segment.subject for segment in segments]),
            *_sources("From", [segment.source for segment in segments]),
        ]
    )


def _shown(name: str, value: Any) -> Any:
    """A setting; of a base that is a folder only its name: a card is read elsewhere."""
    return Path(value).name if name == "base" and Path(value).is_dir() else value


def _sources(title: str, values: Sequence[str]) -> list[str]:
    counted = Counter(value for value in values if value).most_common()
    return (
        [f"{title}: " + ", ".join(f"{value} ({n})" for value, n in counted), ""] if counted else []
    )
