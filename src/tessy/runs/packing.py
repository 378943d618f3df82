"""How turns and other values lie in the journal: JSON, compressed."""

from __future__ import annotations

import zlib
from typing import Any

import orjson

from tessy.trajectory import Outcome, Part, Role, Turn

_UNASKED = 11
"""Fields of a turn in journals that were begun before turns knew what they were asked for."""


def pack(value: Any) -> bytes:
    """A JSON value, compressed."""
    return zlib.compress(orjson.dumps(value), 1)


def unpack(blob: bytes) -> Any:
    """The JSON value that `pack` compressed."""
    return orjson.loads(zlib.decompress(blob))


def turn_to_json(turn: Turn) -> list[Any]:
    """A turn as a list of its fields, in order."""
    return [
        *(turn.role, turn.part, turn.outcome, turn.kept, turn.pending, turn.thrown),
        *(turn.forced, turn.tokens, turn.pending_tokens, turn.thrown_tokens),
        list(turn.ids) if turn.ids is not None else None,
        turn.asked,
    ]


def turn_from_json(fields: list[Any]) -> Turn:
    """The turn that `turn_to_json` wrote."""
    *fields, asked = fields if len(fields) > _UNASKED else (*fields, 0)
    role, part, outcome, kept, pending, thrown, forced, *counts, ids = fields
    tokens, pending_tokens, thrown_tokens = counts
    return Turn(
        role=Role(role),
        part=Part(part),
        outcome=Outcome(outcome),
        kept=kept,
        pending=pending,
        thrown=thrown,
        forced=forced,
        tokens=tokens,
        pending_tokens=pending_tokens,
        thrown_tokens=thrown_tokens,
        ids=None if ids is None else tuple(ids),
        asked=asked,
    )
