"""Verdicts of `tessy verify --out`: for samples of runs that were written without a verifier."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tessy.data.rows import rows
from tessy.errors import DataError
from tessy.exporting.samples import ExportSample
from tessy.runs.reviews import digest
from tessy.verifiers.protocol import VerdictOutcome

_HINT = "write it with: tessy verify RUN --out FILE"
_FIELDS = ("outcome", "score", "detail")
"""What a record keeps of a verdict."""


class GivenVerdicts:
    """The verdicts of some files, each on one response.

    Args:
        paths: What `tessy verify --out` wrote.

    Attributes:
        others: Samples whose id has a verdict on another response.

    Raises:
        DataError: A file can't be read, or a line is no verdict.
    """

    def __init__(self, paths: Sequence[str]) -> None:
        self.others = 0
        self._ids: set[str] = set()
        self._found: dict[tuple[str, str], dict[str, Any]] = {}
        for where, row in (each for path in paths for each in rows(path, what="verdicts")):
            fault = str(row) if isinstance(row, ValueError) else _fault(row)
            if fault is not None:
                raise DataError(f"{where}: {fault}", hint=_HINT)
            verdict = {name: row.get(name) for name in _FIELDS}
            if self._found.setdefault((row["id"], row["text"]), verdict) != verdict:
                raise DataError(f"{where}: another verdict on {row['id']}", hint=_HINT)
            self._ids.add(row["id"])

    def on(self, sample: ExportSample) -> ExportSample:
        """A sample with a verdict of these in place of its own; with none if none is on it."""
        record = {name: value for name, value in sample.record.items() if name != "verdict"}
        verdict = self._found.get((sample.id, digest(sample.content)))
        if verdict is not None:
            return ExportSample({**record, "verdict": verdict})
        self.others += sample.id in self._ids
        return ExportSample(record)


def _fault(row: Any) -> str | None:
    """Why a row is no verdict; None if it is one."""
    if not isinstance(row, dict):
        return f"a verdict is an object, not {type(row).__name__}"
    if row.get("outcome") not in list(VerdictOutcome):
        return f"outcome must be {', '.join(VerdictOutcome)}, not {row.get('outcome')!r}"
    if not all(isinstance(row.get(name), str) for name in ("id", "text")):
        return "a verdict has id and text, which names the response that it is on"
    return None
