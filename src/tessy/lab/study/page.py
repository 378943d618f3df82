"""A study as a page of markdown, docs/study.md: every number in it is computed from its folder."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tessy.display import visible
from tessy.lab.study.expect import PAPER, ahead, contest, difference, expectations
from tessy.lab.study.job import SCORED
from tessy.lab.study.results import OTHERS, TARGET, Accuracy, Data, Mean, Results
from tessy.lab.study.settings import Condition

_TEMPLATE = "study.md.jinja"
_SAMPLE_CHARACTERS = 700


def page(results: Results, *, pictures: Sequence[Path], command: str, notes: str = "") -> str:
    """Write the page.

    Args:
        results: Of a study that is over.
        pictures: Files that lie in a folder beside the page.
        command: That made the study.
        notes: A reading by hand, in markdown; it comes behind the tables.
    """
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("tessy.lab.study", "."),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"percent": percent, "number": number, "points": points, "ahead": ahead}
    main = results.settings.conditions[0]
    return environment.get_template(_TEMPLATE).render(
        results=results,
        main=main,
        target=TARGET,
        others=OTHERS,
        command=command,
        machine="; ".join(results.machines),
        scored=SCORED,
        took=_took(results.clock),
        rows=_rows(results),
        paper=paper,
        conditions=[_condition(results, c) for c in results.settings.conditions],
        expectations=list(expectations(results)),
        samples={method: _sample(data) for method, data in results.data.items()},
        pictures=[f"{path.parent.name}/{path.name}" for path in pictures],
        notes=notes.strip(),
    )


def _took(seconds: float) -> str:
    return f"{seconds / 60:.0f} minutes" if seconds < 2 * 3600 else f"{seconds / 3600:.1f} hours"


def percent(mean: Mean | float) -> str:
    """A share in percent, with its interval."""
    value = mean.value if isinstance(mean, Mean) else mean
    if math.isnan(value):
        return "–"
    half = mean.half if isinstance(mean, Mean) else math.nan
    return f"{100 * value:.1f}" + ("" if math.isnan(half) else f" ± {100 * half:.1f}")


def points(mean: Mean) -> str:
    """A difference of shares in points, with its sign and interval."""
    if math.isnan(mean.value):
        return "–"
    half = "" if math.isnan(mean.half) else f" ± {100 * mean.half:.1f}"
    return f"{100 * mean.value:+.1f}{half}"


def number(mean: Mean | float, digits: int = 1) -> str:
    """A number."""
    value = mean.value if isinstance(mean, Mean) else mean
    return "–" if math.isnan(value) else f"{value:,.{digits}f}"


def _rows(results: Results) -> list[dict[str, Any]]:
    """The main table: the untouched student, and each arm after its last epoch."""
    main = results.settings.conditions[0]
    rows = [{"arm": "untouched", "first_loss": None, **_of(results, results.student)}]
    for arm, trained in results.trained[main.name].items():
        found = _of(results, trained.curve[-1])
        rows.append({"arm": arm, "first_loss": trained.first_loss, **found})
    return rows


def _of(results: Results, accuracy: Accuracy) -> dict[str, Any]:
    return {
        "accuracy": accuracy,
        "gain": difference(accuracy.target, results.student.target),
        "loss": difference(accuracy.elsewhere, results.student.elsewhere),
    }


def paper(arm: str) -> tuple[float, float] | None:
    """What the paper has of a method: means of code, and of what the data is not about."""
    found = PAPER.get(arm)
    return (statistics.fmean(found[0]), statistics.fmean(found[1])) if found else None


def _condition(results: Results, condition: Condition) -> Mapping[str, Any]:
    places = results.settings.places(condition)
    target, elsewhere = results.student.target.of(places), results.student.elsewhere.of(places)
    arms = {
        arm: {
            "first_loss": trained.first_loss,
            "target": difference(trained.curve[-1].target, target),
            "elsewhere": difference(trained.curve[-1].elsewhere, elsewhere),
            "unanswered": trained.curve[-1].unanswered,
        }
        for arm, trained in results.trained[condition.name].items()
    }
    return {
        "settings": condition,
        "arms": arms,
        "differs": what_differs(condition, results.settings.conditions[0]),
        "contest": contest(results, condition.name),
    }


def what_differs(condition: Condition, main: Condition) -> str:
    """What is not as in the main condition, in words."""
    said = []
    if condition.teacher is not None:
        said.append(f"the teacher is `{condition.teacher}`")
    if condition.questions != main.questions:
        said.append(f"{condition.questions} questions")
    if condition.epochs != main.epochs:
        said.append(f"{condition.epochs} epochs")
    if condition.learning_rate != main.learning_rate:
        said.append(f"a rate of {condition.learning_rate}")
    if condition.batch != main.batch:
        said.append(f"batches of {condition.batch}")
    return ", ".join(said)


def _sample(data: Data) -> str:
    """A sample with its authors: `⟨student⟩…⟨teacher⟩…`."""
    made = data.sample
    if not made:
        return ""
    content = visible(made["messages"][-1]["content"])
    text = ""
    for span in made["spans"]:
        mark = "" if span["role"] == "format" else f"⟨{span['role']}⟩"
        text += mark + content[span["start"] : span["end"]]
    return text if len(text) <= _SAMPLE_CHARACTERS else f"{text[:_SAMPLE_CHARACTERS]}…"
