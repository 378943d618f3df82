"""What is at a place where a run was expected, and which run may have been meant."""

from __future__ import annotations

from contextlib import suppress
from itertools import islice
from pathlib import Path

from tessy.errors import JournalError, nearest
from tessy.runs.folder import RunFolder

_NAMED = 5
"""Runs of a folder that are named."""
_LOOKED_AT = 1000
"""Folders that are looked into for runs."""
_AT_URL = "this is a run at a URL, seen as a folder: name it as file:///…"


def no_run(path: Path) -> tuple[str, str | None]:
    """What is wrong with a place that has no run, and what to write instead.

    Args:
        path: The place.

    Returns:
        The message, and a hint if something can be said.
    """
    if not path.exists():
        near = near_run(path)
        return (
            f"{path} is no run: there is no such folder",
            f"did you mean {near}?" if near else None,
        )
    if not path.is_dir():
        return f"{path} is no run: it is a file", "name the run's folder"
    return f"{path} is no run: it has no shards with a journal", _hint_inside(path)


def near_run(path: Path) -> Path | None:
    """The run whose name is nearest to that of a folder that is not there; None if none is near."""
    missing = [path, *path.parents]
    above = next((each for each in missing if each.is_dir()), None)
    if above is None:
        return None
    name, *rest = path.relative_to(above).parts or ("",)
    runs = {each.name: each.joinpath(*rest) for each in _folders(above)}
    near = nearest(name, [name for name, run in runs.items() if _is_run(run)])
    return runs[near] if near else None


def _hint_inside(path: Path) -> str | None:
    with suppress(JournalError):
        if any((shard.path / "parts").exists() for shard in RunFolder(path).shards()):
            return _AT_URL
    inside = [each for each in _folders(path) if _is_run(each)]
    if inside:
        more = ", …" * (len(inside) > _NAMED)
        return f"it has runs in it: {', '.join(map(str, inside[:_NAMED]))}{more}"
    above = next((each for each in path.absolute().parents if _is_run(each)), None)
    return f"the run's folder is {above}" if above else None


def _folders(above: Path) -> list[Path]:
    with suppress(OSError):
        return sorted(each for each in islice(above.iterdir(), _LOOKED_AT) if each.is_dir())
    return []


def _is_run(path: Path) -> bool:
    with suppress(JournalError, OSError):
        return bool(RunFolder(path).started_shards())
    return False
