"""The verifier of a run; columns of questions are checked before any work."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from tessy.config import VOTE, Config, OnWrong
from tessy.data.questions import Question, Questions, read, refuse_bad
from tessy.display import Say
from tessy.errors import DataError, InputError
from tessy.synthesis.methods import method_of
from tessy.synthesis.routing import check_question
from tessy.synthesis.shares import wanted_workers
from tessy.verifiers.protocol import MissingReference, Verifier

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
    say: Say = lambda _: None,
) -> Questions:
    """Read questions; make sure, before any work, that they have the columns that they need.

    Where a run may leave answers unverified, some questions may lack what they are verified by.

    Args:
        verifier: The verifier; None for none.
        source: The questions, as for `tessy.data.questions.read`.
        limit: Use only the first `limit` lines.
        skip_bad: Questions that can't be verified, or name no teacher, become bad lines, too.
        column: The column of the question; None for the one that is there.
        config: The run's settings, by which questions may have to name a teacher, and may be left
            unverified; without them all must be verifiable.
        say: Called with a line about questions that are left unverified.

    Raises:
        DataError: Lines are bad, or some questions lack those columns; the message names the first
            ones.
        MissingExtra: `datasets` is needed.
    """
    routed = config is not None and config.route not in (None, VOTE)
    if verifier is None and not routed:
        return read(source, limit=limit, skip_bad=skip_bad, column=column)
    partly = config is not None and _may_be_unverified(config)
    checks = _Checks(verifier, config, partly=partly)
    found = read(source, limit=limit, skip_bad=True, column=column, check=checks.check)
    if checks.unverified and checks.unverified == found.count:
        raise DataError(
            f"no question can be verified: {checks.first}",
            hint="docs/verifiers.md says which columns each verifier needs",
        )
    if found.bad and not skip_bad:
        raise _refused(found, verifier, routed=routed)
    if checks.unverified:
        say(
            f"{checks.unverified:,} of {found.count + len(found.bad):,} questions are written and "
            f"not verified, such as {checks.first}"
        )
    return found


def _refused(found: Questions, verifier: Verifier | None, *, routed: bool) -> DataError:
    """Why questions are refused; the message names the first bad ones."""
    bad = [line for line in found.bad if line.checked]
    if len(bad) < len(found.bad):
        refuse_bad(found)
    shown = [f"  {line.where}: {line.reason}" for line in bad[:_SHOWN]]
    shown += ["  …"] if len(bad) > _SHOWN else []
    why = [f"can't be verified by {verifier.name}"] if verifier else []
    why += ["name no teacher"] if routed else []
    return DataError(
        f"{len(bad)} of {found.count + len(bad)} questions {', or '.join(why)}:\n"
        + "\n".join(shown),
        hint=("docs/verifiers.md says which columns each verifier needs; " if verifier else "")
        + "--skip-bad records such questions as failures",
    )


def _may_be_unverified(config: Config) -> bool:
    """Whether samples of a run may have no verdict: those of questions without a reference.

    In an evaluation they may not, nor where the method chooses by the verdict.
    """
    chooses = bool(method_of(config).unless_verified)
    return config.on_wrong is not OnWrong.KEEP_JUDGED and not chooses


@dataclass(slots=True)
class _Checks:
    """Checks questions while they are read.

    Attributes:
        unverified: Questions that can't be verified, and may be left so.
        first: What the first of them lacks.
    """

    verifier: Verifier | None
    config: Config | None
    partly: bool
    unverified: int = 0
    first: str = ""

    def check(self, question: Question) -> None:
        """Check a question.

        Raises:
            InputError: It lacks what it needs.
        """
        try:
            if self.config is not None:
                check_question(self.config, question)
            if self.verifier is not None:
                self._check_reference(question)
        except InputError as error:
            raise InputError(f"id {question.id!r}: {error}") from None

    def _check_reference(self, question: Question) -> None:
        assert self.verifier is not None
        try:
            self.verifier.check(question.row)
        except MissingReference as error:
            if not self.partly:
                raise
            self.unverified += 1
            self.first = self.first or f"id {question.id!r}: {error}"
