"""Opens models, listens, and ends in an orderly way."""

from __future__ import annotations

import asyncio
import datetime
import gc
import os
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

from tessy.boundary.batcher import PredictorBatcher
from tessy.boundary.registry import load_all
from tessy.config import Config
from tessy.data.remote import is_url
from tessy.display import Say, count_of
from tessy.errors import ConfigError, ServeError
from tessy.event_loop import cancel_all, leave_closed_terminal, stopping_signals
from tessy.method.trajectory import Role
from tessy.models.checks import check, check_formats
from tessy.models.client import key_in
from tessy.models.open import open_models
from tessy.report.viewer.access import is_loopback
from tessy.runs.counters import Counters
from tessy.serving.admission import Admission
from tessy.serving.handlers import ApiHandlers
from tessy.serving.metrics import ServerMetrics
from tessy.serving.names import served_models
from tessy.serving.served_run import ServedRun, served_run
from tessy.serving.service import Service
from tessy.synthesis.context import RunContext
from tessy.synthesis.methods import method_of
from tessy.synthesis.watch import watch

_BACKLOG = 1024
_LOOK_S = 2.0
_COLLECT_S = 20.0
"""How often garbage is collected: a request that ends leaves cycles (a cancelled task, its error
and its frames), and the collector of `run_loop` hardly ever looks at what is a little older."""
_GONE_S = 2.0
"""How long handlers that were cancelled may take to end."""


@dataclass(frozen=True, slots=True)
class ServeSettings:
    """How a server listens.

    Attributes:
        host: The address; only this machine reaches a loopback address.
        port: The port; 0 for one that is free.
        queue: Samples that may wait to be written.
        drain_s: How long requests may go on when the server is stopped.
        api_key_env: The variable with the key that clients have to send; None for none.
        journal: The folder of a run, in which what is served is noted; None for none.
    """

    host: str = "127.0.0.1"
    port: int = 8200
    queue: int = 256
    drain_s: float = 60.0
    api_key_env: str | None = None
    journal: str | Path | None = None

    @property
    def is_local(self) -> bool:
        """Whether only this machine can reach it."""
        return is_loopback(self.host)


@dataclass(frozen=True, slots=True)
class RunningServer:
    """A server that answers.

    Attributes:
        url: Its address, with `/v1`.
        models: The models that can be named, the server's own method first.
        handlers: Answer requests.
    """

    url: str
    models: tuple[str, ...]
    handlers: ApiHandlers

    async def drain(self, seconds: float, hurry: asyncio.Event) -> int:
        """Take no more requests, and wait for those that run.

        Args:
            seconds: How long to wait.
            hurry: Ends the wait at once.

        Returns:
            How many requests have not ended.
        """
        waits = [asyncio.create_task(self.handlers.drain()), asyncio.create_task(hurry.wait())]
        try:
            await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await cancel_all(waits)
        return self.handlers.answering


@asynccontextmanager
async def serving(
    config: Config, settings: ServeSettings, say: Say = lambda _: None
) -> AsyncIterator[RunningServer]:
    """Serve the pair while the context is open.

    Args:
        config: The settings of models and method.
        settings: How to listen.
        say: Called with lines about progress, and with what goes wrong.

    Raises:
        InputError: A setting can't be used.
        ServeError: The address can't be listened on.
        TessyError: A model can't be used, or the journal can't be written.
    """
    method = method_of(config)
    roles = {role for role in Role if config.of(role).model} | method.needs(config)
    key = None
    if settings.api_key_env:
        key = key_in(settings.api_key_env, "--api-key-env")
    if settings.journal is not None and is_url(settings.journal):
        raise ConfigError(
            f"--journal {settings.journal} is a URL, and has to be a folder of this machine",
            hint="what was served can be copied there afterwards",
        )
    check(config, roles)
    judged = roles == set(Role)
    predictors = load_all({role: config.predictor_of(role) for role in Role if judged})
    check_formats(config, roles)
    await asyncio.to_thread(_check_address, settings)
    async with AsyncExitStack() as stack:
        run: ServedRun | None = None
        date = datetime.datetime.now(datetime.UTC).date()
        if settings.journal is not None:
            run = await stack.enter_async_context(served_run(Path(settings.journal), config))
            date = run.date
        opening = open_models(config, date=date, say=say, roles=roles, judged=judged, schemas=True)
        models, notes = await stack.enter_async_context(opening)
        for note in notes:
            say(note)
        batcher = stack.enter_context(closing(PredictorBatcher(predictors)))
        context = RunContext.of(config, models, batcher, Counters(total=0), None)
        if run is not None:
            await asyncio.to_thread(run.folder.run_toml.same_models, context.served)
        admission = Admission(config.concurrency, settings.queue)
        metrics = ServerMetrics(context.counters, admission, lambda: context.gate.waiting)
        names = served_models(config, roles)
        service = Service(context, names, admission, metrics, run)
        handlers = ApiHandlers(service, say, api_key=key, local=settings.is_local)
        tasks = [
            asyncio.create_task(each)
            for each in (watch(context), _collect_garbage(), _tell_of_servers(context, say))
        ]
        if run is not None:
            tasks.append(asyncio.create_task(run.checkpoints(say)))
        stack.push_async_callback(cancel_all, tasks)
        url = await stack.enter_async_context(_listening(handlers, settings))
        yield RunningServer(url, tuple(names), handlers)


