"""Starts a run in a folder, or makes sure that the run in it can be resumed."""

from __future__ import annotations

import datetime
from contextlib import AsyncExitStack, ExitStack, suppress
from pathlib import Path

from tessy._version import __version__
from tessy.config import Config
from tessy.data.questions import Questions
from tessy.data.sources import name_of
from tessy.display import count_of
from tessy.errors import RunMismatch
from tessy.runs.folder import RunFolder
from tessy.runs.reader import JournalReader, is_begun
from tessy.runs.remote import RemoteRun
from tessy.runs.schema import EmptyJournal
from tessy.runs.shards import ShardNumber, others_write
from tessy.synthesis.shares import default_shards


def begin(
    stack: ExitStack | AsyncExitStack,
    folder: RunFolder,
    config: Config,
    source: str | Path,
    read: Questions,
    shard: ShardNumber | None,
    *,
    shards: int | None = None,
    remote: RemoteRun | None = None,
) -> tuple[datetime.date, int]:
    """Start the run in a folder, or make sure that it can be resumed.

    It waits for other processes that begin there, so it runs in a thread of its own.

    Args:
        stack: Holds the shard's lock from now on; the caller has the folder's.
        folder: The folder.
        config: The settings.
        source: The questions' name.
        read: The questions.
        shard: The shard that this process writes; None if it writes all.
        shards: The number of shards of a new run, if the settings don't say; by default as many as
            the workers need.
        remote: The run's URL, if it is at one.

    Returns:
        The date of its first start, and the number of its shards.

    Raises:
        RunMismatch: It is another run, or has another number of shards.
        RunLocked: Another process writes the shard.
        RemoteError: The run's URL can't be read.
    """
    with folder.run_toml.changing():
        if shard is not None:
            stack.enter_context(folder.shard(shard.number).locked())
        if remote is not None:
            remote.fetch()
        begun = is_begun(folder) or others_write(folder, -1 if shard is None else shard.number)
        begun = begun or (remote is not None and remote.is_begun())
        wanted = config.shards if shard is None else shard.count
        known = folder.run_toml.shard_count() if begun else None
        if wanted is not None and known is not None and wanted != known:
            option = f"--shards {known}" if shard is None else f"--shard {shard.number}/{known}"
            raise RunMismatch(
                f"{folder.path} holds a run of {count_of(known, 'shard')}, not {wanted}",
                hint=f"give that number: {option}",
            )
        count = known or wanted or shards or default_shards(config)
        if begun:
            return folder.run_toml.refuse_other_run(config, name_of(source), read.digest), count
        date = _date_of_same(folder, config, read.digest, count)
        if date is None:
            folder.remove_journals()
        about = (name_of(source), read.digest, __version__)
        return folder.run_toml.begin(config, *about, shards=count, date=date), count


def _date_of_same(
    folder: RunFolder, config: Config, digest: str, count: int
) -> datetime.date | None:
    """The date of a start that wrote no sample, if it was of this run: a shard may have none."""
    with suppress(RunMismatch):
        if folder.run_toml.shard_count() == count:
            return folder.run_toml.refuse_other_run(config, "", digest)
    return None


def refuse_strangers(folder: RunFolder, identity: str) -> None:
    """Refuse shards of other runs, and a data set with more samples than the journals.

    Args:
        folder: The run's folder.
        identity: What all shards of the run share; see `RunToml.identity`.

    Raises:
        RunMismatch: The message says what is there.
    """
    finished = 0
    with suppress(EmptyJournal), JournalReader(folder) as reader:
        reader.refuse_others(identity)
        finished = reader.reasons()[None]
    folder.refuse_lost_journal(finished)
