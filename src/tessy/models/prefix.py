"""Prefix: what one model has seen of one trajectory.

*Stable prefix* is kept here: the ids that stand for committed text only grow. What a model
generated itself keeps its ids; text of the other model, and what a cut left of a token, is
tokenised alone when the model is next asked, and appended. So prompts are byte-stable from turn
to turn and the server's prefix cache hits.

Where a server takes no ids, a `TextPrefix` sends text.
"""

from __future__ import annotations

from collections.abc import Sequence

from tessy.models.formats import ChatFormat, Messages, defuse
from tessy.models.tokens import Codec, Piece, Token
from tessy.trajectory import Outcome, Part, Role, Trajectory, Turn


class IdPrefix:
    """The ids of one model for one trajectory.

    Attributes:
        ids: Of the prompt and of committed text; they only grow.
        covered: How many characters of the current part's committed text they stand for.
    """

    def __init__(self, role: Role, codec: Codec, format_: ChatFormat, messages: Messages) -> None:
        self.role = role
        self.ids: list[int] = []
        self.covered = 0
        self._codec = codec
        self._format = format_
        self._messages = messages
        self._part = Part.THINKING
        self._tail: list[Token] = []  # own tokens behind `ids`, not wholly committed yet

    async def prompt(self, trajectory: Trajectory) -> list[int]:
        """The ids of everything up to here, pending text included."""
        if not self.ids:
            await self._open()
        if self._part is not trajectory.part:
            await self._next_part(trajectory)
        if self._tail:
            return [*self.ids, *(i for token in self._tail for i in token.ids)]
        await self._catch_up(trajectory.text)
        return [*self.ids, *await self._codec.encode(Piece(trajectory.pending))]

    async def observe(self, before: str, turn: Turn, trajectory: Trajectory) -> None:
        """Take a turn into account.

        Args:
            before: The text that was pending before the turn.
            turn: The turn.
            trajectory: The state after it.
        """
        if turn.role is not self.role or turn.part is not Part.THINKING:
            return
        if turn.outcome in (Outcome.WENT_ON, Outcome.HANDED_OVER, Outcome.CLOSED):
            await self._extend(before, turn)
        self._commit(trajectory)
        if turn.outcome is not Outcome.WENT_ON:
            self._tail = []

    async def _open(self) -> None:
        for index, piece in enumerate(self._format.opening(self._messages)):
            begin = index == 0 and self._format.begin
            self.ids += await self._codec.encode(piece, begin=begin)

    async def _next_part(self, trajectory: Trajectory) -> None:
        self._tail = []
        await self._catch_up(trajectory.thinking)
        self.ids += await self._codec.encode(self._format.closing())
        self._part, self.covered = trajectory.part, 0

    async def _catch_up(self, committed: str) -> None:
        if self.covered < len(committed):
            self.ids += await self._codec.encode(Piece(committed[self.covered :]))
            self.covered = len(committed)

    async def _extend(self, before: str, turn: Turn) -> None:
        """Put the turn's own ids behind those that are there, if they are known to fit."""
        written = (turn.kept + turn.pending + turn.thrown)[len(before) :]
        follows_on = bool(self._tail) == bool(before) and self._was_asked(turn)
        tokens = _aligned(await self._codec.tokens(turn.ids), written) if turn.ids else None
        if tokens is None or not follows_on:
            self._tail = []
        else:
            self._tail += tokens

    def _was_asked(self, turn: Turn) -> bool:
        return bool(self.ids) and self._part is turn.part

    def _commit(self, trajectory: Trajectory) -> None:
        """Move the tokens that lie wholly in committed text to `ids`."""
        committed = len(trajectory.thinking)
        taken = 0
        for token in self._tail:
            end = self.covered + len(token.text)
            if end > committed:
                break
            self.ids.extend(token.ids)
            self.covered = end
            taken += 1
        self._tail = self._tail[taken:]


def _aligned(tokens: Sequence[Token], text: str) -> list[Token] | None:
    """The tokens that make up `text` from its start; None if they do not.

    Tokens behind it (an end marker, what was cut off) are left out.
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
    """The text of one model for one trajectory, for servers without id prompts."""

    def __init__(self, format_: ChatFormat, messages: Messages) -> None:
        self._closing = format_.closing().text
        self._opening = "".join(
            piece.text if piece.control else defuse(piece.text)
            for piece in format_.opening(messages)
        )

    async def prompt(self, trajectory: Trajectory) -> str:
        """The text of everything up to here, pending text included."""
        text = self._opening + defuse(trajectory.thinking)
        if trajectory.part is Part.ANSWER:
            text += self._closing + defuse(trajectory.answer)
        return text + defuse(trajectory.pending)

    async def observe(self, before: str, turn: Turn, trajectory: Trajectory) -> None:
        """Nothing to do: the text is the trajectory's."""
