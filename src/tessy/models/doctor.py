"""`tessy doctor`: what the models can do, found by the probe and a few more requests."""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import Iterable
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from rich.table import Table
from rich.text import Text

from tessy.config import Config, ModelRole, Sampling, role_of
from tessy.display import Say, visible
from tessy.errors import TessyError
from tessy.method.trajectory import Role
from tessy.models import pace
from tessy.models.checks import (
    UnknownFormat,
    check,
    check_formats,
    one_model,
    short_contexts,
)
from tessy.models.client import Client
from tessy.models.open import ASK_DOCTOR, OpenedModel, open_one
from tessy.models.pace import ServerPace
from tessy.models.probe import LONG_PROMPT, stops_early
from tessy.models.tokenizers import fetch_tokenizer
from tessy.models.wire import Capabilities, Request

_HIT = 0.5
"""A long prompt that was sent before is cached, if at least this share of it is."""
_GREEDY = Sampling(temperature=0.0, top_p=1.0, top_k=0)
_RETRIES = 1
"""Fewer than in a run: a server that does not respond is a finding."""


@dataclass(frozen=True, slots=True)
class Finding:
    """The findings about one model.

    Attributes:
        model: The model.
        address: The model's name in the settings.
        error: Why synthesis can't use it; None if it can.
        missing: What synthesis needs besides, and is not given; None if there is nothing.
        hint: What to give instead, if the error or what is missing says so.
        capabilities: What its server can do.
        format_name: The chat format that will be used.
        prompts: How prompts are sent: `token ids` or `text`.
        early_stop: Whether closing a stream stops the generation; None if that is not known.
        cached_share: The share of a repeated prompt that came from the prefix cache, 0 to 1.
        pace: How fast its server answers when it does nothing else; None if that is not known.
        cache_tokens: Tokens that its server's KV cache holds; None if that is not known.
        kv_bytes: Bytes of KV cache a token; None if that is not known.
        notes: What else the user should know.
    """

    model: ModelRole
    address: str
    error: str | None = None
    missing: str | None = None
    hint: str | None = None
    capabilities: Capabilities | None = None
    format_name: str = ""
    prompts: str = ""
    early_stop: bool | None = None
    cached_share: float | None = None
    pace: ServerPace | None = None
    cache_tokens: int | None = None
    kv_bytes: int | None = None
    notes: tuple[str, ...] = ()


async def examine(
    config: Config, say: Say = lambda _: None, roles: Iterable[Role] = Role
) -> list[Finding]:
    """Examine models, one after the other; local servers are started and stopped.

    Args:
        config: The settings of the models.
        say: Called with lines about progress.
        roles: The roles whose models are examined.

    Raises:
        InputError: A model's name or chat format is not valid.
    """
    check(config, roles)
    findings = []
    for model in config.models(roles):
        try:
            check_formats(config, [model])
            findings.append(await _examine(config, model, say))
        except UnknownFormat as error:  # the server can be asked all the same
            settings = config.of(model).model_copy(update={"format": "plain"})
            found = await _examine(config.having({model: settings}), model, say)
            found = replace(found, format_name="not known", missing=str(error))
            both = "\n      ".join(hint for hint in (found.hint, error.hint) if hint)
            findings.append(replace(found, hint=both))
    return findings


def refusal(findings: list[Finding]) -> TessyError | None:
    """Why synthesis would not start with these models, and what it needs; None if it would."""
    refused = [each for each in findings if each.error or each.missing]
    if not refused:
        return None
    said = [why for each in refused for why in _why(each)]
    hints = dict.fromkeys(each.hint for each in refused if each.hint)
    return TessyError(
        f"synthesis would not start: {'; '.join(said)}", hint="\n      ".join(hints) or None
    )


def readiness(findings: list[Finding], config: Config) -> str:
    """A line: synthesis can start with these models, and what would make it better. Pure.

    Args:
        findings: None of which is a reason to refuse.
        config: The settings that were examined.
    """
    changes = [change for each in findings for change in _changes(each)]
    contexts = {
        config.called(each.model): each.capabilities.context_tokens
        for each in findings
        if each.capabilities
    }
    if short := short_contexts(contexts, config.limits):
        changes.append(f"{short} (lower them, or serve more: vLLM --max-model-len)")
    if {*Role} <= {each.model for each in findings} and (same := one_model(config)):
        changes.append(same)
    return "; ".join(["ready", *changes]) if changes else "ready: there is nothing to change"


def _changes(finding: Finding) -> list[str]:
    """What could be changed about a model."""
    server, whose = finding.capabilities, f"the {finding.model}'s server"
    changes = []
    if server is not None and server.id_prompts and finding.prompts == "text":
        flag = f"--{role_of(finding.model)}-tokenizer"
        changes.append(f"{flag} would send token ids, which prefix caches hit more often")
    if finding.cached_share is not None and finding.cached_share < _HIT:
        changes.append(f"{whose} should cache prefixes (vLLM: --enable-prefix-caching)")
    if server is not None and not server.streams:
        changes.append(f"{whose} does not stream, so it writes in chunks, which costs more")
    elif finding.early_stop is False:
        changes.append(
            f"{whose} goes on when a stream is closed, so it writes in chunks, which costs more"
        )
    return changes


