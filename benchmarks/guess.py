"""How often a hand-over could be guessed before it is certain (docs/performance.md).

    python benchmarks/guess.py

A speculative hand-over would ask the next model as soon as the last word of a stream *looks* like
the other kind, while the predictor that ships still waits for what follows. This counts, on the
gold segments, how many of its hand-overs are seen coming when their first word has just been
written, with nothing after it: the most that speculation can be right. And how many words before
them look like one and are not: a request for nothing each.
"""

from __future__ import annotations

import math

from tessy.boundary.registry import SHIPPED, load
from tessy.boundary.training.segments import gold_file
from tessy.method.judgement import Judgement, Passage
from tessy.method.trajectory import Role
from tessy.method.words import is_neutral, units


def main() -> None:
    """Count and print."""
    predictor = load(SHIPPED)
    hits = hand_overs = alarms = words = 0
    for segment in gold_file():
        start, role = 0, Role.STUDENT
        while start < len(segment.text):
            rest = segment.text[start:]
            context = segment.before + segment.text[:start]
            (judgement,) = predictor.judge([Passage(role, context, rest, final=True)])
            found = guesses(predictor, role, context, rest, judgement)
            if judgement.boundary is None:
                alarms, words = alarms + sum(found), words + len(found)
                break
            hand_overs += 1
            hits += found[-1]
            alarms, words = alarms + sum(found[:-1]), words + len(found) - 1
            start += max(judgement.boundary, 1)
            role = role.other
    print(f"hand-overs: {hand_overs:,}; seen at their first word: {hits / hand_overs:.1%}")
    print(
        f"other words: {words:,}; taken for one: {alarms:,}, {alarms / hand_overs:.2f} a hand-over"
    )


def guesses(predictor, role: Role, context: str, text: str, judgement: Judgement) -> list[bool]:
    """Whether each word, up to the boundary's, looks like the other kind when it is the last."""
    threshold = predictor.settings.thresholds.of(role)
    found = []
    for word in units(text):
        if is_neutral(text[word.word_start : word.word_end]):
            continue
        (scores,) = predictor.style([Passage(role, context, text[: word.word_end])])
        score = scores[-1]
        found.append(not math.isnan(score) and (score > threshold) != (role is Role.STUDENT))
        if judgement.boundary is not None and word.end > judgement.boundary:
            break
    return found


if __name__ == "__main__":
    main()
