"""Reading a streamed answer while it is being made: who reads it, and one attempt at doing so."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from tessy.models.stream import Place, Stream
from tessy.models.wire import Completion, StreamParser

Enough = Callable[[int, Exception | None], None]
"""Says that no more is wanted than the first events of an answer, or that reading failed."""


class Reader(Protocol):
    """Reads a streamed answer while it is being made."""

    def begin(self, enough: Enough) -> None:
        """Reading begins; `enough` may be called once, from within `read` or at any time later."""
        ...

    def read(self, text: str, event: int) -> None:
        """Take in the text of an event, and how many events there were with it."""
        ...

    async def finish(self) -> None:
        """Nothing more will come: return when all of it is read, or `enough` was called."""
        ...


class ReadAll:
    """A reader that wants all of an answer."""

    def begin(self, enough: Enough) -> None:
        """See `Reader.begin`."""

    def read(self, text: str, event: int) -> None:
        """See `Reader.read`."""

    async def finish(self) -> None:
        """See `Reader.finish`."""


class ReadNothing(ReadAll):
    """A reader that leaves at the first text."""

    def begin(self, enough: Enough) -> None:
        """See `Reader.begin`."""
        self._enough = enough

    def read(self, text: str, event: int) -> None:
        """See `Reader.read`."""
        self._enough(event, None)


class Following:
    """One attempt to read a stream: what comes goes through the parser to the reader.

    Args:
        place: Where the server is.
        payload: The request's body.
        reader: Is given the text, event by event.

    Attributes:
        stream: The connection; whoever made this opens it and waits for its end.
        error: Why reading failed, if it did.
        first_s: How long the first text took.
    """

    def __init__(self, place: Place, payload: bytes, reader: Reader) -> None:
        self.stream = Stream(place, payload, self._take)
        self.error: Exception | None = None
        self._parser = StreamParser()
        self._reader = reader
        self._wanted: int | None = None
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._later_s = self._began_s = self.first_s = 0.0
        reader.begin(self._enough)

    def wait(self, first_token_s: float, total_s: float) -> None:
        """Let time run: so long for the first text, and so long for all of it."""
        self._began_s = self._loop.time()
        self._later_s = self._began_s + total_s
        self._timer = self._loop.call_later(first_token_s, self.stream.fail, TimeoutError())

    def _take(self, block: bytes) -> None:
        parser, stream = self._parser, self.stream
        try:
            for text in parser.feed(block):
                if parser.events == 1:
                    self._wait_on()
                self._reader.read(text, parser.events)
                if stream.over.done():
                    return
        except Exception as error:
            self.error = self.error or error
            stream.leave()

    def _wait_on(self) -> None:
        self.first_s = self._loop.time() - self._began_s
        if self._timer is not None:
            self._timer.cancel()
            self._timer = self._loop.call_at(self._later_s, self.stream.fail, TimeoutError())

    def _enough(self, events: int, error: Exception | None) -> None:
        self._wanted, self.error = events, self.error or error
        self.stream.leave()

    def close(self) -> None:
        """Leave the stream, however far it is."""
        if self._timer is not None:
            self._timer.cancel()
        self.stream.close()

    def result(self) -> Completion:
        """What was wanted of the answer."""
        if self._wanted is None:
            return self._parser.result()
        return self._parser.first(self._wanted)
