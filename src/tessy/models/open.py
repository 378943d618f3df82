"""Opening models: from their settings to something that can be asked.

The only place that knows all of the rooms beside it: address, weights, local server, client,
probe, codec and format of one model come together here.
"""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, fields, replace

from tessy.config import Config, Mode, ModelSettings
from tessy.data.record import THINK_CLOSE
from tessy.errors import ConfigError, ModelError, ServerFailure, TimedOut, Unreachable
from tessy.method.trajectory import Role
from tessy.models import address, local, templates, weights
from tessy.models.capabilities import Abilities, probe, stops_early
from tessy.models.client import Client, Traffic
from tessy.models.replicas import Replicas
from tessy.models.session import Model
from tessy.models.templates import ChatFormat
from tessy.models.tokenizers import Codec, LocalCodec, ServerCodec, fetch_tokenizer
from tessy.printable import Say

_GONE = (Unreachable, ServerFailure, TimedOut)
_LOCAL_SLOTS = 4
_LOCAL_CONTEXT = 4096


@dataclass(frozen=True, slots=True)
class Pair:
    """Both models, open.

    Attributes:
        models: By role; only those that were asked for.
        abilities: What the probe found out, by role.
        streamed: Roles whose thinking is read as a stream.
        notes: What the user should know before the run starts.
    """

    models: dict[Role, Model]
    abilities: dict[Role, Abilities]
    streamed: frozenset[Role]
    notes: tuple[str, ...]


def check(config: Config, roles: Iterable[Role] = Role) -> None:
    """Check what can be checked of models without touching them.

    Args:
        config: The run's settings.
        roles: Whose models are needed.

    Raises:
        AddressError: A model's name means nothing.
        ConfigError: A format or a tokenizer's folder does not exist.
    """
    for role in roles:
        settings = config.of(role)
        address.parse_all(config.address_of(role))
        if settings.tokenizer and settings.format:
            raise ConfigError(
                f"{role}.format and {role}.tokenizer are both given",
                hint="the tokenizer brings its own format: leave one out",
            )
        if settings.format:
            templates.named(
                settings.format, date=datetime.date.min, arguments=settings.template_args
            )


@asynccontextmanager
async def open_pair(
    config: Config,
    *,
    date: datetime.date,
    say: Say = lambda _: None,
    roles: Iterable[Role] = Role,
    judged: bool = True,
) -> AsyncIterator[Pair]:
    """Open the models that are needed; local servers run while the context is open.

    Args:
        config: The run's settings.
        date: The run's date, for chat templates that name it.
        say: Told what is going on, in a line.
        roles: Whose models are needed.
        judged: Their thinking is judged, so it may be read as a stream that is left.

    Raises:
        TessyError: The leaf that says which model can't be used, and why.
    """
    wanted = [role for role in Role if role in set(roles)]
    async with AsyncExitStack() as stack:
        found = await asyncio.gather(
            *(open_one(config, role, date, stack, say) for role in wanted), return_exceptions=True
        )
        parts: dict[Role, Opened] = {}
        for role, part in zip(wanted, found, strict=True):  # what goes wrong is said of one model
            if isinstance(part, BaseException):
                raise part
            parts[role] = part
        markers = (e for part in parts.values() for e in part.format.family.ends)
        ends = tuple(dict.fromkeys((*markers, THINK_CLOSE.strip())))
        models = {
            role: Model(
                role=role,
                name=part.abilities.served_name,
                servers=part.servers,
                format=part.format,
                codec=part.codec,
                settings=part.settings,
                context_tokens=min(
                    config.limits.context_tokens, part.abilities.context_tokens or 2**31
                ),
                ends=ends,
            )
            for role, part in parts.items()
        }
        abilities = {role: part.abilities for role, part in parts.items()}
        streamed = [
            role
            for role, part in parts.items()
            if judged and await _is_read(part, role, config.mode)
        ]
        notes = tuple(note for part in parts.values() for note in part.notes)
        yield Pair(models, abilities, frozenset(streamed), notes)


async def _is_read(part: Opened, role: Role, mode: Mode) -> bool:
    """Whether a role's thinking is read as a stream.

    Raises:
        ConfigError: It was to be, but its server does not stream.
    """
    if mode is Mode.CHUNKS:
        return False
    if mode is Mode.STREAM:
        if not part.abilities.streaming:
            raise ConfigError(
                f"mode = 'stream', but the {role}'s server does not stream",
                hint="mode = 'auto', or 'chunks'",
            )
        return True
    if not part.abilities.streaming:
        return False
    if await stops_early(part.client, part.abilities.context_tokens) is False:
        part.notes.append(f"{role}: its server goes on when a stream is left: asking for chunks")
        return False
    return True


@dataclass(frozen=True, slots=True)
class Opened:
    """One model, open: what its `Model` is made of, and notes for the user.

    Attributes:
        client: Its server's; the first one's, if it has several.
        servers: All of them.
        abilities: What they can do.
        codec: Its tokenizer.
        format: Its chat format.
        settings: Its settings, with the tokenizer that its address brings.
        notes: What the user should know.
    """

    client: Client
    servers: Replicas
    abilities: Abilities
    codec: Codec | None
    format: ChatFormat
    settings: ModelSettings
    notes: list[str]


