"""A scripted judge: it thinks a little, then rates a question by a number in its text."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from tessy.testing.prompts import read

_THINKING = "This needs a few steps."


@dataclass(frozen=True, slots=True)
class RatingScript:
    """Rates a question that says `worth N` with N; another one in words that hold no score."""

    def continue_(self, prompt: str) -> Iterator[str]:
        """See `Script.continue_`."""
        situation = read(prompt, 5)
        yield situation.lead
        if not situation.answering:
            yield _THINKING[len(situation.written) :]
            yield situation.closes
        found = re.search(r"worth (\d+)", situation.head)
        answer = f'{{"why": "it says so", "score": {found[1]}}}' if found else "I can't say."
        yield answer[len(situation.written) if situation.answering else 0 :]
