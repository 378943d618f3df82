"""A report as one HTML file: it opens offline, and asks nobody for anything.

What models wrote is not trusted. It is escaped, control characters become pictures, directions of
writing are kept inside their element, and the page's own policy allows no script, no request and
no style but its own.
"""

from __future__ import annotations

import base64
import hashlib
from importlib import resources

import jinja2
from markupsafe import Markup

from tessy.display import visible
from tessy.report.document import Document


def as_page(document: Document) -> str:
    """The whole page."""
    files = resources.files("tessy.report")
    css = files.joinpath("page.css").read_text("utf-8")
    environment = jinja2.Environment(
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_shown,
    )
    template = environment.from_string(files.joinpath("page.html.jinja").read_text("utf-8"))
    with_traces = [place for place, each in enumerate(document.sections) if each.traces]
    return template.render(
        document=document,
        css=Markup(css),
        policy=policy(css),
        first_with_traces=min(with_traces, default=-1),
    )


def policy(css: str) -> str:
    """What the page may do: apply this one style sheet, and nothing else."""
    digest = base64.b64encode(hashlib.sha256(css.encode()).digest()).decode()
    return f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"


def _shown(value: object) -> object:
    return value if isinstance(value, Markup) or not isinstance(value, str) else visible(value)
