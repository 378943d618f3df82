"""A training is a folder; these are its files.

sft.toml         the settings it was started with, the data set and its digest
tokens.arrow     the samples in tokens, and tokens.json with the counts
state/           checkpoint-N: where the next start resumes; only the last one
epoch-1, …       a whole model each, and model.gguf if asked for
loss.json, .png  the loss at each step and epoch
eval/epoch-0, …  the evaluation of each epoch, which is a run, and its log; if questions were given
evaluation.json  their scores, and evaluation.png
README.md        the card
tracker-id       the id by which trackers know the training; see `tessy.tracking`
lock             held by the process that works in it
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tomli_w

from tessy.data.files import write_atomically
from tessy.errors import RunMismatch
from tessy.runs.identity import (
    differences,
    read_settings,
    refuse_others,
    refuse_strangers,
)
from tessy.runs.locks import held
from tessy.training.losses import STATE_FILE

_COMPLETE = "complete"
_OWN = {"lock", "tokens.arrow", "tokens.json"}


@dataclass(frozen=True, slots=True)
class SFTFolder:
    """The paths of a training."""

    path: Path

    @property
    def settings(self) -> Path:
        """`sft.toml`."""
        return self.path / "sft.toml"

    @property
    def state(self) -> Path:
        """The folder of checkpoints."""
        return self.path / "state"

    def epoch(self, number: int) -> Path:
        """The folder of an epoch, from 1."""
        return self.path / f"epoch-{number}"

    @property
    def evaluations(self) -> Path:
        """The folder of the runs that evaluate epochs."""
        return self.path / "eval"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes out.

        Raises:
            RunLocked: Another process is working here.
            RunMismatch: The folder holds something else.
            ConfigError: There can be no folder here.
        """
        refuse_strangers(self.settings, _OWN, "training")
        self._refuse_links()
        with held(self.path):
            yield

    def _refuse_links(self) -> None:
        """Refuse a folder with links under names of ours: what they name would be removed.

        Raises:
            RunMismatch: There is one.
        """
        names = [self.state, self.evaluations, *self.path.glob("epoch-*")]
        for path in [*names, *self.state.glob("checkpoint-*"), *self.evaluations.glob("*")]:
            if path.is_symlink():
                raise RunMismatch(
                    f"{path} is a link, and is not followed", hint="give another --out"
                )

    def begin(self, identity: dict[str, Any], dataset: str, digest: str) -> None:
        """Start a training here, or make sure that this one may resume.

        Before the first checkpoint nothing depends on the settings, so they may change.

        Args:
            identity: The settings that decide the result.
            dataset: Where the samples come from.
            digest: Of the data set.

        Raises:
            RunMismatch: Another training is here; the message names what differs.
        """
        if self.checkpoint() is None:
            text = tomli_w.dumps({"data": {"set": dataset, "digest": digest}, **identity})
            write_atomically(self.settings, text.encode())
            return
        there = read_settings(self.settings)
        data = there.pop("data", {})
        different = differences(there, identity)
        if data.get("digest") != digest:
            different.append(f"the data set: {data.get('set')} then, {dataset} now")
        refuse_others(self.path, different, "training")

    def checkpoint(self) -> Path | None:
        """The last complete checkpoint; one that a crash left unfinished does not count."""
        found = [path.parent for path in self.state.glob(f"checkpoint-*/{_COMPLETE}")]
        return max(found, key=lambda path: int(path.name.rpartition("-")[2]), default=None)

    def seal(self, checkpoint: Path) -> None:
        """Mark a checkpoint as complete, and remove all others."""
        (checkpoint / _COMPLETE).touch()
        self.tidy()

    def tidy(self) -> None:
        """Remove all checkpoints but the last complete one."""
        last = self.checkpoint()
        for path in self.state.glob("checkpoint-*"):
            if path != last:
                (path / _COMPLETE).unlink(missing_ok=True)  # so that half of one never counts
                shutil.rmtree(path, ignore_errors=True)

    def finish(self) -> None:
        """Keep the last checkpoint's trainer state only; the last epoch has its weights."""
        if last := self.checkpoint():
            for path in last.iterdir():
                if path.name not in (_COMPLETE, STATE_FILE):
                    shutil.rmtree(path) if path.is_dir() else path.unlink()
