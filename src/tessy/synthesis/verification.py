"""The verifier of a run; its columns are checked before any work."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace

from tessy.config import Config
from tessy.data.questions import BadLine, Questions, bad_line
from tessy.errors import DataError, InputError
from tessy.synthesis.shares import wanted_workers
from tessy.verifiers.protocol import Verifier

_SHOWN = 5


@asynccontextmanager
async def open_verifier(config: Config) -> AsyncIterator[Verifier | None]:
    """Open the verifier of a run; None if the settings name none.

    Raises:
        TessyError: The verifier can't be used; the subclass says why.
    """
    if config.verify is None:
        yield None
        return
    from tessy.verifiers.limits import VerifierSettings  # most runs have no verifier
    from tessy.verifiers.registry import load

    cores = max(1, (os.cpu_count() or 1) // wanted_workers(config))  # each worker opens its own
    settings = VerifierSettings(unsafe_no_sandbox=not config.sandbox, at_once=cores)
    async with aclosing(load(config.verify, settings)) as verifier:
        yield verifier


def check_columns(verifier: Verifier, read: Questions, *, skip_bad: bool = False) -> Questions:
    """Make sure, before any work, that every question has the columns that the verifier needs.

    Args:
        verifier: The verifier.
        read: The questions.
        skip_bad: Turn questions that can't be verified into bad lines.

    Raises:
        DataError: Some questions lack them; the message names the first ones.
    """
    bad: dict[int, BadLine] = {}
    for question in read.good:
        try:
            verifier.check(question.row)
        except InputError as error:
            reason = f"id {question.id!r}: {error}"
            bad[question.number] = bad_line(question.number, question.where, reason)
    if not bad:
        return read
    if not skip_bad:
        shown = [f"  {line.where}: {line.reason}" for line in list(bad.values())[:_SHOWN]]
        shown += ["  …"] if len(bad) > _SHOWN else []
        raise DataError(
            f"{len(bad)} of {len(read.good)} questions can't be verified by {verifier.name}:\n"
            + "\n".join(shown),
            hint="docs/verifiers.md says which columns each verifier needs; --skip-bad records "
            "such questions as failures",
        )
    good = tuple(question for question in read.good if question.number not in bad)
    lines = sorted((*read.bad, *bad.values()), key=lambda line: line.number)
    return replace(read, good=good, bad=tuple(lines))
