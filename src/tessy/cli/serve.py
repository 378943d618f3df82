"""`tessy serve`: the pair as one model, for programs that speak OpenAI's protocol."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from pydantic import Field

from tessy.cli.options import CommandOptions, command
from tessy.serving.settings import NOT_SERVED, ServedConfig, ignored_in
from tessy.settings.definitions import SECONDS, Location, Option

if TYPE_CHECKING:
    from tessy.serving.server import RunningServer


class ServeOptions(CommandOptions):
    """Options of `tessy serve`."""

    config: Annotated[Path | None, Option(unset="none")] = None
    """A TOML file with settings; options override it. Settings about questions are ignored."""
    host: Annotated[str, Option(panel="Serving")] = "127.0.0.1"
    """The address to listen on. Only this machine reaches the default one; `0.0.0.0` is all."""
    port: Annotated[int, Option(panel="Serving")] = Field(default=8200, ge=0, le=65535)
    """The port to listen on; 0 takes one that is free."""
    api_key_env: Annotated[str | None, Option(unset="no key is asked for", panel="Serving")] = None
    """The environment variable with the key that clients have to send."""
    queue: Annotated[int, Option(panel="Serving")] = Field(default=256, ge=0, le=100_000)
    """Samples that may wait while `concurrency` are written; more get 429, try again later."""
    drain_s: Annotated[float, SECONDS, Option(panel="Serving")] = Field(default=60, ge=0, le=86_400)
    """How long requests may go on when the server is stopped."""
    journal: Annotated[Location | None, Option(unset="nothing is kept", panel="Serving")] = None
    """The folder of a run, in which what is served is kept; the same folder goes on."""


@command(without=NOT_SERVED)
def serve(options: ServeOptions, config: ServedConfig) -> None:
    """Serve the pair as one model: chat and completions in OpenAI's protocol, streamed or not.

    Ctrl-C or SIGTERM stops it, when the requests that run have ended.
    """
    from tessy.event_loop import run_loop
    from tessy.serving.server import ServeSettings, serve_until_stopped

    settings = ServeSettings(
        host=options.host,
        port=options.port,
        queue=options.queue,
        drain_s=options.drain_s,
        api_key_env=options.api_key_env,
        journal=options.journal,
    )

    def ready(server: RunningServer) -> None:
        typer.echo(f"{server.url} serves {', '.join(server.models)}")
        if settings.is_local:
            options.say("only this machine reaches it; --host 0.0.0.0 is for others")
        elif options.api_key_env is None:
            options.say(
                f"warning: all who reach {options.host} can use it: --api-key-env asks for a key"
            )

    if ignored := ignored_in(options.config):
        options.say(f"{options.config}: ignored here: {', '.join(ignored)}")
    run_loop(serve_until_stopped(config, settings, options.say, ready))
