"""A report as JSON: every number of it, with the names that the code has for them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np
import orjson

from tessy.report.build import Report
from tessy.report.traces import Shown

FORMAT = 1
"""Raised when a name changes its meaning."""


def as_json(report: Report) -> bytes:
    """All numbers; null where there was nothing to count, pairs of labels joined by ` | `.

    Points of the principal components and traces are left out, but for the failures' reasons.
    """
    tree = {"format": FORMAT, **_plain(report)}
    return orjson.dumps(tree, option=orjson.OPT_INDENT_2) + b"\n"


def _plain(value: Any) -> Any:
    if isinstance(value, Shown):
        failed = {"reason": value.failure.value, "detail": value.detail} if value.failure else {}
        return {"id": value.id, **failed}
    if is_dataclass(value):
        pairs = ((field.name, getattr(value, field.name)) for field in fields(value))
        return {name: _plain(each) for name, each in pairs if not isinstance(each, np.ndarray)}
    if isinstance(value, Mapping):
        return {_name(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, float):
        return None if math.isnan(value) else value
    return value


def _name(key: Any) -> str:
    return " | ".join(key) if isinstance(key, tuple) else str(key)
