"""Verifying the responses of a run or a data set: check all, verify many at once, count."""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import aclosing, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import BinaryIO

import orjson

from tessy.data.files import replacing
from tessy.data.messages import cut
from tessy.data.outputs import check_outputs, written_to
from tessy.data.sources import check_name, find_files
from tessy.display import Say
from tessy.errors import ConfigError, DataError, InputError, bad_rows, meant, refuse_below_one
from tessy.event_loop import run_anywhere
from tessy.method.trajectory import Failure
from tessy.runs.folder import RunFolder
from tessy.runs.reader import JournalReader
from tessy.runs.records import lacking_in, run_in
from tessy.runs.reviews import digest
from tessy.verifiers.limits import ProgramLimits, VerifierSettings
from tessy.verifiers.protocol import (
    MissingReference,
    NoVerifierNamed,
    Row,
    Verdict,
    VerdictOutcome,
    Verifier,
)
from tessy.verifiers.registry import load
from tessy.verifiers.responses import Response, read_responses

_AHEAD = 8
"""Responses under way for each that the verifier works on at once, so that it never waits."""
_HINT = "a response is a record of tessy, or a row with `messages` that ends with the assistant's"
_SAY_EVERY_S = 15
_BEGINS = rb'\{"id":.*"verifier":.*"outcome":'
"""How a file of verdicts begins."""


@dataclass(slots=True)
class VerdictCounts:
    """Verdicts, counted.

    Attributes:
        outcomes: How often each outcome came.
        scores: The sum of the scores, but for errors.
    """

    outcomes: Counter[VerdictOutcome] = field(default_factory=Counter)
    scores: float = 0.0

    def add(self, verdict: Verdict) -> None:
        """Count a verdict."""
        self.outcomes[verdict.outcome] += 1
        if verdict.outcome is not VerdictOutcome.ERROR:
            self.scores += verdict.score

    @property
    def count(self) -> int:
        """The number of verdicts."""
        return self.outcomes.total()

    @property
    def known(self) -> int:
        """Verdicts that are no errors: of these are share and mean, as everywhere in tessy."""
        return self.count - self.outcomes[VerdictOutcome.ERROR]

    @property
    def right_share(self) -> float | None:
        """The share of right ones, 0 to 1; None if nothing is known of any."""
        return self.outcomes[VerdictOutcome.RIGHT] / self.known if self.known else None

    @property
    def mean_score(self) -> float | None:
        """The mean of the scores, 0 to 1; None if nothing is known of any."""
        return self.scores / self.known if self.known else None


@dataclass(frozen=True, slots=True)
class VerifyResult:
    """The counts of all verdicts.

    Attributes:
        total: Of all responses.
        groups: Of the responses with each value of the column to group by.
        skipped: Rows that can't be verified, with the reason, by file and line.
        failed: Samples of a run that have no answer to verify, by the reason of their failure.
        lacking: What a run has not yet, in a phrase; None for a whole run, and a data set.
    """

    total: VerdictCounts = field(default_factory=VerdictCounts)
    groups: dict[str, VerdictCounts] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    failed: Counter[Failure] = field(default_factory=Counter)
    lacking: str | None = None


def verify(
    responses: str | Path,
    verifier: str = "auto",
    *,
    out: str | Path | None = None,
    group: str | None = None,
    limit: int | None = None,
    skip_bad: bool = False,
    concurrency: int | None = None,
    cpu_seconds: int | None = None,
    memory_mb: int | None = None,
    sandbox: bool = True,
    say: Say = lambda line: None,
) -> VerifyResult:
    """Verify the final answers of a run, or of any data set, as `tessy verify` does.

    All responses are checked for the columns that the verifier needs before any is verified.

    Args:
        responses: A run's folder, files or a Hugging Face data set (`tessy.data.rows.rows`), whose
            rows have `messages` that end with the assistant's.
        verifier: Its name, such as `number`, `math:solution` or `python:MODULE:FACTORY`; `auto`
            takes the one that each row names.
        out: Write each verdict to this file or URL, a line of JSON. It appears when all is done.
        group: Count for each value of this column, too.
        limit: Only the first responses.
        skip_bad: Skip and count rows that can't be verified instead of refusing to start.
        concurrency: Programs and checks that run at once; by default one for each core.
        cpu_seconds: Processor time of a program's test, 10 by default. Limits by the clock grow
            with it.
        memory_mb: Memory of a program in MiB, 1024 by default.
        sandbox: Run programs in isolation; without it, they can do what you can do.
        say: Called with a line of progress every 15 seconds.

    Returns:
        Counts of all responses, and by group.

    Raises:
        InputError: An argument or a response can't be used; nothing was verified.
        MissingExtra: The verifier needs an optional dependency.
        SandboxError: The verifier runs programs, and they can't be isolated here.
    """
    refuse_below_one(
        limit=limit, concurrency=concurrency, cpu_seconds=cpu_seconds, memory_mb=memory_mb
    )
    check_name(responses, "responses")
    next(read_responses(responses), None)  # before a sandbox starts
    with nullcontext() if out is None else written_to(out, begins=_BEGINS, say=say) as path:
        run = run_in(responses)
        read = [run.dataset] if run else find_files(responses, what="responses") or ()
        check_outputs({"--out": path}, inputs=read, begins={"--out": _BEGINS})
        if not sandbox:
            say("warning: programs run without isolation: they can do what you can do")
        usual = VerifierSettings()
        limits = ProgramLimits(
            cpu_s=cpu_seconds or usual.limits.cpu_s,
            wall_s=max(usual.limits.wall_s, 6 * (cpu_seconds or 0)),
            total_s=max(usual.limits.total_s, 60 * (cpu_seconds or 0)),
            memory_mb=memory_mb or usual.limits.memory_mb,
        )
        settings = VerifierSettings(not sandbox, concurrency or usual.at_once, limits)
        work = _verify(responses, verifier, settings, path, group, limit, skip_bad, say)
        failed = Counter[Failure]() if run is None else _failed(run)
        lacking = lacking_in(responses)
        return replace(run_anywhere(work), failed=failed, lacking=lacking)


