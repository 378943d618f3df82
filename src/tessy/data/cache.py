"""Where tessy keeps what can be made or fetched again."""

from __future__ import annotations

import os
from pathlib import Path

GIVEN = "the questions given"
"""What messages call questions that a program has in memory."""


def given_folder() -> Path:
    """Where questions that a program has in memory are files."""
    return cache_folder() / "questions"


def cache_folder() -> Path:
    """`$TESSY_CACHE`, else `tessy` in the user's cache folder."""
    if own := os.environ.get("TESSY_CACHE"):
        return Path(own).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache").expanduser() / "tessy"
