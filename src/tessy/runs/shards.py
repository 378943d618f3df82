"""A shard of a run, as the command line names it: `--shard 3/8`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from tessy.config import Config
from tessy.errors import InputError
from tessy.runs.folder import RunFolder
from tessy.runs.identity import MOST_SHARDS
from tessy.runs.locks import held_if_free

_TEXT = re.compile(r"([0-9]{1,9})/([0-9]{1,9})")


@dataclass(frozen=True, slots=True)
class ShardNumber:
    """Which shard, of how many.

    Attributes:
        number: From 0.
        count: The number of shards of the run.

    Raises:
        InputError: There is no such shard.
    """

    number: int
    count: int

    def __post_init__(self) -> None:
        if not 1 <= self.count <= MOST_SHARDS:
            raise InputError(
                f"shard {self}: a run has 1 to {MOST_SHARDS:,} shards", hint="--shard 0/8"
            )
        if not 0 <= self.number < self.count:
            raise InputError(
                f"shard {self}: there is no such shard",
                hint="shards are counted from 0: "
                + (f"0/{self.count} to {self.count - 1}/{self.count}" if self.count > 1 else "0/1"),
            )

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"

    @classmethod
    def parse(cls, text: str) -> ShardNumber:
        """Read `I/N`.

        Raises:
            InputError: It is no shard.
        """
        found = _TEXT.fullmatch(text.strip())
        if found is None:
            raise InputError(
                f"shard {text!r} is not I/N", hint="--shard 0/8 is the first of eight shards"
            )
        return cls(int(found[1]), int(found[2]))


def others_write(folder: RunFolder, number: int) -> bool:
    """Whether another process writes a shard of the run, other than the one with a number.

    The caller keeps others from starting meanwhile (`RunFolder.changing_settings`).
    """
    for shard in folder.shards():
        if shard.number != number:
            with held_if_free(shard.path) as free:
                if not free:
                    return True
    return False


def dataset_files(folder: RunFolder, config: Config, shard: ShardNumber | None) -> Path:
    """Where finished samples of a run or a shard are: a file, or a pattern of Parquet parts.

    Args:
        folder: The run's folder.
        config: The run's settings.
        shard: The shard; None for the whole run.
    """
    place = folder if shard is None else folder.shard(shard.number)
    if config.rows_per_file is None:
        return place.dataset
    return place.path / ("shards/*/part-*.parquet" if shard is None else "part-*.parquet")
