"""Prefixes: the prompt of one model in one trajectory.

*Stable prefix* is kept here: the ids of committed text only grow. Text that the model generated
keeps its ids; text of the other model, and the rest of a token that was cut, is tokenized by itself
at the next call and appended. So prompts are byte-stable from turn to turn, and the server's prefix
cache hits.

A prefix is stored as the JSON of the request body and appended to. So the cost of a call does not
grow with the length of the prefix, except for copying its bytes.

`TextPrefix` is for servers that don't take ids.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

import orjson

from tessy.errors import ConfigError
from tessy.method.trajectory import Failure, Outcome, Part, Role, SampleFailed, Trajectory, Turn
from tessy.models.templates import ChatFormat, Messages
from tessy.models.tokenizers import (
    LONGEST_CONTROL,
    PromptPiece,
    Token,
    Tokenizer,
)
from tessy.models.wire import EncodedPrompt


class IdPrefix:
    """The ids of one model for one trajectory.

    Attributes:
        covered: Characters of the current part's committed text that the ids stand for.
    """

    def __init__(
        self, role: Role, tokenizer: Tokenizer, format_: ChatFormat, messages: Messages
    ) -> None:
        self.role = role
        self.covered = 0
        self._json = bytearray(b"[")
        self._count = 0
        self._tokenizer = tokenizer
        self._format = format_
        self._messages = messages
        self._part = Part.THINKING
        self._tail: list[Token] = []  # own tokens after `ids` that are not fully committed

    @property
    def ids(self) -> list[int]:
        """The ids of the question and of committed text; they only grow."""
        found: list[int] = orjson.loads(bytes(self._json) + b"]")
        return found

    def copy(self) -> IdPrefix:
        """The same prefix, which grows by itself from now on."""
        other = copy.copy(self)
        other._json, other._tail = bytearray(self._json), list(self._tail)
        return other

    async def prompt(self, trajectory: Trajectory) -> EncodedPrompt:
        """The ids of the question and of all text, pending text included."""
        if not self._count:
            await self._open()
        if self._part is not trajectory.part:
            await self._next_part(trajectory)
        if self._tail:
            pending = [i for token in self._tail for i in token.ids]
        else:
            await self._catch_up(trajectory.text)
            piece = PromptPiece(trajectory.pending)
            pending = await self._tokenizer.encode(piece) if piece.text else []
        end = orjson.dumps(pending)
        comma = b"," if self._count and pending else b""
        return EncodedPrompt((self._json, comma, end[1:]), self._count + len(pending))

    def _append(self, ids: Sequence[int]) -> None:
        if ids:
            if self._count:
                self._json += b","
            self._json += orjson.dumps(ids)[1:-1]
            self._count += len(ids)

    async def observe(self, before: str, turn: Turn, trajectory: Trajectory) -> None:
        """Update the prefix after a turn.

        Args:
            before: The pending text before the turn.
            turn: The turn.
            trajectory: The state after the turn.
        """
        if turn.role is not self.role or turn.part is not Part.THINKING:
            return
        if turn.outcome in (Outcome.WENT_ON, Outcome.HANDED_OVER, Outcome.CLOSED):
            await self._extend(before, turn)
        self._commit(trajectory)
        if turn.outcome is not Outcome.WENT_ON:
            self._tail = []

    async def _open(self) -> None:
        for index, piece in enumerate(_opening(self._format, self._messages)):
            begin = index == 0 and self._format.begin
            self._append(await self._tokenizer.encode(piece, begin=begin))

    async def _next_part(self, trajectory: Trajectory) -> None:
        self._tail = []
        await self._catch_up(trajectory.thinking)
        self._append(await self._tokenizer.encode(self._format.closing()))
        self._part, self.covered = trajectory.part, 0

    async def _catch_up(self, committed: str) -> None:
        if self.covered < len(committed):
            self._append(await self._tokenizer.encode(PromptPiece(committed[self.covered :])))
            self.covered = len(committed)

    async def _extend(self, before: str, turn: Turn) -> None:
        """Append the turn's own ids, if they match its text."""
        written = (turn.kept + turn.pending + turn.discarded)[len(before) :]
        follows_on = bool(self._tail) == bool(before) and self._was_asked(turn)
        tokens = _aligned(await self._tokenizer.tokens(turn.ids), written) if turn.ids else None
        if tokens is None or not follows_on:
            self._tail = []
        else:
            self._tail += tokens

    def _was_asked(self, turn: Turn) -> bool:
        return bool(self._count) and self._part is turn.part

    def _commit(self, trajectory: Trajectory) -> None:
        """Move tokens whose text is fully committed to `ids`."""
        committed = len(trajectory.thinking)
        taken = 0
        for token in self._tail:
            end = self.covered + len(token.text)
            if end > committed:
                break
            self.covered = end
            taken += 1
        self._append([i for token in self._tail[:taken] for i in token.ids])
        self._tail = self._tail[taken:]


def _opening(format_: ChatFormat, messages: Messages) -> list[PromptPiece]:
    """The prompt's pieces; a conversation of a method's own may be refused in mid-run."""
    try:
        return format_.opening(messages)
    except ConfigError as error:
        raise SampleFailed(Failure.BAD_PROMPT, str(error)) from None


def _aligned(tokens: Sequence[Token], text: str) -> list[Token] | None:
    """The tokens that make up `text`; None if they don't.

    Tokens after it (an end marker, text that was cut off) are left out.
    """
    position = 0
    found = []
    for token in tokens:
        if position == len(text):
            break
        if not text.startswith(token.text, position):
            return None
        found.append(token)
        position += len(token.text)
    return found if position == len(text) else None


class TextPrefix:
    """The text of one model for one trajectory, for servers that don't take ids."""

    def __init__(self, format_: ChatFormat, messages: Messages) -> None:
        self._closing, self._escape = format_.closing().text, format_.escape
        self._json = bytearray(b'"')
        self._covered = 0
        self._part = Part.THINKING
        for piece in _opening(format_, messages):
            self._append(piece.text if piece.control else self._escape(piece.text))

    def copy(self) -> TextPrefix:
        """The same prefix, which grows by itself from now on."""
        other = copy.copy(self)
        other._json = bytearray(self._json)
        return other

    async def prompt(self, trajectory: Trajectory) -> EncodedPrompt:
        """The question and all text, pending text included."""
        if self._part is not trajectory.part:
            self._append(self._escape(trajectory.thinking[self._covered :]) + self._closing)
            self._part, self._covered = trajectory.part, 0
        text = trajectory.text
        # A control token is only recognized once it is complete.
        seam = max(self._covered, _seam(text, len(text) - LONGEST_CONTROL))
        self._append(self._escape(text[self._covered : seam]))
        self._covered = seam
        rest = orjson.dumps(self._escape(text[seam:]) + self._escape(trajectory.pending))
        return EncodedPrompt((self._json, rest[1:]))

    def _append(self, text: str) -> None:
        self._json += orjson.dumps(text)[1:-1]

    async def observe(self, before: str, turn: Turn, trajectory: Trajectory) -> None:
        """Do nothing: `prompt` takes the text from the trajectory."""


def _seam(text: str, at: int) -> int:
    """The last offset up to `at` right after white space, which is never in a control token."""
    while at > 0 and not text[at - 1].isspace():
        at -= 1
    return max(at, 0)
