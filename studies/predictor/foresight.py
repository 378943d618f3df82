"""Whether it pays to leave a stream before the word of the other kind is written.

    python -m studies.predictor.foresight WORK

WORK is the folder of `make`. A network like the one that ships learns to tell the kind of a word
from the words before it only (and from whether it begins a line), as the published predictors do
with labels that are shifted by one. On the gold set it is asked at each word that the shipped
predictor judges to be the writer's. It is right if the shipped predictor, with all text before it,
judges the next word to be the other kind.

A right guess saves the words that would have been generated and discarded, and a wrong one costs
two first tokens and a word. Times are those of docs/performance.md.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from tessy.boundary.registry import SHIPPED, load
from tessy.boundary.training import window
from tessy.boundary.training.segments import Segment, gold_file, read_segments
from tessy.boundary.window import LEFT, WindowPredictor, buckets
from tessy.method.judgement import Passage
from tessy.method.trajectory import Role
from tessy.method.words import is_neutral, units

EPOCHS, BATCH, RATE = 3, 1920, 2e-3
THRESHOLDS = (0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95)
TOKENS_A_WORD = 1.35
SEEN_WORDS = 1.59
"""Words that are seen at a hand-over without foresight: the first of the other kind, and those that
the predictor waits for (`table`)."""
TIMES = {
    "sleeping servers": {"student": (0.015, 0.006), "teacher": (0.025, 0.010)},
    "vLLM, one API server": {"student": (0.094, 0.0125), "teacher": (0.094, 0.0125)},
    "vLLM, four": {"student": (0.050, 0.016), "teacher": (0.050, 0.016)},
}
"""Seconds to the first token, and for each token."""


def main(work: Path) -> None:
    """Train, and print a table."""
    pool = read_segments(work / "pool.jsonl", labelled=False)
    soft = dict(map(json.loads, (work / "soft.jsonl").read_text("utf-8").splitlines()))
    network = window.TrainedWindow(128)
    learn(network, foreseen(window.examples(pool, [soft[segment.id] for segment in pool])))
    gold = gold_file()
    shipped = load(SHIPPED)
    assert isinstance(shipped, WindowPredictor)
    scores = shipped.style([Passage(Role.TEACHER, s.before, s.text, True) for s in gold])
    style = torch.sigmoid(torch.tensor(network.odds(foreseen(window.examples(gold, scores)))))
    kinds, first = judged(gold, scores)
    print(
        "| from | threshold | precision | share of hand-overs | saved in 1,000 words, s: ", end=""
    )
    print(" | ".join(TIMES), "|\n|" + "---|" * (4 + len(TIMES)))
    for leaves, other in (("student", "teacher"), ("teacher", "student")):
        mine = np.r_[False, kinds[:-1]] == (leaves == "student")
        here = mine & ~first
        changes = here & (kinds != (leaves == "student"))
        guess = 1 - style.numpy() if leaves == "student" else style.numpy()
        for threshold in THRESHOLDS:
            said = here & (guess >= threshold)
            right, wrong = int((said & changes).sum()), int((said & ~changes).sum())
            cells = []
            for times in TIMES.values():
                first_s, token_s = times[leaves]
                other_first_s, other_token_s = times[other]
                saved = right * SEEN_WORDS * TOKENS_A_WORD * token_s
                lost = wrong * (other_first_s + TOKENS_A_WORD * other_token_s + first_s)
                cells.append(f"{1000 * (saved - lost) / len(kinds):+.2f}")
            share = right / max(1, int(changes.sum()))
            precision = right / max(1, right + wrong)
            print(
                f"| {leaves} | {threshold} | {precision:.2f} | {share:.0%} | {' | '.join(cells)} |"
            )


def foreseen(found: window.WindowExamples) -> window.WindowExamples:
    """Examples in which the word is not written yet, only whether it begins a line."""
    size = int(found.rows.max())
    (begins,) = set(buckets("\nx", size)) - set(buckets("x", size))
    lines = (found.rows == begins).any(1)[found.windows[:, LEFT]]
    row = torch.full((1, found.rows.shape[1]), size)
    row[0, 0] = begins
    windows = found.windows.clone()
    windows[:, LEFT + 1 :] = 0
    windows[:, LEFT] = torch.where(lines, len(found.rows), 0)
    return replace(found, rows=torch.cat([found.rows, row]), windows=windows)


def learn(network: window.TrainedWindow, found: window.WindowExamples) -> None:
    """Train for a fixed number of epochs."""
    chance = torch.Generator().manual_seed(0)
    optimizer = torch.optim.AdamW(network.parameters(), RATE, weight_decay=0.0)
    steps = EPOCHS * -(-len(found.windows) // BATCH)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 - step / steps)
    network.train()
    for _ in range(EPOCHS):
        order: Tensor = torch.randperm(len(found.windows), generator=chance)
        for part in order.split(BATCH):
            odds = network(found.windows[part], found.rows)
            loss = nn.functional.binary_cross_entropy_with_logits(odds, found.style[part])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()


def judged(
    gold: Sequence[Segment], scores: Sequence[Sequence[float]]
) -> tuple[np.ndarray, np.ndarray]:
    """Whether each word that counts is style, and whether it is the first of its segment."""
    kinds: list[bool] = []
    first: list[bool] = []
    for segment, row in zip(gold, scores, strict=True):
        at = len(kinds)
        for word, score in zip(units(segment.text), row, strict=True):
            if not is_neutral(segment.text[word.word_start : word.word_end]):
                kinds.append(score > 0.5)
                first.append(len(kinds) - 1 == at)
    return np.array(kinds), np.array(first)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
