"""A conversation as text, with what each message became of; what is lost is refused.

*Shown*: every message of a conversation is in its prompt: whole, once, in order, as text. A
template may trim it, take out its own switches (SmolLM3's `/no_think`), and leave out the thinking
of the assistant's earlier turns, as Qwen3's does. Anything else (a template that drops, quotes,
repeats, cuts or moves a message) is refused.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy

from tessy.data.record import THINK_CLOSE, THINK_OPEN
from tessy.models.chat_template import ChatTemplate
from tessy.models.tracing import CHANGED, TracedText, origins_of

_OPEN, _CLOSE = THINK_OPEN.strip(), THINK_CLOSE.strip()
_KEYS = ("reasoning_content", "content")
_SHOWN = 40


class NotShown(ValueError):
    """A template does not show a message as it is."""


class TextRun(NamedTuple):
    """A stretch of a rendered text that is a message's: half-open offsets.

    Attributes:
        start: In the rendered text.
        end: In the rendered text.
        origin: Of its first character, in all texts of the messages one after the other.
    """

    start: int
    end: int
    origin: int

    @property
    def last_origin(self) -> int:
        """The origin after its last character."""
        return self.origin + self.end - self.start


class MessagePart(NamedTuple):
    """A text of a message.

    Attributes:
        number: The message's, from 0.
        key: `content` or `reasoning_content`.
        role: The message's.
        text: The text.
        origin: Of its first character, in all texts of the messages one after the other.
    """

    number: int
    key: str
    role: str
    text: str
    origin: int

    @property
    def end(self) -> int:
        """The origin after its last character."""
        return self.origin + len(self.text)


@dataclass(frozen=True, slots=True)
class RenderedConversation:
    """A rendered conversation.

    Attributes:
        text: All of it.
        runs: Where texts of messages are, in order; what is between them is control.
        parts: The texts of the messages, in order.
    """

    text: str
    runs: tuple[TextRun, ...]
    parts: tuple[MessagePart, ...]

    def response_begin(self) -> int | None:
        """Where the last message begins in the text; None if it is not there as it is."""
        last = self.parts[-1]
        run = next((run for run in self.runs if last.origin < run.last_origin), None)
        if run is None:
            return None
        begin = run.start + last.origin - run.origin
        return begin if begin >= 0 and self.text.startswith(last.text, begin) else None

    def left_out(self, part: MessagePart) -> str:
        """What the text has nothing of, but for blanks at the ends of the part."""
        return "".join(_gaps(part, self.runs)).strip()


def render(
    template: ChatTemplate, messages: Sequence[Mapping[str, str]], *, prompt: bool
) -> RenderedConversation:
    """Render a conversation, and make sure that every message is in it (*Shown*).

    Args:
        template: The template.
        messages: `role` and `content`, and for the assistant's perhaps `reasoning_content`.
        prompt: Open the assistant's turn after it.

    Raises:
        RefusedByTemplate: The template refuses it.
        NotShown: A message is not in it as it should; the error names which.
        ValueError: The template fails.
    """
    parts = tuple(_parts(messages))
    traced = [dict(message) for message in messages]
    for part in parts:
        origins = array("q", range(part.origin, part.end))
        traced[part.number][part.key] = TracedText(part.text, origins)
    text = template.render(traced, prompt=prompt)
    runs = tuple(_runs(origins_of(text)))
    _check_order(runs, parts)
    for part in parts:
        _check_whole(part, runs, template)
    return RenderedConversation(str.__str__(text), runs, parts)


def _parts(messages: Sequence[Mapping[str, str]]) -> Iterator[MessagePart]:
    origin = 0
    for index, message in enumerate(messages):
        for key in _KEYS:
            if text := message.get(key):
                part = MessagePart(index, key, message["role"], text, origin)
                yield part
                origin = part.end


def _runs(origins: array[int]) -> Iterator[TextRun]:
    found = numpy.frombuffer(origins, numpy.int64)
    if (found == CHANGED).any():
        raise NotShown(
            "it shows a message other than it is (in quotes, in upper case, …), so that its text "
            "can't be told from the template's"
        )
    breaks = numpy.flatnonzero(numpy.diff(found) != (found[:-1] >= 0)) + 1
    edges = [0, *breaks.tolist(), len(origins)]
    for start, end in pairwise(edges):
        if start < end and origins[start] >= 0:
            yield TextRun(start, end, origins[start])


def _check_order(runs: Sequence[TextRun], parts: Sequence[MessagePart]) -> None:
    """Make sure that nothing is shown twice, and nothing before what it follows."""
    shown = 0
    for number, run in enumerate(runs):
        if run.origin < shown:
            before = runs[:number]
            again = any(other.origin <= run.origin < other.last_origin for other in before)
            part = next(one for one in parts if one.origin <= run.origin < one.end)
            raise NotShown(f"it shows {_name(part)} {'twice' if again else 'out of order'}")
        shown = run.last_origin


def _check_whole(part: MessagePart, runs: Sequence[TextRun], template: ChatTemplate) -> None:
    """Make sure that nothing of a part is missing that should be there."""
    gaps = list(_gaps(part, runs))
    if gaps == [part.text] and part.key != "content" and template.takes_thinking:
        return  # the template knows about thinking, and leaves that of earlier turns out
    for number, gap in enumerate(gaps):
        words = gap.split()
        at_an_end = number in (0, len(gaps) - 1)
        if (at_an_end and not words) or (words and template.switches.issuperset(words)):
            continue
        if gap and not (part.role == "assistant" and part.key == "content" and (
            gap.strip() in ("", _OPEN, _CLOSE)
            or (number == 0 and gap.rstrip().endswith(_CLOSE))
        )):  # fmt: skip
            if gap == part.text:
                raise NotShown(f"it leaves out {_name(part)}")
            raise NotShown(f"it leaves out a part of {_name(part)}: {gap[:_SHOWN]!r}")


def _gaps(part: MessagePart, runs: Sequence[TextRun]) -> Iterator[str]:
    """What is not shown of a part: before its first run, between its runs, after the last."""
    at = part.origin
    for run in runs:
        if run.origin < part.end and run.last_origin > part.origin:
            yield part.text[at - part.origin : max(run.origin, at) - part.origin]
            at = run.last_origin
    yield part.text[at - part.origin :] if at < part.end else ""


def _name(part: MessagePart) -> str:
    what = "" if part.key == "content" else f", {part.key}"
    return f"message {part.number + 1} ({part.role}{what}): {part.text[:_SHOWN]!r}"
