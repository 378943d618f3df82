"""Learning curves: how many questions each epoch answers rightly (the paper's Fig. 11).

`evaluation.json` holds every epoch that was evaluated to its end, and what was asked; an epoch in
it is not evaluated again. `evaluation.png` shows it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import orjson

from tessy.errors import RunMismatch
from tessy.evaluation.estimate import Estimate
from tessy.runs.folder import write_atomically

JSON_FILE = "evaluation.json"
PICTURE_FILE = "evaluation.png"
UNTRAINED = 0
"""The number of the epoch that is the model before it was trained."""
_MOST_GROUPS = 8
"""Groups in a picture; with more of them it shows only the whole."""
_COLOURS = ("#e69f00", "#56b4e9", "#009e73", "#cc79a7", "#d55e00", "#0072b2", "#b8a800", "#777777")


@dataclass(frozen=True, slots=True)
class Point:
    """An epoch that was evaluated.

    Attributes:
        epoch: From 1; 0 is the untrained model.
        loss: Mean over the epoch's steps; None for the untrained model.
        right: pass@1 over all questions.
        questions: With at least one sample that was measured.
        runs: Samples that were measured.
        unmeasured: Samples that say nothing of the model, and were left out.
        truncated: Share of the measured samples that a limit ended.
        tokens: Mean length of a response, in the model's tokens.
        groups: pass@1 by group, in order of their names.
    """

    epoch: int
    loss: float | None
    right: Estimate
    questions: int
    runs: int
    unmeasured: int
    truncated: float
    tokens: float
    groups: Mapping[str, Estimate] = field(default_factory=dict)


def point(epoch: int, loss: float | None, evaluation: Mapping[str, Any]) -> Point:
    """A point of the curve from a run's `evaluation.json` (`tessy.evaluation.evaluate`)."""
    groups = {name: _estimate(each["pass_at"]["1"]) for name, each in evaluation["groups"].items()}
    return Point(
        epoch=epoch,
        loss=loss,
        right=_estimate(evaluation["pass_at"]["1"]),
        questions=evaluation["questions"],
        runs=evaluation["runs"],
        unmeasured=evaluation["standings"].get("unmeasured", 0),
        truncated=_number(evaluation["truncated"]),
        tokens=_number(evaluation["tokens"]["mean"]),
        groups=dict(sorted(groups.items())),
    )


def best(points: Sequence[Point]) -> Point | None:
    """The trained epoch with the highest pass@1, the first of several; None without any."""
    trained = [each for each in points if each.epoch != UNTRAINED]
    return max(trained, key=lambda each: each.right.value, default=None)


def shown(right: Estimate) -> str:
    """An estimate in words, such as `43.2% (38.0–48.4)`."""
    if math.isnan(right.value):
        return "–"
    return f"{100 * right.value:.1f}% ({100 * right.low:.1f}–{100 * right.high:.1f})"


def line(found: Point, epochs: int) -> str:
    """What an epoch came to, for the terminal.

    Args:
        found: The epoch.
        epochs: How many there will be.
    """
    name = f"epoch {found.epoch} of {epochs}" if found.epoch else "untrained"
    left_out = f"; {found.unmeasured} samples could not be measured" if found.unmeasured else ""
    return f"{name}: pass@1 {shown(found.right)} of {found.questions} questions{left_out}"


# --- Files --------------------------------------------------------------------------------------


def write(asked: Mapping[str, Any], points: Sequence[Point], folder: Path) -> None:
    """Write `evaluation.json` to a folder.

    Args:
        asked: What was asked, and how.
        points: By epoch.
        folder: Of the training.
    """
    tree = {"asked": asked, "epochs": [_as_json(each) for each in points]}
    write_atomically(folder / JSON_FILE, orjson.dumps(tree, option=orjson.OPT_INDENT_2))


def read(folder: Path) -> tuple[dict[str, Any], tuple[Point, ...]] | None:
    """Read what `write` wrote; None if nothing was.

    Raises:
        RunMismatch: It is no curve.
    """
    path = folder / JSON_FILE
    try:
        tree = orjson.loads(path.read_bytes())
        return tree["asked"], tuple(_from_json(each) for each in tree["epochs"])
    except FileNotFoundError:
        return None
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise RunMismatch(
            f"{path} can't be read: {error}", hint="remove it, and it is written anew"
        ) from None


def _as_json(found: Point) -> dict[str, Any]:
    return {
        "epoch": found.epoch,
        "loss": found.loss,
        "pass_at_1": _estimate_json(found.right),
        "questions": found.questions,
        "runs": found.runs,
        "unmeasured": found.unmeasured,
        "truncated": _null(found.truncated),
        "tokens": _null(found.tokens),
        "groups": {name: _estimate_json(each) for name, each in found.groups.items()},
    }


def _from_json(tree: Mapping[str, Any]) -> Point:
    return Point(
        epoch=tree["epoch"],
        loss=tree["loss"],
        right=_estimate(tree["pass_at_1"]),
        questions=tree["questions"],
        runs=tree["runs"],
        unmeasured=tree["unmeasured"],
        truncated=_number(tree["truncated"]),
        tokens=_number(tree["tokens"]),
        groups={name: _estimate(each) for name, each in tree["groups"].items()},
    )


def _estimate(tree: Mapping[str, float | None]) -> Estimate:
    return Estimate(*(_number(tree[name]) for name in ("value", "low", "high")))


def _estimate_json(right: Estimate) -> dict[str, float | None]:
    return {name: _null(value) for name, value in asdict(right).items()}


def _number(value: float | None) -> float:
    return math.nan if value is None else value


def _null(value: float) -> float | None:
    return None if math.isnan(value) else value


# --- The picture --------------------------------------------------------------------------------


def draw(points: Sequence[Point], folder: Path) -> None:
    """Draw `evaluation.png` into a folder: pass@1 over epochs, the untrained model at 0."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(7, 4), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    names = points[0].groups if points and len(points[0].groups) <= _MOST_GROUPS else ()
    for name, colour in zip(names, _COLOURS, strict=False):
        of_group = [(each.epoch, 100 * each.groups[name].value) for each in points]
        axes.plot(*zip(*of_group, strict=True), color=colour, linewidth=1.1, label=name)
    if points and points[0].epoch == UNTRAINED:
        axes.axhline(100 * points[0].right.value, color="#9aa5b1", linewidth=0.9, linestyle=":")
    axes.errorbar(
        [each.epoch for each in points],
        [100 * each.right.value for each in points],
        yerr=[_below(points), _above(points)],
        color="#1f4e79",
        marker="o",
        markersize=4,
        capsize=3,
        elinewidth=0.9,
        label="all questions",
    )
    axes.set_xlabel("epoch, 0 is the untrained model")
    axes.set_ylabel("pass@1, %")
    axes.set_ylim(-2, 102)
    axes.set_xlim(-0.3, max((each.epoch for each in points), default=0) + 0.3)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    if names:
        axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    axes.spines[["top", "right"]].set_visible(False)
    path = folder / PICTURE_FILE
    temporary = path.with_name(path.name + ".part")
    figure.savefig(temporary, dpi=150, format="png")
    temporary.replace(path)


def _below(points: Sequence[Point]) -> list[float]:
    return [100 * max(0.0, each.right.value - each.right.low) for each in points]


def _above(points: Sequence[Point]) -> list[float]:
    return [100 * max(0.0, each.right.high - each.right.value) for each in points]
