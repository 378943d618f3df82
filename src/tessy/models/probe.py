"""Probes what a server can do, once, before any work."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import Any

from tessy.config import Sampling
from tessy.errors import ModelError, Refused
from tessy.models.client import Client
from tessy.models.wire import Capabilities, Completion, Request

LONG_PROMPT = f"The numbers from one to a thousand are: {' '.join(map(str, range(1, 120)))} "
_PROMPT = "One, two, three, four,"
_GREEDY = Sampling(temperature=0.0, top_p=1.0, top_k=0)
_INTERVAL = 8
_QUIET_S = 10.0
_SHORT = 64
"""The maximum number of tokens that a short prompt has, in any vocabulary."""


async def probe(client: Client) -> Capabilities:
    """Find out what a server can do; sets the client's capabilities.

    Raises:
        ModelError: The server can't be reached, or can't complete a text at all.
    """
    listed = await client.get("/v1/models")
    found = client.capabilities = await _extended(client, _listed(listed, client.served_name))
    found = replace(
        found, tokenizes=await _tokenizes(client), id_prompts=await _can(client, [5, 6, 7, 8])
    )
    if found.extensions:
        found = replace(found, return_ids=await _returns_ids(client, found))
    client.capabilities = found
    if (streamed := await _streams(client)) is None:
        found = replace(found, streams=False)
    else:
        found = replace(found, counts_cached=streamed.cached_tokens is not None)
        if client.settings.event_tokens > 1:  # otherwise no call uses it
            found = replace(found, intervals=await _takes_intervals(client, found))
    client.capabilities = found
    return found


async def takes_schemas(client: Client) -> bool:
    """Whether a server takes a JSON schema; sets the client's capabilities if so."""
    before = client.capabilities
    client.capabilities = replace(before, schemas=True)
    if not await _can(client, _PROMPT, schema={"type": "array"}):
        client.capabilities = before
        return False
    return True


def _listed(listed: object, wanted: str) -> Capabilities:
    """The served name, context length and weights in the response of `/v1/models`."""
    entries = listed.get("data", []) if isinstance(listed, dict) else []
    names = [entry["id"] for entry in entries if isinstance(entry, dict) and "id" in entry]
    if wanted and names and wanted not in names:
        raise Refused(
            f"the server has no model {wanted!r} (only {', '.join(names)})",
            hint="put one of these after the # of the model's URL",
        )
    name = wanted or (names[0] if names else "default")
    for entry in entries:
        if entry.get("id") == name:
            meta = entry.get("meta") or {}
            length = entry.get("max_model_len") or meta.get("n_ctx") or meta.get("n_ctx_train")
            root = str(entry.get("root") or "")
            return Capabilities(name, int(length) if length else None, root)
    return Capabilities(name)


def _request(prompt: str | list[int] = _PROMPT, **more: Any) -> Request:
    return Request(prompt, **{"max_tokens": 1, "sampling": _GREEDY, "seed": 0, **more})


async def _can(client: Client, prompt: str | list[int], **more: Any) -> bool:
    """Whether the server accepts a request."""
    try:
        await client.complete(_request(prompt, **more))
    except Refused:
        return False
    return True


async def _extended(client: Client, listed: Capabilities) -> Capabilities:
    """Complete a text, with the extensions if the server accepts them."""
    client.capabilities = replace(listed, extensions=True)
    if not await _can(client, _PROMPT):
        client.capabilities = listed
        await client.complete(_request())
    return client.capabilities


async def _tokenizes(client: Client) -> bool:
    asked = {"content": _PROMPT, "add_special": False, "parse_special": False}
    try:
        tokens = (await client.post("/tokenize", asked))["tokens"]
    except (ModelError, KeyError, TypeError):
        return False
    return bool(tokens) and all(isinstance(token, int) for token in tokens)


async def _returns_ids(client: Client, found: Capabilities) -> dict[str, bool]:
    candidates = [{"return_token_ids": True}]
    if found.tokenizes:  # llama.cpp returns ids only in its verbose part
        candidates.append({"return_tokens": True, "verbose": True})
    for fields in candidates:
        client.capabilities = replace(found, return_ids=fields)
        try:
            if (await client.complete(_request(return_ids=True))).ids is not None:
                return fields
        except Refused:
            continue
    return {}


async def _streams(client: Client) -> Completion | None:
    try:
        return await client.complete(_request(), stream=True)
    except ModelError:
        return None


async def _takes_intervals(client: Client, found: Capabilities) -> bool:
    """Whether a call can set the tokens in an event (vLLM's `stream_interval`)."""
    client.capabilities = replace(found, intervals=True)
    request = _request(max_tokens=_INTERVAL, event_tokens=_INTERVAL)
    count = 0
    try:
        async with client.stream(request) as events:
            async for _ in events:
                count += 1
    except ModelError:
        return False
    return count < min(events.completion().tokens, _INTERVAL) - 1


async def stops_early(client: Client) -> bool | None:
    """Whether the server stops generating when a stream is closed.

    The server's own count of running sequences shows it: vLLM's metrics or llama.cpp's slots.

    Returns:
        None if the server does not report what is running, or is busy with other requests.
    """
    if await _running(client) != 0:
        return None
    room = (client.capabilities.context_tokens or 4096) - _SHORT
    try:
        async with client.stream(_request(max_tokens=max(1, min(2000, room)))) as events:
            async for _ in events:
                break
    except Refused:
        return None
    deadline = time.monotonic() + _QUIET_S
    while time.monotonic() < deadline:
        if not await _running(client):
            return True
        await asyncio.sleep(0.05)
    return False


async def _running(client: Client) -> int | None:
    """Sequences that the server is generating; None if it does not report them."""
    try:
        return sum(bool(slot["is_processing"]) for slot in await client.get("/slots"))
    except (ModelError, KeyError, TypeError):
        pass
    try:
        for line in (await client.get_text("/metrics")).splitlines():
            if line.startswith("vllm:num_requests_running"):
                return int(float(line.rsplit(" ", 1)[1]))
    except (ModelError, ValueError):
        pass
    return None
