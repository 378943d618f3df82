"""A streamed completion: an async iterator of events. `break` leaves it."""

from __future__ import annotations

from collections import deque
from typing import Self

from tessy.errors import ModelError
from tessy.models.http import HttpResponse
from tessy.models.wire import Completion, Event, StreamParser


class EventStream(HttpResponse):
    """The events of a streamed completion that contain text, in order.

    `completion()` contains only the events that were iterated over, not others that arrived.

    Args:
        url: The server's URL, for messages.
        first_token_s: Timeout from the request to the first text, in seconds.
        total_s: Timeout from the first text to the end, in seconds.

    Attributes:
        first_s: Seconds from the request to the first text; None before it arrived.
    """

    def __init__(self, url: str, *, first_token_s: float, total_s: float) -> None:
        super().__init__(url)
        self.first_s: float | None = None
        self._total_s = total_s
        self._began = self._loop.time()
        self._event_parser = StreamParser()
        self._events: deque[Event] = deque()
        self._texts: list[str] = []
        self._ids: list[int] = []
        self._has_ids = True
        self._ended = False
        self.expire(first_token_s)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        """The next event.

        Raises:
            ModelError: The stream failed; its subclass says why.
        """
        while not self._events:
            if self._error is not None:
                raise self._error
            if self._complete:
                self._end()
                raise StopAsyncIteration
            await self._more()
        text, ids = event = self._events.popleft()
        self._texts.append(text)
        if ids is None:
            self._has_ids = False
        else:
            self._ids += ids
        return event

    def completion(self) -> Completion:
        """What was read; `finish` is `length` if the stream was not read to its end."""
        parser = self._event_parser
        ids = self._ids + parser.rest if self._ended else self._ids
        usage = parser.usage if self._ended else {}
        known = tuple(ids) if self._has_ids and ids else None
        details = usage.get("prompt_tokens_details") or {}
        return Completion(
            text="".join(self._texts),
            finish=(self._ended and parser.finish) or "length",
            tokens=usage.get("completion_tokens") or len(self._texts if known is None else known),
            prompt_tokens=usage.get("prompt_tokens"),
            cached_tokens=details.get("cached_tokens"),
            ids=known,
        )

    def on_body(self, data: bytes) -> None:
        """Parse a part of the body, or keep it if the response is an error."""
        if self.status != 200:
            super().on_body(data)
            return
        try:
            events = self._event_parser.feed(data)
        except ModelError as error:
            self._fail(error)
            return
        if events:
            if self.first_s is None:
                self.first_s = self._loop.time() - self._began
                self.expire(self._total_s)
            self._events.extend(events)
            if self._waiter is not None and not self._waiter.done():
                self._waiter.set_result(None)

    def _end(self) -> None:
        self._event_parser.check_end()
        self._ended = True
