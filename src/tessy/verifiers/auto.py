"""`auto`: each question names its own verifier, in a column `verifier`."""

from __future__ import annotations

from collections.abc import Callable

from tessy.errors import ConfigError, DataError
from tessy.verifiers import columns
from tessy.verifiers.protocol import Row, Verdict, Verifier


class AutoVerifier:
    """Asks the verifier that a question names.

    Args:
        column: Where its name stands, as `load` takes it.
        load: Makes a verifier of a name.
    """

    def __init__(self, column: str, load: Callable[[str], Verifier]) -> None:
        self.name = "auto"
        self._column = column
        self._load = load
        self._loaded: dict[str, Verifier] = {}

    def check(self, row: Row) -> None:
        """See whether the question names a verifier, and has what that one needs."""
        self._of(row).check(row)

    async def verify(self, row: Row, answer: str) -> Verdict:
        """Ask the question's verifier."""
        return await self._of(row).verify(row, answer)

    async def aclose(self) -> None:
        """Close all that were asked."""
        for verifier in self._loaded.values():
            await verifier.aclose()

    def _of(self, row: Row) -> Verifier:
        spec = columns.text(row, self._column, self.name)
        if spec.startswith(("auto", "python:")):
            # A data set must not choose what code of this machine is run.
            raise DataError(f"verifier auto: a question may not name {spec!r}")
        if spec not in self._loaded:
            try:
                self._loaded[spec] = self._load(spec)
            except ConfigError as error:
                raise DataError(f"verifier auto: {error}", hint=error.hint) from None
        return self._loaded[spec]
