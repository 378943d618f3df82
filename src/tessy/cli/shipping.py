"""The work of `tessy export`; here the heavy imports begin."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tessy.display import visible
from tessy.exporting.job import export as export_samples
from tessy.exporting.settings import validated


def export(
    sources: Sequence[str], out: Path, options: dict[str, Any], *, force: bool, quiet: bool
) -> None:
    """Export, and upload if asked."""

    def say(line: str) -> None:
        if not quiet:
            print(visible(line), file=sys.stderr, flush=True)

    export_samples(sources, out, validated(options), force=force, say=say)
