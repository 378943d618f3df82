"""Renders pages. Whatever they show is escaped, and control characters become pictures.

Both happen for every value by itself (`autoescape`, `finalize`), so no template can forget it.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import jinja2
from markupsafe import Markup

from tessy.display import visible
from tessy.method.trajectory import Failure
from tessy.report.viewer.filters import Filter, Status
from tessy.report.viewer.follow import State
from tessy.report.viewer.search import PAGE, Listed, Neighbours
from tessy.report.viewer.trace import Trace
from tessy.runs.progress import duration, percent
from tessy.runs.reader import UnderWay


def samples(
    run: str,
    method: str | None,
    state: State,
    wanted: Filter,
    page: int,
    listed: Listed,
    under_way: Sequence[UnderWay],
    statuses: dict[str, int],
) -> str:
    """The list.

    Args:
        run: The run's folder.
        method: How its samples are written; None if that is not known.
        state: How far the run and the index are.
        wanted: The filter.
        page: Which page, from 1.
        listed: Its samples.
        under_way: Samples under way that are shown above them.
        statuses: How many samples ended how.
    """
    pages = max(1, -(-listed.total // PAGE))
    if wanted.status is Status.RUNNING:
        pages = page + (len(under_way) == PAGE)
    return _render(
        "samples.html.jinja",
        run=run,
        method=method,
        state=state,
        wanted=wanted,
        page=page,
        pages=pages,
        listed=listed,
        under_way=under_way,
        statuses=statuses,
        reasons=[failure for failure in Failure if failure in statuses],
        Status=Status,
    )


def sample(run: str, state: State, wanted: Filter, trace: Trace, beside: Neighbours) -> str:
    """A sample.

    Args:
        run: The run's folder.
        state: How far the run and the index are.
        wanted: The filter of the list that it was opened from.
        trace: The sample.
        beside: What comes before and after it.
    """
    return _render(
        "sample.html.jinja", run=run, state=state, wanted=wanted, trace=trace, beside=beside
    )


def trouble(run: str, message: str, hint: str | None) -> str:
    """What is wrong with what was asked for.

    Args:
        run: The run's folder.
        message: What is wrong.
        hint: What to do instead.
    """
    return _render("trouble.html.jinja", run=run, message=message, hint=hint)


def _render(template: str, **values: Any) -> str:
    return _environment().get_template(template).render(**values)


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("tessy.report.viewer"),
        autoescape=True,
        finalize=_shown,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"percent": percent, "duration": duration, "shortest": _shortest}
    return environment


def _shortest(value: float | None) -> str | None:
    """A number as one would type it."""
    return None if value is None else f"{value:g}"


def _shown(value: Any) -> Any:
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value
