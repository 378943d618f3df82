"""`tessy lab`: the world of the small models, their training, and the study."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from tessy.cli import lab_study

app = typer.Typer(
    help="Make questions of the world of the small models, and train these anew.",
    no_args_is_help=True,
)
app.command()(lab_study.study)

Seed = Annotated[int, typer.Option(help="The same seed gives the same.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="Say nothing but errors.")]
Out = Annotated[Path, typer.Option(help="The file to write; it must not be there yet.")]


@app.command()
def questions(
    out: Out,
    family: Annotated[
        list[str] | None, typer.Option(help="A family; may be repeated; by default all.")
    ] = None,
    count: Annotated[int, typer.Option(min=1, help="Questions of each family.")] = 200,
    split: Annotated[str, typer.Option(help="train, sft or test: none has one of another's.")] = (
        "test"
    ),
    seed: Seed = 0,
) -> None:
    """Write a file of questions, with answers and what a verifier needs.

    Needs `pip install 'tessy[lab]'`.
    """
    from tessy.lab.families import FAMILIES
    from tessy.lab.questions import family_named, questions, split_named

    chosen = [family_named(name) for name in family or FAMILIES]
    rows = [row for one in chosen for row in questions(one, split_named(split), count, seed)]
    _write(out, rows)


@app.command()
def segments(
    out: Out,
    count: Annotated[int, typer.Option(min=2, help="Segments.")] = 2000,
    split: Annotated[str, typer.Option(help="Of which questions: train, sft or test.")] = "train",
    seed: Seed = 0,
) -> None:
    """Write labelled segments for `tessy predictor train` and `tessy predictor evaluate`.

    Needs `pip install 'tessy[lab]'`.
    """
    from tessy.lab.questions import split_named
    from tessy.lab.segments import segments

    made = segments(count, seed=seed, split=split_named(split))
    _write(out, [segment.model_dump(mode="json", exclude_defaults=True) for segment in made])


@app.command()
def train(
    model: Annotated[str, typer.Argument(help="student, teacher or relative.")],
    out: Annotated[Path, typer.Option(help="The model's folder; goes on if it was stopped.")],
    steps: Annotated[int | None, typer.Option(help="Of the optimizer.")] = None,
    batch: Annotated[int | None, typer.Option(help="Examples a step.")] = None,
    hidden: Annotated[int | None, typer.Option(help="Numbers for a token.")] = None,
    layers: Annotated[int | None, typer.Option(help="Of the network.")] = None,
    threads: Annotated[int | None, typer.Option(help="Of this machine.")] = None,
    seed: Seed = 0,
    quiet: Quiet = False,
) -> None:
    """Train one of the small models, as the one that ships was trained.

    The same command goes on where it was stopped. Needs `pip install 'tessy[lab,train]'`.
    """
    from pydantic import ValidationError

    from tessy.errors import ConfigError
    from tessy.lab.members import Member
    from tessy.lab.settings import settings_for
    from tessy.lab.train import train

    given: dict[str, Any] = {
        **{"steps": steps, "batch": batch, "hidden": hidden},
        **{"layers": layers, "threads": threads, "seed": seed},
    }
    if model not in {each.value for each in Member}:
        raise ConfigError(f"{model!r} is no model of the lab", hint=", ".join(Member))
    member = Member(model)
    try:
        settings = settings_for(
            member, **{name: value for name, value in given.items() if value is not None}
        )
    except ValidationError as error:
        found = error.errors()[0]
        if not found["loc"]:  # what two options mean together
            raise ConfigError(f"--{found['msg'].removeprefix('Value error, ')}") from None
        option = str(found["loc"][0]).replace("_", "-")
        raise ConfigError(f"--{option}: {found['msg']}, not {found['input']!r}") from None
    train(member, out, settings, say=_silent if quiet else _say)


def _say(line: str) -> None:
    typer.echo(line, err=True)


def _silent(line: str) -> None:
    pass


def _write(out: Path, rows: list[dict[str, Any]]) -> None:
    """Write lines of JSON; nothing is there if it is stopped.

    Raises:
        ConfigError: The file is there already, or its folder is not.
    """
    import orjson

    from tessy.errors import ConfigError

    if out.exists():
        raise ConfigError(f"{out} is there already", hint="name a new file, or remove this one")
    if not out.parent.is_dir():
        raise ConfigError(f"{out}: there is no folder {out.parent}", hint="make it first")
    scratch = out.with_name(out.name + ".tmp")
    scratch.write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in rows))
    scratch.replace(out)
    typer.echo(f"{len(rows)} lines: {out}", err=True)
