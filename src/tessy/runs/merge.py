"""Writes the data set of a run whose shards were written by different processes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tessy.data.outputs import upload
from tessy.data.remote import RemotePath, is_url, persistently
from tessy.display import count_of
from tessy.errors import JournalError, MissingShards, refuse_below_one
from tessy.method.trajectory import Failure
from tessy.runs.dataset import write_dataset
from tessy.runs.folder import RunFolder, ShardFolder
from tessy.runs.reader import JournalReader
from tessy.runs.remote import reading
from tessy.runs.rows import is_ordered, write_ordered
from tessy.runs.schema import EmptyJournal, Mark
from tessy.runs.shard_reader import ShardReader

_SHOWN = 10


@dataclass(frozen=True, slots=True)
class Merged:
    """What was merged.

    Attributes:
        dataset: The file of the finished samples; the first of several.
        files: How many files they are in.
        finished: Samples in it.
        failed: Failed samples by reason.
        shards: Shards that were merged.
        count: The number of shards of the run.
        kept: Where a data set that somebody changed was put.
        left_out: How many lines of the questions a limit left out.
    """

    dataset: Path
    finished: int
    failed: dict[Failure, int]
    shards: int
    count: int
    kept: Path | None = None
    files: int = 1
    left_out: int = 0


def merge(run: str | Path, *, partial: bool = False, rows_per_file: int | None = None) -> Merged:
    """Write dataset.jsonl and failures.jsonl of a run from all its shards.

    Samples are in the order of the questions, as in a run of one shard.

    Args:
        run: The run's folder, or its URL.
        rows_per_file: Write Parquet files of so many samples, `dataset-00000.parquet` and so on, in
            place of `dataset.jsonl`.
        partial: Merge what is there, also if shards are missing or not finished.

    Raises:
        MissingShards: Shards are missing, or have samples that have not ended; the message names
            them.
        RunMismatch: A shard is of another run, or the data set that is there has more samples.
        JournalError: There is no run, or its journals can't be read.
        ConfigError: `rows_per_file` is below 1.
    """
    refuse_below_one(rows_per_file=rows_per_file)
    folder = RunFolder(reading(run))
    with JournalReader(folder) as reader:
        if folder.settings.exists():
            reader.refuse_others(folder.run_toml.identity())
        reasons, left_out = reader.reasons(), reader.left_out()
    there = {shard.number: shard for shard in folder.started_shards()}
    count = folder.run_toml.shard_count() or 1
    lacking = [
        said for number in range(count) if (said := _lacking(there.get(number), number)) is not None
    ]
    if lacking and not partial:
        more = [f"… and {len(lacking) - _SHOWN:,} more"] if len(lacking) > _SHOWN else []
        verb = "is" if len(lacking) == 1 else "are"
        them = (
            "them with tessy synth … --shard I/N" if count > 1 else "it with the same tessy synth"
        )
        raise MissingShards(
            f"{len(lacking):,} of {count_of(count, 'shard')} {verb} not complete:\n  "
            + "\n  ".join([*lacking[:_SHOWN], *more]),
            hint=f"write {them}; or merge what is there: --partial",
        )
    if not partial:
        _refuse_other_limits(there.values())
    finished = reasons.pop(None, 0)
    folder.refuse_lost_journal(finished)
    kept = write_dataset(folder, finished=rows_per_file is None)
    files = [folder.dataset]
    if rows_per_file is not None:
        kept, files = write_ordered(folder, rows_per_file)
    if is_url(run):
        _upload(RemotePath(str(run).rstrip("/")), [*files, folder.failures])
    failed = {reason: count for reason, count in reasons.items() if reason is not None}
    return Merged(files[0], finished, failed, len(there), count, kept, len(files), left_out)


def _upload(there: RemotePath, files: Sequence[Path]) -> None:
    """Upload what was merged; what an earlier merge left under other names is removed."""
    for path in files:
        upload(path, there / path.name)
    names = {path.name for path in files}
    for name in persistently(there.names):
        if is_ordered(name) and name not in names:
            (there / name).remove()


def _refuse_other_limits(shards: Iterable[ShardFolder]) -> None:
    """Make sure that all shards were written with the same questions: `--limit` may leave some out.

    Raises:
        MissingShards: They were not; the message names two.
    """
    known: dict[str, int] = {}
    for shard in shards:
        with suppress(EmptyJournal), ShardReader(shard) as reader:
            if (questions := reader.mark(Mark.QUESTIONS)) is not None:
                known.setdefault(questions, shard.number)
    if len(known) > 1:
        (some, one), (others, other) = list(known.items())[:2]
        raise MissingShards(
            f"shard {one} was written for {some} questions of the run, and shard {other} for "
            f"{others}: their --limit differs",
            hint="write all with the same --limit; or merge what is there: --partial",
        )


def _lacking(shard: ShardFolder | None, number: int) -> str | None:
    """What a shard lacks; None if all of its samples ended."""
    if shard is None:
        return f"shard {number} was not started"
    try:
        with ShardReader(shard) as reader:
            ended, _ = reader.counts()
            samples, waiting = reader.mark(Mark.SAMPLES), len(reader.waiting_ids())
    except EmptyJournal:
        return f"shard {number} was not started"
    try:
        left = int(samples or "") - ended
    except ValueError:
        raise JournalError(f"{shard.journal}: how many samples it has is {samples!r}") from None
    if left > 0:
        return f"shard {number}: {left:,} of {samples} samples have not ended"
    again = count_of(waiting, "failed sample")
    return f"shard {number}: {again} still to be written again" if waiting else None
