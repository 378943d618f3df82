"""Opens models: from settings to servers that are ready for calls.

Address, weights, local server, clients, probe, tokenizer and chat format of a model come together
here.
"""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import AsyncIterator, Collection, Iterable
from contextlib import AsyncExitStack, asynccontextmanager, closing
from dataclasses import dataclass, field, replace

from tessy import lab
from tessy.config import Config, Mode, ModelRole, ModelSettings, NamedTeacher, role_of
from tessy.data.record import THINK_CLOSE
from tessy.display import Say
from tessy.errors import ConfigError, ModelError
from tessy.method.trajectory import Role
from tessy.models import address, local, templates, weights
from tessy.models.checks import LOCAL_SLOTS, UnknownFormat, one_model, short_contexts
from tessy.models.client import NO_KEY, Client, ClientStats
from tessy.models.probe import check_tokenizer, probe, stops_early, takes_schemas
from tessy.models.replicas import GONE, Replicas
from tessy.models.session import Model
from tessy.models.templates import ChatFormat
from tessy.models.tokenizers import (
    LocalTokenizer,
    ServerTokenizer,
    Tokenizer,
    fetch_tokenizer,
    read_template,
)
from tessy.models.wire import Capabilities

IS_IT_RUNNING = "is it running, and its URL right?"
ASK_DOCTOR = " `tessy doctor` asks it"
_HINTS = {
    429: "it is full, or a quota is used up: try again later",
    **dict.fromkeys((500, 502, 503, 504), "it runs, and fails: its log says why"),
}
"""What to do about a server that refuses the first call, by the HTTP status."""
_LOCAL_CONTEXT = 4096


@dataclass(slots=True)
class OpenedModel:
    """One opened model, from which its `Model` is made.

    Attributes:
        settings: Its settings; a `lab:` address adds its tokenizer.
        name: Its name in records.
        servers: Its replicas.
        capabilities: What all replicas can do.
        tokenizer: Encodes its prompts; None if prompts are sent as text.
        format: Its chat format.
        notes: What the user should know.
    """

    settings: ModelSettings
    name: str
    servers: Replicas
    capabilities: Capabilities
    tokenizer: Tokenizer | None
    format: ChatFormat
    notes: list[str] = field(default_factory=list)

    @property
    def client(self) -> Client:
        """The client of the first server that is up."""
        return next(replica.client for replica in self.servers.replicas if replica.up)


@asynccontextmanager
async def open_models(
    config: Config,
    *,
    date: datetime.date,
    say: Say = lambda _: None,
    roles: Iterable[Role] = Role,
    judged: bool = True,
    streamed: Collection[ModelRole] | None = None,
    schemas: bool = False,
) -> AsyncIterator[tuple[dict[ModelRole, Model], list[str]]]:
    """Open the models that are needed; local servers run while the context is open.

    Args:
        config: The run's settings.
        date: The run's date, for chat templates that show it.
        say: Called with lines about progress.
        roles: The roles whose models are needed.
        judged: The thinking is judged, so it may be streamed and the stream closed at a boundary.
        streamed: Models whose thinking is streamed; None to find out.
        schemas: Find out which servers take a JSON schema.

    Yields:
        The models, and notes that the user should read before the run starts.

    Raises:
        TessyError: A model can't be used; the message says which, and why.
    """
    wanted = config.models(roles)
    async with AsyncExitStack() as stack:
        results = await asyncio.gather(
            *(open_one(config, model, date, stack, say) for model in wanted), return_exceptions=True
        )
        opened: dict[ModelRole, OpenedModel] = {}
        for model, result in zip(wanted, results, strict=True):
            if isinstance(result, BaseException):
                raise result
            opened[model] = result
        if schemas:
            await asyncio.gather(*(_find_schemas(one.servers) for one in opened.values()))
        if streamed is None:
            streamed = [
                model
                for model, one in opened.items()
                if judged and await _streams(one, model, config)
            ]
        markers = [end for one in opened.values() for end in one.format.family.ends]
        models = {
            model: Model(
                role=role_of(model),
                called=config.called(model),
                teacher=model.name if isinstance(model, NamedTeacher) else None,
                name=one.name,
                servers=one.servers,
                format=one.format,
                tokenizer=one.tokenizer,
                settings=one.settings,
                context_tokens=min(
                    config.limits.context_tokens, one.capabilities.context_tokens or 2**31
                ),
                ends=tuple(dict.fromkeys((*markers, THINK_CLOSE.strip()))),
                streamed=model in streamed,
            )
            for model, one in opened.items()
        }
        notes = [note for one in opened.values() for note in one.notes]
        contexts = {
            config.called(model): one.capabilities.context_tokens
            for model, one in opened.items()
            if lab.own_folder(config.address_of(model)) is None  # those that ship write briefly
        }
        if (short := short_contexts(contexts, config.limits)) is not None:
            notes.append(short)
        if {*Role} <= {*opened} and (note := one_model(config)):
            notes.append(note)
        yield models, notes


