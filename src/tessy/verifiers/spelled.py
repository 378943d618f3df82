"""Numbers in English words: `twelve`, `forty-two apples`, `one hundred and five`. Pure; no I/O."""

from __future__ import annotations

import re

_UNDER_TWENTY = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen"
    " sixteen seventeen eighteen nineteen"
)
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety"
_VALUES = {
    **{word: value for value, word in enumerate(re.findall(r"\w+", _UNDER_TWENTY))},
    **{word: 20 + 10 * value for value, word in enumerate(re.findall(r"\w+", _TENS))},
}
_SCALES = {"hundred": 100, "thousand": 10**3, "million": 10**6, "billion": 10**9}
_ONE = rf"(?:{'|'.join(sorted((*_VALUES, *_SCALES), key=len, reverse=True))})"
_SPELLED = re.compile(
    rf"(?P<sign>minus\s|negative\s)?(?P<words>{_ONE}(?:(?:[\s-]+|\s+and\s+){_ONE})*)"
    r"(?:\s+(?!of\b|or\b|and\b|to\b)[a-z]+){0,2}\s*[.!]?",
    re.I,
)


def spelled(text: str) -> int | None:
    """The number that a text spells, with at most two more words (its unit); None if it is none."""
    found = _SPELLED.fullmatch(text.strip()) if len(text) <= 200 else None
    if found is None:
        return None
    total = part = 0
    for word in re.findall(r"[a-z]+", found["words"].lower()):
        if word == "hundred":
            part = max(part, 1) * 100
        elif word in _SCALES:
            total, part = total + max(part, 1) * _SCALES[word], 0
        elif word != "and":
            part += _VALUES[word]
    return -(total + part) if found["sign"] else total + part
