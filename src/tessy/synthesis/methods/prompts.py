"""Fills in prompts and reads scores from answers. Pure."""

from __future__ import annotations

import re

_SPAN = r"\d+(?:\.\d+)?\s*(?:-|–|to)\s*\d+(?:\.\d+)?"
_SCORE = re.compile(r"\bscore\W{0,6}(\d++(?:\.\d++)?+)(?!(?:[-–—‑~]|\s+to\s+)\d)", re.IGNORECASE)
_RANGE = re.compile(
    rf"(\bscore)\W{{0,4}}?(?:[(\[]\s*{_SPAN}\b[^)\]\n]{{0,40}}[)\]]|{_SPAN}\s*(?=:))", re.IGNORECASE
)
"""`Score (0-10): 7`, `score 1-10: 6`: the range is not the score."""
_BARE = re.compile(r"\W*(\d+(?:\.\d+)?)(?:\s*/\s*10)?\W*")
HIGHEST = 10.0
"""The best score."""


def filled(template: str, **texts: str) -> str:
    """Replace `{name}` in a template by the text of that name; other braces stay."""
    names = "|".join(map(re.escape, texts))
    return re.sub(rf"\{{({names})\}}", lambda found: texts[found[1]], template)


def score_in(text: str) -> float | None:
    """The score in a judge's answer: the last `Score: N`, or an answer that is only a number.

    Args:
        text: The judge's answer.

    Returns:
        A number from 0 to 10; None if there is none, or if it is out of bounds.
    """
    found = _SCORE.findall(_RANGE.sub(r"\1", text))
    if not found and (bare := _BARE.fullmatch(text)):
        found = [bare[1]]
    if not found or float(found[-1]) > HIGHEST:
        return None
    return float(found[-1])
