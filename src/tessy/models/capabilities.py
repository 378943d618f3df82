"""What a server can do, found out by asking it, once, before any work."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, replace

from tessy.config import Sampling
from tessy.errors import ModelError, Refused
from tessy.models.client import Client
from tessy.models.following import ReadAll, ReadNothing
from tessy.models.wire import Completion, Dialect, Request

_INTERVAL = 8
LONG_PROMPT = f"The numbers from one to a thousand are: {' '.join(map(str, range(1, 120)))} "
_QUIET_S = 10.0
_SHORT = 64
"""Tokens that a short prompt has at most, in any vocabulary."""
_PROMPT = "One, two, three, four,"
_GREEDY = Sampling(temperature=0.0, top_p=1.0, top_k=0)


@dataclass(frozen=True, slots=True)
class Abilities:
    """What was found out.

    Attributes:
        served_name: The model's name on the server.
        dialect: What it understands.
        context_tokens: Longest prompt and generation; None if it does not say.
        streaming: It streams.
        tokenizes: It has llama.cpp's `/tokenize`, which can take text without special tokens.
        counts_cached: It reports prefix-cache hits.
        root: Where the server has the weights from, if it says so, as vLLM does.
    """

    served_name: str
    dialect: Dialect
    context_tokens: int | None
    streaming: bool
    tokenizes: bool
    counts_cached: bool
    root: str = ""


async def probe(client: Client) -> Abilities:
    """Find out what a server can do; sets the client's dialect and served name.

    Raises:
        ModelError: It can't be reached, or can't complete a text at all.
    """
    listed = await client.get(_models_path(client))
    name, context, root = _listed(listed, client.served_name)
    client.served_name = name
    dialect, _ = await _text(client)
    tokenizes = await _tokenizes(client)
    id_prompts = await _takes_ids(client, dialect)
    dialect = replace(dialect, id_prompts=id_prompts)
    if dialect.extensions:
        dialect = replace(dialect, return_ids=await _returns_ids(client, dialect, tokenizes))
    client.dialect = dialect
    streaming, cached = await _streams(client)
    wanted = client.settings.event_tokens > 1  # else nobody will ask
    intervals = wanted and streaming and await _takes_intervals(client)
    client.dialect = dialect = replace(dialect, streams=streaming, intervals=intervals)
    return Abilities(name, dialect, context, streaming, tokenizes, cached, root)


async def takes_schemas(client: Client) -> bool:
    """Whether a server can be asked to follow a JSON schema; sets the client's dialect if so."""
    before = client.dialect
    client.dialect = replace(before, schemas=True)
    request = Request(_PROMPT, max_tokens=8, sampling=_GREEDY, seed=0, schema={"type": "array"})
    try:
        await client.complete(request)
    except Refused:
        client.dialect = before
        return False
    return True


def _models_path(client: Client) -> str:
    return "/v1/models" if client.base_url.endswith("/v1") else "/models"


def _listed(listed: object, wanted: str) -> tuple[str, int | None, str]:
    """The served name, the context length and the weights that `/v1/models` tells."""
    entries = listed.get("data", []) if isinstance(listed, dict) else []
    names = [entry["id"] for entry in entries if isinstance(entry, dict) and "id" in entry]
    if wanted and names and wanted not in names:
        raise Refused(
            f"no model {wanted!r} is served there (only {', '.join(names)})",
            hint="put one of these behind the # of the model's URL",
        )
    name = wanted or (names[0] if names else "default")
    for entry in entries:
        if entry.get("id") == name:
            meta = entry.get("meta") or {}
            length = entry.get("max_model_len") or meta.get("n_ctx") or meta.get("n_ctx_train")
            return name, int(length) if length else None, str(entry.get("root") or "")
    return name, None, ""


async def _text(client: Client) -> tuple[Dialect, Completion]:
    """Complete a text, with the extensions if the server takes them."""
    request = Request(_PROMPT, max_tokens=1, sampling=_GREEDY, seed=0)
    client.dialect = Dialect(extensions=True)
    try:
        return client.dialect, await client.complete(request)
    except Refused:
        client.dialect = Dialect()
        return client.dialect, await client.complete(request)


