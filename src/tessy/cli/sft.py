"""`tessy sft`: trains a student on a data set."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tessy.cli.options import CommandOptions, command
from tessy.settings.definitions import Location, Option
from tessy.training.settings import SFTSettings

if TYPE_CHECKING:
    from collections.abc import Callable

    from tessy.display import Say
    from tessy.training.epochs import Epoch


class SFTOptions(CommandOptions):
    """Options of `tessy sft`."""

    dataset: Annotated[str, Option(argument=True)]
    """A run's folder, files or a Hugging Face data set, with `messages`."""
    out: Annotated[Location, Option()]
    """A new folder; a stopped training in it is resumed."""
    config: Annotated[Path | None, Option(unset="none")] = None
    """A TOML file with settings; options override it."""
    log_to: Annotated[tuple[str, ...], Option(unset="nowhere")] = ()
    """Log losses and scores: `wandb:PROJECT`, `mlflow:EXPERIMENT` or `tensorboard:FOLDER`; what is
    after the `:` may be left out. The tracker's package has to be installed."""


@command()
def sft(options: SFTOptions, settings: SFTSettings) -> None:
    """Train a student on a data set (supervised fine-tuning, with TRL).

    Each epoch is saved as a whole model in its own folder. The same command resumes a training that
    was stopped. Needs the extra `train`.
    """
    from tessy.data.outputs import written_to
    from tessy.training.learning_curve import best, shown
    from tessy.training.plots import CURVE_PLOT
    from tessy.training.train import train

    out, say = options.out, options.say
    with written_to(out, resumed=True, say=say) as folder:
        try:
            trained = train(
                options.dataset,
                settings,
                folder,
                on_epoch=_uploading(out, say),
                log_to=options.log_to,
                say=say,
            )
        except KeyboardInterrupt:
            typer.echo("stopped: the same command goes on", err=True)
            raise typer.Exit(130) from None
    say(f"first step's loss {trained.losses.first:.4f}; card and losses: {out}")
    if highest := best(trained.evaluation):
        score = shown(highest.pass_at_1)
        untrained = [each.pass_at_1.value for each in trained.evaluation if not each.epoch]
        told = f"highest: epoch {highest.epoch}, pass@1 {score}"
        if highest.pass_at_1.value <= max(untrained, default=0):
            told += ", not above the untrained model"
        say(f"{told}; the curve: {out}/{CURVE_PLOT}")
    for last in trained.epochs[-1:]:
        say(f"the model, whose last epoch had a loss of {last.loss:.4f}: {last.folder}")
        if last.gguf:
            folder = last.folder
            say(f"serve it: tessy synth … --student gguf:{last.gguf} --student-tokenizer {folder}")


def _uploading(out: str, say: Say) -> Callable[[Epoch], None]:
    """What uploads each finished epoch, if the training is at a URL."""
    from tessy.data.outputs import upload
    from tessy.data.remote import RemotePath, is_url
    from tessy.errors import RemoteError

    def finished(epoch: Epoch) -> None:
        if is_url(out):
            try:
                upload(epoch.folder, RemotePath(f"{out.rstrip('/')}/{epoch.folder.name}"), say)
            except RemoteError as error:
                say(f"{error.message}; it is tried again at the end")

    return finished
