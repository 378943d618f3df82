"""The files that pages load: our own, and KaTeX (static/katex, MIT licence), for formulas."""

from __future__ import annotations

from importlib import resources

from tessy import palette

_FOLDER = resources.files("tessy.report.viewer").joinpath("static")
_KINDS = {
    "css": "text/css",
    "js": "text/javascript",
    "svg": "image/svg+xml",
    "woff2": "font/woff2",
}
_OWN = ("view.css", "icon.svg", "view.js", "keys.js", "live.js", "formulas.js", "boundaries.js")
_KATEX = tuple(
    f"katex/{name}"
    for name in (
        "katex.min.css",
        "katex.min.js",
        *(f"fonts/{font.name}" for font in _FOLDER.joinpath("katex", "fonts").iterdir()),
    )
)
FILES = {name: _KINDS[name.rpartition(".")[2]] for name in (*_OWN, *_KATEX)}
"""Names of files in addresses, and their media types."""


def content(name: str) -> bytes:
    """A file; the palette is in front of our style sheet."""
    found = _FOLDER.joinpath(*name.split("/")).read_bytes()
    return palette.css().encode() + found if name == "view.css" else found
