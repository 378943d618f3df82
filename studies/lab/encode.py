"""Examples as token ids, exactly as synthesis shows them to a model.

tessy's own chat format of the tokenizer lays out prompt, thinking and answer. Every piece is
encoded alone, since that is how a model meets what the other one wrote.
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from tokenizers import Tokenizer

from studies.lab.corpus import CorpusExample
from studies.lab.vocabulary import CONTROL
from tessy.method.trajectory import Role
from tessy.models import templates


class EncodedExample(NamedTuple):
    """An example in tokens.

    Attributes:
        ids: Of the prompt, the thinking, the answer and its end.
        learned: Whether each is learned.
    """

    ids: list[int]
    learned: list[bool]


class Encoder:
    """Encodes for one model.

    Args:
        folder: Of its tokenizer, which has a chat template.
        role: Of the model.

    Attributes:
        tokenizer: The tokenizer.
        end: The token that ends an answer.
        pad: The token that fills up a batch.
    """

    def __init__(self, folder: Path, role: Role) -> None:
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        found = templates.from_tokenizer(
            folder, name=str(folder), arguments={}, date=datetime.date.min
        )
        assert found is not None, f"{folder} has no chat template"
        self._format = found
        ids = self.tokenizer.get_vocab()
        self.end = ids[CONTROL[role].end]
        self.pad = ids[CONTROL[role].pad]

    @property
    def closing(self) -> str:
        """The text that ends a thinking."""
        return self._format.closing().text

    def ids(self, text: str) -> list[int]:
        """Ids of a piece of text alone."""
        found: list[int] = self.tokenizer.encode(text, add_special_tokens=False).ids
        return found

    def prompt(self, question: str) -> list[int]:
        """A question with the opened thinking."""
        pieces = self._format.opening([{"role": "user", "content": question}])
        return [token for piece in pieces for token in self.ids(piece.text)]

    def example(self, one: CorpusExample) -> EncodedExample:
        """A question with a response; the model learns the response without foreign words."""
        ids = self.prompt(one.prompt)
        learned = [False] * len(ids)
        texts = [*(piece.text for piece in one.thinking), self.closing, one.answer]
        for text, own in zip(texts, [*one.learned, True, True], strict=True):
            found = self.ids(text)
            ids += found
            learned += [own] * len(found)
        return EncodedExample([*ids, self.end], [*learned, True])

    def split(self, ids: Sequence[int]) -> tuple[str, str]:
        """Thinking and answer of a response; the answer is empty if the thinking did not end."""
        text: str = self.tokenizer.decode(list(ids), skip_special_tokens=False)
        thinking, _, answer = text.partition(self.closing)
        return thinking, answer
