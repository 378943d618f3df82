"""Probes what a server can do, once, before any work."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any, TypeVar

from tessy.config import Sampling
from tessy.display import Say, visible
from tessy.errors import BadResponse, ConfigError, ModelError, Refused, ServerFailure
from tessy.models.client import Client
from tessy.models.tokenizers import PromptPiece, Tokenizer
from tessy.models.wire import Capabilities, Completion, Request, shown

R = TypeVar("R")

LONG_PROMPT = f"The numbers from one to a thousand are: {' '.join(map(str, range(1, 120)))} "
_PROMPT = "One, two, three, four,"
_GREEDY = Sampling(temperature=0.0, top_p=1.0, top_k=0)
_INTERVAL = 8
_MIXED = (
    "Okay, let's see: 1234567890 * 987654 = ?\n\ndef straightforward(values):\n    return "
    "[value ** 2 for value in values]\n\nDie Größenordnung überrascht niemanden. Сколько это? "
    "因此我们可以得到答案。 \\frac{3}{4} \\leq \\sqrt{2}; incomprehensibilities, acknowledgement. "
)
_ALIKE = 0.8
"""The least share of a text's ids that a model's own tokenizer and its server have in common."""
_OWN_TOKENS = 3
"""Tokens that a server may add to a text."""
_QUIET_S = 10.0
_LOADING_S = 600.0
"""How long to wait for a server that is loading its model."""
_LOADING_POLL_S = 2.0
_LATE_S = 5.0
"""When a line says that a server has not answered yet."""
_TRIES = 4
"""How often in a row a server breaks in the same way at a request that it does not take."""
_MOST_TRIES = 9
"""How often it may break in any way."""
_NAMES = 10
_NAME_IT = "is the URL right? If its server has no list of models, name one: URL#NAME"
_SHORT = 64
"""The maximum number of tokens that a short prompt has, in any vocabulary."""


async def probe(client: Client, say: Say = lambda _: None) -> Capabilities:
    """Find out what a server can do; sets the client's capabilities.

    Args:
        client: The client.
        say: Called with a line if the server is loading its model, fails or is slow.

    Raises:
        ModelError: The server can't be reached, or can't complete a text at all.
    """

    def tell() -> None:
        if client.stats.faults:
            say(f"{client.base_url} fails, and is asked again: waiting")
        else:
            say(f"{client.base_url} takes its time to answer: waiting")

    telling = asyncio.get_running_loop().call_later(_LATE_S, tell)
    try:
        return await _probe(client, say)
    finally:
        telling.cancel()


async def _probe(client: Client, say: Say) -> Capabilities:
    found = await _once_loaded(client, say)
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


async def check_tokenizer(client: Client, tokenizer: Tokenizer, name: str) -> None:
    """Make sure that ids mean the same to a tokenizer and to a server that takes prompts of ids.

    The server's `/tokenize` shows its ids (vLLM, SGLang, llama.cpp); where there is none, the
    server's count of a text's tokens must be about right.

    Args:
        client: The server's client.
        tokenizer: The tokenizer.
        name: Its setting, for the message.

    Raises:
        ConfigError: They don't.
        ModelError: The server does not answer.
    """
    here = await tokenizer.encode(PromptPiece(_MIXED))
    if (ids := await _tokens_of(client, _MIXED)) is not None:
        is_same = len({*here} & {*ids}) >= _ALIKE * len({*here})
    else:
        request = _request(_MIXED, add_special_tokens=False)
        answer = await _try(client, lambda: client.attempt(request))
        if answer is None or answer.prompt_tokens is None:
            return  # it takes ids only, or does not count them
        is_same = abs(answer.prompt_tokens - len(here)) <= _OWN_TOKENS
    if not is_same:
        raise ConfigError(
            f"{name} is not that of the model at {client.base_url}: they cut a text into other "
            "tokens, so the model would be shown nonsense",
            hint="give the tokenizer of the model that is served there",
        )


async def takes_schemas(client: Client) -> bool:
    """Whether a server takes a JSON schema; sets the client's capabilities if so."""
    before = client.capabilities
    client.capabilities = replace(before, schemas=True)
    if not await _can(client, _PROMPT, schema={"type": "array"}):
        client.capabilities = before
        return False
    return True


async def _once_loaded(client: Client, say: Say) -> Capabilities:
    """Wait until the server has loaded its model; then list it, and complete a text."""
    wanted, until, told = client.served_name, time.monotonic() + _LOADING_S, False
    while True:
        try:
            return await _extended(client, await _listed(client, wanted))
        except ServerFailure as error:
            if not _is_loading(error) or time.monotonic() >= until:
                raise
            if not told:
                say(
                    f"{client.base_url} is loading its model: waiting, {_LOADING_S / 60:g} minutes "
                    "at most"
                )
            told = True
            await asyncio.sleep(_LOADING_POLL_S)


def _is_loading(error: ModelError) -> bool:
    """Whether a server says that it is loading its model, as llama.cpp's does."""
    return error.status == 503 and "loading" in str(error).lower()


