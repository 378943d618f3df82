"""TESSY: style by the student, capability by the teacher, the answer by the student."""

from __future__ import annotations

from tessy.cooperate import Session, answer, think


async def write(session: Session) -> None:
    """Write one sample; see `tessy.cooperate`."""
    await think(session)
    await answer(session)
