"""From a study's folder to its page, with pictures and numbers beside it."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from tessy.errors import ConfigError, MissingExtra
from tessy.lab.study.page import page
from tessy.lab.study.plots import draw
from tessy.lab.study.results import read
from tessy.runs.folder import write_atomically


def check(root: Path, path: Path, notes: Path | None) -> None:
    """See, before hours of work, that the page can be made.

    Args:
        root: The study's folder; it may not be there yet, and the page may go into it.
        path: The page.
        notes: A file with a reading by hand, if there is one.

    Raises:
        ConfigError: There is no folder for it, or there are no such notes.
        MissingExtra: jinja2, scikit-learn or matplotlib is not installed.
    """
    if not path.parent.is_dir() and path.parent != root:
        raise ConfigError(f"{path}: there is no folder {path.parent}", hint="make it first")
    if path.is_dir():
        raise ConfigError(f"{path} is a folder", hint="name a file in it")
    if notes is not None and not notes.is_file():
        raise ConfigError(f"{notes}: no such file")
    for module, extra in (("jinja2", "report"), ("sklearn", "report"), ("matplotlib", "train")):
        if importlib.util.find_spec(module) is None:
            raise MissingExtra(f"the page needs {module}", hint=f"pip install 'tessy[{extra}]'")


def publish(root: Path, path: Path, *, notes: Path | None, command: str) -> None:
    """Write a study's page, and its pictures to a folder of the same name.

    Args:
        root: The study's folder; it is over.
        path: The page.
        notes: A file with a reading by hand, if there is one.
        command: That made the study.

    Raises:
        StudyError: Jobs are missing.
        ConfigError, MissingExtra: As `check` says.
    """
    check(root, path, notes)
    text = notes.read_text("utf-8") if notes is not None else ""
    results = read(root)
    pictures = draw(results, path.with_suffix(""))
    made = page(results, pictures=pictures, command=command, notes=text)
    write_atomically(path, made.encode())
