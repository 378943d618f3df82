"""Lines of JSON, written as they come."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson


class JsonlWriter:
    """Writes a file of lines.

    Args:
        path: The file; it is made anew.
    """

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb")

    def write(self, row: dict[str, Any]) -> None:
        """Add a line."""
        self._file.write(orjson.dumps(row, default=str) + b"\n")

    def close(self) -> None:
        """End the file."""
        self._file.close()

    def abandon(self) -> None:
        """Let go of the file as it is: it will be removed."""
        self._file.close()
