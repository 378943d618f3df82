"""From a study's folder to its page, with pictures and numbers beside it."""

from __future__ import annotations

from pathlib import Path

from tessy.errors import ConfigError
from tessy.lab.study.page import page
from tessy.lab.study.plots import draw
from tessy.lab.study.results import read
from tessy.runs.folder import write_atomically


def publish(root: Path, path: Path, *, notes: Path | None, command: str) -> None:
    """Write a study's page, and its pictures to a folder of the same name.

    Args:
        root: The study's folder; it is over.
        path: The page.
        notes: A file with a reading by hand, if there is one.
        command: That made the study.

    Raises:
        StudyError: Jobs are missing.
        ConfigError: There are no such notes.
        MissingExtra: matplotlib is not installed.
    """
    text = ""
    if notes is not None:
        if not notes.is_file():
            raise ConfigError(f"{notes}: no such file")
        text = notes.read_text("utf-8")
    results = read(root)
    pictures = draw(results, path.with_suffix(""))
    made = page(results, pictures=pictures, command=command, notes=text)
    write_atomically(path, made.encode())