async def serve_until_stopped(
    config: Config, settings: ServeSettings, say: Say, ready: Callable[[RunningServer], None]
) -> None:
    """Serve until a signal stops it: requests that run may end; a second signal ends them.

    Args:
        config: The settings of models and method.
        settings: How to listen.
        say: Called with lines about progress, and with what goes wrong.
        ready: Called when it answers.

    Raises:
        TessyError: As `serving`.
    """
    stop, hurry, loop = asyncio.Event(), asyncio.Event(), asyncio.get_running_loop()

    def stopped() -> None:
        leave_closed_terminal()
        (hurry if stop.is_set() else stop).set()

    async with serving(config, settings, say) as server:
        for number in stopping_signals():
            loop.add_signal_handler(number, stopped)
        try:
            ready(server)
            await stop.wait()
            if count := server.handlers.answering:
                say(
                    f"stopping: {count_of(count, 'request')} may end within "
                    f"{settings.drain_s:g} s; the same signal again ends them now"
                )
            if left := await server.drain(settings.drain_s, hurry):
                say(f"{count_of(left, 'request')} did not end")
            say("stopped")
        finally:
            for number in stopping_signals():
                loop.remove_signal_handler(number)


async def _tell_of_servers(context: RunContext, say: Say) -> None:
    """Say that a model's server fails or does not answer, and that it does again."""
    failing: set[str] = set()
    while True:
        await asyncio.sleep(_LOOK_S)
        now = set(context.counters.retrying)  # as `watch` saw it
        for name in sorted(now - failing):
            say(f"{name}'s server fails or does not answer; calls are made again")
        for name in sorted(failing - now):
            say(f"no call waits for {name}'s server any more")
        failing = now


async def _collect_garbage() -> None:
    while True:
        await asyncio.sleep(_COLLECT_S)
        gc.collect()


def _check_address(settings: ServeSettings) -> None:
    """Make sure that the address can be listened on, before any model is opened.

    Raises:
        ServeError: It can't be listened on.
    """
    try:
        for family, kind, *_, address in socket.getaddrinfo(
            settings.host, settings.port, type=socket.SOCK_STREAM
        ):
            with socket.socket(family, kind) as tried:
                tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                tried.bind(address)
    except OSError as error:
        raise _not_listening(settings, error) from None


def _not_listening(settings: ServeSettings, error: OSError) -> ServeError:
    why = os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)
    return ServeError(
        f"{settings.host}:{settings.port} can't be listened on: {why}",
        hint="another --port, 0 for any that is free; or another --host",
    )


@asynccontextmanager
async def _listening(handlers: ApiHandlers, settings: ServeSettings) -> AsyncIterator[str]:
    """Listen while the context is open; yields the address, with `/v1`.

    Raises:
        ServeError: The address can't be listened on.
    """
    runner = web.AppRunner(
        handlers.app(), access_log=None, handler_cancellation=True, shutdown_timeout=_GONE_S
    )
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, settings.host, settings.port, backlog=_BACKLOG).start()
        except OSError as error:
            raise _not_listening(settings, error) from None
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        yield f"http://{host}:{runner.addresses[0][1]}/v1"
    finally:
        await handlers.close()
        await runner.cleanup()
