"""The job of `tessy verify`: which responses of a run, or of any data set, are right."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import aclosing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import orjson

from tessy.data.outputs import check_outputs
from tessy.errors import ConfigError
from tessy.loop import run_loop
from tessy.printable import Say
from tessy.verifiers.judge import Tally, check_all, judge
from tessy.verifiers.limits import Limits, Settings
from tessy.verifiers.protocol import Row, Verdict
from tessy.verifiers.registry import load
from tessy.verifiers.responses import Response, read_responses

_SAY_EVERY_S = 15
_UNSAFE = "warning: programs run without isolation: they can read and change whatever you can"


@dataclass(frozen=True, slots=True)
class VerifyResult:
    """How many responses are right.

    Attributes:
        whole: Counts of all responses.
        groups: Counts by the value of the group's column; empty without one.
    """

    whole: Tally = field(default_factory=Tally)
    groups: dict[str, Tally] = field(default_factory=dict)


def verify(
    responses: str | Path,
    verifier: str,
    *,
    out: str | Path | None = None,
    group: str | None = None,
    limit: int | None = None,
    concurrency: int | None = None,
    cpu_seconds: int | None = None,
    memory_mb: int | None = None,
    sandbox: bool = True,
    say: Say = lambda _: None,
) -> VerifyResult:
    """Verify the final answers of a run, or of any data set, and count what is right.

    All responses are checked for the columns that the verifier needs before any is verified.

    Args:
        responses: A run's folder, a `.jsonl` or `.parquet` file, or a Hugging Face data set, whose
            rows have `messages` that end with the assistant's.
        verifier: Its name, such as `number`, `math:solution` or `python:MODULE:FACTORY`.
        out: Write each verdict to this file, a line of JSON. The file is there when all is done.
        group: Count for each value of this column, too.
        limit: Only the first responses.
        concurrency: Programs and checks that run at once; by default one for each core.
        cpu_seconds: Processor time of a program's test, 10 by default. Limits by the clock grow
            with it.
        memory_mb: Memory of a program in MiB, 1024 by default.
        sandbox: Run programs in isolation; without it, they can do what you can do.
        say: Called with a line of progress now and then.

    Raises:
        InputError: An argument or a response can't be used; nothing was verified.
        MissingExtra: The verifier needs an optional dependency.
        SandboxError: The verifier runs programs, and they can't be isolated here.
    """
    path = Path(out) if out is not None else None
    check_outputs({"--out": path}, inputs=[responses, Path(responses) / "dataset.jsonl"])
    if not sandbox:
        say(_UNSAFE)
    usual = Settings()
    limits = Limits(
        cpu_s=cpu_seconds or usual.limits.cpu_s,
        wall_s=max(usual.limits.wall_s, 6 * (cpu_seconds or 0)),
        total_s=max(usual.limits.total_s, 60 * (cpu_seconds or 0)),
        memory_mb=memory_mb or usual.limits.memory_mb,
    )
    settings = Settings(not sandbox, concurrency or usual.at_once, limits)
    return run_loop(_verify(str(responses), verifier, settings, path, group, limit, say))


async def _verify(
    source: str,
    spec: str,
    settings: Settings,
    out: Path | None,
    group: str | None,
    limit: int | None,
    say: Say,
) -> VerifyResult:
    for _ in read_responses(source, limit=limit):  # all can be read, before anything is started
        pass
    result = VerifyResult()
    async with aclosing(load(spec, settings)) as verifier:
        count = check_all(read_responses(source, limit=limit), verifier)
        said = time.monotonic()
        responses = read_responses(source, limit=limit)
        with _writing(out) as file:
            async for response, verdict in judge(responses, verifier, at_once=settings.at_once):
                result.whole.add(verdict)
                if group is not None:
                    result.groups.setdefault(_value(response.row, group), Tally()).add(verdict)
                if file is not None:
                    file.write(_line(response, verdict, spec))
                if time.monotonic() - said >= _SAY_EVERY_S:
                    said = time.monotonic()
                    say(f"{result.whole.count} of {count} verified")
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
