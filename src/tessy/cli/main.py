"""`tessy`: the command line, and how it shows errors."""

from __future__ import annotations

import errno
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

import tessy
from tessy.cli import (
    doctor,
    evaluate,
    export,
    merge,
    predictor,
    report,
    select,
    serve,
    sft,
    show,
    synth,
    verify,
    view,
)
from tessy.cli.examples import epilog
from tessy.display import visible
from tessy.errors import InputError, Outage, TessyError

EXIT_FAILED = 1
EXIT_INPUT = 2
EXIT_OUTAGE = 3
EXIT_STOPPED = 130
_UsageError: Any = typer.BadParameter.__base__  # of click, which is a part of new typers
_EXTRA = re.compile(r"unexpected extra argument\S* \((.*)\)")
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_NOT_WRITABLE = (errno.EROFS, errno.EACCES, errno.EPERM, errno.ENAMETOOLONG, errno.EIO)


class _Commands(TyperGroup):
    """The commands; prints `stopped` on Ctrl-C, which typer does not."""

    def invoke(self, ctx: Any) -> Any:
        """Run a command."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            typer.echo("stopped", err=True)
            raise typer.Exit(EXIT_STOPPED) from None
        except _UsageError as error:
            has_file = error.ctx is not None and "config" in {
                p.name for p in error.ctx.command.params
            }
            if has_file and (setting := _setting_of(getattr(error, "option_name", ""))):
                error.message += f": {setting} is a setting of the TOML file that --config names"
            extra = _EXTRA.search(error.message)
            if extra and any(Path(name).exists() for name in extra[1].split()):
                error.message += (
                    ": these are files; a pattern for several is put in quotes ('data/*.jsonl'), "
                    "or the shell replaces it by their names"
                )
            raise


def _setting_of(option: str) -> str | None:
    """A setting of a run that is called as an option is, and has no option of its own."""
    from tessy.config import Config
    from tessy.settings.definitions import definitions

    wanted = option.removeprefix("--").replace("-", "_")
    keys = (setting.key for setting in definitions(Config) if setting.flag is None)
    same = (key for key in keys if wanted in (key.replace(".", "_"), key.rpartition(".")[2]))
    return next(same, None)


app = typer.Typer(
    name="tessy",
    cls=_Commands,
    help="Make SFT data that a student and a teacher write together, turn by turn.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)
app.command("synth", epilog=epilog("synth"))(synth.synth)
app.command("serve", epilog=epilog("serve"))(serve.serve)
app.command("eval", epilog=epilog("eval"))(evaluate.evaluate)
app.command("select", epilog=epilog("select"))(select.select)
app.command("doctor", epilog=epilog("doctor"))(doctor.doctor)
app.command("show", epilog=epilog("show"))(show.show)
app.command("view", epilog=epilog("view"))(view.view)
app.command("report", epilog=epilog("report"))(report.report)
app.command("export", epilog=epilog("export"))(export.export)
app.command("merge", epilog=epilog("merge"))(merge.merge)
app.command("sft", epilog=epilog("sft"))(sft.sft)
app.command("verify", epilog=epilog("verify"))(verify.verify)
app.add_typer(predictor.app, name="predictor")


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"tessy {tessy.__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Make SFT data that a student and a teacher write together, turn by turn."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; an error becomes a message, a hint, and an exit code.

    Args:
        arguments: The command's arguments; by default the process's.

    Raises:
        SystemExit: Always, with the exit code.
    """
    try:
        _run(arguments)
    except TessyError as error:
        complain(error)
        sys.exit(_exit_code(error))
    except OSError as error:
        if error.errno in _FULL:
            hint = "free some space, then run the same command"
        elif error.errno in _NOT_WRITABLE:
            hint = "make it readable and writable, or give another path"
        else:
            raise
        where = f"{error.filename}: " if error.filename else ""
        complain(TessyError(f"{where}{error.strerror}", hint=hint))
        sys.exit(EXIT_FAILED)


def _run(arguments: Sequence[str] | None) -> None:
    """Run a command; who reads what it prints may stop reading, as `head` does."""
    try:
        app(args=arguments)
    finally:
        try:
            sys.stdout.flush()
        except BrokenPipeError:  # else Python says so once more when it ends
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def complain(error: TessyError) -> None:
    """Print an error and its hint to standard error."""
    typer.secho("error: ", fg="red", err=True, nl=False)
    typer.echo(visible(str(error)), err=True)
    if error.hint:
        typer.secho("hint: ", fg="cyan", err=True, nl=False)
        typer.echo(visible(error.hint), err=True)


def _exit_code(error: TessyError) -> int:
    if isinstance(error, InputError):
        return EXIT_INPUT
    return EXIT_OUTAGE if isinstance(error, Outage) else EXIT_FAILED
