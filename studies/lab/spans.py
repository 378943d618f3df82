"""How long the style spans of real traces are, and of the lab's corpora (docs/lab.md).

    python -m studies.lab.spans DATA

DATA holds folders `traces_*` with `traces.jsonl.gz` in them. The predictor that ships cuts 40
traces of each model, of at most 1,500 words; of the lab's corpora the spans are known.
"""

from __future__ import annotations

import asyncio
import random
import re
import sys
from collections import Counter
from collections.abc import Iterable
from itertools import groupby
from pathlib import Path

from studies.lab.corpus import example
from studies.lab.members import Member
from studies.predictor.traces import traces
from tessy.boundary.batcher import PredictorBatcher
from tessy.boundary.registry import SHIPPED, load
from tessy.config import HandOver
from tessy.method.trajectory import Role
from tessy.method.words import units
from tessy.synthesis.rewriting import cut

TRACES, WORDS = 40, 1500
EXAMPLES = 600
SHOWN = 4


def row(name: str, words: int, spans: Iterable[str]) -> str:
    """A row of the table.

    Args:
        name: Whose text.
        words: Words of all of it.
        spans: Its style spans.
    """
    texts = [span.split() for span in spans]
    ones = Counter(re.sub(r"\W+$", "", text[0]) for text in texts if len(text) == 1)
    often = ", ".join(f"{word} {n / ones.total():.0%}" for word, n in ones.most_common(SHOWN))
    one, two = (sum(len(text) == size for text in texts) / len(texts) for size in (1, 2))
    return f"| {name} | {one:.0%} | {two:.0%} | {1000 * ones.total() / words:.0f} | {often} |"


async def main(data: Path) -> None:
    """Count and print."""
    print("| | one word | two | one-word spans in 1,000 words | most frequent |")
    print("|---" * 5 + "|")
    batcher = PredictorBatcher(dict.fromkeys(Role, load(SHIPPED)))
    known = sorted(
        (f"{each.model}, {each.id.partition('/')[0]}", each.thinking) for each in traces(data)
    )
    for name, group in groupby(known, key=lambda each: each[0]):
        if not re.match("Qwen3-8B|gpt-oss", name):
            continue
        texts = [text for _, text in group]
        words, spans = 0, list[str]()
        for text in random.Random(0).sample(texts, min(TRACES, len(texts))):
            text = text[: units(text)[:WORDS][-1].end]
            words += len(text.split())
            found = await cut(text, batcher, HandOver())
            spans += [text[s.start : s.end] for s in found if s.role is Role.STUDENT]
        print(row(name, words, spans))
    for member in (Member.STUDENT, Member.TEACHER):
        pieces = [
            piece for number in range(EXAMPLES) for piece in example(member, number, 0).thinking
        ]
        words = sum(len(piece.text.split()) for piece in pieces)
        print(row(f"lab:{member}", words, (piece.text for piece in pieces if piece.style)))


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
