"""What `tessy export` does, once its options are parsed; here the heavy imports begin."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tessy.display import visible
from tessy.errors import ConfigError
from tessy.exporting.hub import Hub
from tessy.exporting.job import DROPPED
from tessy.exporting.job import export as export_samples
from tessy.exporting.settings import ExportSettings, FormatName, validated


def export(
    sources: Sequence[str],
    out: Path,
    options: dict[str, Any],
    *,
    push: str | None,
    public: bool,
    force: bool,
    quiet: bool,
) -> None:
    """Export, and upload if asked."""

    def say(line: str) -> None:
        if not quiet:
            print(visible(line), file=sys.stderr, flush=True)

    settings = validated(options)
    hub = _hub(settings, push, public)
    if hub:
        hub.check()
    counts = export_samples(sources, out, settings, force=force, say=say)
    for line in counts.lines():
        say(line)
    if counts.dropped:
        say(f"what was dropped: {out / DROPPED}")
    say(f"written: {out}")
    if hub:
        say(f"uploaded: {hub.upload(out)}")


def _hub(settings: ExportSettings, push: str | None, public: bool) -> Hub | None:
    if push is None:
        if public:
            raise ConfigError(
                "--public says how to upload, but nothing is", hint="--push OWNER/NAME"
            )
        return None
    if settings.to is not FormatName.HF:
        raise ConfigError(f"--push uploads what --to hf writes, not {settings.to.value}")
    if settings.licence is None:
        raise ConfigError(
            "--push needs a licence for the card", hint="--licence cc-by-4.0, other, …"
        )
    return Hub(push, public)
