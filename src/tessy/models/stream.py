"""A streamed completion: an async iterator of events. `break` leaves it."""

from __future__ import annotations

from collections import deque
from typing import Self

from tessy.config import Timeouts
from tessy.errors import BadResponse, TimedOut
from tessy.models.http import HttpResponse
from tessy.models.wire import Bounds, Completion, Event, StreamParser, completion

FASTEST_S = 1e-4
"""Seconds in which no model writes a token: what follows faster was held back, and came at once."""
_LOOKS = 8
"""How often a stream is looked at in the time that it may be silent."""


class EventStream(HttpResponse):
    """The events of a streamed completion that contain text, in order.

    `completion()` contains only the events that were iterated over, not others that arrived.

    Args:
        url: The server's URL, for messages.
        bounds: The most that the stream may hold.
        timeouts: How long to wait for the first text, for each further event, and for the end.

    Attributes:
        first_s: Seconds from the request to the first text; None before it arrived.
        last_s: Seconds from the request to the last text so far, whether it was read or not.
        later: Tokens that came after the first ones.
    """

    def __init__(self, url: str, bounds: Bounds, timeouts: Timeouts) -> None:
        super().__init__(url, bounds.stream_bytes)
        self.first_s: float | None = None
        self.last_s = 0.0
        self.later = 0
        self._bounds = bounds
        self._timeouts = timeouts
        self._began = self._loop.time()
        self._quiet = 0  # looks of `_watch` since the last text
        self._event_parser = StreamParser(bounds)
        self._events: deque[Event] = deque()
        self._texts: list[str] = []
        self._ids: list[int] = []
        self._has_ids = True
        self._finish: str | None = None
        self._read: Completion | None = None
        self.expire(timeouts.first_token_s)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        """The next event.

        Raises:
            ModelError: The stream failed, or its end was not the model's; its subclass says why.
        """
        while not self._events:
            if self._error is not None:
                raise self._error
            if self._complete:
                self._end()
                raise StopAsyncIteration
            await self._more()
        self._read = None
        text, ids = event = self._events.popleft()
        self._texts.append(text)
        if ids is None:
            self._has_ids = False
        else:
            self._ids += ids
        return event

    def completion(self) -> Completion:
        """What was read; `finish` is `length` if the stream was not read to its end.

        Raises:
            BadResponse: The server's token counts are not what they should be.
        """
        if self._read is None:
            ended, parser = self._finish is not None, self._event_parser
            ids = self._ids + parser.rest if ended else self._ids
            self._read = completion(
                text="".join(self._texts),
                finish=self._finish or "length",
                ids=ids if self._has_ids and ids else None,
                usage=parser.usage if ended else None,
                guess=len(self._texts),
                bounds=self._bounds,
            )
        return self._read

    def on_body(self, data: bytes) -> None:
        """Parse a part of the body, or keep it if the response is an error."""
        if self.status != 200:
            super().on_body(data)
            return
        try:
            events = self._event_parser.feed(data)
        except BadResponse as error:
            self._fail(BadResponse(f"{self.url}: {error}"))
            return
        if events:
            self._quiet = 0
            self.last_s = self._loop.time() - self._began
            if self.first_s is None:
                self.first_s = self.last_s
                self._watch()
            elif self.last_s - self.first_s >= FASTEST_S:
                self.later += sum(len(event.ids) if event.ids else 1 for event in events)
            self._events.extend(events)
            if self._waiter is not None and not self._waiter.done():
                self._waiter.set_result(None)

    def _watch(self) -> None:
        """Fail after too long a time without text, or in all; look again after a part of it.

        A timer for each event would cost more than the event.
        """
        assert self.first_s is not None
        times = self._timeouts
        left = self._began + self.first_s + times.total_s - self._loop.time()
        if left <= 0:
            self._fail(TimedOut(f"{self.url} took too long: more than {times.total_s:g} s in all"))
        elif self._quiet >= _LOOKS:
            silent = f"fell silent for {times.next_token_s:g} s in the middle of a stream"
            self._fail(TimedOut(f"{self.url} {silent}"))
        else:
            self._quiet += 1
            self._expire(min(times.next_token_s / _LOOKS, left), self._watch)

    def _end(self) -> None:
        try:
            self._finish, self._read = self._event_parser.check_end(), None
        except BadResponse as error:
            raise BadResponse(f"{self.url}: {error}") from None
