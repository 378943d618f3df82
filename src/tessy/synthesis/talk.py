"""Talk between the process that keeps a run's journal and those that write its samples.

A pair of sockets; a message is its length, then itself, pickled: both ends are this program, on
this machine, and the sockets have no name by which anybody else could reach them.
"""

from __future__ import annotations

import asyncio
import pickle
import socket
import struct
from dataclasses import dataclass
from typing import Any, Self

from tessy.method.trajectory import Role, Turn
from tessy.runs.journal import Ending

_LENGTH = struct.Struct("!Q")
_BUFFER = 2**20


@dataclass(frozen=True, slots=True)
class Begin:
    """To a worker: what it needs to open the models.

    Attributes:
        config: The run's settings, as JSON; models that this machine serves are URLs here.
        date: The run's date, as ISO text.
        names: What records call the models, by role.
        streamed: Roles whose thinking is read as a stream.
    """

    config: str
    date: str
    names: dict[str, str]
    streamed: frozenset[Role]


@dataclass(frozen=True, slots=True)
class NoMore:
    """To a worker: all samples are given out."""


@dataclass(frozen=True, slots=True)
class Stop:
    """To a worker: say what turns there are, and end."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """From a worker: it has room for a sample."""


@dataclass(frozen=True, slots=True)
class Written:
    """From a worker: turns of samples under way.

    Attributes:
        turns: By sample: its new turns, seconds spent on it so far, calls so far.
        requests: Calls that this worker made since it began.
        faults: Faults that it met, by role and kind.
    """

    turns: dict[str, tuple[list[Turn], float, int]]
    requests: int
    faults: dict[str, dict[str, int]]


@dataclass(frozen=True, slots=True)
class Ended:
    """From a worker: a sample came to its end."""

    ending: Ending


@dataclass(frozen=True, slots=True)
class Failed:
    """From a worker: the run has to stop.

    Attributes:
        error: Why.
    """

    error: Exception


class Line:
    """One end of a line between two processes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, end: socket.socket) -> Self:
        """Make a line of a connected socket."""
        return cls(*await asyncio.open_connection(sock=end, limit=_BUFFER))

    def say(self, message: Any) -> None:
        """Send a message; nothing happens if nobody is there any more."""
        raw = pickle.dumps(message)
        if not self._writer.is_closing():
            self._writer.write(_LENGTH.pack(len(raw)) + raw)

    async def hear(self) -> Any:
        """The next message; None when the other end is gone."""
        try:
            (length,) = _LENGTH.unpack(await self._reader.readexactly(_LENGTH.size))
            return pickle.loads(await self._reader.readexactly(length))
        except (asyncio.IncompleteReadError, ConnectionError):
            return None

    async def close(self) -> None:
        """Hang up, when all that was said has gone out."""
        try:
            await self._writer.drain()
            self._writer.close()
            await self._writer.wait_closed()
        except ConnectionError:
            pass
