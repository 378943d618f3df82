"""The verifier of a run; columns of questions are checked before any work."""

from __future__ import annotations

import os
from array import array
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tessy.config import VOTE, Config, OnWrong
from tessy.data.questions import Question, Questions, read, refuse_bad
from tessy.display import Say, count_of
from tessy.errors import ConfigError, DataError, InputError, bad_rows
from tessy.runs.identity import evaluated_model
from tessy.synthesis.methods import method_of
from tessy.synthesis.routing import check_question
from tessy.synthesis.shares import wanted_workers
from tessy.verifiers.protocol import MissingReference, NoVerifierNamed, Verifier

_COLUMNS = "docs/verifiers.md says which columns each verifier needs"
_KEPT = 1000
"""Of so many questions it is kept what they lack."""
_TEACHERS = "docs/teachers.md says how a question names its teacher"


@asynccontextmanager
async def open_verifier(config: Config) -> AsyncIterator[Verifier | None]:
    """Open the verifier of a run; None if the settings name none.

    Raises:
        TessyError: The verifier can't be used; the subclass says why.
    """
    if config.verify is None:
        if config.on_wrong is not OnWrong.FAIL:
            raise ConfigError(
                f"on_wrong = {config.on_wrong.value!r} is about answers that a verifier rejects, "
                "and none is named",
                hint="--verify NAME, or leave --on-wrong out",
            )
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
            unverified; without them, as in `tessy sft --eval`, all must be verifiable.
        say: Called with lines about questions that are left unverified, and repeated ones.

    Raises:
        DataError: Lines are bad, or some questions lack those columns; the message names the first
            ones.
        MissingExtra: `datasets` is needed.
    """
    routed = config is not None and config.route not in (None, VOTE)
    lines: dict[str, Any] = {"limit": limit, "column": column}
    if verifier is None and not routed:
        found = read(source, skip_bad=skip_bad, **lines)
    else:
        found = _checked(source, verifier, config, say, skip_bad=skip_bad, **lines)
    if found.repeated:
        say(
            f"{count_of(found.repeated, 'question')} with the text of an earlier one: each is "
            "written by itself (tessy select --near-duplicates 1 leaves them out)"
        )
    return found


def _checked(
    source: str | Path,
    verifier: Verifier | None,
    config: Config | None,
    say: Say,
    *,
    skip_bad: bool,
    **lines: Any,
) -> Questions:
    """Read questions that have to be verifiable, or to name a teacher; as `read_verifiable`."""
    partly = config is not None and _may_be_unverified(config)
    checks = _Checks(verifier, config, partly=partly)
    found = read(source, skip_bad=True, check=checks.check, **lines)
    if not skip_bad and not all(line.checked for line in found.bad):
        hint = "; ".join(checks.hints if checks.refused else ())
        refuse_bad(found, hint=hint, may_skip=config is not None)
    unverified, such_as = checks.unverified_in(found)
    if unverified and unverified == found.count:
        raise DataError(
            f"no question can be verified: {such_as}",
            hint=f"{checks.hint}; {_COLUMNS}",
        )
    if found.bad and not skip_bad:
        raise _refused(found, checks)
    if unverified:
        say(
            f"{unverified:,} of {found.count:,} questions are written and not verified, "
            f"such as {such_as}"
        )
    return replace(found, unverifiable=unverified)


def _refused(found: Questions, checks: _Checks) -> DataError:
    """Why questions are refused; the message names the first bad ones."""
    bad = len(found.bad)
    head = f"{bad} of {found.count + bad} questions {', or '.join(checks.lacks)}:"
    hints = checks.hints
    if found.count and checks.config is not None:
        hints += ["--skip-bad records such questions as failures"]
    return DataError("\n".join([head, *bad_rows(checks.refused.items())]), hint="; ".join(hints))


def _may_be_unverified(config: Config) -> bool:
    """Whether samples of a run may have no verdict: those of questions without a reference.

    In an evaluation they may not, nor where the method chooses by the verdict.
    """
    chooses = bool(method_of(config).unless_verified)
    return evaluated_model(config.identity()) is None and not chooses


@dataclass(slots=True)
class _Checks:
    """Checks questions while they are read.

    Attributes:
        unverified: Rows of questions that can't be verified, and may be left so.
        such_as: What some of these lack, by row.
        refused: What others lack, by file and line.
        lacks: In few words what these lack, each with the page about it.
        hint: What to do about the first of these; empty if that is not known.
    """

    verifier: Verifier | None
    config: Config | None
    partly: bool
    unverified: array[int] = field(default_factory=lambda: array("q"))
    such_as: dict[int, str] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    lacks: dict[str, str] = field(default_factory=dict)
    hint: str = ""

    @property
    def hints(self) -> list[str]:
        """What to do about what they lack."""
        return [self.hint] * bool(self.hint) + list(self.lacks.values())

    def check(self, question: Question) -> None:
        """Check a question.

        Raises:
            InputError: It lacks what it needs.
        """
        lack = {"name no teacher": _TEACHERS}
        try:
            if self.config is not None:
                check_question(self.config, question)
            if self.verifier is not None:
                lack = {f"can't be verified by {self.verifier.name}": _COLUMNS}
                self._check_reference(question)
        except InputError as error:
            self.lacks |= lack
            if not self.refused:
                self.hint = ""  # of one that may be left unverified
            self.refused[question.where] = str(error)
            self.note(error)
            raise InputError(f"id {question.id!r}: {error}") from None

    def _check_reference(self, question: Question) -> None:
        assert self.verifier is not None
        try:
            self.verifier.check(question.row)
        except MissingReference as error:
            if not self.partly:
                raise
            self.unverified.append(question.number)
            if len(self.such_as) < _KEPT:
                self.such_as[question.number] = f"id {question.id!r}: {error}"
            self.note(error)

    def unverified_in(self, found: Questions) -> tuple[int, str]:
        """How many good questions can't be verified, and what the first of them lacks."""
        bad = {line.number for line in found.bad}  # such as one with an id that was there before
        numbers = [number for number in self.unverified if number not in bad]
        return len(numbers), next((self.such_as[n] for n in numbers if n in self.such_as), "…")

    def note(self, error: InputError) -> None:
        """Keep what to do about the first question; the option is that of the command."""
        option = ""
        if isinstance(error, NoVerifierNamed):
            option = "--verify " if self.config is not None else "--eval-verify "
        self.hint = self.hint or f"{option}{error.hint or ''}"