async def _find_schemas(servers: Replicas) -> None:
    """Find out which of a model's servers take a JSON schema; the calls are not counted."""
    for client in (replica.client for replica in servers.replicas if replica.up):
        await takes_schemas(client)
        client.stats = ClientStats()


async def _streams(opened: OpenedModel, model: ModelRole, config: Config) -> bool:
    """Whether to stream a model's thinking.

    Raises:
        ConfigError: The settings say so, but its server does not stream.
    """
    streams = opened.capabilities.streams
    if config.mode is Mode.STREAM and not streams:
        raise ConfigError(
            f"mode = 'stream', but {config.called(model)}'s server does not stream",
            hint="mode = 'auto', or 'chunks'",
        )
    if config.mode is not Mode.AUTO or not streams:
        return config.mode is Mode.STREAM
    if await stops_early(opened.client) is False:
        opened.notes.append(
            f"{config.called(model)}: its server keeps generating when a stream is closed, so it "
            "writes in chunks"
        )
        return False
    return True


async def open_one(
    config: Config, model: ModelRole, date: datetime.date, stack: AsyncExitStack, say: Say
) -> OpenedModel:
    """Open one model; `stack` closes it.

    Raises:
        TessyError: The model can't be used; the message says why.
    """
    settings = config.of(model)
    name = config.address_of(model)
    where, *others = address.parse_all(name)
    urls, label = [where.place, *(other.place for other in others)], None
    if where.scheme is not address.Scheme.SERVER:
        path = await asyncio.to_thread(weights.fetch, where, say)
        say(f"starting a local server for {config.called(model)}, {name}")
        slots = min(LOCAL_SLOTS, config.concurrency)
        context = min(config.limits.context_tokens, _LOCAL_CONTEXT)
        serving = local.serve(
            path, slots=slots, context_tokens=context, connections=config.concurrency
        )
        urls = [await stack.enter_async_context(serving)]
        label = path.stem if path.stem != "model" else path.absolute().parent.name  # as sft has it
        if where.scheme is address.Scheme.LAB:
            label = name
            if not settings.format and not settings.tokenizer:
                own = str(lab.folder(where.place))
                settings = settings.model_copy(update={"tokenizer": own})
    served = where.served_name or ""
    clients = [Client(url, served, settings) for url in urls]
    servers = stack.enter_context(closing(Replicas(clients)))
    notes: list[str] = []
    capabilities = await _probed(servers, config, model, notes, say)
    tokenizer, format_ = await _tokenizer_and_format(
        config, settings, model, date, servers, capabilities
    )
    _check_end(config.called(model), format_, capabilities)
    for replica in servers.replicas:
        replica.client.stats = ClientStats()  # without the probe's calls, some of which fail
    return OpenedModel(
        settings=settings,
        name=label or capabilities.served_name,
        servers=servers,
        capabilities=capabilities,
        tokenizer=tokenizer,
        format=format_,
        notes=notes,
    )


