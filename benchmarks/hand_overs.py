"""Hand-overs, the student's share and tokens in 1,000 words of real reasoning (docs/serving.md).

    python benchmarks/hand_overs.py DATA TOKENIZER

DATA holds folders `traces_*` with `traces.jsonl.gz` in them (model, domain, thinking); TOKENIZER is
a folder with `tokenizer.json`. The predictor that ships judges every word of 20 traces of each
model, of at most 3,000 words each. `tessy doctor` assumes what this prints.
"""

from __future__ import annotations

import gzip
import json
import math
import random
import sys
from itertools import groupby, pairwise
from pathlib import Path

from tokenizers import Tokenizer

from tessy.boundary.registry import SHIPPED, load
from tessy.method.judgement import Passage
from tessy.method.trajectory import Role
from tessy.method.words import units

TRACES = 20
WORDS = 3000


def main() -> None:
    """Count and print."""
    data, tokenizer = Path(sys.argv[1]), Tokenizer.from_file(f"{sys.argv[2]}/tokenizer.json")
    predictor = load(SHIPPED)
    print(f"{'traces of':48}{'words':>9}{'style':>8}{'hand-overs':>12}{'tokens':>9}")
    rows = []
    for name, texts in sorted(of_models(data).items()):
        words = style = overs = tokens = 0
        for text in random.Random(0).sample(texts, min(TRACES, len(texts))):
            found = units(text)[:WORDS]
            text = text[: found[-1].end]
            mine = kinds(predictor, text)
            words, style = words + len(text.split()), style + sum(mine)
            overs += sum(a != b for a, b in pairwise(mine))
            tokens += len(tokenizer.encode(text, add_special_tokens=False).ids)
        rows.append((words, style, overs, tokens))
        show(name, *rows[-1])
    show("all", *map(sum, zip(*rows, strict=True)))


def show(name: str, words: int, style: int, overs: int, tokens: int) -> None:
    """Print a row: the share of the words that is style, and the others in 1,000 words."""
    each = 1000 / words
    print(f"{name:48}{words:9,}{style / words:8.1%}{overs * each:12.0f}{tokens * each:9,.0f}")


def of_models(data: Path) -> dict[str, list[str]]:
    """The thinking of whole traces, by model and folder."""
    rows = []
    for path in data.glob("traces_*/traces.jsonl.gz"):
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            for row in map(json.loads, lines):
                if len((row.get("thinking") or "").split()) >= 100:
                    name = f"{row['model'].rpartition('/')[2]}, {path.parent.name[7:]}"
                    rows.append((name, row["thinking"]))
    rows.sort()
    return {name: [text for _, text in group] for name, group in groupby(rows, lambda r: r[0])}


def kinds(predictor, text: str) -> list[bool]:
    """Whether each word of a text is the student's, as in synthesis."""
    (scores,) = predictor.style([Passage(Role.STUDENT, "", text, final=True)])
    role, found = Role.STUDENT, []
    for score in scores:
        if not math.isnan(score):
            is_style = score > predictor.settings.thresholds.of(role)
            role = Role.STUDENT if is_style else Role.TEACHER
        found.append(role is Role.STUDENT)
    return found


if __name__ == "__main__":
    main()
