"""What readers decided about a run's samples: `reviews.jsonl` and `boundaries.jsonl` in its folder.

A line is added for each decision; the last one of a sample counts. Journals are never touched. Each
line names the text that was read by a digest, so that a decision about one response is never taken
for one about another that was written under the same id.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeVar

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tessy.data.files import is_there, open_file, read_bytes
from tessy.errors import JournalError, ViewError
from tessy.settings.explain import explain

REVIEWS = "reviews.jsonl"
BOUNDARIES = "boundaries.jsonl"
MOST_COMMENT = 10_000
"""Characters of a comment."""
_MOST_BYTES = 64 << 20


class Decision(StrEnum):
    """Whether a sample is good enough to train on."""

    ACCEPTED = "accepted"
    REJECTED = "rejected"


class Review(BaseModel):
    """A reader's decision about a sample.

    Attributes:
        id: The sample's.
        text: The digest of the response that was read; see `digest`.
        decision: None if there is only a comment, or a decision was taken back.
        comment: What the reader says.
        time: When, in ISO 8601, UTC.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    id: str
    text: str
    decision: Decision | None = None
    comment: str = Field(default="", max_length=MOST_COMMENT)
    time: str = ""


class Correction(BaseModel):
    """The boundaries of a sample's thinking as a reader marked them.

    Attributes:
        id: The sample's.
        text: The digest of the response that was read; see `digest`.
        style: The style, half-open character offsets into the thinking, in order.
        whole: All of the thinking was read; else only the words around changes were.
        time: When, in ISO 8601, UTC.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    id: str
    text: str
    style: tuple[tuple[int, int], ...]
    whole: bool = False
    time: str = ""


Line = TypeVar("Line", Review, Correction)


def digest(content: str) -> str:
    """What names a response."""
    return hashlib.sha256(content.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def read_reviews(run: Path) -> dict[str, Review]:
    """The reviews of a run, by sample id.

    Raises:
        JournalError: The file is broken; the message names the line.
    """
    return {line.id: line for line in _lines(run / REVIEWS, Review)}


def rejects(review: Review | None, content: str) -> bool:
    """Whether a reader rejected a response: this one, not an earlier one of the sample."""
    return (
        review is not None
        and review.decision is Decision.REJECTED
        and review.text == digest(content)
    )


def read_corrections(run: Path) -> dict[str, Correction]:
    """The corrected boundaries of a run, by sample id.

    Raises:
        JournalError: The file is broken; the message names the line.
    """
    return {line.id: line for line in _lines(run / BOUNDARIES, Correction)}


def add(run: Path, line: Review | Correction) -> None:
    """Add a decision to its file; it is on the disk when this returns.

    Raises:
        ViewError: It can't be written.
    """
    path = run / (REVIEWS if isinstance(line, Review) else BOUNDARIES)
    row: dict[str, Any] = line.model_dump(mode="json", exclude_defaults=True)
    try:
        file = open_file(path, os.O_RDWR | os.O_CREAT)
        try:
            fcntl.flock(file, fcntl.LOCK_EX)  # two viewers may be open
            there = os.pread(file, _MOST_BYTES, 0)
            end = there.rfind(b"\n") + 1  # a line that a full disk cut off is not a line
            content = orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE)
            written = os.pwrite(file, content, end)
            os.ftruncate(file, end + written if written == len(content) else end)
            os.fsync(file)
            if written != len(content):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        finally:
            os.close(file)
    except OSError as error:
        raise ViewError(
            f"{path}: {error.strerror}", hint="tessy view --read-only shows a run without reviews"
        ) from None


@dataclass(slots=True)
class ReviewCache:
    """The reviews of a run, read again when their file has changed.

    Attributes:
        run: The run's folder.
    """

    run: Path
    _known: tuple[int, int] | None = None
    _reviews: dict[str, Review] | None = None

    def __call__(self) -> dict[str, Review]:
        """The reviews; see `read_reviews`."""
        try:
            found = (self.run / REVIEWS).stat()
            known = (found.st_mtime_ns, found.st_size)
        except OSError:
            return {}
        if self._reviews is None or known != self._known:
            self._reviews, self._known = read_reviews(self.run), known
        return self._reviews


def _lines(path: Path, kind: type[Line]) -> Iterator[Line]:
    try:
        content = read_bytes(path, _MOST_BYTES) if is_there(path) else b""
    except OSError as error:
        raise JournalError(f"{path}: {error.strerror}") from None
    for number, line in enumerate(content.split(b"\n")[:-1], 1):
        try:
            yield kind.model_validate(orjson.loads(line))
        except ValueError as error:  # of pydantic and orjson
            said = explain(error) if isinstance(error, ValidationError) else f"no JSON: {error}"
            raise JournalError(
                f"{path}, line {number}: it is not what `tessy view` writes: {said}",
                hint="correct the line, or delete it",
            ) from None