def _failed(run: RunFolder) -> Counter[Failure]:
    with JournalReader(run) as reader:
        reasons = reader.reasons()
    return Counter({why: count for why, count in reasons.items() if why is not None})


async def _verify(
    source: str | Path,
    name: str,
    settings: VerifierSettings,
    out: Path | None,
    group: str | None,
    limit: int | None,
    skip_bad: bool,
    say: Say,
) -> VerifyResult:
    async with aclosing(load(name, settings)) as verifier:
        checked = read_responses(source, limit=limit)
        partly = run_in(source) is not None
        count, skipped = check_all(checked, verifier, skip_bad=skip_bad, partly=partly, group=group)
        result = VerifyResult(skipped=skipped)
        said = time.monotonic()
        responses = (
            each for each in read_responses(source, limit=limit) if each.where not in skipped
        )
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


def check_all(
    responses: Iterable[Response],
    verifier: Verifier,
    *,
    skip_bad: bool = False,
    partly: bool = False,
    group: str | None = None,
) -> tuple[int, dict[str, str]]:
    """Check that all responses can be verified.

    Args:
        responses: The responses.
        verifier: The verifier.
        skip_bad: Return those that can't be instead of raising an error.
        partly: Return those with nothing to verify by in any case, as a run leaves them unverified.
        group: A column that at least one of them must have.

    Returns:
        How many can be; and why others can't, by file and line.

    Raises:
        DataError: There is none, or some can't be; each is named, with the reason.
        ConfigError: None has the column to group by.
    """
    bad: dict[str, str] = {}
    lacking: dict[str, str] = {}
    columns: dict[str, None] = {}
    hint, count = None, 0
    for count, response in enumerate(responses, 1):  # noqa: B007
        try:
            if response.fault is not None:
                raise DataError(response.fault, hint=_HINT)
            columns.update(dict.fromkeys(response.row))
            verifier.check(response.row)
        except InputError as error:
            into = lacking if partly and isinstance(error, MissingReference) else bad
            into[response.where] = cut(str(error))
            names = isinstance(error, NoVerifierNamed)  # its hint begins with the names that fit
            hint = hint or (f"--with {error.hint}" if names else error.hint)
    if not count:
        raise DataError("there is no response to verify")
    if len(bad) + len(lacking) == count:
        bad |= lacking
    if len(bad) == count or (bad and not skip_bad):
        head = f"{len(bad)} of {count} can't be verified; nothing was started"
        skip = f"{hint}; or skip them: --skip-bad" if hint else "--skip-bad skips them"
        raise DataError(
            "\n".join([head, *bad_rows(bad.items())]), hint=skip if len(bad) < count else hint
        )
    if group is not None and group not in columns:
        hint = f"{meant(group, columns)}there are {', '.join(columns)}"
        raise ConfigError(f"no response has a column {group!r} to group by", hint=hint)
    skipped = bad | lacking
    return count - len(skipped), skipped


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
    """A file that appears whole, at the end; or none."""
    if path is None:
        yield None
        return
    try:
        with replacing(path) as file:
            yield file
    except OSError as error:
        raise ConfigError(f"--out {path}: {error.strerror}") from None


def _line(response: Response, verdict: Verdict, verifier: str) -> bytes:
    line = {
        "id": response.id,
        "verifier": verifier,
        "outcome": verdict.outcome.value,
        "score": verdict.score,
        "detail": verdict.detail,
        "text": digest(response.content),
    }
    return orjson.dumps(line) + b"\n"


def _group(row: Row, column: str) -> str:
    """The group of a response: its value in a column."""
    value = row.get(column)
    return "(none)" if value is None else str(value) or "(empty)"
