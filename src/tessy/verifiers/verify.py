"""Verifying the responses of a run or a data set: check all, verify many at once, count."""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import aclosing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import orjson

from tessy.display import Say
from tessy.errors import ConfigError, DataError, InputError
from tessy.event_loop import run_loop
from tessy.verifiers.limits import VerifierSettings
from tessy.verifiers.protocol import Row, Verdict, VerdictOutcome, Verifier
from tessy.verifiers.registry import load
from tessy.verifiers.responses import Response, read_responses

_AHEAD = 8
"""Responses under way for each that the verifier works on at once, so that it never waits."""
_SHOWN = 20
_SAY_EVERY_S = 15


@dataclass(slots=True)
class VerdictCounts:
    """Verdicts, counted.

    Attributes:
        outcomes: How often each outcome came.
        scores: The sum of the scores.
    """

    outcomes: Counter[VerdictOutcome] = field(default_factory=Counter)
    scores: float = 0.0

    def add(self, verdict: Verdict) -> None:
        """Count a verdict."""
        self.outcomes[verdict.outcome] += 1
        self.scores += verdict.score

    @property
    def count(self) -> int:
        """The number of verdicts."""
        return self.outcomes.total()

    @property
    def right_share(self) -> float:
        """The share of right ones among all, errors included; 0 to 1."""
        return self.outcomes[VerdictOutcome.RIGHT] / max(1, self.count)

    @property
    def mean_score(self) -> float:
        """The mean of the scores, 0 to 1."""
        return self.scores / max(1, self.count)


@dataclass(frozen=True, slots=True)
class VerifyResult:
    """The counts of all verdicts.

    Attributes:
        total: Of all responses.
        groups: Of the responses with each value of the column to group by.
    """

    total: VerdictCounts = field(default_factory=VerdictCounts)
    groups: dict[str, VerdictCounts] = field(default_factory=dict)


def verify(
    source: str | Path,
    verifier: str,
    settings: VerifierSettings | None = None,
    *,
    out: str | Path | None = None,
    group: str | None = None,
    limit: int | None = None,
    say: Say = lambda line: None,
) -> VerifyResult:
    """Verify the final answers of a run or a data set.

    All responses are checked for the columns that the verifier needs before any is verified.

    Args:
        source: A run's folder, a `.jsonl` or `.parquet` file, or a data set on Hugging Face.
        verifier: Its name, such as `number:gold`; see `tessy.verifiers.registry`.
        settings: How it runs programs and checks.
        out: Write each verdict to this file, a line of JSON. It appears when all are written.
        group: Count for each value of this column, too.
        limit: Only the first responses.
        say: Called with a line of progress every 15 seconds.

    Raises:
        ConfigError: There is no such verifier.
        DataError: There is no such source, or a response can't be verified.
        ConfigError: An option of the verifier, or `out`, can't be used.
        MissingExtra: The verifier needs an optional dependency.
        SandboxError: The verifier runs programs, and they can't be isolated here.
    """
    settings = settings or VerifierSettings()
    next(read_responses(source), None)  # before a sandbox starts
    return run_loop(
        _verify(source, verifier, settings, Path(out) if out else None, group, limit, say)
    )


async def _verify(
    source: str | Path,
    name: str,
    settings: VerifierSettings,
    out: Path | None,
    group: str | None,
    limit: int | None,
    say: Say,
) -> VerifyResult:
    result = VerifyResult()
    async with aclosing(load(name, settings)) as verifier:
        count = check_all(read_responses(source, limit=limit), verifier)
        said = time.monotonic()
        responses = read_responses(source, limit=limit)
        with _writing(out) as file:
            async for response, verdict in verify_all(
                responses, verifier, at_once=settings.at_once
            ):
                result.total.add(verdict)
                if group is not None:
                    value = _group(response.row, group)
                    result.groups.setdefault(value, VerdictCounts()).add(verdict)
                if file is not None:
                    file.write(_line(response, verdict, name))
                if time.monotonic() - said >= _SAY_EVERY_S:
                    said = time.monotonic()
                    say(f"{result.total.count} of {count} verified")
    return result


def check_all(responses: Iterable[Response], verifier: Verifier) -> int:
    """Check that all responses can be verified.

    Returns:
        How many there are.

    Raises:
        DataError: There is none, or some can't be; each is named, with the reason.
    """
    bad: list[str] = []
    hint, count = None, 0
    for count, response in enumerate(responses, 1):  # noqa: B007
        try:
            verifier.check(response.row)
        except InputError as error:
            bad.append(f"  {response.where}: {error}")
            hint = hint or error.hint
    if not count:
        raise DataError("there is no response to verify")
    if bad:
        more = [f"  … and {len(bad) - _SHOWN} more"] if len(bad) > _SHOWN else []
        head = f"{len(bad)} of {count} can't be verified; nothing was started"
        raise DataError("\n".join([head, *bad[:_SHOWN], *more]), hint=hint)
    return count


async def verify_all(
    responses: Iterable[Response], verifier: Verifier, *, at_once: int
) -> AsyncIterator[tuple[Response, Verdict]]:
    """Verify responses, many at once.

    Args:
        responses: What to verify; read as needed.
        verifier: The verifier.
        at_once: How many it works on at once.

    Yields:
        Each response with its verdict, in order.
    """
    waiting: deque[tuple[Response, asyncio.Task[Verdict]]] = deque()
    try:
        for response in responses:
            task = asyncio.ensure_future(_verdict(verifier, response))
            waiting.append((response, task))
            if len(waiting) >= at_once * _AHEAD:
                first, task = waiting.popleft()
                yield first, await task
        while waiting:
            first, task = waiting.popleft()
            yield first, await task
    finally:
        for _, task in waiting:
            task.cancel()
        await asyncio.gather(*(task for _, task in waiting), return_exceptions=True)


async def _verdict(verifier: Verifier, response: Response) -> Verdict:
    """A verdict; if a user's own verifier raises, that is an error of this answer."""
    try:
        return await verifier.verify(response.row, response.answer)
    except Exception as error:
        return Verdict(VerdictOutcome.ERROR, detail=f"{verifier.name} raised {error!r}")


@contextmanager
def _writing(path: Path | None) -> Iterator[BinaryIO | None]:
    """A file that appears whole, at the end; or none.

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


def _line(response: Response, verdict: Verdict, verifier: str) -> bytes:
    line = {
        "id": response.id,
        "verifier": verifier,
        "outcome": verdict.outcome.value,
        "score": verdict.score,
        "detail": verdict.detail,
    }
    return orjson.dumps(line) + b"\n"


def _group(row: Row, column: str) -> str:
    """The group of a response: its value in a column."""
    value = row.get(column)
    return "(none)" if value is None else str(value) or "(empty)"