async def open_one(
    config: Config, role: Role, date: datetime.date, stack: AsyncExitStack, say: Say
) -> Opened:
    """Open one role's model; what it needs is closed with `stack`."""
    settings = config.of(role)
    where, *others = address.parse_all(config.address_of(role))
    base_url, name, label = where.place, where.served_name or "", None
    if where.kind is not address.Kind.SERVER:
        path = await asyncio.to_thread(weights.fetch, where, say)
        say(f"starting a local server for the {role}, {path.name}")
        slots = min(_LOCAL_SLOTS, config.concurrency)
        context = min(config.limits.context_tokens, _LOCAL_CONTEXT)
        base_url = await stack.enter_async_context(
            local.serve(path, slots=slots, context_tokens=context)
        )
        label = path.stem
        if where.kind is address.Kind.LAB:
            label = settings.model
            if not settings.format:
                own = str(weights.lab_folder(where.place))
                settings = settings.model_copy(update={"tokenizer": settings.tokenizer or own})
    clients = [
        await stack.enter_async_context(Client(url, name, settings))
        for url in (base_url, *(other.place for other in others))
    ]
    notes: list[str] = []
    servers = await stack.enter_async_context(Replicas(clients))
    abilities = await _probed(servers, role, notes)
    client = next(replica.client for replica in servers.replicas if replica.up)
    codec, format_ = await _codec_and_format(settings, role, date, client, abilities, notes)
    _check_that_its_end_is_seen(role, format_, abilities)
    for each in clients:
        each.traffic = Traffic()  # the probe's calls, some meant to fail, are not the run's
    if label:
        abilities = replace(abilities, served_name=label)
    return Opened(client, servers, abilities, codec, format_, settings, notes)


async def _probed(servers: Replicas, role: Role, notes: list[str]) -> Abilities:
    """Probe all servers of a model, which have to be alike.

    Raises:
        ModelError: None can be used.
        ConfigError: Two differ.
    """
    clients = [replica.client for replica in servers.replicas]
    found = await asyncio.gather(*map(probe, clients), return_exceptions=True)
    known = [(client, able) for client, able in zip(clients, found, strict=True)
             if isinstance(able, Abilities)]  # fmt: skip
    for client, able in zip(clients, found, strict=True):
        if isinstance(able, ModelError) and known and isinstance(able, _GONE):
            notes.append(f"{role}: {client.base_url} does not answer; it is used when it does")
            servers.lose(client, known[0][0])
        elif isinstance(able, ModelError):
            able.args = (f"the {role} can't be used: {able}",)
            able.hint = able.hint or "is it running, and its URL right? `tessy doctor` asks it"
            raise able
        elif isinstance(able, BaseException):
            raise able
    (first, abilities), *rest = known
    for client, able in rest:
        if apart := _apart(abilities, able):
            raise ConfigError(
                f"the {role}'s servers differ: {first.base_url} and {client.base_url} in {apart}",
                hint="replicas are servers of one kind and version with one model",
            )
    lengths = [able.context_tokens for _, able in known if able.context_tokens]
    return replace(abilities, context_tokens=min(lengths, default=None))


def _apart(one: Abilities, other: Abilities) -> str:
    """What two servers differ in, in words; empty if in nothing that counts."""
    found = []
    if one.served_name != other.served_name:
        found.append(f"their model ({one.served_name}, {other.served_name})")
    for field in fields(one.dialect):
        mine, theirs = (getattr(each.dialect, field.name) for each in (one, other))
        if mine != theirs:
            found.append(f"{field.name} ({mine}, {theirs})")
    return ", ".join(found)


def _check_that_its_end_is_seen(role: Role, format_: ChatFormat, abilities: Abilities) -> None:
    """Markers that a server leaves out of the text must show, or stop it, in another way."""
    dialect = abilities.dialect
    if format_.family.hidden and not dialect.extensions and not dialect.return_ids:
        raise ConfigError(
            f"the {role} can't be used: its format, {format_.name}, ends the thinking with a "
            "special token, and its server takes none of stop_token_ids, skip_special_tokens and "
            "return_token_ids, so nobody could tell where the thinking ends",
            hint="serve it with vLLM, SGLang or llama.cpp",
        )


async def _codec_and_format(
    settings: ModelSettings,
    role: Role,
    date: datetime.date,
    client: Client,
    abilities: Abilities,
    notes: list[str],
) -> tuple[Codec | None, ChatFormat]:
    codec: Codec | None = None
    format_: ChatFormat | None = None
    if settings.tokenizer:
        folder = await asyncio.to_thread(fetch_tokenizer, settings.tokenizer)
        format_ = templates.from_tokenizer(
            folder, name=settings.tokenizer, arguments=settings.template_args, date=date
        )
        if format_ is None:
            notes.append(f"{role}: its tokenizer has no chat template: using the plain format")
        codec = LocalCodec(folder)
    elif settings.format:
        format_ = templates.named(settings.format, date=date, arguments=settings.template_args)
    else:
        notes.append(
            f"{role}: its chat format is not known: using the plain one "
            f"(--{role}-tokenizer or --{role}-format says which)"
        )
    format_ = format_ or templates.named("plain", date=date, arguments={})
    if not abilities.dialect.id_prompts:
        return None, format_
    if codec is None and abilities.tokenizes:
        family = format_.family
        codec = ServerCodec(client)
        await codec.learn((*family.stop_tokens, *family.answer_stop_tokens))
    return codec, format_
