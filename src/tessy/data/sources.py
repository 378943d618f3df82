"""Finds the files that a source names, and opens them: a file, a folder, a glob, standard input."""

from __future__ import annotations

import atexit
import bz2
import errno
import functools
import glob
import gzip
import io
import json
import lzma
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import BinaryIO, TextIO, cast

from tessy.data.cache import GIVEN, given_folder
from tessy.data.fetched import fetch_file, fetch_files, stand_in
from tessy.data.files import is_there
from tessy.data.messages import cut
from tessy.data.remote import RemotePath, is_url, persistently, shown_url
from tessy.display import count_of
from tessy.errors import DataError, RemoteError, nearest

STDIN = "-"
"""The source that stands for standard input."""
_READ = (".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".parquet", ".pq", ".arrow")
_PACKED = (".gz", ".bz2", ".xz", ".zst")
_OTHER = (".txt", ".zip", ".tar", ".xlsx", ".yaml", ".yml", ".toml", ".py")
_SHARD = re.compile(r"[-_.]?\d+(?:-of-(\d+))?$")
KINDS = (
    "a .jsonl, .json, .csv, .tsv, .parquet or .arrow file (also .gz, .bz2, .xz, .zst), a folder "
    "of shards, a quoted glob 'data/*.jsonl', - for standard input, or a Hugging Face data set "
    "owner/name:config:split; files, folders and globs may be at a URL, such as s3://"
)
_ABOUT = ("state.json", "dataset_dict.json")
"""Small files of `save_to_disk` that say what is in a folder."""
UTF_16 = (b"\xff\xfe", b"\xfe\xff")
"""How files of that encoding begin."""
_BUFFER = 1 << 20
_LOOKED_AT = 1000
"""Names of a folder that are compared with that of a file that is not there."""
_LONGEST_NAME = 200
"""Characters of a name that can't be one."""
LONGEST_LINE = 256 << 20
"""Bytes of the longest line that is read."""


def find_files(source: str | Path, *, what: str) -> list[Path] | None:
    """The files that a source names; None if it can only be a data set on Hugging Face.

    Args:
        source: A file, the folder of a run or of an export, of shards or of `save_to_disk`, or a
            glob, also at a URL; or `-`.
        what: A plural noun for the rows, for messages.

    Raises:
        DataError: There is no such file, or the folder holds no or several data sets; or the source
            is neither text nor a path.
        RemoteError: A URL can't be read.
    """
    check_name(source, what)
    kinds = f"{what} are in {KINDS}"
    try:
        return _find(str(source), "; ".join(filter(None, (_text_hint(str(source)), kinds))))
    except RemoteError:  # which is an OSError
        raise
    except OSError as error:
        hint = "name the file itself, if you trust it" if error.errno == errno.EINVAL else None
        name = cut(str(error.filename or source), _LONGEST_NAME)
        hint = hint or _text_hint(name) or None
        raise DataError(f"{name}: {error.strerror}", hint=hint) from None


def _text_hint(name: str) -> str:
    """What to do with a question itself, which a name with blanks may be."""
    return "the text of a question goes into a file, or in Python a list" if _is_text(name) else ""


def _is_text(name: str) -> bool:
    return len(name.split()) > 1


def check_name(source: object, what: str) -> None:
    """Make sure that a source is named, and is not the rows themselves.

    Raises:
        DataError: It is neither text nor a path.
    """
    if not isinstance(source, str | Path):
        raise DataError(
            f"{what} must be a path, or the name of a data set, not {type(source).__name__}",
            hint="write the rows to a file, an object a line of JSON, and name that file",
        )


def _find(name: str, kinds: str) -> list[Path] | None:
    if is_url(name):
        return _at_url(RemotePath(name), kinds)
    path = Path(name)
    if name == STDIN:
        return [from_stdin()]
    if path.is_dir():
        return _in_folder(path, kinds)
    if path.exists():
        if not path.is_file():
            raise DataError(f"{path} is no file", hint=f"pipe it, and name {STDIN} instead")
        if suffix_of(path) not in _READ:
            raise DataError(f"{path}: {path.suffix or 'no suffix'} is not known", hint=kinds)
        return [path]
    if any(mark in name for mark in "*?") or ("[" in name and ":" not in name):
        found = [Path(each) for each in sorted(glob.glob(name, recursive=True))]  # noqa: PTH207
        found = [each for each in found if each.is_file() and suffix_of(each) in _READ]
        if not found:
            raise DataError(f"{name}: no data file matches", hint=kinds)
        return found
    is_file = path.suffix.lower() in (*_READ, *_PACKED, *_OTHER)
    is_local = is_file or _is_text(name) or name.count("/") != 1 or name.startswith((".", "/"))
    if not is_local and not path.parent.is_dir():
        return None
    if near := _near(path):
        raise DataError(f"{name}: no such file or folder", hint=f"did you mean {near}?")
    if is_local:
        raise DataError(f"{name}: no such file", hint=kinds)
    raise DataError(
        f"{name}: no such file or folder",
        hint=f"{path.parent} is a folder here, so {name} is not asked for on Hugging Face",
    )


def _near(path: Path) -> Path | None:
    """What is in a file's folder, if a name is near that of the file that is not there."""
    with suppress(OSError):
        there = [each.name for each in islice(path.parent.iterdir(), _LOOKED_AT)]
        seen = sorted(name for name in there if not name.startswith("."))
        names = {name.split(".")[0]: name for name in seen} | {name: name for name in seen}
        near = nearest(path.name, names)
        return path.with_name(names[near]) if near else None
    return None


def _at_url(there: RemotePath, kinds: str) -> list[Path]:
    """Copies of the files that a URL names."""
    if any(mark in str(there) for mark in "*["):
        several = [each for each in persistently(there.matching) if _is_read(each.name)]
        if not several:
            raise DataError(f"{there}: no data file matches", hint=kinds)
        return [fetch_file(each) for each in several]
    if _is_read(there.name):
        return [fetch_file(there)]
    names = [name for name in persistently(lambda: there.files(3)) if _is_wanted(name)]
    if not names:
        raise DataError(f"{there}: no data file is there", hint=kinds)
    chosen = stand_in(there, names, _ABOUT)
    try:
        found = [str(path.relative_to(chosen)) for path in _in_folder(chosen, kinds)]
    except DataError as error:
        hint = (error.hint or "").replace(str(chosen), str(there))
        raise DataError(error.message.replace(str(chosen), str(there)), hint=hint) from None
    finally:
        shutil.rmtree(chosen.parent)
    folder = fetch_files(there, found)
    return [folder / name for name in found]


def _is_read(name: str) -> bool:
    return suffix_of(Path(name)) in _READ


def _is_wanted(name: str) -> bool:
    """Whether a file of a folder says what is in it, or may be data of it."""
    depth = name.count("/")
    return Path(name).name in (*_ABOUT, "run.toml") or (depth <= 2 and _is_read(name))


def name_of(source: str | Path) -> str:
    """What messages call a source."""
    if str(source) == STDIN:
        return "standard input"
    return GIVEN if Path(source).parent == given_folder() else shown_url(str(source))


def suffix_of(path: Path) -> str:
    """A file's suffix in lower case, without that of its compression."""
    name = path.name.lower()
    packed = next((each for each in _PACKED if name.endswith(each)), "")
    return Path(name.removesuffix(packed)).suffix


def _in_folder(folder: Path, kinds: str) -> list[Path]:
    """A run's data set, an export's training part, or the shards of one data set."""
    if is_there(folder / "dataset.jsonl"):
        return [folder / "dataset.jsonl"]
    if parts := _parts_of_run(folder) or _training_part(folder):
        return parts
    if (folder / "shards").is_dir() and (folder / "run.toml").is_file():
        raise DataError(
            f"{folder} is a folder without dataset.jsonl",
            hint="a run has one when it ends, or stops: the command that started it resumes it; "
            "tessy merge writes it of shards that were written apart",
        )
    if (folder / "dataset_dict.json").is_file():
        return _in_folder(_only_split(folder), kinds)
    is_saved = (folder / "state.json").is_file()  # by `save_to_disk`
    wanted = (".arrow",) if is_saved else _READ
    found = sorted(
        each
        for each in folder.iterdir()
        if each.is_file() and suffix_of(each) in wanted and not each.name.startswith((".", "_"))
    )
    found = [each for each in found if each.name not in ("dataset_info.json", "dataset_infos.json")]
    if not found:
        raise DataError(f"{folder} is a folder without dataset.jsonl or other data", hint=kinds)
    sets = {_SHARD.sub("", each.name.split(".")[0]) + suffix_of(each) for each in found}
    if len(sets) > 1:
        names = ", ".join(each.name for each in found[:5])
        raise DataError(
            f"{folder} is a folder with several data sets: {names}",
            hint=f"name one of them, or a quoted glob: '{folder / ('*' + found[0].suffix)}'",
        )
    _check_complete(folder, found)
    return found


def _parts_of_run(folder: Path) -> list[Path]:
    """The Parquet files of a run with `rows_per_file`: merged ones, or those of its shards."""
    if not (folder / "run.toml").is_file():
        return []
    merged = sorted(folder.glob("dataset-*.parquet"))
    return merged or sorted(folder.glob("shards/*/part-*.parquet"))


def _training_part(folder: Path) -> list[Path]:
    """What an export is to be trained on."""
    if not (folder / "export.json").is_file():
        return []
    for pattern in ("train.jsonl", "train-*.parquet", "data/train-*.parquet"):
        if found := sorted(folder.glob(pattern)):
            _check_complete(folder, found)
            return found
    return []


def _check_complete(folder: Path, found: list[Path]) -> None:
    """Make sure that no shard is missing, where their names say how many there are."""
    matches = (_SHARD.search(each.name.split(".")[0]) for each in found)
    counts = {int(match[1]) for match in matches if match and match[1]}
    if counts and counts != {len(found)}:
        named = ", ".join(map(str, sorted(counts)))
        raise DataError(
            f"{folder} has {count_of(len(found), 'shard')}, of {named} by name",
            hint="some are missing, or there are those of several data sets",
        )


def _only_split(folder: Path) -> Path:
    try:
        splits = json.loads((folder / "dataset_dict.json").read_bytes())["splits"]
        names = [str(each) for each in splits if (folder / str(each)).is_dir()]
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise DataError(f"{folder / 'dataset_dict.json'} can't be read: {error!r}") from None
    if len(names) != 1 or "/" in names[0] or names[0].startswith("."):
        said = ", ".join(names) or "none"
        raise DataError(f"{folder} has several splits: {said}", hint=f"name one: {folder}/SPLIT")
    return folder / names[0]


def from_stdin() -> Path:
    """A copy of standard input, since rows are read several times; it goes with the process.

    Raises:
        DataError: Standard input is a terminal, or can't be read.
    """
    if sys.stdin is None or sys.stdin.isatty():
        raise DataError(
            "- is standard input, and that is a terminal", hint="pipe lines of JSON into it"
        )
    return _copy(sys.stdin)


@functools.cache
def _copy(stream: TextIO) -> Path:
    try:
        with tempfile.NamedTemporaryFile(prefix="tessy-", suffix=".jsonl", delete=False) as file:
            path = Path(file.name)
            atexit.register(path.unlink, missing_ok=True)
            shutil.copyfileobj(stream.buffer, file, 1 << 20)
    except (OSError, AttributeError, ValueError) as error:
        raise DataError(f"standard input can't be read: {error}") from None
    return path


def open_bytes(path: Path) -> BinaryIO:
    """Open a file to read its bytes, decompressed.

    Raises:
        OSError: It can't be opened.
    """
    match path.suffix.lower():
        case ".gz":
            return cast(BinaryIO, gzip.open(path))
        case ".bz2":
            return cast(BinaryIO, bz2.open(path))
        case ".xz":
            return cast(BinaryIO, lzma.open(path))
        case ".zst":
            import pyarrow

            return io.BufferedReader(pyarrow.input_stream(path, compression="zstd"))
        case _:
            return path.open("rb", _BUFFER)


def lines(file: BinaryIO, name: str) -> Iterator[tuple[int, bytes]]:
    """The lines of a file that are not blank, with their numbers, without a byte order mark.

    Args:
        file: The open file.
        name: Its name, for messages.

    Raises:
        DataError: A line is too long, or the file is UTF-16.
    """
    number = 0
    while line := file.readline(LONGEST_LINE + 1):
        number += 1
        if len(line) > LONGEST_LINE:
            raise DataError(
                f"{name}:{number}: longer than {LONGEST_LINE >> 20} MiB",
                hint="a row is a line of its own",
            )
        if number == 1 and line.startswith(UTF_16):
            raise DataError(f"{name} is UTF-16", hint=f"iconv -f UTF-16 -t UTF-8 {name} > NEW")
        line = line.removeprefix(b"\xef\xbb\xbf")
        if line.strip():
            yield number, line
