"""The command that starts a bare Python in isolation: bubblewrap's arguments.

What the program sees: `/usr` and the interpreter's own folder, read-only; an empty `/tmp` of its
own; `/proc` of its own processes; no `/etc`, `/home`, `/root`, `/var` or anything else; no network
(not even this machine's); no environment. It has no privileges, can't get any
(`no_new_privs`, no user namespaces of its own), and dies with tessy.

A user namespace counts processes by itself, so the limit on processes holds for each sandbox
alone (Linux 5.14 and later). It does not hold for root, so root becomes `nobody` first; and as
nobody may be unable to reach an interpreter below `/root`, an outer bubblewrap, still root's,
shows it at a place that anyone can reach.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tessy.errors import SandboxError
from tessy.verifiers.limits import ProgramLimits

FOLDER = "/tmp"
"""The only place that the program can write to."""
_NOBODY = "65534"
_SHARED_MB = 16
_ROOTS = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
ENVIRONMENT = {
    "PATH": "/usr/bin:/bin",
    "LANG": "C.UTF-8",
    "PYTHONHASHSEED": "0",  # the same program prints the same, every time
    "MALLOC_ARENA_MAX": "2",  # else each thread reserves 64 MiB of the address space
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
}
_FIRST_TO_DIE = ("/bin/sh", "-c", 'echo 1000 >/proc/self/oom_score_adj; exec "$@"', "sh")
"""If the machine runs out of memory, the kernel ends a sandbox before anything else."""
HINT = (
    "install bubblewrap (Debian, Ubuntu: apt-get install bubblewrap), or run programs without "
    "any isolation, at your own risk: --unsafe-no-sandbox"
)


@dataclass(frozen=True, slots=True)
class Interpreter:
    """The Python that runs programs: the one that runs tessy, without its environment's packages.

    Attributes:
        executable: Its file.
        folders: What it needs besides `/usr`.
    """

    executable: Path
    folders: tuple[Path, ...]


def interpreter() -> Interpreter:
    """The Python to use.

    Raises:
        SandboxError: Its folder holds the user's home: showing it would show all.
    """
    executable = Path(getattr(sys, "_base_executable", sys.executable)).resolve()
    folders = {Path(sys.base_prefix).resolve(), Path(sys.base_exec_prefix).resolve()}
    needed = sorted(folder for folder in folders if not folder.is_relative_to("/usr"))
    for folder in needed:
        if Path.home().resolve().is_relative_to(folder):
            raise SandboxError(
                f"Python's own folder, {folder}, holds your home folder, which programs must not "
                "see",
                hint="install Python in a folder of its own",
            )
    return Interpreter(executable, tuple(needed))


def python_command(executable: Path, script: str) -> list[str]:
    """Start a script on a Python that looks at no site packages and at no other place's files."""
    return [str(executable), "-s", "-S", "-B", "-X", "utf8", "-c", script]


def isolated(
    limits: ProgramLimits, script: str, seccomp: int | None, packages: Sequence[Path] = ()
) -> list[str]:
    """The command that runs a script in isolation.

    Args:
        limits: What the program may use.
        script: What to run, as the first process.
        seccomp: An open file with a filter of system calls.
        packages: Folders of Python packages that it may read.

    Raises:
        SandboxError: A program that is needed is not installed.
    """
    bwrap = _find("bwrap")
    python = interpreter()
    shown = {folder: folder for folder in python.folders}
    shown |= dict(zip(seen_at(packages), packages, strict=True))
    outer: list[str] = []
    if os.geteuid() == 0:
        outer = [bwrap, "--dev-bind", "/", "/", "--tmpfs", "/tmp"]
        for n, (seen, folder) in enumerate(shown.items()):
            outer += ["--ro-bind", str(folder), f"/tmp/{n}"]
            shown[seen] = Path(f"/tmp/{n}")
        outer += ["--chmod", "0755", "/tmp", "--die-with-parent", "--", _find("setpriv")]
        outer += ["--reuid", _NOBODY, "--regid", _NOBODY, "--clear-groups", "--no-new-privs", "--"]
    return [
        *_FIRST_TO_DIE,
        *outer,
        *(bwrap, "--unshare-all", "--unshare-user", "--disable-userns"),
        *("--uid", "1000", "--gid", "1000", "--hostname", "sandbox", "--cap-drop", "ALL"),
        *("--die-with-parent", "--new-session", "--as-pid-1", "--clearenv"),
        *_environment(),
        *_files(limits, shown),
        *(() if seccomp is None else ("--seccomp", str(seccomp))),
        "--",
        *python_command(python.executable, script),
    ]


def seen_at(packages: Sequence[Path]) -> list[Path]:
    """Where a program in isolation sees folders of packages: where they are, or beside `/tmp`.

    A folder below `/tmp` can't be seen there, since the program's own `/tmp` is empty.
    """
    return [
        Path(f"/packages/{n}") if folder.is_relative_to(FOLDER) else folder
        for n, folder in enumerate(packages)
    ]


def _find(program: str) -> str:
    path = shutil.which(program, path=f"{os.environ.get('PATH', os.defpath)}:/usr/bin:/bin")
    if path is None:
        raise SandboxError(f"programs can't be isolated: {program} is not installed", hint=HINT)
    return path


def _environment() -> list[str]:
    values = {**ENVIRONMENT, "HOME": FOLDER, "TMPDIR": FOLDER}
    return [word for name, value in values.items() for word in ("--setenv", name, value)]


def _files(limits: ProgramLimits, shown: dict[Path, Path]) -> list[str]:
    """What there is to see; folders of the system that are links stay links.

    Args:
        limits: What the program may use.
        shown: Where folders are seen, and where they are.
    """
    words = ["--ro-bind", "/usr", "/usr"]
    for name in _ROOTS:
        root = Path("/", name)
        if root.is_symlink():
            words += ["--symlink", str(root.readlink()), str(root)]
        elif root.is_dir():
            words += ["--ro-bind", str(root), str(root)]
    for seen, place in shown.items():
        words += ["--ro-bind", str(place), str(seen)]
    # /dev/zero gives memory that no limit counts, if processes share it.
    words += ["--proc", "/proc", "--dev", "/dev", "--ro-bind", "/dev/null", "/dev/zero"]
    words += ["--size", str(_SHARED_MB << 20), "--tmpfs", "/dev/shm"]
    words += ["--size", str(4 * limits.file_mb << 20), "--tmpfs", FOLDER]
    # Bubblewrap's own / and /dev are file systems in memory, without a limit.
    # In /proc a program could make the kernel end others before it.
    for name in ("/", "/dev", "/proc"):
        words += ["--remount-ro", name]
    return [*words, "--chdir", FOLDER]