def _why(finding: Finding) -> list[str]:
    """Why synthesis can't use a model, what is worst first."""
    error = f"the {finding.model} does not work, as said above"
    return [*([error] if finding.error else []), *([finding.missing] if finding.missing else [])]


async def _examine(config: Config, model: ModelRole, say: Say) -> Finding:
    settings = config.of(model)
    finding = Finding(model, config.address_of(model))
    settings = settings.model_copy(update={"retries": min(_RETRIES, settings.retries)})
    config = config.having({model: settings})
    today = datetime.datetime.now(datetime.UTC).date()
    async with AsyncExitStack() as stack:
        try:
            opened = await open_one(config, model, today, stack, say)
            brings_own = opened.settings.tokenizer != settings.tokenizer
            finding = replace(
                finding,
                capabilities=replace(opened.capabilities, served_name=opened.name),
                format_name=f"that of {opened.name}" if brings_own else opened.format.name,
                prompts="text" if opened.tokenizer is None else "token ids",
                notes=tuple(opened.notes),
            )
            return await _measured(finding, opened)
        except TessyError as error:
            hint = error.hint and error.hint.removesuffix(ASK_DOCTOR)
            return replace(finding, error=str(error), hint=hint)


async def _measured(finding: Finding, opened: OpenedModel) -> Finding:
    """Add what is measured: cache hits, whether streams stop, pace, and the KV cache.

    Raises:
        ModelError: The server failed.
    """
    client, streams = opened.client, opened.capabilities.streams
    name, folders = opened.settings.tokenizer, [Path(opened.capabilities.root)]
    if name:  # it is there: the model was opened with it
        folders.insert(0, await asyncio.to_thread(fetch_tokenizer, name))
    return replace(
        finding,
        cached_share=await _cached_share(client),
        early_stop=await stops_early(client) if streams else None,
        pace=await pace.measure(client),
        cache_tokens=await pace.cache_tokens(client),
        kv_bytes=await pace.kv_bytes(folders),
    )


async def _cached_share(client: Client) -> float | None:
    """Send a long prompt twice; returns the share that was cached, None if that is not told."""
    request = Request(LONG_PROMPT, max_tokens=1, sampling=_GREEDY, seed=0)
    await client.complete(request)
    again = await client.complete(request)
    if again.cached_tokens is None or not again.prompt_tokens:
        return None
    return again.cached_tokens / again.prompt_tokens


def table(findings: list[Finding]) -> Table:
    """The findings as a table, with a column for each model."""
    made = Table(show_lines=False)
    made.add_column("")
    for finding in findings:
        made.add_column(str(finding.model), overflow="fold")
    columns = [_column(finding) for finding in findings]
    for label in columns[0]:
        made.add_row(label, *(column[label] for column in columns))
    return made


def _column(finding: Finding) -> dict[str, Text]:
    cached, speed = finding.cached_share, finding.pace
    column = {
        "model": _text(finding.address),
        "works": _yes(finding.error is None, otherwise=finding.error or ""),
        "served name": _text(""),
        "chat format": _text(finding.format_name),
        "prompts sent as": _text(finding.prompts),
        "takes id prompts": _yes(None),
        "returns ids": _yes(None),
        "top_k, min_p, stop ids": _yes(None),
        "streams": _yes(None),
        "stops when closed": _yes(finding.early_stop),
        "prefix cache hit": _text("" if cached is None else f"{100 * cached:.0f}%"),
        "context": _text(""),
        "time to first token": _text(milliseconds(speed.first_token_s) if speed else ""),
        "time a token": _text(milliseconds(speed.token_s) if speed else ""),
        "KV cache": _text(_kv_cache(finding)),
        "notes": _text("\n".join((*filter(None, [finding.missing]), *finding.notes))),
    }
    if server := finding.capabilities:
        context = server.context_tokens
        column |= {
            "served name": _text(server.served_name),
            "takes id prompts": _yes(server.id_prompts),
            "returns ids": _yes(bool(server.return_ids)),
            "top_k, min_p, stop ids": _yes(server.extensions),
            "streams": _yes(server.streams),
            "context": _text(f"{context:,} tokens" if context else ""),
        }
    return column


def milliseconds(seconds: float) -> str:
    """A short time, such as `62 ms` or `7.8 ms`."""
    return f"{1000 * seconds:,.{0 if seconds >= 0.01 else 1}f} ms"


def _kv_cache(finding: Finding) -> str:
    tokens, each = finding.cache_tokens, finding.kv_bytes
    said = [f"{tokens:,} tokens"] if tokens else []
    return ", ".join(said + ([f"{each / 1000:,.0f} KB a token"] if each else []))


def _text(text: str) -> Text:
    return Text(visible(text) or "–")


def _yes(value: bool | None, *, otherwise: str = "no") -> Text:
    if value is None:
        return Text("not known", style="dim")
    return Text("yes", style="green") if value else Text(visible(otherwise), style="red")
