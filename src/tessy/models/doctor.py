"""A doctor's examination of both models: the probe, and what only a closer look tells."""

from __future__ import annotations

import datetime
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace

from rich.table import Table
from rich.text import Text

from tessy.config import Config, Sampling
from tessy.errors import TessyError
from tessy.method.trajectory import Role
from tessy.models.capabilities import LONG_PROMPT, Abilities, stops_early
from tessy.models.client import Client
from tessy.models.open import check, open_one
from tessy.models.wire import Request
from tessy.printable import visible

_GREEDY = Sampling(temperature=0.0, top_p=1.0, top_k=0)


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found out about one model.

    Attributes:
        role: Whose it is.
        address: How it is named.
        error: Why synthesis can't work with it; None if it can.
        abilities: What its server can do.
        format_name: The chat format that will be used.
        prompts: `token ids` or `text`.
        early_stop: Whether closing a stream ends the generation; None if that can't be told.
        cached_share: The share of a repeated prompt that its prefix cache had.
        first_token_s: Seconds to the first token.
        notes: What else the user should know.
    """

    role: Role
    address: str
    error: str | None = None
    abilities: Abilities | None = None
    format_name: str = ""
    prompts: str = ""
    early_stop: bool | None = None
    cached_share: float | None = None
    first_token_s: float | None = None
    notes: tuple[str, ...] = ()


async def examine(config: Config) -> list[Finding]:
    """Examine both models, one after the other; local servers are started and stopped.

    Raises:
        InputError: A model is named in a way that means nothing.
    """
    check(config)
    patient = config.model_copy(
        update={
            role.value: config.of(role).model_copy(
                update={"retries": min(1, config.of(role).retries)}
            )
            for role in Role
        }
    )
    return [await _examine(patient, role) for role in Role]


async def _examine(config: Config, role: Role) -> Finding:
    finding = Finding(role, config.address_of(role))
    async with AsyncExitStack() as stack:
        try:
            today = datetime.datetime.now(datetime.UTC).date()
            opened = await open_one(config, role, today, stack, lambda _: None)
            finding = replace(
                finding,
                abilities=opened.abilities,
                format_name=opened.format.name,
                prompts="text" if opened.codec is None else "token ids",
                notes=tuple(opened.notes),
            )
            cached, first_token_s = await _cache(opened.client)
            context = opened.abilities.context_tokens
            streams = opened.abilities.streaming
            early = await stops_early(opened.client, context) if streams else None
        except TessyError as error:
            return replace(finding, error=str(error))
    return replace(finding, cached_share=cached, first_token_s=first_token_s, early_stop=early)


async def _cache(client: Client) -> tuple[float | None, float]:
    """Send a long prompt twice: how much of it had the prefix cache, and how soon came a token."""
    request = Request(LONG_PROMPT, max_tokens=1, sampling=_GREEDY, seed=0)
    await client.complete(request)
    started = time.monotonic()
    again = await client.complete(request)
    seconds = time.monotonic() - started
    if again.cached_tokens is None or not again.prompt_tokens:
        return None, seconds
    return again.cached_tokens / again.prompt_tokens, seconds


def table(findings: list[Finding]) -> Table:
    """The findings as a table, a column a model."""
    made = Table(show_lines=False)
    made.add_column("")
    for finding in findings:
        made.add_column(str(finding.role), overflow="fold")
    rows = [_column(finding) for finding in findings]
    for label in rows[0]:
        made.add_row(label, *(row[label] for row in rows))
    return made


def _column(finding: Finding) -> dict[str, Text]:
    abilities = finding.abilities
    known = abilities is not None
    dialect = abilities.dialect if abilities else None
    context = abilities.context_tokens if abilities else None
    cached = "–" if finding.cached_share is None else f"{100 * finding.cached_share:.0f}%"
    seconds = "–" if finding.first_token_s is None else f"{1000 * finding.first_token_s:.0f} ms"
    return {
        "model": Text(visible(finding.address)),
        "works": _yes(finding.error is None, finding.error),
        "served name": Text(visible(abilities.served_name) if abilities else "–"),
        "chat format": Text(finding.format_name or "–"),
        "prompts sent as": Text(finding.prompts or "–"),
        "takes id prompts": _yes(dialect.id_prompts if dialect else None),
        "returns ids": _yes(bool(dialect.return_ids) if dialect else None),
        "top_k, min_p, stop ids": _yes(dialect.extensions if dialect else None),
        "streams": _yes(abilities.streaming if abilities else None),
        "stops when closed": _yes(finding.early_stop if known else None),
        "prefix cache hit": Text(cached),
        "context": Text(f"{context:,} tokens" if context else "–"),
        "one token, cached": Text(seconds),
        "notes": Text("\n".join(finding.notes) or "–"),
    }


def _yes(value: bool | None, otherwise: str | None = None) -> Text:
    if value is None:
        return Text("not known", style="dim")
    return Text("yes", style="green") if value else Text(visible(otherwise or "no"), style="red")
