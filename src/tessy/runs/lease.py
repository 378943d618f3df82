"""Who writes a shard at a URL, where there are no locks: a small file, `writer.json`.

Its writer lets a number in it grow every few seconds. Another process that wants to write the shard
waits while it grows. Once it stood still for long enough, by the waiting process's own clock (those
of two machines may differ), that process puts its own name there. A writer that finds another name
than its own has lost the shard, and uploads nothing more.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field

import orjson

from tessy.data.remote import RemotePath, persistently
from tessy.errors import RunLocked

BEAT_S = 5.0
"""How often the number grows."""
PATIENCE_S = 30.0
"""How long it has to stand still before another process takes the shard."""
FILE = "writer.json"
_MOST_BYTES = 1000


@dataclass(frozen=True, slots=True)
class LeaseText:
    """What the file says.

    Attributes:
        writer: Who writes the shard.
        count: The number that grows.
    """

    writer: str
    count: int

    def as_json(self) -> bytes:
        """The file's content."""
        return orjson.dumps(self)

    @classmethod
    def parse(cls, content: bytes | None) -> LeaseText | None:
        """Read the file; None if it is not there, or says nothing."""
        try:
            found = orjson.loads(content or b"null")
            return cls(str(found["writer"])[:64], int(found["count"]))
        except (ValueError, TypeError, KeyError):
            return None


@dataclass(slots=True)
class LeaseWatch:
    """Decides whether a shard may be taken. Pure.

    Attributes:
        own: Names under which this machine's copy was written before: they need not be waited for.
        patience_s: How long the number has to stand still, in seconds.
    """

    own: Collection[str] = ()
    patience_s: float = PATIENCE_S
    _seen: LeaseText | None = None
    _since: float = 0.0

    def is_free(self, found: LeaseText | None, now: float) -> bool:
        """Whether the shard may be taken.

        Args:
            found: What the file says now.
            now: The time of this process's clock, in seconds.
        """
        if found is None or found.writer in self.own:
            return True
        if found != self._seen:
            self._seen, self._since = found, now
        return now - self._since >= self.patience_s


@dataclass(slots=True)
class ShardLease:
    """This process's right to upload a shard.

    Attributes:
        folder: The shard's folder.
        writer: This process's name; see `tessy.runs.parts.new_writer`.
        lost: Another process has taken the shard.
    """

    folder: RemotePath
    writer: str
    lost: bool = False
    _count: int = field(default=0)

    def take(self) -> None:
        """Put this process's name there, once that is free; see `wait_for_lease`.

        Raises:
            RemoteError: The file can't be written.
        """
        self._count += 1
        (self.folder / FILE).write(LeaseText(self.writer, self._count).as_json())

    def beat(self) -> None:
        """Make the number grow.

        Raises:
            RunLocked: Another process has taken the shard.
            RemoteError: The file can't be read or written.
        """
        self.check()
        self.take()

    def check(self) -> None:
        """Make sure that the shard is still this process's.

        Raises:
            RunLocked: It is not.
            RemoteError: The file can't be read.
        """
        if not self.lost:
            found = read_lease(self.folder)
            self.lost = found is not None and found.writer != self.writer
        if self.lost:
            raise RunLocked(
                f"{self.folder} was taken by another process, since this one was not heard of",
                hint="let that one go on; what this one wrote since then is not used",
            )

    def release(self) -> None:
        """Give the shard up, so that another process need not wait.

        Raises:
            RemoteError: The file can't be read or removed.
        """
        found = read_lease(self.folder)
        if found is not None and found.writer == self.writer:
            (self.folder / FILE).remove()


def read_lease(folder: RemotePath) -> LeaseText | None:
    """Who writes a shard; None if nobody does.

    Raises:
        RemoteError: The file can't be read.
    """
    return LeaseText.parse((folder / FILE).read(_MOST_BYTES))


def wait_for_lease(
    folder: RemotePath,
    watch: LeaseWatch,
    say: Callable[[str], None] | None,
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> LeaseText | None:
    """Wait until a shard may be taken.

    Args:
        folder: The shard's folder.
        watch: What was seen of the file before, if anything.
        say: Called once with what is waited for; None not to wait.
        clock: The time, in seconds.
        sleep: Waits for so many seconds.

    Returns:
        What the file says then.

    Raises:
        RunLocked: Another process writes the shard, and it is not waited for.
        RemoteError: The file can't be read.
    """
    said = False
    while not watch.is_free(found := persistently(lambda: read_lease(folder)), clock()):
        if say is None:
            raise RunLocked(
                f"{folder}: another process writes this shard now",
                hint="let that one go on; what this one wrote since its last upload is not used",
            )
        if not said:
            say(
                f"{folder}: another process ({found.writer if found else '?'}) writes this shard, "
                f"or was killed: waiting until it ends, or is silent for {watch.patience_s:.0f} s"
            )
            said = True
        sleep(min(BEAT_S, watch.patience_s))
    return found
