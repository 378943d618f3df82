"""An export, whole: samples in, filters, a format's files out.

    source    samples, one at a time
    filters   a reason to drop one, or none
    formats   rows, and where they go
    split     which part of the data
    counts    kept + dropped = input
    staging   the folder is there whole or not at all

None of them imports this module.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import orjson

from tessy._version import __version__
from tessy.display import Say
from tessy.errors import DataError
from tessy.exporting.counts import Counts
from tessy.exporting.drops import Drop, Filter
from tessy.exporting.filters import on_numbers, on_text
from tessy.exporting.formats import Format, Writer, make
from tessy.exporting.jsonl import JsonlWriter
from tessy.exporting.portable import portable
from tessy.exporting.sample import Sample
from tessy.exporting.settings import ExportSettings
from tessy.exporting.source import Source, find
from tessy.exporting.split import split
from tessy.exporting.staging import MANIFEST, refuse, staged

DROPPED = "dropped.jsonl"
"""What was dropped: id, reason, detail, a line each."""
_EVERY_S = 2.0


def export(
    sources: Sequence[str],
    out: Path,
    settings: ExportSettings,
    *,
    force: bool = False,
    say: Say = lambda line: None,
) -> Counts:
    """Export samples into a new folder.

    Samples are read, decided about and written one at a time; none is held longer, but for a
    row group of Parquet and the sketches of `near_duplicates`.

    Args:
        sources: Run folders, or files or data sets of records.
        out: The folder; it is there when all is done, and not before.
        settings: What to export, and how.
        force: Overwrite an earlier export.
        say: Told how far it is.

    Raises:
        ConfigError: A setting, or `out`, can't be used.
        DataError: There is no such source, a line of it is no record, nothing is kept, or a file
            of test questions can't be read.
        JournalError: A run's journal can't be read.
        MissingExtra: A filter's library is not installed.
    """
    refuse(out, force=force)
    found = [find(source) for source in sources]
    format_ = make(settings, found)
    numbers, text = on_numbers(settings), on_text(settings, say)

    def decide(sample: Sample) -> dict[str, Any] | Drop:
        drop = first(numbers, sample)
        row = drop or format_.row(sample)
        return row if isinstance(row, Drop) else first(text, sample) or row

    with staged(out, force=force) as folder:
        samples = itertools.chain.from_iterable(source.samples() for source in found)
        counts = _write(samples, decide, format_, folder, settings, say)
        if not counts.kept:
            raise nothing(counts)
        format_.finish(folder, out.resolve().name, counts)
        manifest = _manifest(found, settings, counts)
        (folder / MANIFEST).write_bytes(orjson.dumps(manifest, option=orjson.OPT_INDENT_2))
    return counts


def nothing(counts: Counts) -> DataError:
    """What to say when no sample is kept."""
    if not counts.read:
        return DataError(
            "there is no sample to export", hint="a run has one when its first sample is finished"
        )
    return DataError("\n  ".join(["no sample is kept", *counts.lines()]), hint="filter less")


def first(filters: Sequence[Filter], sample: Sample) -> Drop | None:
    """What the first filter says that drops a sample; so each is dropped for one reason."""
    return next((drop for decide in filters if (drop := decide(sample))), None)


def _write(
    samples: Iterable[Sample],
    decide: Callable[[Sample], dict[str, Any] | Drop],
    format_: Format,
    folder: Path,
    settings: ExportSettings,
    say: Say,
) -> Counts:
    """Write every sample: into a split, or into dropped.jsonl."""
    counts = Counts()
    dropped = JsonlWriter(folder / DROPPED)
    writers: dict[str, Writer] = {}
    said = time.monotonic()
    try:
        for sample in samples:
            counts.read += 1
            row = decide(sample)
            if isinstance(row, Drop):
                counts.dropped[row.reason] += 1
                dropped.write({"id": sample.id, "reason": row.reason, "detail": row.detail})
            else:
                where = split(sample, settings.validation, settings.seed)
                if where not in writers:
                    writers[where] = format_.open(folder, where)
                writers[where].write(row)
                counts.keep(sample, where)
            if time.monotonic() - said >= _EVERY_S:
                said = time.monotonic()
                say(f"{counts.read} read, {counts.dropped.total()} dropped")
        for writer in (*writers.values(), dropped):
            writer.close()
    except BaseException:
        for writer in (*writers.values(), dropped):
            writer.abandon()
        raise
    return counts


def _manifest(
    sources: Sequence[Source], settings: ExportSettings, counts: Counts
) -> dict[str, Any]:
    """What export.json says."""
    return {
        "tessy": __version__,
        "sources": [source.name for source in sources],
        "settings": portable(settings.model_dump(mode="json", exclude_none=True)),
        "read": counts.read,
        "kept": dict(counts.kept),
        "dropped": {reason.value: number for reason, number in counts.dropped.most_common()},
    }
