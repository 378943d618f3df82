"""What a serving engine's time goes to, as pure decisions: steps, prefix cache, API servers.

    ApiServers   each is one core: requests and tokens pass it one after the other
    Scheduler    which sequences are in a step, and how long it takes
    KVCache      which prompt tokens need not be computed, within a size

Modelled on vLLM's V1 engine as it comes (asynchronous scheduling, chunked prefill, blocks of 16
tokens). `engine_loop` runs it by the clock. Not modelled: attention over a longer context takes
longer, more than one engine, priorities. docs/performance.md says what it was calibrated to.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import NamedTuple

from tessy.testing.tokens import ScriptedToken

BLOCK_TOKENS = 16
"""Tokens of a block of the prefix cache, as in vLLM on a GPU."""


@dataclass(frozen=True, slots=True)
class EngineTimes:
    """How long the parts of a request take, and how much fits.

    Attributes:
        decode_s: A step that only decodes, with no sequence in it.
        sequence_s: More of it for each sequence.
        prefill_s: The least that a step takes with a prefill in it (no full graph is replayed).
        prefill_token_s: More of a step for each prompt token that it computes.
        core_step_s: The engine's core for each step; it works while the chip does.
        core_request_s: The engine's core for each request, in the step that admits it.
        api_request_s: An API server's core for each request.
        api_token_s: An API server's core for each token it sends.
        api_servers: API server processes.
        batch: Sequences in a step, at most.
        batch_tokens: Tokens in a step, at most; longer prompts take several steps.
        cache_tokens: Tokens that the prefix cache holds, of running sequences and others.
    """

    decode_s: float = 0.0065
    sequence_s: float = 20e-6
    prefill_s: float = 0.014
    prefill_token_s: float = 1 / 30_000
    core_step_s: float = 0.003
    core_request_s: float = 0.0042
    api_request_s: float = 0.0042
    api_token_s: float = 18e-6
    api_servers: int = 1
    batch: int = 160
    batch_tokens: int = 4096
    cache_tokens: int = 180_000

    def slowed(self, factor: float) -> EngineTimes:
        """The same engine with all times multiplied."""
        times = {
            each.name: getattr(self, each.name) * factor
            for each in fields(self)
            if each.name.endswith("_s")
        }
        return replace(self, **times)

    def step_s(self, *, sequences: int, admitted: int, prefill_tokens: int) -> float:
        """Seconds of one step: what chip or core need, whichever is slower.

        Args:
            sequences: Those in the step.
            admitted: Requests that are new in it.
            prefill_tokens: Prompt tokens that it computes.
        """
        chip = self.decode_s + self.sequence_s * sequences + self.prefill_token_s * prefill_tokens
        core = self.core_step_s + self.core_request_s * admitted
        return max(chip, core, self.prefill_s if prefill_tokens else 0.0)


class ApiServers:
    """The cores in front of the engine; each does one thing after the other.

    Args:
        count: How many.

    Attributes:
        busy_s: Seconds of work so far, of all of them.
    """

    def __init__(self, count: int) -> None:
        self._free_s = [0.0] * count
        self.busy_s = 0.0

    def least_busy(self) -> int:
        """The server that is free first."""
        return self._free_s.index(min(self._free_s))

    def serve(self, server: int, now_s: float, takes_s: float) -> float:
        """When a server is done with work that comes now."""
        self.busy_s += takes_s
        self._free_s[server] = max(self._free_s[server], now_s) + takes_s
        return self._free_s[server]


@dataclass(slots=True)
class Held:
    """The blocks that a text holds.

    Attributes:
        cached: Tokens of the prompt that were there already.
        chain: Hashes of its whole blocks; each covers all text up to its end.
        tail: Tokens after them.
    """

    cached: int
    chain: list[int]
    tail: list[Hashable]


class KVCache:
    """Whole blocks of texts, kept until the room is needed: the least recently used goes first.

    Texts that are the same share their blocks. Blocks that a text holds are never evicted.

    Args:
        tokens: How many fit, rounded down to whole blocks; None: nothing is ever evicted.

    Attributes:
        evicted: Blocks evicted so far.
    """

    def __init__(self, tokens: int | None = None) -> None:
        self._size = math.inf if tokens is None else tokens // BLOCK_TOKENS
        self._used: dict[int, int] = {}  # whole blocks that texts hold, and how many texts
        self._idle: dict[int, None] = {}  # those that no text holds, the next to go first
        self._open = 0  # blocks that are being filled, one for each text
        self.evicted = 0

    @property
    def blocks(self) -> int:
        """Blocks in use or kept; never more than fit."""
        return len(self._used) + len(self._idle) + self._open

    def begin(self, prompt: Sequence[Hashable]) -> Held | None:
        """Take the blocks that a prompt needs; None if there is no room now.

        The last token is always computed, as in vLLM, so a block that ends with it is not counted
        as cached.
        """
        chain = _chain(prompt)
        wanted = 1 + len({block for block in chain if block not in self._used})
        if wanted > self._room():
            return None
        known = 0
        while known < (len(prompt) - 1) // BLOCK_TOKENS and self._has(chain[known]):
            known += 1
        for block in chain:
            self._take(block)
        self._open += 1
        self._evict()
        return Held(known * BLOCK_TOKENS, chain, list(prompt[len(chain) * BLOCK_TOKENS :]))

    def grow(self, held: Held, token: Hashable) -> bool:
        """Add a token to a text; False, and nothing is changed, if there is no room for it."""
        if len(held.tail) < BLOCK_TOKENS - 1:
            held.tail.append(token)
            return True
        block = hash((held.chain[-1] if held.chain else 0, *held.tail, token))
        if block not in self._used and self._room() < 1:
            return False
        held.chain.append(block)
        held.tail.clear()
        self._take(block)
        self._evict()
        return True

    def release(self, held: Held) -> None:
        """Give a text's blocks back; whole ones are kept until their room is needed.

        The end of a text goes before its beginning, which other texts may share.
        """
        self._open -= 1
        for block in reversed(held.chain):
            self._used[block] -= 1
            if not self._used[block]:
                del self._used[block]
                self._idle[block] = None

    def _has(self, block: int) -> bool:
        return block in self._used or block in self._idle

    def _room(self) -> float:
        return self._size - len(self._used) - self._open

    def _take(self, block: int) -> None:
        self._idle.pop(block, None)
        self._used[block] = self._used.get(block, 0) + 1

    def _evict(self) -> None:
        while self.blocks > self._size:
            del self._idle[next(iter(self._idle))]
            self.evicted += 1


def _chain(tokens: Sequence[Hashable]) -> list[int]:
    chain, link = [], 0
    for start in range(0, len(tokens) - BLOCK_TOKENS + 1, BLOCK_TOKENS):
        link = hash((link, *tokens[start : start + BLOCK_TOKENS]))
        chain.append(link)
    return chain


class Emitted(NamedTuple):
    """What a sequence emits in one step.

    Attributes:
        text: What can be shown now.
        token: The token that brought it, if one did.
        last: Nothing follows.
    """

    text: str
    token: ScriptedToken | None
    last: bool


@dataclass(slots=True, eq=False)
class EngineRequest:
    """One request in the engine.

    Attributes:
        prompt: Its tokens; after a preemption, what was written as well.
        writes: What it will write, made when it is due.
        held: Its blocks; None while it waits.
        cached: Prompt tokens that were in the cache when it was first admitted.
        todo: Tokens of the prompt that are still to be computed.
        gone: Its client left, or all is written: it is dropped at the next step.
    """

    prompt: list[Hashable]
    writes: Iterator[Emitted]
    held: Held | None = None
    cached: int | None = None
    todo: int = 0
    gone: bool = False


@dataclass(frozen=True, slots=True)
class Step:
    """A step of the engine.

    Attributes:
        seconds: How long it takes.
        sequences: How many are in it.
        admitted: How many of them are new.
        prefill_tokens: Prompt tokens that it computes.
        chunks: How many of them, of each request.
    """

    seconds: float
    sequences: int
    admitted: int
    prefill_tokens: int
    chunks: dict[EngineRequest, int] = field(default_factory=dict)


class Scheduler:
    """Decides what is in each step.

    A step is scheduled while the one before it runs, so what arrives during a step is in the step
    after the next.

    Args:
        times: The engine.

    Attributes:
        cache: Its prefix cache.
        preempted: How often a running request lost its blocks to another one.
    """

    def __init__(self, times: EngineTimes) -> None:
        self._times = times
        self._arrived: deque[EngineRequest] = deque()
        self._waiting: deque[EngineRequest] = deque()
        self._running: list[EngineRequest] = []
        self.cache = KVCache(times.cache_tokens)
        self.preempted = 0

    def add(self, request: EngineRequest) -> None:
        """Take in a request."""
        self._arrived.append(request)

    def plan(self) -> Step | None:
        """The next step; None if there is nothing to do."""
        self._drop()
        if not self._running and not self._waiting:
            self._look()
        before = len(self._running)
        chunks: dict[EngineRequest, int] = {}
        left = self._times.batch_tokens - sum(not each.todo for each in self._running)
        for each in self._running:
            left -= self._compute(each, left, chunks)
        while self._waiting and left > 0 and len(self._running) < self._times.batch:
            if not self._admit(self._waiting[0]):
                break
            self._running.append(first := self._waiting.popleft())
            left -= self._compute(first, left, chunks)
        self._look()
        sequences, prefill = len(self._running), sum(chunks.values())
        if not sequences:
            return None
        admitted = sequences - before
        seconds = self._times.step_s(sequences=sequences, admitted=admitted, prefill_tokens=prefill)
        return Step(seconds, sequences, admitted, prefill, chunks)

    def finish(self, step: Step) -> list[tuple[EngineRequest, Emitted]]:
        """End a step: what each sequence of it wrote, but those that are gone by now."""
        made = []
        for each in list(self._running):
            if each.held is None:  # it just had to give way
                continue
            each.todo -= step.chunks.get(each, 0)
            if each.gone or each.todo:
                continue
            written = next(each.writes)
            made.append((each, written))
            each.gone = written.last
            if written.token is not None:
                each.prompt.append(written.token.key)
                self._keep(each, written.token.key)
        return made

    def _look(self) -> None:
        self._waiting += self._arrived
        self._arrived.clear()

    def _drop(self) -> None:
        for each in self._running:
            if each.gone and each.held is not None:
                self._release(each)
        self._running = [each for each in self._running if each.held is not None]
        self._waiting = deque(each for each in self._waiting if not each.gone)
        self._arrived = deque(each for each in self._arrived if not each.gone)

    def _admit(self, request: EngineRequest) -> bool:
        request.held = self.cache.begin(request.prompt)
        if request.held is None:
            return False
        request.todo = len(request.prompt) - request.held.cached
        if request.cached is None:
            request.cached = request.held.cached
        return True

    @staticmethod
    def _compute(request: EngineRequest, left: int, chunks: dict[EngineRequest, int]) -> int:
        chunk = min(request.todo, max(left, 0))
        if chunk:
            chunks[request] = chunk
        return chunk

    def _keep(self, request: EngineRequest, token: Hashable) -> None:
        """Keep a new token in the cache; the youngest requests give way if there is no room."""
        while request.held is not None and not self.cache.grow(request.held, token):
            youngest = next(each for each in reversed(self._running) if each.held is not None)
            self._release(youngest)
            if not youngest.gone:
                self._waiting.appendleft(youngest)
                self.preempted += 1

    def _release(self, request: EngineRequest) -> None:
        if request.held is not None:
            self.cache.release(request.held)
            request.held, request.todo = None, 0
