"""Examples as token ids, exactly as synthesis shows them to a model.

Prompt, thinking and answer are laid out by tessy's own chat format of the tokenizer, and every
piece is encoded alone, since that is how a model meets what the other one wrote.
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tessy.lab.corpus import Example
from tessy.lab.vocabulary import CONTROL
from tessy.method.trajectory import Role
from tessy.models import templates


class Encoded(NamedTuple):
    """An example.

    Attributes:
        ids: Of the prompt, the thinking, the answer and its end.
        learned: Whether each is learned.
    """

    ids: list[int]
    learned: list[bool]


class Encoder:
    """Encodes for one model.

    Args:
        folder: Of its tokenizer.
        role: Whose model it is.

    Raises:
        ConfigError: The folder holds no tokenizer with a chat template.
    """

    def __init__(self, folder: Path, role: Role) -> None:
        from tokenizers import Tokenizer

        self.tokenizer: Any = Tokenizer.from_file(str(folder / "tokenizer.json"))
        found = templates.from_tokenizer(
            folder, name=str(folder), arguments={}, date=datetime.date.min
        )
        assert found is not None
        self.format = found
        ids = self.tokenizer.get_vocab()
        self.end: int = ids[CONTROL[role].end]
        self.pad: int = ids[CONTROL[role].pad]

    def ids(self, text: str) -> list[int]:
        """Ids of a piece of text alone."""
        found: list[int] = self.tokenizer.encode(text, add_special_tokens=False).ids
        return found

    def prompt(self, question: str) -> list[int]:
        """A question with the opened thinking."""
        pieces = self.format.opening([{"role": "user", "content": question}])
        return [token for piece in pieces for token in self.ids(piece.text)]

    def example(self, one: Example) -> Encoded:
        """A question with a response; the model learns all of it but words not its own."""
        ids = self.prompt(one.prompt)
        learned = [False] * len(ids)
        closing = (self.format.closing().text, True)
        thinking = zip((piece.text for piece in one.thinking), one.learned, strict=True)
        for text, own in (*thinking, closing, (one.answer, True)):
            found = self.ids(text)
            ids += found
            learned += [own] * len(found)
        return Encoded([*ids, self.end], [*learned, True])

    def split(self, ids: Sequence[int]) -> tuple[str, str]:
        """Thinking and answer of a response that a model has written, markers and all.

        The answer is empty if the thinking did not end.
        """
        text: str = self.tokenizer.decode(list(ids), skip_special_tokens=False)
        thinking, _, answer = text.partition(self.format.closing().text)
        return thinking, answer