async def _probed(
    servers: Replicas, config: Config, model: ModelRole, notes: list[str], say: Say
) -> Capabilities:
    """Probe all servers of a model, which must have the same capabilities.

    Raises:
        ModelError: A server refused the probe, or none responds.
        ConfigError: Two servers differ.
    """
    called = config.called(model)
    results = await asyncio.gather(
        *(probe(replica.client, say) for replica in servers.replicas), return_exceptions=True
    )
    pairs = list(zip(servers.replicas, results, strict=True))
    known = [(replica, found) for replica, found in pairs if isinstance(found, Capabilities)]
    for replica, found in pairs:
        client = replica.client
        if isinstance(found, GONE) and known:
            notes.append(f"{called}: {client.base_url} does not answer; it is used when it does")
            client.capabilities = known[0][1]
            servers.mark_down(replica)
        elif isinstance(found, ModelError):
            found.args = (f"{called} can't be used: {found}",)
            if found.status in NO_KEY:
                found.hint = _about_key(config, model)
            found.hint = found.hint or _HINTS.get(found.status, IS_IT_RUNNING + ASK_DOCTOR)
            raise found
        elif isinstance(found, BaseException):
            raise found
    (first, capabilities), *rest = known
    for replica, found in rest:
        if different := capabilities.differences(found):
            urls = f"{first.client.base_url} and {replica.client.base_url}"
            raise ConfigError(
                f"{called}'s servers differ: {urls} in {', '.join(different)}",
                hint="replicas are servers of one kind and version with one model",
            )
    lengths = [found.context_tokens for _, found in known if found.context_tokens]
    return replace(capabilities, context_tokens=min(lengths, default=None))


def _about_key(config: Config, model: ModelRole) -> str:
    """What to do if a model's server refuses its API key, or the lack of one."""
    table, variable = config.table_of(model), config.of(model).api_key_env
    if variable:
        return f"is the key in {variable} ({table}.api_key_env) one for this server and model?"
    variable = f"{role_of(model).upper()}_API_KEY"
    return (
        f"if it wants an API key: export {variable}=…, and in the TOML that --config names, "
        f'api_key_env = "{variable}" below [{table}]'
    )


def _check_end(called: str, format_: ChatFormat, capabilities: Capabilities) -> None:
    """Make sure that the end of the thinking can be seen, if servers leave its marker out.

    Raises:
        ConfigError: It can't be seen.
    """
    if format_.family.hidden and not capabilities.extensions and not capabilities.return_ids:
        raise ConfigError(
            f"{called} can't be used: its format, {format_.name}, ends the thinking with a "
            "special token, and its server takes none of stop_token_ids, skip_special_tokens and "
            "return_token_ids, so nobody could tell where the thinking ends",
            hint="serve it with vLLM, SGLang or llama.cpp",
        )


async def _tokenizer_and_format(
    config: Config,
    settings: ModelSettings,
    model: ModelRole,
    date: datetime.date,
    servers: Replicas,
    capabilities: Capabilities,
) -> tuple[Tokenizer | None, ChatFormat]:
    """A model's tokenizer, None if prompts are sent as text, and its chat format.

    Raises:
        ConfigError: The format is not known, or given twice; the tokenizer can't be used, or is
            not that of its server.
    """
    tokenizer: Tokenizer | None = None
    format_: ChatFormat | None = None
    arguments, table = settings.template_args, config.table_of(model)
    if settings.tokenizer:
        folder = await asyncio.to_thread(fetch_tokenizer, settings.tokenizer)
        if settings.format and read_template(folder) is not None:
            raise ConfigError(
                f"{table}.format is given, and {table}.tokenizer brings its own chat template",
                hint="leave the format out",
            )
        tokenizer = LocalTokenizer(folder)
        if not settings.format:
            name = settings.tokenizer
            format_ = templates.from_tokenizer(folder, name=name, arguments=arguments, date=date)
    if settings.format:
        format_ = templates.named(settings.format, date=date, arguments=arguments)
    if format_ is None:
        if not settings.tokenizer:
            raise UnknownFormat(config, model)
        raise UnknownFormat(config, model, f"{settings.tokenizer} has no chat template")
    if not capabilities.id_prompts:
        return None, format_
    if tokenizer is not None:
        name = f"{table}.tokenizer, {settings.tokenizer},"
        up = [replica.client for replica in servers.replicas if replica.up]
        await asyncio.gather(*(check_tokenizer(client, tokenizer, name) for client in up))
    elif capabilities.tokenizes:
        family = format_.family
        tokenizer = ServerTokenizer(servers)
        await tokenizer.learn((*family.stop_tokens, *family.answer_stop_tokens))
    return tokenizer, format_
