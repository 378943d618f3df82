"""Writes the data set of a run whose shards were written by different processes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tessy.data.outputs import upload
from tessy.data.remote import RemotePath, is_url
from tessy.errors import JournalError, MissingShards
from tessy.method.trajectory import Failure
from tessy.runs.folder import RunFolder, ShardFolder
from tessy.runs.journal import EmptyJournal, Mark
from tessy.runs.reader import JournalReader, ShardReader, write_dataset
from tessy.runs.remote import reading
from tessy.runs.rows import write_ordered

_SHOWN = 10


@dataclass(frozen=True, slots=True)
class Merged:
    """What was merged.

    Attributes:
        dataset: The file of the finished samples.
        finished: Samples in it.
        failed: Failed samples by reason.
        shards: Shards that were merged.
        count: The number of shards of the run.
    """

    dataset: Path
    finished: int
    failed: dict[Failure, int]
    shards: int
    count: int


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
    """
    folder = RunFolder(reading(run))
    with JournalReader(folder) as reader:
        if folder.settings.exists():
            reader.refuse_others(folder.identity())
        reasons = reader.reasons()
    there = {shard.number: shard for shard in folder.started_shards()}
    count = folder.shard_count() or 1
    lacking = [
        said for number in range(count) if (said := _lacking(there.get(number), number)) is not None
    ]
    if lacking and not partial:
        more = [f"… and {len(lacking) - _SHOWN:,} more"] if len(lacking) > _SHOWN else []
        raise MissingShards(
            f"{len(lacking):,} of {count:,} shards are not complete:\n  "
            + "\n  ".join([*lacking[:_SHOWN], *more]),
            hint="write them with tessy synth … --shard I/N; or merge what is there: --partial",
        )
    finished = reasons.pop(None, 0)
    folder.refuse_lost_journal(finished)
    write_dataset(folder, finished=rows_per_file is None)
    files = [folder.dataset]
    if rows_per_file is not None:
        files = write_ordered(folder, rows_per_file)
    if is_url(run):
        for path in (*files, folder.failures):
            upload(path, RemotePath(f"{str(run).rstrip('/')}/{path.name}"))
    failed = {reason: count for reason, count in reasons.items() if reason is not None}
    return Merged(files[0], finished, failed, len(there), count)


def _lacking(shard: ShardFolder | None, number: int) -> str | None:
    """What a shard lacks; None if all of its samples ended."""
    if shard is None:
        return f"shard {number} was not started"
    try:
        with ShardReader(shard) as reader:
            ended, _ = reader.counts()
            samples = reader.mark(Mark.SAMPLES)
    except EmptyJournal:
        return f"shard {number} was not started"
    try:
        left = int(samples or "") - ended
    except ValueError:
        raise JournalError(f"{shard.journal}: how many samples it has is {samples!r}") from None
    return f"shard {number}: {left:,} of {samples} samples have not ended" if left > 0 else None
