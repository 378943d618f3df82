"""A study as a page of Markdown, docs/study.md, with pictures; every number is computed."""

from __future__ import annotations

import math
import statistics
from pathlib import Path
from typing import Any

import jinja2

from studies.lab.families import OTHERS, TARGET
from studies.study.expectations import PAPER, ahead, contest, expectations
from studies.study.plots import draw
from studies.study.results import Accuracy, Mean, MethodData, Results, read
from studies.study.settings import SCORED, Condition
from tessy.data.files import write_atomically
from tessy.display import visible
from tessy.errors import ConfigError

_TEMPLATE = "study.md.jinja"
_SAMPLE_CHARACTERS = 700


def check_page(root: Path, path: Path, notes: Path | None) -> None:
    """Check, before hours of work, that the page can be written.

    Args:
        root: The study's folder, which need not exist yet; the page may go into it.
        path: The page.
        notes: A file with a reading by hand, if there is one.

    Raises:
        ConfigError: There is no folder for it, or there are no such notes.
    """
    if not path.parent.is_dir() and path.parent != root:
        raise ConfigError(f"{path}: there is no folder {path.parent}", hint="make it first")
    if path.is_dir():
        raise ConfigError(f"{path} is a folder", hint="name a file in it")
    if notes is not None and not notes.is_file():
        raise ConfigError(f"{notes}: no such file")


def write_page(root: Path, path: Path, *, notes: Path | None, command: str) -> None:
    """Write a study's page, and its pictures to a folder of the same name beside it.

    Args:
        root: The study's folder; it is finished.
        path: The page.
        notes: A file with a reading by hand, if there is one.
        command: That made the study.

    Raises:
        StudyError: Jobs are missing.
    """
    results = read(root)
    pictures = draw(results, path.with_suffix(""))
    names = [f"{picture.parent.name}/{picture.name}" for picture in pictures]
    text = notes.read_text("utf-8") if notes is not None else ""
    made = page(results, pictures=names, command=command, notes=text)
    write_atomically(path, made.encode())


def page(results: Results, *, pictures: list[str], command: str, notes: str = "") -> str:
    """The page.

    Args:
        results: Of a study.
        pictures: Their paths relative to the page.
        command: That made the study.
        notes: A reading by hand, in Markdown; it comes after the tables.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"percent": percent, "number": number, "points": points, "ahead": ahead}
    return environment.get_template(_TEMPLATE).render(
        results=results,
        main=results.settings.main,
        target=TARGET,
        others=OTHERS,
        command=command,
        machine="; ".join(results.machines),
        scored=SCORED,
        took=_took(results.seconds),
        rows=_rows(results),
        paper=paper,
        conditions=[_condition(results, each) for each in results.settings.conditions],
        expectations=list(expectations(results)),
        samples={method: _sample(data) for method, data in results.data.items()},
        pictures=pictures,
        notes=notes.strip(),
    )


def _took(seconds: float) -> str:
    return f"{seconds / 60:.0f} minutes" if seconds < 2 * 3600 else f"{seconds / 3600:.1f} hours"


def percent(mean: Mean) -> str:
    """A share in percent, with its interval."""
    return "–" if math.isnan(mean.value) else f"{100 * mean.value:.1f}{_interval(mean)}"


def points(mean: Mean) -> str:
    """A difference of shares in points, with its sign and interval."""
    return "–" if math.isnan(mean.value) else f"{100 * mean.value:+.1f}{_interval(mean)}"


def _interval(mean: Mean) -> str:
    return "" if math.isnan(mean.half) else f" ± {100 * mean.half:.1f}"


def number(mean: Mean, digits: int = 1) -> str:
    """A number, without its interval."""
    return "–" if math.isnan(mean.value) else f"{mean.value:,.{digits}f}"


def paper(arm: str) -> tuple[float, float] | None:
    """The paper's means for a method: of code, and of what the data is not about."""
    found = PAPER.get(arm)
    return (statistics.fmean(found[0]), statistics.fmean(found[1])) if found else None


def _rows(results: Results) -> list[dict[str, Any]]:
    """The main table: the untouched student, and each arm after its last epoch."""
    rows = [{"arm": "untouched", "first_loss": None, **_changes(results, results.student)}]
    for arm, trained in results.main.items():
        changes = _changes(results, trained.last)
        rows.append({"arm": arm, "first_loss": trained.first_loss, **changes})
    return rows


def _changes(results: Results, accuracy: Accuracy) -> dict[str, Any]:
    return {
        "accuracy": accuracy,
        "gain": accuracy.target - results.student.target,
        "loss": accuracy.elsewhere - results.student.elsewhere,
    }


def _condition(results: Results, condition: Condition) -> dict[str, Any]:
    """What the page says about a condition: arm by arm, against the student with its seeds."""
    places = results.settings.places(condition)
    target, elsewhere = results.student.target.of(places), results.student.elsewhere.of(places)
    return {
        "settings": condition,
        "arms": {
            arm: {
                "first_loss": trained.first_loss,
                "target": trained.last.target - target,
                "elsewhere": trained.last.elsewhere - elsewhere,
                "unanswered": trained.last.unanswered,
            }
            for arm, trained in results.trained[condition.name].items()
        },
        "differs": what_differs(condition, results.settings.main),
        "contest": contest(results, condition.name),
    }


def what_differs(condition: Condition, main: Condition) -> str:
    """How a condition differs from the main one, in words."""
    found = []
    if condition.teacher is not None:
        found.append(f"the teacher is `{condition.teacher}`")
    if condition.questions != main.questions:
        found.append(f"{condition.questions} questions")
    if condition.epochs != main.epochs:
        found.append(f"{condition.epochs} epochs")
    if condition.learning_rate != main.learning_rate:
        found.append(f"a rate of {condition.learning_rate}")
    if condition.batch_size != main.batch_size:
        found.append(f"batches of {condition.batch_size}")
    return ", ".join(found)


def _sample(data: MethodData) -> str:
    """A sample with its authors: `⟨student⟩…⟨teacher⟩…`."""
    if data.sample is None:
        return ""
    content = visible(data.sample["messages"][-1]["content"])
    text = ""
    for span in data.sample["spans"]:
        mark = "" if span["role"] == "format" else f"⟨{span['role']}⟩"
        text += mark + content[span["start"] : span["end"]]
    return text if len(text) <= _SAMPLE_CHARACTERS else f"{text[:_SAMPLE_CHARACTERS]}…"
