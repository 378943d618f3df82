"""Settings and names fit to be published: nothing of this machine or its network. Pure."""

from __future__ import annotations

import re
from typing import Any

_FILE = re.compile(r"(?P<kind>[a-z]+:)?(?P<folder>(?:~|\.{1,2})?/.*/|(?:~|\.{1,2})?/)(?P<name>.+)")
_URL = re.compile(r"https?://")
_PROSE = {"system_prompt"}
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
    if found := _FILE.fullmatch(value.rstrip("/")):
        return (found["kind"] or "") + found["name"]
    return value
