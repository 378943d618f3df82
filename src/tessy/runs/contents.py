"""Checks what a journal holds before anything is done with it: a run may come from elsewhere. Pure.

SQLite stores values of any type in any column, and a record is only text to it. What these
functions let through has the names, types and offsets that docs/record.md and docs/run-folder.md
say, so no reader needs to check again.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

import orjson
from pydantic import TypeAdapter

from tessy.data.exact import loads
from tessy.errors import JournalError
from tessy.method.trajectory import DraftKey, Failure, Part, Rejection, Role, Turn

MOST_INFLATED = 64 << 20
"""Bytes that a compressed value may become."""
_COUNTS = (
    "student_tokens",
    "teacher_tokens",
    "thinking_tokens",
    "answer_tokens",
    "student_discarded_tokens",
    "teacher_discarded_tokens",
    "turns",
    "hand_overs",
)
_AUTHORS = ("format", *Role)
_TURN: TypeAdapter[Turn] = TypeAdapter(Turn)
_REJECTION: TypeAdapter[Rejection] = TypeAdapter(Rejection)
_KEY: TypeAdapter[DraftKey] = TypeAdapter(DraftKey)
T = TypeVar("T")


@contextmanager
def reading(what: str) -> Iterator[None]:
    """Raise what is wrong with a value as a `JournalError`.

    Args:
        what: File and value, for the message.
    """
    try:
        yield
    except KeyError as error:
        raise JournalError(f"{what} can't be read: it has no {error}") from None
    except (AttributeError, IndexError, TypeError, ValueError, zlib.error) as error:
        said = str(error).splitlines() or [type(error).__name__]
        raise JournalError(f"{what} can't be read: {said[0]}") from None


def pack(value: Any) -> bytes:
    """Compress a JSON value, in which named tuples are lists."""
    return zlib.compress(orjson.dumps(value, default=tuple), 1)


def unpack(blob: Any) -> Any:
    """Decompress a JSON value from `pack`.

    Raises:
        ValueError: It is larger than `MOST_INFLATED`, or no JSON; zlib.error if it is garbled.
    """
    inflating = zlib.decompressobj()
    text = inflating.decompress(an(bytes, blob, "it"), MOST_INFLATED)
    if not inflating.eof:
        cut = "is cut short" if not inflating.unconsumed_tail else "is too large"
        raise ValueError(f"it {cut}: more than {len(text):,} bytes when it is decompressed")
    return orjson.loads(text)


def an(kind: type[T], value: Any, name: str) -> T:
    """A value of a type, and not of one derived from it.

    Raises:
        ValueError: It is of another type; the message names it.
    """
    if type(value) is not kind:
        raise ValueError(f"{name} is {type(value).__name__}, not {kind.__name__}")
    return value


def a_count(value: Any, name: str) -> int:
    """A whole number from 0.

    Raises:
        ValueError: It is no such number.
    """
    if an(int, value, name) < 0:
        raise ValueError(f"{name} is {value}")
    return int(value)


def seconds(value: Any) -> float:
    """A time in seconds, from 0.

    Raises:
        ValueError: It is no such number.
    """
    if type(value) not in (int, float) or not 0 <= value < math.inf:
        raise ValueError(f"seconds is {value!r}")
    return float(value)


def reason(value: Any) -> Failure | None:
    """The reason of a failure, or None.

    Raises:
        ValueError: There is no such reason.
    """
    return None if value is None else Failure(an(str, value, "reason"))


def record(blob: Any, failure: Failure | None) -> dict[str, Any]:
    """A record of a sample that ended.

    Args:
        blob: The JSON.
        failure: Why the sample failed, if it did.

    Raises:
        KeyError: Something is missing; ValueError and TypeError: it is not as it should be.
    """
    made = an(dict, loads(an(bytes, blob, "it")), "it")
    messages = an(list, made["messages"], "messages")
    for message in messages:
        an(str, message["role"], "role")
        an(str, message["content"], "content")
    if failure is None:
        content = messages[-1]["content"]
        an(str, made["method"], "method")
        an(int, made["seed"], "seed")
        for name in an(dict, made["models"], "models").values():
            an(str, name, "models")
    else:
        content = an(str, made["content"], "content")
        an(str, made["detail"], "detail")
        an(str, made.get("teacher", ""), "teacher")
    _check_verdict(made.get("verdict"))
    _check_spans(content, made["spans"])
    for name in _COUNTS:
        a_count(made["stats"][name], f"stats.{name}")
    an(bool, made["stats"]["thinking_cut_off"], "stats.thinking_cut_off")
    return made


def trace(blob: Any) -> dict[str, Any]:
    """What a record leaves out.

    Raises:
        KeyError: Something is missing; ValueError and TypeError: it is not as it should be.
    """
    made = an(dict, unpack(blob), "it")
    _check_trace(made)
    for draft in made.get("drafts", ()):
        an(str, draft["why"], "why")
        an(str, draft.get("teacher", ""), "teacher")
        reason(draft.get("reason"))
        _check_spans(an(str, draft["content"], "content"), draft["spans"])
        _check_trace(draft)
    return made


def entries(blob: Any) -> Iterator[tuple[DraftKey, Turn | Rejection]]:
    """Turns and rejections of an unfinished sample, in order.

    Raises:
        ValueError: They are not as they should be; TypeError likewise.
    """
    for attempt, number, *fields in an(list, unpack(blob), "it"):
        key = _KEY.validate_python((attempt, number), strict=True)
        made: Turn | Rejection
        if len(fields) == len(Rejection._fields):
            made = _REJECTION.validate_python(fields)
        else:
            made = _TURN.validate_python(fields)
        yield key, made


def _check_verdict(verdict: Any) -> None:
    if verdict is not None:
        an(str, verdict["outcome"], "verdict.outcome")
        if type(verdict["score"]) not in (int, float):
            raise ValueError("verdict.score is no number")


def _check_spans(content: str, spans: Any) -> None:
    position = 0
    for span in an(list, spans, "spans"):
        start, end = span["start"], an(int, span["end"], "end")
        if start != position or not position <= end <= len(content):
            raise ValueError(f"a span is {start!r} to {end}, and must start at {position}")
        if span["role"] not in _AUTHORS:
            raise ValueError(f"a span is by {span['role']!r}")
        an(bool, span["forced"], "forced")
        an(bool, span.get("tolerated", False), "tolerated")
        position = end
    if position != len(content):
        raise ValueError(f"the spans end at {position}, the content at {len(content)}")


def _check_trace(made: Mapping[str, Any]) -> None:
    for discard in made.get("discards", ()):
        Role(discard["role"])
        Part(discard["part"])
        a_count(discard["at"], "at")
        an(str, discard["text"], "text")
    for asked in made.get("asked", ()):
        an(int, asked, "asked")
    for at, confidence in made.get("confidence", ()):
        a_count(at, "at")
        if type(confidence) not in (int, float):
            raise ValueError("a confidence is no number")
