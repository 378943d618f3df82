"""Names and settings without anything of this machine or its network. Pure."""

from __future__ import annotations

import re
from typing import Any

_KIND = re.compile(r"(?P<kind>[a-z]+:)?(?P<place>.+)")
_OF_FILES = {"gguf:", "onnx:"}
_OF_IDS = {"hf:", "lab:", "python:"}
_LEADS = ("/", "./", "../", "~")
_SUFFIXES = (".jsonl", ".json", ".parquet", ".pq", ".gz", ".toml", ".gguf", ".jinja")
_URL = re.compile(r"https?://", re.I)
_PROSE = {"system_prompt", "teacher_only_system_prompt", "prompts", "template_args"}
"""Settings that are text: `/no_think` is no file."""


def portable(value: Any) -> Any:
    """A value in which files have lost their folders, and servers their addresses.

    Args:
        value: A tree of settings, or a name in it, such as `onnx:/home/me/mine`.

    Returns:
        The same with `onnx:mine`; a URL is `a server`. Ids such as `Qwen/Qwen3-8B` stay.
    """
    if isinstance(value, dict):
        return {key: item if key in _PROSE else portable(item) for key, item in value.items()}
    if isinstance(value, list):
        return [portable(item) for item in value]
    if not isinstance(value, str):
        return value
    if _URL.match(value):
        return "a server"
    found = _KIND.fullmatch(value.rstrip("/"))
    if not found or not _is_file(found["kind"] or "", found["place"]):
        return value
    return (found["kind"] or "") + found["place"].rpartition("/")[2]


def _is_file(kind: str, place: str) -> bool:
    """Whether a name is a path here, and no id of Hugging Face, which has one slash at most."""
    if "/" not in place or kind in _OF_IDS:
        return False
    return (
        kind in _OF_FILES
        or place.startswith(_LEADS)
        or place.count("/") > 1
        or place.endswith(_SUFFIXES)
    )
