"""One model in one draft: it continues the text.

A `Model` is what all trajectories share: servers, chat format, tokenizer, settings. A
`ModelSession` is that model in one draft, with its prefix.
"""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from tessy.config import ModelSettings
from tessy.errors import Refused
from tessy.method.trajectory import Failure, Part, Role, SampleFailed, Trajectory, Turn
from tessy.method.turns import Chunk, Finish
from tessy.models.client import Call
from tessy.models.prefix import IdPrefix, TextPrefix
from tessy.models.replicas import Replicas
from tessy.models.templates import ChatFormat, Messages
from tessy.models.tokenizers import Tokenizer
from tessy.models.wire import Completion, Request

_SMALLEST_ROOM = 8
"""With fewer tokens of context left, a model does not write."""


class ContextFull(SampleFailed):
    """Prompt and response do not fit into the model's context.

    Args:
        detail: How full the context is.
    """

    def __init__(self, detail: str) -> None:
        super().__init__(Failure.CONTEXT_LIMIT, detail)


@dataclass(frozen=True, slots=True)
class Model:
    """One role's model, shared by all trajectories.

    Attributes:
        role: The model's role.
        called: What messages call it, such as `the student`.
        name: Its name in records.
        servers: Its replicas.
        format: Its chat format.
        tokenizer: Encodes its prompts; None if prompts are sent as text.
        settings: Its settings; a `lab:` address adds its tokenizer.
        context_tokens: Longest prompt and generation together, in tokens.
        ends: Texts that end the thinking: the markers of all models and of the record, so that
            none gets into the canonical text.
        streamed: Its thinking is streamed, one request for each span; otherwise it is written in
            chunks.
        teacher: Its name, if it is one of several teachers.
    """

    role: Role
    called: str
    name: str
    servers: Replicas
    format: ChatFormat
    tokenizer: Tokenizer | None
    settings: ModelSettings
    context_tokens: int
    ends: tuple[str, ...]
    streamed: bool = False
    teacher: str | None = None

    def conversation(self, messages: Messages) -> Messages:
        """Add the model's system message, if it has one and the conversation has none."""
        prompt = self.settings.system_prompt
        if prompt and messages[0]["role"] != "system":
            return [{"role": "system", "content": prompt}, *messages]
        return messages

    def stop_ids(self, part: Part) -> tuple[int, ...]:
        """The ids of the special tokens that end a part."""
        if self.tokenizer is None:
            return ()
        family = self.format.family
        names = family.stop_tokens if part is Part.THINKING else family.answer_stop_tokens
        ids = (self.tokenizer.control_id(name) for name in names)
        return tuple(i for i in ids if i is not None)


