"""What `tessy report` does, once its options are parsed; here the heavy imports begin."""

from __future__ import annotations

import datetime
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tessy.config import load
from tessy.errors import ConfigError, MissingExtra
from tessy.models import address
from tessy.models.tokens import fetch_tokenizer
from tessy.printable import Say, visible
from tessy.scoring.scorer import Opens
from tessy.scoring.server import open_server
from tessy.scoring.weights import open_weights


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
    from tessy.analysis.figures import Bootstrap
    from tessy.report.gather import sources
    from tessy.report.make import Wanted, make, write

    say = _say(quiet)
    first, *_ = sources(runs)
    places = {kind: path for kind, path in files.items() if path}
    places.setdefault("html", runs[0] / "report.html")
    _check(places)
    own = (first.settings.get("student") or {}).get("tokenizer")
    chosen = tokenizer or own
    unit = None if words else _tokenizer(tokenizer, own, say)
    date = (first.settings.get("run") or {}).get("date") or datetime.date(1970, 1, 1)
    wanted = Wanted(
        runs=runs,
        tokenizer=unit,
        traces=traces,
        bootstrap=Bootstrap(*bootstrap),
        opens=_opens(scoring, chosen, date),
        scored=scoring.questions,
    )
    write(make(wanted, say), places)
    for path in places.values():
        say(f"wrote {path}")


def _say(quiet: bool) -> Say:
    def say(line: str) -> None:
        if not quiet:
            print(visible(line), file=sys.stderr, flush=True)

    return say


def _check(places: Mapping[str, Path]) -> None:
    """See that all files can be written before any work is spent."""
    for path in places.values():
        if not path.parent.is_dir():
            raise ConfigError(f"{path}: there is no folder {path.parent}", hint="make it first")
        if path.is_dir():
            raise ConfigError(f"{path} is a folder", hint="name a file in it")
    if len({path.resolve() for path in places.values()}) < len(places):
        raise ConfigError("two files have the same name", hint="name each kind's own")


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


def _opens(scoring: Scoring, tokenizer: str | None, date: datetime.date) -> Opens | None:
    """Who scores, checked as far as it can be without being opened."""
    if scoring.weights is not None:
        if scoring.student is not None:
            raise ConfigError(
                "--student and --student-weights are both given", hint="one of them scores"
            )
        weights = scoring.weights
        if not weights.is_dir():
            raise ConfigError(f"{weights}: no such folder", hint="--student-weights FOLDER")
        place = fetch_tokenizer(tokenizer) if tokenizer else None
        if (weights / "tokenizer.json").exists():
            place = None
        return lambda say: open_weights(weights, place, date, say)
    if scoring.student is None:
        return None
    address.parse_all(scoring.student)
    config = load(
        scoring.config,
        {
            "student.model": scoring.student,
            "student.tokenizer": None if scoring.format else tokenizer,
            "student.format": scoring.format,
        },
    )
    return lambda say: open_server(config, date, say)
