"""`tessy doctor`: what both models can do, found by the probe and a few more requests."""

from __future__ import annotations

import datetime
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace

from rich.table import Table
from rich.text import Text

from tessy.config import Config, Sampling
from tessy.display import Say, visible
from tessy.errors import TessyError
from tessy.method.trajectory import Role
from tessy.models.client import Client
from tessy.models.open import UnknownFormat, check, check_formats, open_one
from tessy.models.probe import LONG_PROMPT, stops_early
from tessy.models.wire import Capabilities, Request

_GREEDY = Sampling(temperature=0.0, top_p=1.0, top_k=0)
_RETRIES = 1
"""Fewer than in a run: a server that does not respond is a finding."""


@dataclass(frozen=True, slots=True)
class Finding:
    """The findings about one model.

    Attributes:
        role: The model's role.
        address: The model's name in the settings.
        error: Why synthesis can't use it; None if it can.
        missing: What synthesis needs besides, and is not given; None if there is nothing.
        hint: What to give instead, if the error or what is missing says so.
        capabilities: What its server can do.
        format_name: The chat format that will be used.
        prompts: How prompts are sent: `token ids` or `text`.
        early_stop: Whether closing a stream stops the generation; None if that is not known.
        cached_share: The share of a repeated prompt that came from the prefix cache, 0 to 1.
        first_token_s: Seconds to the first token of a repeated prompt.
        notes: What else the user should know.
    """

    role: Role
    address: str
    error: str | None = None
    missing: str | None = None
    hint: str | None = None
    capabilities: Capabilities | None = None
    format_name: str = ""
    prompts: str = ""
    early_stop: bool | None = None
    cached_share: float | None = None
    first_token_s: float | None = None
    notes: tuple[str, ...] = ()


async def examine(config: Config, say: Say = lambda _: None) -> list[Finding]:
    """Examine both models, one after the other; local servers are started and stopped.

    Args:
        config: The settings of both models.
        say: Called with lines about progress.

    Raises:
        InputError: A model's name or chat format is not valid.
    """
    check(config)
    findings = []
    for role in Role:
        try:
            check_formats(config, [role])
            findings.append(await _examine(config, role, say))
        except UnknownFormat as error:  # the server can be asked all the same
            settings = config.of(role).model_copy(update={"format": "plain"})
            found = await _examine(config.model_copy(update={role.value: settings}), role, say)
            found = replace(found, format_name="not known", missing=str(error))
            findings.append(replace(found, hint=found.hint or error.hint))
    return findings


def refusal(findings: list[Finding]) -> TessyError | None:
    """Why synthesis would not start with these models, and what it needs; None if it would."""
    refused = [each for each in findings if each.error or each.missing]
    if not refused:
        return None
    said = (each.missing or f"the {each.role} does not work, as said above" for each in refused)
    hints = dict.fromkeys(each.hint for each in refused if each.hint)
    return TessyError(
        f"synthesis would not start: {'; '.join(said)}", hint="\n      ".join(hints) or None
    )


async def _examine(config: Config, role: Role, say: Say) -> Finding:
    settings = config.of(role)
    finding = Finding(role, config.address_of(role))
    settings = settings.model_copy(update={"retries": min(_RETRIES, settings.retries)})
    config = config.model_copy(update={role.value: settings})
    today = datetime.datetime.now(datetime.UTC).date()
    async with AsyncExitStack() as stack:
        try:
            opened = await open_one(config, role, today, stack, say)
            brings_own = opened.settings.tokenizer != settings.tokenizer
            finding = replace(
                finding,
                capabilities=replace(opened.capabilities, served_name=opened.name),
                format_name=f"that of {opened.name}" if brings_own else opened.format.name,
                prompts="text" if opened.tokenizer is None else "token ids",
                notes=tuple(opened.notes),
            )
            cached, first_token_s = await _prefix_cache(opened.client)
            early = None
            if opened.capabilities.streams:
                early = await stops_early(opened.client)
        except TessyError as error:
            return replace(finding, error=str(error), hint=error.hint)
    return replace(finding, cached_share=cached, first_token_s=first_token_s, early_stop=early)


async def _prefix_cache(client: Client) -> tuple[float | None, float]:
    """Send a long prompt twice; returns the cached share and the seconds of the second call."""
    request = Request(LONG_PROMPT, max_tokens=1, sampling=_GREEDY, seed=0)
    await client.complete(request)
    started = time.monotonic()
    again = await client.complete(request)
    seconds = time.monotonic() - started
    if again.cached_tokens is None or not again.prompt_tokens:
        return None, seconds
    return again.cached_tokens / again.prompt_tokens, seconds


def table(findings: list[Finding]) -> Table:
    """The findings as a table, with a column for each model."""
    made = Table(show_lines=False)
    made.add_column("")
    for finding in findings:
        made.add_column(str(finding.role), overflow="fold")
    columns = [_column(finding) for finding in findings]
    for label in columns[0]:
        made.add_row(label, *(column[label] for column in columns))
    return made


def _column(finding: Finding) -> dict[str, Text]:
    cached, seconds = finding.cached_share, finding.first_token_s
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
        "one token, cached": _text("" if seconds is None else f"{1000 * seconds:.0f} ms"),
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


def _text(text: str) -> Text:
    return Text(visible(text) or "–")


def _yes(value: bool | None, *, otherwise: str = "no") -> Text:
    if value is None:
        return Text("not known", style="dim")
    return Text("yes", style="green") if value else Text(visible(otherwise), style="red")
