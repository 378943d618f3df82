"""Renders pages. All values are escaped, and control characters become pictures.

Both happen for every value (`autoescape`, `finalize`), so no template can forget it.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import jinja2

from tessy.display import visible_value
from tessy.method.trajectory import Failure
from tessy.report.viewer.filters import Sort, Status
from tessy.report.viewer.rendered import MOST, rendered, rendered_text
from tessy.runs.progress import duration, number, percent

OUTCOMES = {
    "right": "✓ right",
    "wrong": "✗ wrong",
    "no_answer": "✗ no answer",
    "error": "! verifier error",
    "unverified": "– unverified",
}
"""What pages call the verdicts."""


_LONG = 700
"""Characters of a question from which on it is folded."""
_LONG_LINES = 12


def render(name: str, /, **values: Any) -> str:
    """A page.

    Args:
        name: `runs`, `samples`, `sample`, `compare` or `error`; its template begins with a list of
            its values.
        values: All of these.
    """
    defaults = {"run": None, "several": False}
    return _environment().get_template(f"{name}.html.jinja").render(defaults | values)


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("tessy.report.viewer"),
        autoescape=True,
        finalize=visible_value,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"percent": percent, "duration": duration, "shortest": _shortest}
    environment.filters |= {"one": number, "brief": _brief}
    environment.filters |= {"rendered": rendered, "markdown": rendered_text}
    environment.tests["long"] = is_long
    environment.globals |= {
        "Failure": Failure,
        "Sort": Sort,
        "Status": Status,
        "most_rendered": MOST,
        "outcomes": OUTCOMES,
    }
    return environment


def is_long(text: str) -> bool:
    """Whether a text is folded."""
    return len(text) > _LONG or text.count("\n") >= _LONG_LINES


def _brief(seconds: float | None) -> str:
    """A time that may be shorter than a second."""
    if seconds is None or seconds >= 10:
        return duration(seconds)
    return f"{seconds:.1f} s" if seconds >= 1 else f"{1000 * seconds:.0f} ms"


def _shortest(value: float | None) -> str | None:
    """A number as a user would type it."""
    return None if value is None else f"{value:g}"
