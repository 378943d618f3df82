"""Voice: one model in one trajectory. It continues the text that is there.

A `Model` is what all trajectories share: client, chat format, codec, settings. `Model.join`
makes the `Voice` of one trajectory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

from tessy.config import ModelSettings
from tessy.errors import Refused
from tessy.method.trajectory import Failure, Part, Role, SampleFailed, Trajectory, Turn
from tessy.method.turns import Chunk, Finish
from tessy.models.following import Enough, Reader
from tessy.models.prefix import IdPrefix, TextPrefix
from tessy.models.replicas import Replicas
from tessy.models.templates import ChatFormat, Messages
from tessy.models.tokenizers import Codec
from tessy.models.wire import Completion, Request

_SMALLEST_ROOM = 8
"""Tokens of context below which a model has no room to write."""


R = TypeVar("R", bound=Reader)


class ContextFull(SampleFailed):
    """Prompt and response do not fit the model's context.

    Args:
        detail: How full it is.
    """

    def __init__(self, detail: str) -> None:
        super().__init__(Failure.CONTEXT_LIMIT, detail)


@dataclass(frozen=True, slots=True)
class Model:
    """One role's model, shared by all trajectories.

    Attributes:
        role: Whose model it is.
        name: What the record calls it.
        servers: Call it.
        format: Its chat format.
        codec: Its tokenizer, if prompts are ids.
        settings: As configured, with the tokenizer that its address brings.
        context_tokens: Prompt and generation together, at most.
        ends: Texts that end the thinking; those of both models and of the record, so that no
            such marker gets into the canonical text.
    """

    role: Role
    name: str
    servers: Replicas
    format: ChatFormat
    codec: Codec | None
    settings: ModelSettings
    context_tokens: int
    ends: tuple[str, ...]

    def join(self, messages: Messages, key: str = "") -> Voice:
        """Begin to take part in a trajectory; `Voice.leave` ends it.

        Args:
            messages: The conversation that it answers.
            key: The trajectory's id, which decides on its replica.
        """
        messages = self.conversation(messages)
        if self.codec is None:
            return Voice(self, TextPrefix(self.format, messages), key)
        return Voice(self, IdPrefix(self.role, self.codec, self.format, messages), key)

    def conversation(self, messages: Messages) -> Messages:
        """The conversation as this model sees it: with its own system message, if it has one."""
        prompt = self.settings.system_prompt
        if prompt and messages[0]["role"] != "system":
            return [{"role": "system", "content": prompt}, *messages]
        return messages

    def stop_ids(self, part: Part) -> tuple[int, ...]:
        """The special tokens that end a part."""
        if self.codec is None:
            return ()
        family = self.format.family
        names = family.stop_tokens if part is Part.THINKING else family.answer_stop_tokens
        ids = (self.codec.control_id(name) for name in names)
        return tuple(i for i in ids if i is not None)


class Voice:
    """One model in one trajectory.

    Args:
        model: What it is made of.
        prefix: What it has seen of the trajectory.
        key: The trajectory's id.
    """

    def __init__(self, model: Model, prefix: IdPrefix | TextPrefix, key: str) -> None:
        self.model = model
        self._seat = model.servers.sit(key)
        self.requests = 0
        self._prefix = prefix
        self._stop_ids = {part: model.stop_ids(part) for part in Part}
        self._used = 0  # tokens of context that the last call took, as its server counts them

    async def continue_(self, trajectory: Trajectory, max_tokens: int, seed: int) -> Chunk:
        """Continue the thinking.

        Args:
            trajectory: What is written so far, pending text included.
            max_tokens: How much to write at most.
            seed: For the server's random numbers.

        Raises:
            ContextFull: There is no room for more.
            ModelError: The call failed for good.
        """
        request = await self._request(trajectory, max_tokens, seed, Part.THINKING)
        answer = self._noted(await self.model.servers.complete(self._seat, request))
        answer = await self._cut_at_stop_ids(answer)
        return self._chunk(request, answer, trajectory.pending, self.model.ends)

    async def follow(
        self, trajectory: Trajectory, max_tokens: int, seed: int, new_reader: Callable[[], R]
    ) -> tuple[Chunk, R]:
        """Continue the thinking, in one streamed call that ends when its reader has enough.

        Args:
            trajectory: What is written so far, pending text included; it must not change.
            max_tokens: How much to write at most.
            seed: For the server's random numbers.
            new_reader: Makes a reader of the new text, for each attempt to make the call; it is
                shown no end marker, nor what may be the beginning of one.

        Returns:
            What was written up to the event that was enough, and the reader.

        Raises:
            ContextFull: There is no room for more.
            ModelError: The call failed for good.
        """
        ends = self.model.ends
        request = await self._request(trajectory, max_tokens, seed, Part.THINKING)
        # Servers hold back as much text as a stop text is long; the gate sees it all the same.
        request = request._replace(stop=(), event_tokens=self.model.settings.event_tokens)
        answer, gate = await self.model.servers.follow(
            self._seat, request, lambda: _Gate(ends, trajectory.pending, new_reader())
        )
        answer = await self._cut_at_stop_ids(self._noted(answer))
        return self._chunk(request, answer, trajectory.pending, ends), gate.reader

    async def answer(
        self,
        trajectory: Trajectory,
        max_tokens: int,
        seed: int,
        schema: dict[str, Any] | None = None,
    ) -> Chunk:
        """Write the answer, in one streamed call; other arguments and errors as for `continue_`.

        `schema` is a JSON schema that the answer has to follow, if the server can.
        """
        servers = self.model.servers
        request = await self._request(trajectory, max_tokens, seed, Part.ANSWER, schema)
        streams = servers.dialect.streams
        answer = self._noted(await servers.complete(self._seat, request, stream=streams))
        return self._chunk(request, answer, "", self.model.format.family.answer_stops)

    def leave(self) -> None:
        """The trajectory is over, or stopped."""
        self.model.servers.rise(self._seat)

    async def observe(self, before: str, turn: Turn, trajectory: Trajectory) -> None:
        """Take a turn, of either model, into account; see `IdPrefix.observe`."""
        await self._prefix.observe(before, turn, trajectory)

    async def replay(self, turns: Iterable[Turn]) -> None:
        """See again what was seen before a restart: the prefix is the same then (*Replay*)."""
        trajectory = Trajectory()
        for turn in turns:
            if turn.role is self.model.role:
                await self._prefix.prompt(trajectory)
            before = trajectory.pending
            trajectory.apply(turn)
            await self._prefix.observe(before, turn, trajectory)

    async def _request(
        self,
        trajectory: Trajectory,
        max_tokens: int,
        seed: int,
        part: Part,
        schema: dict[str, Any] | None = None,
    ) -> Request:
        model = self.model
        prompt = await self._prefix.prompt(trajectory)
        used = self._used if prompt.tokens is None else prompt.tokens
        room = model.context_tokens - used
        if room < _SMALLEST_ROOM:
            raise ContextFull(
                f"{used} of {model.context_tokens} tokens of the {model.role}'s context are used"
            )
        thinking = part is Part.THINKING
        family = model.format.family
        stop_ids = self._stop_ids[part]
        self.requests += 1
        return Request(
            prompt=prompt,
            max_tokens=min(max_tokens, room),
            sampling=model.settings.sampling,
            seed=seed,
            stop=family.ends if thinking else (*family.answer_stops, *family.answer_stop_tokens),
            stop_token_ids=stop_ids,
            add_special_tokens=model.format.begin,
            return_ids=thinking and model.codec is not None,
            show_special=family.hidden and not stop_ids,
            schema=schema,
        )

    def _noted(self, completion: Completion) -> Completion:
        if completion.finish == "content_filter":
            raise Refused(f"the {self.model.role}'s server filtered its answer")
        # A stream that is left does not say how long its prompt was.
        before = self._used if completion.prompt_tokens is None else completion.prompt_tokens
        self._used = before + completion.tokens
        return completion

    async def _cut_at_stop_ids(self, answer: Completion) -> Completion:
        """Cut what follows a stop token, for servers that generate on behind it."""
        stops = set(self._stop_ids[Part.THINKING])
        codec = self.model.codec
        if codec is None or answer.ids is None or stops.isdisjoint(answer.ids):
            return answer
        at = next(index for index, token_id in enumerate(answer.ids) if token_id in stops)
        text = "".join(token.text for token in await codec.tokens(answer.ids[:at]))
        if not answer.text.startswith(text):
            return answer
        return answer._replace(text=text, finish="stop", ids=answer.ids[:at])

    @staticmethod
    def _chunk(request: Request, answer: Completion, before: str, ends: tuple[str, ...]) -> Chunk:
        """Cut an answer at the first end marker, which may have begun in the pending text."""
        joined, asked = before + answer.text, request.max_tokens
        found = [at for end in ends if (at := joined.find(end)) >= 0]
        if found:
            end = min(found)
            retracted = max(0, len(before) - end)
            text = joined[len(before) : end]
            return Chunk(text, Finish.ENDED, answer.tokens, answer.ids, asked, retracted)
        if answer.finish == "length":
            # The bytes of a character that is not whole yet show as U+FFFD: not text.
            text = answer.text.rstrip("\ufffd")
            return Chunk(text, Finish.LENGTH, answer.tokens, answer.ids, asked)
        return Chunk(answer.text, Finish.ENDED, answer.tokens, answer.ids, asked)


class _Gate:
    """Lets text through to a reader, but for end markers and what may be the beginning of one.

    Args:
        ends: The markers.
        before: Pending text, at whose end one may have begun.
        reader: Reads what comes through.
    """

    def __init__(self, ends: tuple[str, ...], before: str, reader: Any) -> None:
        self.reader = reader
        self._ends = ends
        self._firsts = frozenset(end[0] for end in ends)
        self._longest = max(map(len, ends), default=1)
        tail = before[-self._longest :]
        self._tail = "" if self._firsts.isdisjoint(tail) else tail
        """The end of what came, let through or not, if a marker may have begun in it."""
        self._held = 0  # characters at its end that came and were not let through

    def begin(self, enough: Enough) -> None:
        """See `Reader.begin`."""
        self._enough = enough
        self.reader.begin(enough)

    def read(self, text: str, event: int) -> None:
        """See `Reader.read`; an end marker is the end of the reading."""
        if not self._tail and self._firsts.isdisjoint(text):  # no marker, nor its beginning
            self.reader.read(text, event)
            return
        joined = self._tail + text
        new = self._held + len(text)
        if any(end in joined for end in self._ends):
            self._enough(event, None)
            return
        self._held = min(new, self._beginning(joined))
        self._tail = joined[-self._longest :]
        if self._firsts.isdisjoint(self._tail):
            self._tail = ""
        passed = joined[len(joined) - new : len(joined) - self._held]
        if passed:
            self.reader.read(passed, event)

    async def finish(self) -> None:
        """See `Reader.finish`."""
        await self.reader.finish()

    def _beginning(self, text: str) -> int:
        """How many characters at the end of a text are the beginning of an end marker."""
        lengths = (
            length
            for end in self._ends
            for length in range(1, len(end))
            if text.endswith(end[:length])
        )
        return max(lengths, default=0)
