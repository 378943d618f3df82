"""The job of `tessy verify`: which responses of a run, or of any data set, are right."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import aclosing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import orjson

from tessy.errors import ConfigError
from tessy.printable import Say
from tessy.verifiers.judge import Tally, check_all, judge
from tessy.verifiers.limits import Settings
from tessy.verifiers.protocol import Row, Verdict
from tessy.verifiers.registry import load
from tessy.verifiers.responses import Response, read_responses

_SAY_EVERY_S = 15


@dataclass(frozen=True, slots=True)
class VerifyResult:
    """How many responses are right.

    Attributes:
        total: Counts of all responses.
        groups: Counts by the value of the group's column; empty without one.
    """

    total: Tally = field(default_factory=Tally)
    groups: dict[str, Tally] = field(default_factory=dict)


async def verify_responses(
    source: str,
    name: str,
    settings: Settings,
    *,
    out: Path | None = None,
    group: str | None = None,
    limit: int | None = None,
    say: Say = lambda line: None,
) -> VerifyResult:
    """Verify the final answers of a run or a data set, and count what is right.

    Args:
        source: A run's folder, a file or a data set, whose rows have `messages`.
        name: The verifier's.
        settings: How it runs programs and checks.
        out: Write each verdict to this file, a line of JSON. It appears when all are written.
        group: Count for each value of this column, too.
        limit: Only the first responses.
        say: Called with a line of progress every 15 seconds.

    Raises:
        InputError: The verifier's name, `out` or a response can't be used; nothing was verified.
        MissingExtra: The verifier needs an optional dependency.
        SandboxError: The verifier runs programs, and they can't be isolated here.
    """
    for _ in read_responses(source, limit=limit):  # all can be read, before anything is started
        pass
    result = VerifyResult()
    async with aclosing(load(name, settings)) as verifier:
        count = check_all(read_responses(source, limit=limit), verifier)
        said = time.monotonic()
        responses = read_responses(source, limit=limit)
        with _writing(out) as file:
            async for response, verdict in judge(responses, verifier, at_once=settings.at_once):
                result.total.add(verdict)
                if group is not None:
                    value = _value(response.row, group)
                    result.groups.setdefault(value, Tally()).add(verdict)
                if file is not None:
                    file.write(_line(response, verdict, name))
                if time.monotonic() - said >= _SAY_EVERY_S:
                    said = time.monotonic()
                    say(f"{result.total.count} of {count} verified")
    return result


@contextmanager
def _writing(path: Path | None) -> Iterator[BinaryIO | None]:
    """A file that is there, whole, at the end; or none.

    Raises:
        ConfigError: It can't be written.
    """
    if path is None:
        yield None
        return
    part = path.with_name(path.name + ".part")
    try:
        with part.open("wb") as file:
            yield file
        part.replace(path)
    except OSError as error:
        raise ConfigError(f"--out {path}: {error.strerror}") from None


def _line(response: Response, verdict: Verdict, spec: str) -> bytes:
    line = {
        "id": response.id,
        "verifier": spec,
        "outcome": verdict.outcome.value,
        "score": verdict.score,
        "detail": verdict.detail,
    }
    return orjson.dumps(line) + b"\n"


def _value(row: Row, column: str) -> str:
    """The group that a response belongs to."""
    value = row.get(column)
    return "(none)" if value is None else str(value) or "(empty)"
