"""What a page's form says a reader decided. Pure, but for the clock."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from itertools import pairwise

import orjson

from tessy.errors import InputError
from tessy.report.viewer.sample import SampleView
from tessy.runs.reviews import MOST_COMMENT, Correction, Decision, Review

_AGAIN = "load the page again"


def review_of(sample: SampleView, form: Mapping[str, object]) -> Review:
    """A review of a sample.

    Args:
        sample: The sample; it has ended.
        form: `decision` is accepted, rejected or empty; `comment`; `text` names what was read.

    Raises:
        InputError: The form makes no sense, or is about another text.
    """
    _check(sample, form)
    decision, comment = str(form.get("decision", "")), str(form.get("comment", "")).strip()
    if decision and decision not in list(Decision):
        raise InputError(
            f"decision {decision!r} is not known", hint=f"one of {', '.join(Decision)}"
        )
    if len(comment) > MOST_COMMENT:
        raise InputError(f"the comment is longer than {MOST_COMMENT:,} characters")
    return Review(
        id=sample.id,
        text=sample.digest,
        decision=Decision(decision) if decision else None,
        comment=comment.replace("\r\n", "\n"),
        time=_now(),
    )


def correction_of(sample: SampleView, form: Mapping[str, object]) -> Correction:
    """The corrected boundaries of a sample's thinking.

    Args:
        sample: The sample; it has ended.
        form: `style` is JSON: pairs of offsets into the thinking, in order; `whole` is `yes` if all
            of it was read; `text` names what was read.

    Raises:
        InputError: The form makes no sense, or is about another text.
    """
    _check(sample, form)
    try:
        style = tuple((int(a), int(b)) for a, b in orjson.loads(str(form.get("style", ""))))
    except (ValueError, TypeError):
        raise InputError("the boundaries are no list of pairs", hint=_AGAIN) from None
    edges = [edge for span in style for edge in span]
    if not all(a < b for a, b in style) or any(a > b for a, b in pairwise(edges)):
        raise InputError("the boundaries are not in order", hint=_AGAIN)
    if edges and not (edges[0] >= 0 and edges[-1] <= len(sample.thinking)):
        raise InputError("the boundaries are outside the thinking", hint=_AGAIN)
    whole = form.get("whole") == "yes"
    return Correction(id=sample.id, text=sample.digest, style=style, whole=whole, time=_now())


def _check(sample: SampleView, form: Mapping[str, object]) -> None:
    if sample.running:
        raise InputError(f"{sample.id!r} has not ended", hint="wait for its end")
    if form.get("text") != sample.digest:
        raise InputError(f"{sample.id!r} was written again meanwhile", hint=_AGAIN)


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
