"""The verifier of a run; columns of questions are checked before any work."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

from tessy.config import VOTE, Config
from tessy.data.questions import Question, Questions, read, refuse_bad
from tessy.errors import DataError, InputError
from tessy.synthesis.routing import check_question
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


def read_verifiable(
    verifier: Verifier | None,
    source: str | Path,
    *,
    limit: int | None = None,
    skip_bad: bool = False,
    column: str | None = None,
    config: Config | None = None,
) -> Questions:
    """Read questions; make sure, before any work, that they have the columns that they need.

    Args:
        verifier: The verifier; None for none.
        source: The questions, as for `tessy.data.questions.read`.
        limit: Use only the first `limit` lines.
        skip_bad: Questions that can't be verified, or name no teacher, become bad lines, too.
        column: The column of the question; None for the one that is there.
        config: The run's settings, by which questions may have to name a teacher.

    Raises:
        DataError: Lines are bad, or some questions lack those columns; the message names the first
            ones.
        MissingExtra: `datasets` is needed.
    """
    routed = config is not None and config.route not in (None, VOTE)
    if verifier is None and not routed:
        return read(source, limit=limit, skip_bad=skip_bad, column=column)

    def check(question: Question) -> None:
        try:
            if config is not None:
                check_question(config, question)
            if verifier is not None:
                verifier.check(question.row)
        except InputError as error:
            raise InputError(f"id {question.id!r}: {error}") from None

    found = read(source, limit=limit, skip_bad=True, column=column, check=check)
    if skip_bad:
        return found
    bad = [line for line in found.bad if line.checked]
    if not bad or len(bad) < len(found.bad):
        return refuse_bad(found)
    shown = [f"  {line.where}: {line.reason}" for line in bad[:_SHOWN]]
    shown += ["  …"] if len(bad) > _SHOWN else []
    why = [f"can't be verified by {verifier.name}"] if verifier else []
    why += ["name no teacher"] if routed else []
    raise DataError(
        f"{len(bad)} of {found.count + len(bad)} questions {', or '.join(why)}:\n"
        + "\n".join(shown),
        hint=("docs/verifiers.md says which columns each verifier needs; " if verifier else "")
        + "--skip-bad records such questions as failures",
    )