async def _tokenizes(client: Client) -> bool:
    asked = {"content": _PROMPT, "add_special": False, "parse_special": False}
    try:
        answer = await client.post("/tokenize", asked)
        tokens = answer["tokens"]
    except (ModelError, KeyError, TypeError):
        return False
    return bool(tokens) and all(isinstance(token, int) for token in tokens)


async def _takes_ids(client: Client, dialect: Dialect) -> bool:
    client.dialect = dialect
    request = Request([5, 6, 7, 8], max_tokens=1, sampling=_GREEDY, seed=0)
    try:
        await client.complete(request)
    except Refused:
        return False
    return True


async def _returns_ids(client: Client, dialect: Dialect, tokenizes: bool) -> dict[str, bool]:
    request = Request(_PROMPT, max_tokens=1, sampling=_GREEDY, seed=0, return_ids=True)
    candidates = [{"return_token_ids": True}]
    if tokenizes:  # llama.cpp leaves ids out unless it is to be verbose
        candidates.append({"return_tokens": True, "verbose": True})
    for fields in candidates:
        client.dialect = replace(dialect, return_ids=fields)
        try:
            if (await client.complete(request)).ids is not None:
                return fields
        except Refused:
            continue
    return {}


async def _streams(client: Client) -> tuple[bool, bool]:
    request = Request(_PROMPT, max_tokens=1, sampling=_GREEDY, seed=0)
    try:
        completion = await client.complete(request, stream=True)
    except ModelError:
        return False, False
    return True, completion.cached_tokens is not None


async def _takes_intervals(client: Client) -> bool:
    """Whether a call may say how many tokens an event has (vLLM's `stream_interval`)."""
    client.dialect = replace(client.dialect, intervals=True)
    request = Request(
        _PROMPT, max_tokens=_INTERVAL, sampling=_GREEDY, seed=0, event_tokens=_INTERVAL
    )
    try:
        completion, counted = await client.follow(request, _Events)
    except ModelError:
        return False
    return counted.events < min(completion.tokens, _INTERVAL) - 1


class _Events(ReadAll):
    """Counts the events of a stream."""

    def __init__(self) -> None:
        self.events = 0

    def read(self, text: str, event: int) -> None:
        """See `Reader.read`."""
        self.events = event


async def stops_early(client: Client, context_tokens: int | None = None) -> bool | None:
    """Whether the server stops generating when a stream is closed.

    Told from the server's own count of what is running: vLLM's and llama.cpp's metrics or slots.

    Args:
        client: Asks it.
        context_tokens: The most that prompt and generation may have, if that is known.

    Returns:
        True or False, or None if the server does not tell what is running, or works for others.
    """
    if await _running(client) != 0:
        return None
    room = (context_tokens or 4096) - _SHORT
    request = Request(_PROMPT, max_tokens=max(1, min(2000, room)), sampling=_GREEDY, seed=0)
    try:
        await client.follow(request, ReadNothing)
    except Refused:  # what it takes is not known then: it can't be told
        return None
    deadline = time.monotonic() + _QUIET_S
    while time.monotonic() < deadline:
        if not await _running(client):
            return True
        await asyncio.sleep(0.05)
    return False


async def _running(client: Client) -> int | None:
    """Sequences that the server is generating now; None if it does not tell."""
    for count in (_slots, _metrics):
        try:
            return await count(client)
        except (ModelError, KeyError, TypeError, ValueError):
            continue
    return None


async def _slots(client: Client) -> int:
    slots = await client.get("/slots")
    return sum(bool(slot["is_processing"]) for slot in slots)


async def _metrics(client: Client) -> int:
    for line in (await client.get_text("/metrics")).splitlines():
        if line.startswith("vllm:num_requests_running"):
            return int(float(line.rsplit(" ", 1)[1]))
    raise KeyError("vllm:num_requests_running")
