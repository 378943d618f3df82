"""Which samples a list shows: from a query string and back. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from urllib.parse import urlencode

from tessy.errors import InputError
from tessy.method.trajectory import Failure


class Status(StrEnum):
    """The state of a sample; lists can be filtered by a failure's reason (`Failure`), too."""

    FINISHED = "finished"
    """It is in the data set."""
    FAILED = "failed"
    """It failed, for any reason."""
    RUNNING = "running"
    """It is under way, or a run that stopped left it so."""


@dataclass(frozen=True, slots=True)
class Filter:
    """Which samples to show; None or an empty text excludes nothing.

    Attributes:
        id: A part of the id.
        text: Words, all of them in question or response, each given by its beginning.
        status: The sample's state, or why it failed.
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
        """Read a query string; other keys are left alone.

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
    def needs_end(self) -> bool:
        """Whether it asks for what only a sample that ended has."""
        asked = (self.share_least, self.share_most, self.tokens_least, self.tokens_most)
        return bool(self.text) or any(value is not None for value in asked)

    def query(self, **more: str | int | None) -> str:
        """A query string for this filter and more; empty if it would exclude nothing."""
        pairs = {**asdict(self), **more}
        return urlencode({k: _typed(v) for k, v in pairs.items() if v is not None and v != ""})


def page_number(query: Mapping[str, str]) -> int:
    """Which page of a list is asked for, from 1.

    Raises:
        InputError: It is no such number.
    """
    page = _count(query, "page")
    if page == 0:
        raise InputError("page must be 1 or more", hint="page=1")
    return page or 1


def _typed(value: object) -> str:
    """A value as a user would type it."""
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
