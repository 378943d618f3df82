"""Renders pages. All values are escaped, and control characters become pictures.

Both happen for every value (`autoescape`, `finalize`), so no template can forget it.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import jinja2

from tessy.display import visible_value
from tessy.method.trajectory import Failure
from tessy.report.viewer.filters import Status
from tessy.runs.progress import duration, percent


def render(name: str, /, **values: Any) -> str:
    """A page.

    Args:
        name: `samples`, `sample` or `error`; its template begins with a list of its values.
        values: All of these.
    """
    return _environment().get_template(f"{name}.html.jinja").render(values)


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
    environment.globals |= {"Failure": Failure, "Status": Status}
    return environment


def _shortest(value: float | None) -> str | None:
    """A number as a user would type it."""
    return None if value is None else f"{value:g}"