class ModelSession:
    """One model in one draft; it leases a replica until it is closed.

    Args:
        model: The model.
        messages: The conversation to respond to.
        key: The trajectory's id, by which its replica is chosen.

    Attributes:
        opening_tokens: Tokens of the prompt of its first call, as far as they are known.
    """

    def __init__(self, model: Model, messages: Messages, key: str) -> None:
        self.model = model
        messages = model.conversation(messages)
        self._prefix = (
            TextPrefix(model.format, messages)
            if model.tokenizer is None
            else IdPrefix(model.role, model.tokenizer, model.format, messages)
        )
        self._lease = model.servers.acquire(key)
        self._session = hashlib.blake2b(key.encode(), digest_size=8).hexdigest()
        self._stop_ids = {part: model.stop_ids(part) for part in Part}
        self._used = 0  # tokens of context after the last call, as its server counts them
        self._called = False
        self.opening_tokens: int | None = None

    @property
    def counts_cached(self) -> bool:
        """Whether the server says how much of a prompt was in its prefix cache."""
        return self.model.servers.capabilities.counts_cached

    async def catch_up(self, trajectory: Trajectory) -> None:
        """Bring the prefix up to a text, as before a request.

        Raises:
            ModelError: A call to the server's tokenizer failed.
        """
        await self._prefix.prompt(trajectory)

    async def branch(self, trajectory: Trajectory) -> ModelSession:
        """A session for another draft that begins with this text; close it, too.

        Args:
            trajectory: The beginning of this session's own draft.

        Raises:
            ModelError: A call to the server's tokenizer failed.
        """
        await self.catch_up(trajectory)
        other = copy.copy(self)
        other._prefix = self._prefix.copy()
        other._lease = self._lease.again()
        return other

    def close(self) -> None:
        """Release the replica."""
        self._lease.release()

    async def request(
        self,
        trajectory: Trajectory,
        max_tokens: int,
        seed: int,
        *,
        stream: bool = False,
        schema: dict[str, Any] | None = None,
    ) -> Request:
        """The request that continues the part that is being written.

        Args:
            trajectory: The text so far, pending text included.
            max_tokens: The maximum number of tokens to write.
            seed: The seed of the server's random numbers.
            stream: The thinking will be streamed, and its reader looks for stop texts.
            schema: A JSON schema for the answer, used if the server takes one.

        Raises:
            ContextFull: The context has no room for more.
            ModelError: A call to the server's tokenizer failed.
        """
        model, family, thinking = self.model, self.model.format.family, trajectory.is_thinking
        prompt = await self._prefix.prompt(trajectory)
        used = self._used if prompt.tokens is None else prompt.tokens
        room = model.context_tokens - used
        if room < _SMALLEST_ROOM:
            raise ContextFull(
                f"{used} of {model.context_tokens} tokens of {model.called}'s context are used"
            )
        stop_ids = self._stop_ids[trajectory.part]
        stop = family.ends if thinking else (*family.answer_stops, *family.answer_stop_tokens)
        if stream:  # servers hold back text as long as a stop text, so the reader looks for it
            stop = ()
        return Request(
            prompt=prompt,
            max_tokens=min(max_tokens, room),
            sampling=model.settings.sampling,
            seed=seed,
            stop=stop,
            stop_token_ids=stop_ids,
            add_special_tokens=model.format.begin,
            return_ids=thinking and model.tokenizer is not None,
            show_special=family.hidden and not stop_ids,
            event_tokens=model.settings.event_tokens if stream else 1,
            schema=schema,
            session=self._session,
        )

    def call(self) -> Call:
        """Begin a call; see `Lease.call`."""
        return self._lease.call()

    async def complete(self, request: Request, *, stream: bool = False) -> Completion:
        """Make a call, with retries; see `Client.complete`."""
        return await self.call().run(lambda client: client.attempt(request, stream=stream))

    async def chunk(self, request: Request, answer: Completion, trajectory: Trajectory) -> Chunk:
        """The chunk in a completion, cut at an end marker, which may begin in the pending text.

        Args:
            request: The request.
            answer: Its completion.
            trajectory: The state before it.

        Raises:
            Refused: The server's content filter removed the text.
            ModelError: A call to the server's tokenizer failed.
        """
        self._note(request, answer)
        if answer.finish == "content_filter":
            raise Refused(f"{self.model.called}'s server filtered its answer (content_filter)")
        thinking = trajectory.is_thinking
        if thinking:
            answer = await self._cut_at_stop_ids(answer)
        ends = self.model.ends if thinking else self.model.format.family.answer_stops
        before = trajectory.pending if thinking else ""
        return _chunk(request, answer, before, ends)

    async def observe(self, before: str, turn: Turn, trajectory: Trajectory) -> None:
        """Update the prefix after a turn of this model; see `IdPrefix.observe`."""
        await self._prefix.observe(before, turn, trajectory)

    async def replay(self, turns: Iterable[Turn]) -> None:
        """Rebuild the prefix from the turns of an earlier start (*Replay*)."""
        trajectory = Trajectory()
        for turn in turns:
            own = turn.role is self.model.role
            if own:
                await self._prefix.prompt(trajectory)
            before = trajectory.pending
            trajectory.apply(turn)
            if own:
                await self._prefix.observe(before, turn, trajectory)

    def _note(self, request: Request, answer: Completion) -> None:
        if not self._called:
            own, self._called = request.prompt_tokens, True
            self.opening_tokens = answer.prompt_tokens if own is None else own
        # A stream that was closed early does not report the length of its prompt.
        before = self._used if answer.prompt_tokens is None else answer.prompt_tokens
        self._used = before + answer.tokens
        self._lease.answered(request.prompt_tokens, answer.cached_tokens)

    async def _cut_at_stop_ids(self, answer: Completion) -> Completion:
        """Cut the text at a stop token, for servers that continue after it."""
        stops, tokenizer = self._stop_ids[Part.THINKING], self.model.tokenizer
        if tokenizer is None or answer.ids is None or set(stops).isdisjoint(answer.ids):
            return answer
        at = next(index for index, token_id in enumerate(answer.ids) if token_id in stops)
        text = "".join(token.text for token in await tokenizer.tokens(answer.ids[:at]))
        if not answer.text.startswith(text):
            return answer
        return answer._replace(text=text, finish="stop", ids=answer.ids[:at])


def _chunk(request: Request, answer: Completion, before: str, ends: tuple[str, ...]) -> Chunk:
    joined, asked = before + answer.text, request.max_tokens
    found = [at for end in ends if (at := joined.find(end)) >= 0]
    if found:
        end = min(found)
        retracted = max(0, len(before) - end)
        text = joined[len(before) : end]
        return Chunk(text, Finish.ENDED, answer.tokens, answer.ids, asked, retracted)
    if answer.finish == "length":
        # U+FFFD at the end is the first bytes of an incomplete character.
        text = answer.text.rstrip("\ufffd")
        return Chunk(text, Finish.LENGTH, answer.tokens, answer.ids, asked)
    return Chunk(answer.text, Finish.ENDED, answer.tokens, answer.ids, asked)
