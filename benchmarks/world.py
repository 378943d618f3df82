"""The simulated world of the benchmarks: what the models write, how fast, and the bound.

A word is a token. Style words are of letters, capability words are numbers; the plan of a
question (which word is of which kind) is drawn from its id, the same for both models. Capability
spans have 24 words in the mean, style spans 7, both exponential.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from tessy.method.trajectory import Role
from tessy.testing import Latency, build_tokenizer
from tessy.testing.prompts import question_key, read

STYLE_MEAN, CAPABILITY_MEAN = 7, 24
STYLE = tuple(a + b + c for a in ("ok", "wa", "hm", "so") for b in "aeiou" for c in "bdklmnrst")
NUMBERS = tuple(str(number) for number in range(100, 1000))
LATENCY = {Role.STUDENT: Latency(0.015, 0.006), Role.TEACHER: Latency(0.025, 0.010)}
"""Teacher 25 ms + 10 ms a token, student 15 ms + 6 ms a token."""


@dataclass(frozen=True, slots=True)
class Script:
    """A model that goes on with the plan, wherever a prompt ends.

    Attributes:
        words: Of thinking.
        answer_words: Of answer.
    """

    words: int
    answer_words: int

    def continue_(self, prompt: str) -> Iterator[str]:
        """See `tessy.testing.scripts.Script.continue_`."""
        situation = read(prompt, self.words)
        key = question_key(situation.head)
        yield situation.lead
        if not situation.answering:
            yield from self._rest(situation.written, thinking(key, self.words))
            yield situation.closes
            yield from self._rest("", answer(key, self.answer_words))
        else:
            yield from self._rest(situation.written, answer(key, self.answer_words))

    @staticmethod
    def _rest(written: str, words: tuple[str, ...]) -> Iterator[str]:
        done = len(written.split())
        for word in words[done:]:
            yield " " + word


@lru_cache(maxsize=4096)
def spans(key: str, words: int) -> tuple[int, ...]:
    """Lengths of the spans of a question's thinking, in words; style first."""
    draw = random.Random(f"spans {key}")
    lengths: list[int] = []
    while (left := words - sum(lengths)) > 0:
        mean = CAPABILITY_MEAN if len(lengths) % 2 else STYLE_MEAN
        lengths.append(min(left, max(1, round(draw.expovariate(1 / mean)))))
    return tuple(lengths)


@lru_cache(maxsize=4096)
def thinking(key: str, words: int) -> tuple[str, ...]:
    """The words of a question's thinking."""
    draw = random.Random(f"words {key}")
    made: list[str] = []
    for number, length in enumerate(spans(key, words)):
        made += draw.choices(NUMBERS if number % 2 else STYLE, k=length)
    return tuple(made)


@lru_cache(maxsize=4096)
def answer(key: str, words: int) -> tuple[str, ...]:
    """The words of a question's answer."""
    draw = random.Random(f"answer {key}")
    return tuple(draw.choices((*STYLE, *NUMBERS), k=words))


def write_questions(path: Path, count: int) -> None:
    """Questions whose tag is their key."""
    rows = ({"id": f"q{n}", "prompt": f"[[q{n}]] What is it?"} for n in range(count))
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def write_tokenizers(folder: Path) -> dict[Role, Path]:
    """A tokenizer for each role, in which a word is a token."""
    words = (*STYLE, *NUMBERS)
    return {
        Role.STUDENT: build_tokenizer(folder / "student", flavour="qwen3", seed=1, words=words),
        Role.TEACHER: build_tokenizer(folder / "teacher", flavour="gpt-oss", seed=2, words=words),
    }


def bound_s(key: str, words: int, answer_words: int) -> float:
    """The least time of one trajectory: its tokens, and a first token for each span."""
    seconds = LATENCY[Role.STUDENT].first_token_s + answer_words * LATENCY[Role.STUDENT].token_s
    for number, length in enumerate(spans(key, words)):
        latency = LATENCY[Role.TEACHER if number % 2 else Role.STUDENT]
        seconds += latency.first_token_s + length * latency.token_s
    return seconds


def run_bound_s(questions: int, at_once: int, words: int, answer_words: int) -> float:
    """The least time of a run: of its longest trajectory, or of all, shared out."""
    each = [bound_s(f"q{n}", words, answer_words) for n in range(questions)]
    return max(*each, sum(each) / at_once)


def check(content: str, key: str, words: int, answer_words: int) -> None:
    """Make sure that what was written is what the models had to write.

    Raises:
        AssertionError: It is not.
    """
    written, _, answered = content.removeprefix("<think>\n").partition("\n</think>\n\n")
    assert tuple(written.split()) == thinking(key, words), f"{key}: another thinking"
    assert tuple(answered.split()) == answer(key, answer_words), f"{key}: another answer"
