"""Texts of prompts, and of what is said to them. Pure."""

from __future__ import annotations

import re

_SPAN = r"\d+(?:\.\d+)?\s*(?:-|–|to)\s*\d+(?:\.\d+)?"
_SCORE = re.compile(r"\bscore\W{0,6}(\d++(?:\.\d++)?+)(?!(?:[-–—‑~]|\s+to\s+)\d)", re.IGNORECASE)
_RANGE = re.compile(
    rf"(\bscore)\W{{0,4}}?(?:[(\[]\s*{_SPAN}\b[^)\]\n]{{0,40}}[)\]]|{_SPAN}\s*(?=:))", re.IGNORECASE
)
"""`Score (0-10): 7`, `score 1-10: 6`: the range is no score."""
_BARE = re.compile(r"\W*(\d+(?:\.\d+)?)(?:\s*/\s*10)?\W*")
_HIGHEST = 10.0


def filled(template: str, **texts: str) -> str:
    """A prompt with texts put in for their names in braces; other braces stay as they are."""
    names = "|".join(map(re.escape, texts))
    return re.sub(rf"\{{({names})\}}", lambda found: texts[found[1]], template)


def score_in(text: str) -> float | None:
    """The score that a judge gives: the last `Score: N`, or a number that stands alone.

    Args:
        text: The judge's answer.

    Returns:
        A number from 0 to 10; None if there is none, or one out of these bounds.
    """
    found = _SCORE.findall(_RANGE.sub(r"\1", text))
    if not found and (bare := _BARE.fullmatch(text)):
        found = [bare[1]]
    if not found or float(found[-1]) > _HIGHEST:
        return None
    return float(found[-1])