async def _listed(client: Client, wanted: str) -> Capabilities:
    """The served name, context length and weights in the response of `/v1/models`.

    A server without such a list can be used if the model's name is given.

    Raises:
        ModelError: There is no such list and no name; or the list has another name.
    """
    url = client.url_of("/v1/models")
    try:
        listed = await client.get("/v1/models")
    except (BadResponse, Refused) as error:
        if wanted and (isinstance(error, BadResponse) or error.status in (400, 404, 405, 501)):
            return Capabilities(wanted)
        error.hint = error.hint or _NAME_IT
        raise
    data = listed.get("data") if isinstance(listed, dict) else None
    entries = {
        entry["id"]: entry
        for entry in (data if isinstance(data, list) else ())
        if isinstance(entry, dict) and isinstance(entry.get("id"), str)
    }
    if wanted and wanted in entries:
        return _entry(entries[wanted], wanted, url)
    if wanted and entries:
        names = visible(", ".join([*entries][:_NAMES])) + (", …" if len(entries) > _NAMES else "")
        raise Refused(
            f"the server has no model {wanted!r} (only {names})",
            hint="put one of these after the # of the model's URL",
        )
    if wanted:
        return Capabilities(wanted)
    if not entries:
        raise BadResponse(f"{url} lists no model: {shown(listed)}", hint=_NAME_IT)
    name, entry = next(iter(entries.items()))
    return _entry(entry, name, url)


def _entry(entry: dict[str, Any], name: str, url: str) -> Capabilities:
    """What a server lists about one model.

    Raises:
        BadResponse: The length of its context is none.
    """
    meta = entry.get("meta")
    lengths = [entry.get("max_model_len")]
    if isinstance(meta, dict):
        lengths += [meta.get("n_ctx"), meta.get("n_ctx_train")]
    length = next((found for found in lengths if found), None)
    if length is not None and (type(length) is not int or not 0 < length < 2**31):
        raise BadResponse(f"{url}: the context of {visible(name)} is no length: {shown(length)}")
    root = entry.get("root")
    return Capabilities(name, length, root if isinstance(root, str) else "")


def _request(prompt: str | list[int] = _PROMPT, **more: Any) -> Request:
    return Request(prompt, **{"max_tokens": 1, "sampling": _GREEDY, "seed": 0, **more})


async def _try(client: Client, attempt: Callable[[], Awaitable[R]]) -> R | None:
    """Make a call that a server may not support.

    Returns:
        None if it refuses the call, or breaks at it in the same way again and again (500, or an
        answer that is none). A server that fails now and then breaks in different ways.

    Raises:
        ModelError: The server is down or busy, or is still loading its model.
    """
    call = client.call()
    most = min(_MOST_TRIES, 1 + client.settings.retries)
    last, in_a_row = "", 0
    while True:
        try:
            return await attempt()
        except Refused:
            return None
        except ModelError as error:
            if _is_loading(error):
                raise
            how = f"{type(error).__name__} {error.status} {error}"
            last, in_a_row = how, in_a_row + 1 if how == last else 1
            breaks = isinstance(error, BadResponse) or error.status in (500, 501)
            if breaks and (in_a_row >= min(_TRIES, most) or call.attempts + 1 >= most):
                return None
            await call.retry_after(error)


async def _can(client: Client, prompt: str | list[int], **more: Any) -> bool:
    """Whether the server completes a request."""
    request = _request(prompt, **more)
    return await _try(client, lambda: client.attempt(request)) is not None


async def _extended(client: Client, listed: Capabilities) -> Capabilities:
    """Complete a text, with the extensions if the server accepts them."""
    client.capabilities = replace(listed, extensions=True)
    if not await _can(client, _PROMPT):
        client.capabilities = listed
        await client.complete(_request())
    return client.capabilities


async def _tokenizes(client: Client) -> bool:
    """Whether a server has llama.cpp's `/tokenize`."""
    asked = {"content": _PROMPT, "add_special": False, "parse_special": False}
    return await _tokens_in(client, asked) is not None


async def _tokens_of(client: Client, text: str) -> list[int] | None:
    """The ids of a text by the server's `/tokenize`; None if it has none."""
    vllm = {"model": client.served_name, "prompt": text, "add_special_tokens": False}
    llama_cpp = {"content": text, "add_special": False, "parse_special": False}
    return await _tokens_in(client, vllm) or await _tokens_in(client, llama_cpp)


async def _tokens_in(client: Client, asked: dict[str, Any]) -> list[int] | None:
    answer = await _try(client, lambda: client.post_once("/tokenize", asked))
    tokens = answer.get("tokens") if isinstance(answer, dict) else None
    is_list = isinstance(tokens, list) and bool(tokens) and all(type(i) is int for i in tokens)
    return tokens if is_list else None


async def _returns_ids(client: Client, found: Capabilities) -> dict[str, bool]:
    candidates = [{"return_token_ids": True}]
    if found.tokenizes:  # llama.cpp returns ids only in its verbose part
        candidates.append({"return_tokens": True, "verbose": True})
    request = _request(return_ids=True)
    for fields in candidates:
        client.capabilities = replace(found, return_ids=fields)
        answer = await _try(client, lambda: client.attempt(request))
        if answer is not None and answer.ids is not None:
            return fields
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
    except ModelError:
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
    except (ModelError, ValueError, IndexError, OverflowError):
        pass
    return None
