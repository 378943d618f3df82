"""What a list of samples shows: from a query string and back. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from enum import StrEnum
from urllib.parse import urlencode

from tessy.errors import InputError
from tessy.method.trajectory import Failure


class Status(StrEnum):
    """How a sample stands; a failure's reason (`Failure`) may be asked for too."""

    FINISHED = "finished"
    """It is in the data set."""
    FAILED = "failed"
    """It failed, whatever the reason."""
    RUNNING = "running"
    """It is under way, or a run that stopped left it so."""


@dataclass(frozen=True, slots=True)
class Filter:
    """Which samples are wanted; what is None or empty asks for nothing.

    Attributes:
        id: A part of the id.
        text: Words that question and response hold, all of them, each by its beginning.
        status: How it stands.
        share_least: Least teacher share, in percent.
        share_most: Greatest teacher share, in percent.
        tokens_least: Least tokens kept.
        tokens_most: Most tokens kept.
    """

    id: str = ""
    text: str = ""
    status: Status | Failure | None = None
    share_least: float | None = None
    share_most: float | None = None
    tokens_least: int | None = None
    tokens_most: int | None = None

    @classmethod
    def parse(cls, query: Mapping[str, str]) -> Filter:
        """Read a query string; keys that are no filter's are left alone.

        Raises:
            InputError: A value makes no sense.
        """
        return cls(
            id=query.get("id", "").strip(),
            text=query.get("text", "").strip(),
            status=_status(query.get("status", "")),
            share_least=_percent(query, "share_least"),
            share_most=_percent(query, "share_most"),
            tokens_least=_count(query, "tokens_least"),
            tokens_most=_count(query, "tokens_most"),
        )

    @property
    def knows_endings(self) -> bool:
        """Whether it asks for what only a sample that ended has."""
        asked = (self.share_least, self.share_most, self.tokens_least, self.tokens_most)
        return bool(self.text) or any(value is not None for value in asked)

    def query(self, **more: str | int | None) -> str:
        """A query string that asks for the same, and for more; empty if nothing is asked for."""
        own = {field.name: getattr(self, field.name) for field in fields(self)}
        pairs = {**own, **more}
        return urlencode({k: _plain(v) for k, v in pairs.items() if v is not None and v != ""})


def page_number(query: Mapping[str, str]) -> int:
    """Which page of a list is asked for, from 1.

    Raises:
        InputError: It is no such number.
    """
    page = _count(query, "page")
    if page == 0:
        raise InputError("page must be 1 or more", hint="page=1")
    return page or 1


def _plain(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _status(value: str) -> Status | Failure | None:
    if not value:
        return None
    for kind in (Status, Failure):
        if value in list(kind):
            return kind(value)
    names = ", ".join([*Status, *Failure])
    raise InputError(f"status {value!r} is not known", hint=f"one of {names}")


def _percent(query: Mapping[str, str], key: str) -> float | None:
    value = query.get(key, "").strip()
    if not value:
        return None
    try:
        share = float(value)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 100:
        raise InputError(f"{key} = {value!r}: not a percentage", hint=f"{key}=0 to {key}=100")
    return share


def _count(query: Mapping[str, str], key: str) -> int | None:
    value = query.get(key, "").strip()
    if not value:
        return None
    if not re.fullmatch(r"[0-9]{1,12}", value):
        raise InputError(f"{key} = {value!r}: not a whole number", hint=f"such as {key}=100")
    return int(value)
