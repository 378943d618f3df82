"""`python -m studies.lab`: make questions and labelled segments, train the models."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson
from pydantic import ValidationError

from studies.command import check_new, finish, silent, tell
from studies.lab.families import FAMILIES
from studies.lab.members import Member
from studies.lab.questions import Split, questions
from studies.lab.segments import segments
from studies.lab.settings import settings_for
from tessy.data.files import write_atomically
from tessy.errors import ConfigError, MissingExtra

_SPLITS = [split.value for split in Split]
_SETTINGS = {
    "steps": "steps of the optimizer (4000; relative 800)",
    "batch_size": "examples per step (32)",
    "hidden": "size of a token's vector (128)",
    "layers": "of the network (4)",
    "threads": "of this machine (1)",
    "seed": "of the corpus, the order and the weights (0)",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit code."""
    options = _parser().parse_args(arguments)
    return finish(lambda: options.run(options))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m studies.lab", description=__doc__)
    commands = parser.add_subparsers(required=True)

    made = commands.add_parser("questions", help="write questions with their answers")
    made.set_defaults(run=_questions)
    made.add_argument("--out", type=Path, required=True, help="the JSONL file to write")
    made.add_argument(
        "--family", choices=FAMILIES, action="append", help="may be repeated; all by default"
    )
    made.add_argument("--count", type=int, default=200, help="questions of each family (200)")
    made.add_argument("--split", choices=_SPLITS, default="test")
    made.add_argument("--seed", type=int, default=0)

    made = commands.add_parser("segments", help="write labelled segments for tessy predictor")
    made.set_defaults(run=_segments)
    made.add_argument("--out", type=Path, required=True, help="the JSONL file to write")
    made.add_argument("--count", type=int, default=2000, help="segments (2000)")
    made.add_argument("--split", choices=_SPLITS, default="train")
    made.add_argument("--seed", type=int, default=0)

    made = commands.add_parser("train", help="train a model, by default as the one that ships")
    made.set_defaults(run=_train)
    made.add_argument("model", choices=[member.value for member in Member])
    made.add_argument(
        "--out", type=Path, required=True, help="the model's folder; the same command resumes in it"
    )
    for name, text in _SETTINGS.items():
        made.add_argument(f"--{name.replace('_', '-')}", type=int, help=text)
    made.add_argument("--quiet", action="store_true", help="print only errors")
    return parser


def _questions(options: argparse.Namespace) -> None:
    check_new(options.out)
    chosen = [FAMILIES[name] for name in options.family or FAMILIES]
    rows = [
        row
        for family in chosen
        for row in questions(family, Split(options.split), options.count, options.seed)
    ]
    _write(options.out, rows)


def _segments(options: argparse.Namespace) -> None:
    check_new(options.out)
    made = segments(options.count, seed=options.seed, split=Split(options.split))
    _write(options.out, [one.model_dump(mode="json", exclude_defaults=True) for one in made])


def _train(options: argparse.Namespace) -> None:
    member = Member(options.model)
    given = {name: value for name in _SETTINGS if (value := getattr(options, name)) is not None}
    try:
        settings = settings_for(member, **given)
    except ValidationError as error:
        first = error.errors()[0]
        option = f"--{str(first['loc'][0]).replace('_', '-')}: " if first["loc"] else ""
        raise ConfigError(f"{option}{first['msg']}", hint="see --help") from None
    try:
        from studies.lab.train import train
    except ImportError as error:
        raise MissingExtra(
            f"training needs {error.name}", hint="pip install '.[train]' --group studies"
        ) from None
    train(member, options.out, settings, say=silent if options.quiet else tell)


def _write(path: Path, rows: list[dict[str, Any]]) -> None:
    write_atomically(path, b"".join(orjson.dumps(row) + b"\n" for row in rows))
    tell(f"{len(rows)} lines: {path}")


if __name__ == "__main__":
    sys.exit(main())
