"""A verifier for tests: `python:verdicts:EvenVerifier`."""

from __future__ import annotations

import os
import re

from tessy.verifiers.protocol import Verdict


class EvenVerifier:
    """Accepts the answers to tasks whose number is even, or breaks if it is told to."""

    name = "even"

    def check(self, row):
        pass

    async def verify(self, row, answer):
        if os.environ.get("VERIFIER_IS_BROKEN"):
            raise ValueError("out of order")
        number = int(re.search(r"task (\d+)", row["prompt"])[1])
        return Verdict.of(number % 2 == 0, "" if number % 2 == 0 else f"{number} is odd")

    async def aclose(self):
        pass


class WordsVerifier:
    """Accepts answers with as many words as one of the question's column `accepts`."""

    name = "words"

    def check(self, row):
        pass

    async def verify(self, row, answer):
        count = len(answer.split())
        return Verdict.of(count in row["accepts"], "" if count in row["accepts"] else f"{count}")

    async def aclose(self):
        pass
