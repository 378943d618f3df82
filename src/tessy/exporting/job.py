"""The whole export: read samples, filter them, split them, write them in a format.

Samples are read, filtered and written one at a time. Memory holds no more, except a row group of
Parquet and the sketches of `near_duplicates`.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import orjson

from tessy._version import __version__
from tessy.data.messages import REASONING
from tessy.data.outputs import written_to
from tessy.data.remote import RemotePath, is_url, persistently
from tessy.data.sources import check_name
from tessy.display import Say, count_of
from tessy.errors import ConfigError, DataError
from tessy.exporting.filters import Filters, by_review
from tessy.exporting.formats import Alpaca, Format, ShareGpt, Trl, WriteRow, write_jsonl
from tessy.exporting.huggingface import HuggingFace, check_access, upload
from tessy.exporting.parquet import Parquet
from tessy.exporting.portable import portable
from tessy.exporting.samples import Drop, ExportCounts, ExportSample, Reason
from tessy.exporting.settings import ExportSettings, FormatName
from tessy.exporting.sources import ExportSource, find_source
from tessy.exporting.staging import LOCK, MANIFEST, files_in, refuse, refuse_again, staged
from tessy.exporting.trial import TemplateTrial
from tessy.exporting.verdicts import GivenVerdicts
from tessy.runs.identity import read_settings, student_tokenizer
from tessy.settings.loading import load_settings

DROPPED = "dropped.jsonl"
_LARGEST = 1 << 24
"""Bytes of an `export.json`."""
"""What was dropped: id, reason, detail, a line each."""
_EVERY_S = 2.0


def export(
    runs: str | Path | Sequence[str | Path],
    *,
    out: str | Path,
    config: ExportSettings | None = None,
    force: bool = False,
    say: Say = lambda line: None,
    **settings: Any,
) -> ExportCounts:
    """Export finished samples in the form that a training tool reads, as `tessy export` does.

    Args:
        runs: A run's folder, a file or a data set of records; or several of them.
        out: A new folder, which appears when everything is written; also at a URL.
        config: What to export, and how; or give it by `settings`.
        force: Overwrite an earlier export.
        say: Called with lines of progress and of results.
        **settings: As in `ExportSettings`: `to="trl"`, `mask="capability"`, `max_tokens=8192`, …

    Returns:
        How many samples were read, kept and dropped, with reasons.

    Raises:
        ConfigError: A setting can't be used, or `out` can't be written.
        DataError: A source is missing or broken, or no sample is kept.
        JournalError: A run's journal can't be read.
        MissingExtra: A filter's library is not installed.
        RunLocked: Another process is exporting to the same folder.
        RemoteError: A URL can't be read or written.
        HubError: Hugging Face can't be reached, or refused the upload.
    """
    chosen = config or load_settings(ExportSettings, overrides=settings)
    if is_url(out):
        _refuse_at(RemotePath(str(out).rstrip("/")), force=force)
    with written_to(out, say=say) as folder:
        return _export(runs, folder, chosen, force=force, say=say)


def _refuse_at(there: RemotePath, *, force: bool) -> None:
    """As `refuse`, for a URL."""
    if not (names := persistently(there.files)):
        return
    manifest = there / MANIFEST
    if MANIFEST not in names or (known := persistently(lambda: manifest.read(_LARGEST))) is None:
        raise ConfigError(f"{there} is there, and is no export", hint="give another --out")
    refuse_again(str(there), known, names, force=force)
    for name in names:
        (there / name).remove()


def _export(
    sources: str | Path | Sequence[str | Path],
    out: Path,
    settings: ExportSettings,
    *,
    force: bool,
    say: Say,
) -> ExportCounts:
    refuse(out, force=force)
    if settings.push:
        check_access()
    several = [sources] if isinstance(sources, str | Path) else sources
    for source in several:
        check_name(source, "each source")
    found = [find_source(str(source)) for source in several]
    if settings.accepted:
        for each in found:
            each.reviews()
    format_ = _format(settings, found)
    filters = Filters(settings, say)
    verdicts = GivenVerdicts(settings.verdicts) if settings.verdicts else None
    with staged(out, force=force) as folder:
        counts = _write(found, filters, format_, folder, settings, verdicts, say)
        if not counts.read:
            raise DataError(
                "there is no sample to export",
                hint="a run has one when its first sample is finished",
            )
        if not counts.kept:
            lines = ["no sample is kept", *counts.lines()]
            raise DataError("\n  ".join(lines), hint=_hint(counts))
        format_.finish(folder, out.resolve().name, counts)
        lacking = [
            f"{each.name} is not complete: {lacks}" for each in found if (lacks := each.lacking())
        ]
        manifest = {
            "tessy": __version__,
            "sources": [source.name for source in found],
            "settings": portable(settings.model_dump(mode="json", exclude_none=True)),
            "read": counts.read,
            "kept": counts.kept,
            "dropped": {reason.value: n for reason, n in counts.dropped.most_common()},
            "not_complete": lacking,
            "files": [name for name in files_in(folder) if name != LOCK],
        }
        (folder / MANIFEST).write_bytes(orjson.dumps(manifest, option=orjson.OPT_INDENT_2))
    for line in (*counts.lines(), *format_.findings()):
        say(line)
    if (wrong := counts.wrong()) is not None:
        say(f"{wrong} (--right leaves them out)")
    if verdicts is not None and verdicts.others:
        count = count_of(verdicts.others, "sample")
        say(f"{count} not verified: the verdict with this id is on another response")
    for line in lacking:
        say(f"{line}, and short responses end first")
    for each in found:
        if each.is_evaluation:
            say(f"{each.name} is an evaluation: its questions may be those of your tests")
    if len(counts.methods) > 1:
        several = ", ".join(f"{name} {count:,}" for name, count in counts.methods.most_common())
        say(f"samples of several methods: {several} (--method NAME keeps those of one)")
    if counts.repeated:
        say(f"{counts.repeated:,} samples have the id of an earlier one, and are kept beside it")
    if counts.dropped:
        say(f"what was dropped: {out / DROPPED}")
    say(f"written: {out}")
    if settings.push:
        say(f"uploaded: {upload(out, settings.push, public=settings.public)}")
    return counts


def _hint(counts: ExportCounts) -> str:
    """What to do when no sample is kept."""
    if counts.dropped[Reason.NOT_RIGHT] == counts.read and not counts.verified:
        return (
            "no sample that finished has a verdict: --verify was not given, or there is nothing to "
            "verify them by (failures.jsonl has those it rejected). Verify them: tessy verify RUN "
            "--out verdicts.jsonl, and give --verdicts verdicts.jsonl"
        )
    if counts.dropped[Reason.NOT_ACCEPTED] == counts.read:
        return "accept some first: tessy view RUN, key a"
    return "filter less"


def _format(settings: ExportSettings, sources: Sequence[ExportSource]) -> Format:
    match settings.to:
        case FormatName.TRL:
            return Trl(settings.mask, _trial(settings, sources))
        case FormatName.SHAREGPT:
            return ShareGpt()
        case FormatName.ALPACA:
            return Alpaca()
        case FormatName.PARQUET:
            return Parquet()
        case FormatName.HF:
            return HuggingFace(settings, sources)


def _trial(settings: ExportSettings, sources: Sequence[ExportSource]) -> TemplateTrial | str:
    """Tries the student's chat template, or why it can't be tried.

    Raises:
        ConfigError: The tokenizer that was asked for can't be used.
    """
    if settings.student_tokenizer:
        return TemplateTrial(settings.student_tokenizer)
    runs = [read_settings(source.run.settings) for source in sources if source.run]
    names = {student_tokenizer(run) for run in runs}
    why = "no run names the student's tokenizer"
    if len(names) == 1 and (name := names.pop()):
        try:
            return TemplateTrial(name)
        except ConfigError as error:
            why = str(error)
    return f"the student's chat template was not tried: {why} (--student-tokenizer FOLDER-OR-ID)"


def _write(
    sources: Sequence[ExportSource],
    filters: Filters,
    format_: Format,
    folder: Path,
    settings: ExportSettings,
    verdicts: GivenVerdicts | None,
    say: Say,
) -> ExportCounts:
    """Write every sample into a split, or into dropped.jsonl."""
    counts = ExportCounts()
    writes: dict[str, WriteRow] = {}
    ids: set[str] = set()
    said = time.monotonic()
    with ExitStack() as files:
        write_dropped = files.enter_context(write_jsonl(folder / DROPPED))
        for sample, unwanted in _samples(sources, settings):
            counts.read += 1
            if verdicts is not None:
                sample = verdicts.on(sample)
            counts.verified += sample.outcome is not None
            row = unwanted or _row(sample, filters, format_)
            if isinstance(row, Drop):
                counts.dropped[row.reason] += 1
                write_dropped({"id": sample.id, "reason": row.reason, "detail": row.detail})
            else:
                split = split_of(sample, settings.validation, settings.seed)
                if split not in writes:
                    writes[split] = files.enter_context(format_.open(folder, split))
                writes[split](row)
                counts.keep(sample, split)
                if len(sources) > 1:
                    counts.repeated += sample.id in ids
                    ids.add(sample.id)
            if time.monotonic() - said >= _EVERY_S:
                said = time.monotonic()
                say(f"{counts.read} read, {counts.dropped.total()} dropped")
    return counts


def _samples(
    sources: Sequence[ExportSource], settings: ExportSettings
) -> Iterator[tuple[ExportSample, Drop | None]]:
    """All samples, each with the reason to drop it that its readers give."""
    for source in sources:
        reviews = source.reviews() if settings.accepted or source.run else {}
        for sample in source.samples():
            review = reviews.get(sample.id)
            yield sample, by_review(sample, review, accepted=settings.accepted)


def _row(sample: ExportSample, filters: Filters, format_: Format) -> dict[str, Any] | Drop:
    """A sample as a row of the format, or the first reason to drop it."""
    if drop := filters.by_numbers(sample):
        return drop
    if not format_.takes_thinking and any(REASONING in m for m in sample.messages):
        return Drop(Reason.NOT_EXPRESSIBLE, "an earlier turn has reasoning_content")
    row = format_.row(sample)
    if isinstance(row, Drop):
        return row
    # These remember what they let pass, so they come after all others.
    return filters.by_words(sample) or row


def split_of(sample: ExportSample, validation: float | None, seed: int) -> str:
    """The split of a sample, drawn by its question: samples of one question are in one split.

    Args:
        sample: Any sample.
        validation: Share of the questions for `validation`, 0 to 1; None for no such split.
        seed: Another seed draws other questions.
    """
    if validation is None:
        return "train"
    digest = hashlib.sha256(str(seed).encode())
    for message in sample.messages[:-1]:
        digest.update(b"\0" + message["role"].encode() + b"\0" + message["content"].encode())
    drawn = int.from_bytes(digest.digest()[:8]) / 2**64
    return "validation" if drawn < validation else "train"
