"""What a scorer is: somebody who says how probable each token of a text is under the student."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from tessy.display import Say
from tessy.models.templates import ChatFormat
from tessy.models.tokenizers import Codec


class Scorer(Protocol):
    """Says how probable tokens are.

    Attributes:
        name: What a report calls it.
        key: The same for two scorers only if they say the same.
        format: The student's chat format.
        codec: Its tokenizer.
        longest: Ids that it takes at most; None if it does not say.
        at_once: How many texts to give it at once.
    """

    name: str
    key: str
    format: ChatFormat
    codec: Codec
    longest: int | None
    at_once: int

    async def logprobs(self, ids: Sequence[int]) -> list[float | None]:
        """Natural logarithm of each id's probability after those before it; None for the first.

        Raises:
            Refused: It does not take this text.
            ModelError: It failed.
        """
        ...


Opens = Callable[[Say], AbstractAsyncContextManager[Scorer]]
"""Opens a scorer; it closes when the context does."""
