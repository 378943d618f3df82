"""How turns and other values lie in the journal: JSON, compressed."""

from __future__ import annotations

import zlib
from typing import Any

import orjson

from tessy.method.trajectory import Failure, Outcome, Part, Role, Turn

_LATER = (0, 0, "", None, None)
"""What the last fields of a turn are in journals that were begun before it had them."""

_FIELDS = 11 + len(_LATER)


def pack(value: Any) -> bytes:
    """A JSON value, compressed."""
    return zlib.compress(orjson.dumps(value), 1)


def unpack(blob: bytes) -> Any:
    """The JSON value that `pack` compressed."""
    return orjson.loads(zlib.decompress(blob))


def turn_to_json(turn: Turn) -> list[Any]:
    """A turn as a list of its fields, in order."""
    return [
        *(turn.role, turn.part, turn.outcome, turn.kept, turn.pending, turn.discarded),
        *(turn.forced, turn.tokens, turn.pending_tokens, turn.discarded_tokens),
        list(turn.ids) if turn.ids is not None else None,
        *(turn.asked, turn.draft, turn.why, turn.failure, turn.confidence),
    ]


def turn_from_json(fields: list[Any]) -> Turn:
    """The turn that `turn_to_json` wrote."""
    missing = _FIELDS - len(fields)
    fields = [*fields, *_LATER[len(_LATER) - missing :]] if missing else fields
    role, part, outcome, kept, pending, discarded, forced, *counts, ids = fields[: -len(_LATER)]
    asked, draft, why, failure, confidence = fields[-len(_LATER) :]
    tokens, pending_tokens, discarded_tokens = counts
    return Turn(
        role=Role(role),
        part=Part(part),
        outcome=Outcome(outcome),
        kept=kept,
        pending=pending,
        discarded=discarded,
        forced=forced,
        tokens=tokens,
        pending_tokens=pending_tokens,
        discarded_tokens=discarded_tokens,
        ids=None if ids is None else tuple(ids),
        asked=asked,
        draft=draft,
        why=why,
        failure=Failure(failure) if failure else None,
        confidence=confidence,
    )
