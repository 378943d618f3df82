"""JSON read and written without changing a value; what can't be kept is refused.

JSON's numbers have any number of digits. `orjson` makes floats of integers beyond 64 bits, and a
float keeps 15 to 17 digits. Here such integers are kept, and so are such decimals, with their text.
"""

from __future__ import annotations

import json
import math
import re
from decimal import Decimal
from typing import Any, Self

import orjson

_MAY_BE_DEEP = 200
"""Brackets in bytes that may be nested deeper than orjson writes (254)."""
_SHOWN = 20
TO_UTF_8 = "if the file is Latin-1: iconv -f LATIN1 -t UTF-8 FILE > NEW"
"""What to do about text that is not UTF-8; without `-f`, iconv takes that of the terminal."""


class ExactInt(int):
    """An integer beyond 64 bits, which orjson would not write."""


class ExactFloat(float):
    """A decimal with more digits than a float keeps.

    Args:
        text: The number as it was written; also its `str` and its JSON.
    """

    text: str

    def __new__(cls, text: str) -> Self:
        """Make a float that keeps its text."""
        made = super().__new__(cls, text)
        made.text = text
        return made

    def __repr__(self) -> str:
        return self.text


def integer(text: str) -> int:
    """An integer of any size.

    Raises:
        ValueError: It has more digits than Python reads (4,300).
    """
    try:
        value = int(text)
    except ValueError:
        raise ValueError(f"an integer of {len(text):,} digits: write it as text") from None
    return value if -(2**63) <= value < 2**64 else ExactInt(value)


def decimal(text: str) -> float:
    """A decimal number; an `ExactFloat` if a float would change it.

    Raises:
        ValueError: It is larger than any float.
    """
    value = float(text)
    if math.isinf(value):
        shown = text if len(text) <= _SHOWN else text[:_SHOWN] + "…"
        raise ValueError(f"{shown} is larger than any 64-bit float: write it as text")
    return value if Decimal(text) == Decimal(repr(value)) else ExactFloat(text)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"the key {twice!r} is there twice in one object")
    return made


def _constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON: write null, or text")


_DECODER = json.JSONDecoder(parse_int=integer, parse_float=decimal, parse_constant=_constant)
_STRICT = json.JSONDecoder(
    parse_int=integer,
    parse_float=decimal,
    parse_constant=_constant,
    object_pairs_hook=_object,
)


def loads(raw: bytes | str) -> Any:
    """Read JSON that tessy wrote, exactly.

    Raises:
        ValueError: It is not JSON, or can't be kept.
    """
    try:
        return _DECODER.decode(raw if isinstance(raw, str) else raw.decode())
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def parse(raw: bytes) -> Any:
    """Read JSON that somebody else wrote, exactly.

    Raises:
        ValueError: It is not JSON, or can't be kept: a number too large, half a surrogate pair, a
            key twice, or nested too deeply. The message says what, and what to write instead.
    """
    must_check = max(raw.count(b"["), raw.count(b"{")) > _MAY_BE_DEEP
    try:
        orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        if not _is_too_large(error):
            raise ValueError(_explained(raw, error)) from None
        must_check = True
    try:
        value = _STRICT.decode(raw.decode())
        if must_check:
            dumps(value)
        return value
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except TypeError as error:
        raise ValueError(_why_not_written(error)) from None


def dumps(value: Any, options: int = 0) -> bytes:
    """Write JSON, exactly; what JSON has no type for is written as text.

    Args:
        value: The value.
        options: Those of orjson.

    Raises:
        TypeError: It is nested too deeply, or holds half a surrogate pair.
    """
    return orjson.dumps(value, _other, options | orjson.OPT_PASSTHROUGH_SUBCLASS)


def _other(value: Any) -> Any:
    if isinstance(value, ExactInt | ExactFloat):
        return orjson.Fragment(repr(value))
    kinds: tuple[Any, ...] = (str, int, list, dict)
    kind = next((kind for kind in kinds if isinstance(value, kind)), str)
    return kind(value)


def _is_too_large(error: orjson.JSONDecodeError) -> bool:
    """Whether the only fault is a number; integers of 400 digits are among them."""
    return "infinity" in error.msg


def _why_not_written(error: TypeError) -> str:
    if "Recursion" in str(error):
        return "it is nested too deeply (more than 254 levels)"
    return str(error)


def not_utf_8(error: UnicodeDecodeError) -> str:
    """Which byte is not UTF-8."""
    return f"byte {error.start + 1} (0x{error.object[error.start]:02x}) is not UTF-8"


def _explained(raw: bytes, error: orjson.JSONDecodeError) -> str:
    """Why bytes are not JSON, for people."""
    if b"\0" in raw:
        return "it has NUL bytes; if it is UTF-16: iconv -f UTF-16 -t UTF-8 FILE > NEW"
    try:
        text = raw.decode()
    except UnicodeDecodeError as bad:
        return f"{not_utf_8(bad)}; {TO_UTF_8}"
    if "depth" in error.msg:
        return "it is nested too deeply (more than 254 levels)"
    rest = text[error.pos :]
    line = f" (line {error.lineno})" if "\n" in text.strip() else ""
    if constant := re.match(r"-?(NaN|Infinity)", rest):
        return f"{constant[0]} is not JSON: write null, or text{line}"
    said = error.msg.replace("str is not valid UTF-8: ", "")
    if not rest.strip(" \t\r\n"):
        return f"not JSON: it ends too early ({said})"
    return f"not JSON: {said}, at character {error.colno}{line}: {rest[:_SHOWN].strip()!r}"
