"""Model names.

`http://host:port/v1#served-name` is a running server. `lab:student`, `lab:teacher`,
`lab:relative`, `gguf:PATH` and `hf:OWNER/REPO/FILE.gguf` are weights, for which tessy starts a
local server.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import urlsplit

from tessy.errors import ConfigError, meant
from tessy.lab import MEMBERS

_LAB = [f"lab:{name}" for name in MEMBERS]
_LAB_HINT = ", ".join(_LAB)
_HOST = re.compile(r"(localhost|[\w.-]+\.[\w-]+|\d+(\.\d+){3}):\d{1,5}(/\S*)?")
_REPOSITORY = re.compile(r"[\w.~-]*(/[\w.-]+)+/?")
"""`Qwen/Qwen3-8B`, or a folder."""
_HINT = f"http://host:port/v1#served-name, {_LAB_HINT}, gguf:PATH or hf:OWNER/REPO/FILE.gguf"


class Scheme(StrEnum):
    """Where a model is."""

    SERVER = "server"
    GGUF = "gguf"
    HUB = "hf"
    LAB = "lab"


@dataclass(frozen=True, slots=True)
class Address:
    """A parsed model name.

    Attributes:
        scheme: Where the model is.
        place: The server's base URL (with `/v1`), or the text after the colon.
        served_name: The model's name on the server, if given.
    """

    scheme: Scheme
    place: str
    served_name: str | None = None


def parse_all(text: str) -> list[Address]:
    """Parse a model's name, or the comma-separated URLs of its replicas.

    Raises:
        ConfigError: A name has no known form, or the names are not servers of one model.
    """
    found = [parse(part.strip()) for part in text.split(",")]
    if len(found) > 1:
        if any(one.scheme is not Scheme.SERVER for one in found):
            raise ConfigError(f"{text!r}: only servers can have replicas", hint="URL,URL,…")
        if len({one.place for one in found}) < len(found):
            raise ConfigError(f"{text!r} names a server twice", hint="name each replica once")
        if len({one.served_name for one in found if one.served_name}) > 1:
            raise ConfigError(f"{text!r} names several models", hint="replicas serve the same one")
    return found


def parse(text: str) -> Address:
    """Parse a model's name.

    Raises:
        ConfigError: The name has no known form.
    """
    if text.startswith(("http://", "https://")):
        return _server(text)
    scheme, _, place = text.partition(":")
    if "=" in scheme:
        raise ConfigError(
            f"{text!r} is not a model",
            hint="only teachers have names: --teacher NAME=ADDRESS, once for each",
        )
    if not place or scheme not in (Scheme.LAB, Scheme.GGUF, Scheme.HUB):
        raise ConfigError(f"{text!r} is not a model", hint=_meant_by(text))
    if scheme == Scheme.LAB and place not in MEMBERS:
        raise ConfigError(f"{text!r} is not a model", hint=meant(text, _LAB) + _LAB_HINT)
    if scheme == Scheme.HUB and place.count("/") < 2:
        raise ConfigError(f"{text!r} names no file", hint="hf:OWNER/REPO/FILE.gguf")
    return Address(Scheme(scheme), place)


def _meant_by(text: str) -> str:
    """What to write instead of a text that is no model's name."""
    if text.endswith(".gguf"):
        return f"weights in a file are gguf:{text}"
    if _HOST.fullmatch(text):
        return f"a server's address begins with http://: http://{text}"
    if _REPOSITORY.fullmatch(text):
        return (
            f"serve it, as with `vllm serve {text}`, and give the URL: http://localhost:8000/v1; "
            "tessy serves GGUF files itself: hf:OWNER/REPO/FILE.gguf, or gguf:FOLDER/model.gguf as "
            "tessy sft --export gguf writes them"
        )
    return f"a model is {_HINT}"


def _server(text: str) -> Address:
    url, _, name = text.partition("#")
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as error:
        raise ConfigError(f"{text!r}: {error}", hint=_HINT) from None
    if not parts.hostname:
        raise ConfigError(f"{text!r} names no host", hint=_HINT)
    if not all("!" <= character <= "~" for character in url):
        raise ConfigError(
            f"{text!r} has a character that no URL has: a blank, or one beyond ASCII",
            hint="a path is written with %XX, the name of a host as xn--…",
        )
    if parts.username or parts.password:
        raise ConfigError(
            "a model's URL holds a password", hint="set api_key_env to a variable's name instead"
        )
    base = url.rstrip("/").removesuffix("/completions")
    if not parts.path.strip("/"):
        base += "/v1"
    return Address(Scheme.SERVER, base, name or None)
