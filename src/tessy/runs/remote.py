"""A run at a URL: its folder is a copy in the user's cache folder, and what is added is uploaded.

    RUN/run.toml                     as in a run's folder, uploaded when the run has begun
    RUN/shards/0003/parts/000017-…   what a shard's journal got since the part before it
    RUN/shards/0003/writer.json      who writes the shard now; see `tessy.runs.lease`
    RUN/dataset.jsonl, …             uploaded at each end, by who writes the whole run

A process that writes and one that reads have copies of their own: a reader never changes, or waits
for, what a writer has not uploaded yet.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import (
    AbstractAsyncContextManager,
    AsyncExitStack,
    contextmanager,
    nullcontext,
    suppress,
)
from dataclasses import dataclass, field
from pathlib import Path

from tessy.data.cache import cache_folder
from tessy.data.files import write_atomically
from tessy.data.remote import RemotePath, is_place_at_url, persistently
from tessy.errors import ConfigError, JournalError, RemoteError, RunLocked, RunMismatch, nearest
from tessy.runs import lease
from tessy.runs.folder import RunFolder, ShardFolder
from tessy.runs.identity import MOST_SETTINGS
from tessy.runs.keeper import ShardKeeper
from tessy.runs.lease import LeaseWatch
from tessy.runs.locks import create_folder
from tessy.runs.parts import chain, copy_state
from tessy.runs.restore import parts_at, restore
from tessy.runs.rows import is_ordered

UPLOAD_S = 60.0
"""Seconds between uploads, unless the settings say otherwise."""
_SHARD = re.compile(r"\d{4,5}")
_AT_ONCE = 8
"""Shards that are restored at once."""


@dataclass(slots=True)
class RemoteRun:
    """A run at a URL that this process writes.

    Args:
        there: The run at the URL.
        folder: Its folder on this machine.
        every_s: Seconds between uploads.
        say: Called with lines about what is waited for and what failed.
    """

    there: RemotePath
    folder: RunFolder
    every_s: float = UPLOAD_S
    say: Callable[[str], None] = lambda _: None
    _settings: bytes | None = None
    _keepers: list[ShardKeeper] = field(default_factory=list)
    _watches: dict[int, LeaseWatch] = field(default_factory=dict)

    def fetch(self) -> None:
        """Fetch the run's settings; this process has the folder's lock.

        A copy of a run that is no longer at the URL is put aside, so that the run begins again.

        Raises:
            RemoteError: The URL can't be read.
            ConfigError: The folder can't be written to.
        """
        self._settings = persistently(self._read_settings)
        try:
            if self._settings is not None:
                write_atomically(self.folder.settings, self._settings)
            elif any(_was_uploaded(shard) for shard in self.folder.started_shards()):
                self._put_aside()
        except JournalError:  # which is an OSError
            raise
        except OSError as error:
            raise ConfigError(
                f"{error.filename}: {error.strerror}",
                hint="TESSY_CACHE=FOLDER names another folder for copies of runs",
            ) from None

    def _put_aside(self) -> None:
        number, path = 1, self.folder.path
        while (old := path.with_name(f"{path.name}-old-{number}")).exists():
            number += 1
        old.mkdir()
        for name in ("run.toml", "shards", "dataset.jsonl", "failures.jsonl"):
            if (path / name).exists():
                (path / name).rename(old / name)
        self.say(f"{self.there} is not there any more: what was written of it is in {old}")

    def is_begun(self) -> bool:
        """Whether any process has written, or writes, samples of the run.

        Raises:
            RemoteError: The URL can't be read.
        """
        return self._settings is not None and bool(persistently((self.there / "shards").names))

    def look(self, numbers: Iterable[int]) -> None:
        """Look who writes some shards, so that silent ones are waited for all at once.

        Raises:
            RemoteError: The URL can't be read.
        """

        def see(number: int) -> None:
            watch = self._watches[number] = LeaseWatch(patience_s=lease.PATIENCE_S)
            place = self.there / "shards" / self.folder.shard(number).path.name
            watch.is_free(persistently(lambda: lease.read_lease(place)), time.monotonic())

        with ThreadPoolExecutor(_AT_ONCE) as pool:
            list(pool.map(see, numbers))

    def keeping(self, shard: ShardFolder) -> ShardKeeper:
        """What keeps the URL up to a shard while it is written; see `ShardKeeper`."""
        place = self.there / "shards" / shard.path.name
        watch = self._watches.pop(shard.number, None)
        keeper = ShardKeeper(shard, place, self.every_s, self.say, watch=watch)
        self._keepers.append(keeper)
        return keeper

    @property
    def failed_uploads(self) -> int:
        """Uploads of this process that failed, and were tried again."""
        return sum(keeper.failed for keeper in self._keepers)

    def publish(self) -> None:
        """Upload the run's settings, once they are complete.

        Raises:
            RunMismatch: Another process has begun another run there meanwhile.
            RemoteError: They can't be uploaded.
        """
        ours = self.folder.settings.read_bytes()
        theirs = persistently(self._read_settings)
        if theirs not in (None, self._settings, ours):
            self._refuse_other(theirs or b"")
        elif theirs != ours:
            persistently(lambda: (self.there / "run.toml").write(ours), say=self.say)
        self._settings = ours

    def _refuse_other(self, theirs: bytes) -> None:
        """Make sure that what another process has uploaded meanwhile is the same run."""
        with tempfile.TemporaryDirectory() as name:
            other = RunFolder(Path(name))
            other.settings.write_bytes(theirs)
            if other.run_toml.identity() != self.folder.run_toml.identity():
                raise RunMismatch(
                    f"{self.there}: another process began a run there at the same time, with "
                    "other settings, other questions, or on another date",
                    hint="the same command joins it, if they are the same",
                )
            if known := other.run_toml.models():
                self.folder.run_toml.refuse_other_models(known, self.folder.run_toml.models())

    async def finish(
        self, numbers: Iterable[int], files: Iterable[Path], *, locked: bool = False
    ) -> None:
        """Upload what is left: shards whose last upload failed, and what was made of the journals.

        Args:
            numbers: The shards that this process, or its workers, may have written.
            files: Files of the run's folder; those that are not there are left out.
            locked: This process has the locks of these shards.

        Raises:
            RemoteError: It can't be uploaded; nothing is lost.
            RunLocked: Another process has taken a shard.
        """
        try:
            for number in numbers:
                shard = self.folder.shard(number)
                state = await asyncio.to_thread(copy_state, shard.journal)
                if state is None or not (state.ahead or state.part is None):
                    continue
                keeper = self.keeping(shard)
                keeper.everything, keeper.waits = True, False
                async with AsyncExitStack() as stack:
                    if not locked:
                        stack.enter_context(shard.locked())
                    await stack.enter_async_context(keeper)
                if keeper.pending:
                    raise RemoteError(f"{keeper.there}: the last upload failed")
            await asyncio.to_thread(self._check_there, numbers)
            await asyncio.to_thread(self._put, files)
        except RemoteError as error:
            raise RemoteError(
                error.message,
                hint=f"nothing is lost, it is in {self.folder.path}: on this machine, the same "
                "command uploads it",
            ) from None

    def _check_there(self, numbers: Iterable[int]) -> None:
        """Make sure that what was uploaded is still there.

        Raises:
            RemoteError: It is not: somebody removed it during the run.
        """
        for number in numbers:
            shard = self.folder.shard(number)
            place = self.there / "shards" / shard.path.name
            state = copy_state(shard.journal)
            if state is None or state.part is None:
                continue
            try:
                known = [str(part) for part in chain(parts_at(place), str(place))]
            except JournalError:
                known = []
            if state.part not in known or (self.there / "run.toml").info() is None:
                raise RemoteError(f"{place}: what was uploaded was removed during the run")

    def remove_ordered(self) -> None:
        """Remove the data set in the questions' order, which more samples have made out of date.

        Raises:
            RemoteError: The URL can't be read, or the files not be removed.
        """
        for name in filter(is_ordered, persistently(self.there.names)):
            (self.there / name).remove()

    def _put(self, files: Iterable[Path]) -> None:
        for path in files:
            if path.exists():
                there = self.there / path.relative_to(self.folder.path).as_posix()
                persistently(lambda there=there, path=path: there.put(path), say=self.say)  # type: ignore[misc]

    def _read_settings(self) -> bytes | None:
        return (self.there / "run.toml").read(MOST_SETTINGS)


def writing(
    out: str | Path, *, every_s: float = UPLOAD_S, say: Callable[[str], None] = lambda _: None
) -> tuple[RunFolder, RemoteRun | None]:
    """The folder of a run that is to be written, and what keeps its URL up to date.

    Args:
        out: A folder, or a URL.
        every_s: Seconds between uploads.
        say: As for `RemoteRun`.

    Raises:
        ConfigError: The URL names no place.
    """
    if not is_place_at_url(out):
        return RunFolder(Path(out)), None
    if str(out).startswith("memory:"):
        say(f"{out} is in the memory of this process, and is lost with it")
    there = RemotePath(str(out).rstrip("/"))
    folder = RunFolder(_copy_of(there, "runs"))
    return folder, RemoteRun(there, folder, every_s, say)


@contextmanager
def named_by_url(remote: RemoteRun | None) -> Iterator[None]:
    """Errors that say which run is in the folder, or who writes it, name the URL and not its copy.

    Args:
        remote: The run; None if it is not at a URL.
    """
    try:
        yield
    except (RunLocked, RunMismatch) as error:
        if remote is None:
            raise
        said = error.message.replace(str(remote.folder.path), str(remote.there))
        raise type(error)(said, hint=error.hint) from None


def keeping(
    remote: RemoteRun | None, shard: ShardFolder
) -> AbstractAsyncContextManager[ShardKeeper | None]:
    """What keeps a URL up to a shard, if the run is at one."""
    return nullcontext() if remote is None else remote.keeping(shard)


def reading(run: str | Path, *, say: Callable[[str], None] = lambda _: None) -> Path:
    """The folder of a run that is to be read: for one at a URL, a copy of what was uploaded.

    Args:
        run: A folder, or a URL.
        say: Called with a line before something is fetched.

    Raises:
        RemoteError: The URL can't be read.
        JournalError: There is no run, or a part of it is not as a run writes it.
    """
    if not is_place_at_url(run):
        return Path(run)
    there = RemotePath(str(run).rstrip("/"))
    folder = RunFolder(_copy_of(there, "read"))
    settings = persistently(lambda: (there / "run.toml").read(MOST_SETTINGS))
    numbers = [name for name in persistently((there / "shards").names) if _SHARD.fullmatch(name)]
    if settings is None or not numbers:
        raise JournalError(
            f"{there} is no run: it has no run.toml, or no shards", hint=_near_at_url(there)
        )
    say(f"fetching what is new of {there}")
    create_folder(folder.path)
    with folder.run_toml.changing():  # waits for another reader
        write_atomically(folder.settings, settings)

        def fetch(name: str) -> None:
            place = there / "shards" / name
            if parts := parts_at(place):
                restore(folder.shard(int(name)), place, parts)

        with ThreadPoolExecutor(_AT_ONCE) as pool:
            list(pool.map(fetch, numbers))
    if not folder.started_shards():
        raise JournalError(f"{there}: nothing was uploaded yet", hint="wait a minute")
    return folder.path


def _near_at_url(there: RemotePath) -> str | None:
    """Which run beside a place may have been meant; None if none has a name that is near."""
    above, _, name = there.url.rpartition("/")
    if not is_place_at_url(f"{above}/x"):
        return None
    with suppress(RemoteError):  # a bucket whose content must not be listed
        near = nearest(name, {*RemotePath(above).names()} - {name})
        if near and (RemotePath(above) / near / "run.toml").info() is not None:
            return f"did you mean {RemotePath(above) / near}?"
    return None


def known_copy(out: str | Path) -> Path:
    """As `reading`, for a run that need not have begun: its folder is then empty, or not there."""
    if not is_place_at_url(out):
        return Path(out)
    there = RemotePath(str(out).rstrip("/"))
    return reading(out) if persistently((there / "shards").names) else _copy_of(there, "read")


def _copy_of(there: RemotePath, kind: str) -> Path:
    digest = hashlib.sha256(there.url.encode()).hexdigest()[:16]
    name = re.sub(r"[^\w.-]", "_", there.name)[:40]
    return (cache_folder() / kind / digest / name).absolute()


def _was_uploaded(shard: ShardFolder) -> bool:
    state = copy_state(shard.journal)
    return state is not None and state.part is not None
