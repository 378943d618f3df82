"""Which samples a list shows: from a query string and back. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import TypeVar
from urllib.parse import urlencode

from tessy.errors import InputError
from tessy.method.trajectory import Failure

Value = TypeVar("Value", bound=StrEnum)


class Status(StrEnum):
    """The state of a sample; lists can be filtered by a failure's reason (`Failure`), too."""

    FINISHED = "finished"
    """It is in the data set."""
    FAILED = "failed"
    """It failed, for any reason."""
    RUNNING = "running"
    """It is under way, or a run that stopped left it so."""


class VerdictFilter(StrEnum):
    """What a verifier decided about a finished sample; see `tessy.verifiers.protocol`."""

    RIGHT = "right"
    WRONG = "wrong"
    NO_ANSWER = "no_answer"
    ERROR = "error"
    UNVERIFIED = "unverified"
    """It finished, and no verifier has seen it."""


class ReviewFilter(StrEnum):
    """What a reader decided; see `tessy.runs.reviews`."""

    ACCEPTED = "accepted"
    REJECTED = "rejected"
    COMMENTED = "commented"
    OPEN = "open"
    """Neither accepted nor rejected."""


class Sort(StrEnum):
    """What a list can be sorted by; without one, it is in the order of the questions."""

    ID = "id"
    VERDICT = "verdict"
    STATUS = "status"
    SHARE = "share"
    TOKENS = "tokens"
    DISCARDED = "discarded"
    HAND_OVERS = "hand_overs"
    TOKENS_A_CALL = "tokens_a_call"
    SECONDS_A_CALL = "seconds_a_call"

    @property
    def heading(self) -> str:
        """What it is called over its column."""
        named = {Sort.SHARE: "Teacher share", Sort.HAND_OVERS: "Hand-overs"}
        named[Sort.SECONDS_A_CALL] = "Time a call"
        return named.get(self) or self.capitalize().replace("_", " ")


@dataclass(frozen=True, slots=True)
class Filter:
    """Which samples to show, and in which order; None or an empty text excludes nothing.

    Attributes:
        id: A part of the id.
        text: Words, all of them in question or response, each given by its beginning.
        status: The sample's state, or why it failed.
        share_least: Least teacher share, in percent.
        share_most: Greatest teacher share, in percent.
        tokens_least: Least tokens kept.
        tokens_most: Most tokens kept.
        verdict: What its verifier decided.
        review: What a reader decided.
        sort: What the list is sorted by; None for the order of the questions.
        descending: The greatest first.
        rendered: Samples are shown as Markdown, not as raw text.
    """

    id: str = ""
    text: str = ""
    status: Status | Failure | None = None
    share_least: float | None = None
    share_most: float | None = None
    tokens_least: int | None = None
    tokens_most: int | None = None
    verdict: VerdictFilter | None = None
    review: ReviewFilter | None = None
    sort: Sort | None = None
    descending: bool = False
    rendered: bool = False

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
            verdict=_one_of(VerdictFilter, query, "verdict"),
            review=_one_of(ReviewFilter, query, "review"),
            sort=_one_of(Sort, query, "sort"),
            descending=query.get("descending", "") == "yes",
            rendered=query.get("rendered", "") == "yes",
        )

    @property
    def narrows(self) -> bool:
        """Whether it excludes any sample."""
        return replace(self, sort=None, descending=False, rendered=False) != Filter()

    def sorted_by(self, sort: Sort) -> Filter:
        """The same samples, sorted; by what they are sorted by already, the other way round."""
        return replace(self, sort=sort, descending=self.sort is sort and not self.descending)

    @property
    def needs_end(self) -> bool:
        """Whether it asks for what only a sample that ended has."""
        asked = (self.share_least, self.share_most, self.tokens_least, self.tokens_most)
        asked_of_end = (*asked, self.verdict, self.review)
        return bool(self.text) or any(value is not None for value in asked_of_end)

    def query(self, **more: str | int | None) -> str:
        """A query string for this filter and more; empty if it would ask for nothing."""
        pairs = {**asdict(self), **more}
        return urlencode(
            {k: _typed(v) for k, v in pairs.items() if v is not None and v is not False and v != ""}
        )


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
    if isinstance(value, bool):
        return "yes" if value else ""
    return f"{value:g}" if isinstance(value, float) else str(value)


def _status(value: str) -> Status | Failure | None:
    if not value:
        return None
    for kind in (Status, Failure):
        if value in list(kind):
            return kind(value)
    names = ", ".join([*Status, *Failure])
    raise InputError(f"status {value!r} is not known", hint=f"one of {names}")


def _one_of(kind: type[Value], query: Mapping[str, str], key: str) -> Value | None:
    value = query.get(key, "")
    if not value:
        return None
    if value not in list(kind):
        raise InputError(f"{key} {value!r} is not known", hint=f"one of {', '.join(kind)}")
    return kind(value)


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
