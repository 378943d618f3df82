"""What `tessy report` does, once its options are parsed; here the heavy imports begin."""

from __future__ import annotations

import datetime
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tessy.cli.places import check_places
from tessy.config import load, read_toml
from tessy.display import Say, visible
from tessy.errors import ConfigError, MissingExtra
from tessy.method.trajectory import Role
from tessy.models import address
from tessy.models.open import check
from tessy.models.tokenizers import fetch_tokenizer
from tessy.report.scoring import OpenScorer, open_server, open_weights


@dataclass(frozen=True, slots=True)
class Scoring:
    """Who scores.

    Attributes:
        student: The student's address.
        format: Its chat format.
        weights: A folder with its weights.
        config: A file with its settings.
        questions: How many to score at most.
    """

    student: str | None
    format: str | None
    weights: Path | None
    config: Path | None
    questions: int


def report(
    runs: Sequence[Path],
    *,
    files: Mapping[str, Path | None],
    tokenizer: str | None,
    words: bool,
    traces: int,
    bootstrap: tuple[int, int],
    scoring: Scoring,
    quiet: bool,
) -> None:
    """Make a report and say what came out."""
    try:
        import sklearn  # noqa: F401
    except ImportError:
        raise MissingExtra(
            "reports need scikit-learn", hint="pip install 'tessy[report]'"
        ) from None
    from tessy.report.figures.intervals import Bootstrap
    from tessy.report.job import ReportSettings, make_report, write_report
    from tessy.report.source import open_runs

    say = _say(quiet)
    first, *_ = open_runs(runs)
    places = {kind: path for kind, path in files.items() if path}
    places.setdefault("html", runs[0] / "report.html")
    check_places({"--out" if kind == "html" else f"--{kind}": p for kind, p in places.items()})
    own = (first.settings.get("student") or {}).get("tokenizer")
    unit = None if words else _tokenizer(tokenizer, own, say)
    date = (first.settings.get("run") or {}).get("date") or datetime.date(1970, 1, 1)
    settings = ReportSettings(
        runs=runs,
        tokenizer=unit,
        traces=traces,
        bootstrap=Bootstrap(*bootstrap),
        open_scorer=_opens(scoring, tokenizer, own, date),
        scored=scoring.questions,
    )
    write_report(make_report(settings, say), places)
    for path in places.values():
        say(f"wrote {path}")


def _say(quiet: bool) -> Say:
    def say(line: str) -> None:
        if not quiet:
            print(visible(line), file=sys.stderr, flush=True)

    return say


def _tokenizer(given: str | None, own: str | None, say: Say) -> str | None:
    """The tokenizer that similarity counts with; that of the settings only if it is to be had."""
    if given or own is None:
        return given
    try:
        fetch_tokenizer(own)
    except ConfigError:
        say(f"the student's tokenizer, {own}, can't be had: similarity counts words")
        return None
    return own


def _opens(
    scoring: Scoring, given: str | None, own: str | None, date: datetime.date
) -> OpenScorer | None:
    """Who scores, checked as far as it can be without being opened.

    Args:
        scoring: What was asked for.
        given: The tokenizer that was named.
        own: That of the run's student.
        date: The run's.
    """
    if scoring.weights is not None:
        if scoring.student is not None:
            raise ConfigError(
                "--student and --student-weights are both given", hint="one of them scores"
            )
        weights = scoring.weights
        if not weights.is_dir():
            raise ConfigError(f"{weights}: no such folder", hint="--student-weights FOLDER")
        there = (weights / "tokenizer.json").exists()
        chosen = given or (None if there else own)
        place = fetch_tokenizer(chosen) if chosen else None
        return lambda say: open_weights(weights, place, date, say)
    if scoring.student is None:
        return None
    address.parse_all(scoring.student)
    file = read_toml(scoring.config).get("student", {}) if scoring.config else {}
    known = isinstance(file, dict) and bool({"tokenizer", "format"} & file.keys())
    config = load(
        scoring.config,
        {
            "student.model": scoring.student,
            "student.tokenizer": None if scoring.format else given or (None if known else own),
            "student.format": scoring.format,
        },
    )
    check(config, [Role.STUDENT])
    return lambda say: open_server(config, date, say)
