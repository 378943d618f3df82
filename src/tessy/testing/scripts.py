"""Scripts: what a scripted server's "model" writes, as a function of the text so far.

A script has no memory: what it writes depends on the prompt alone. So it does not matter how a
caller cuts the text into requests (*chunk invariance*): for `full = continue_(p)`,
`continue_(p + full[:n])` is `full[n:]` for every n.

`CooperativeScript` follows a *plan* that both roles share. Its structure (which word is style or
capability, what follows each word, which variable a formula is about) is drawn from the
question's key alone. The words are drawn from key, role and seed, and show who wrote them: the
style words of the roles differ, and the number at the end of a capability word begins with an
even digit if the student wrote it (it is wrong) and with an odd one if the teacher did. No word
of one role is the beginning of the other's at the same place, so a script never takes the other
role's whole word for a half-written one of its own.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal, Protocol

from tessy.testing.prompts import question_key, read

RoleName = Literal["student", "teacher"]
Words = tuple[tuple[str, str], ...]
"""Words to write, each with what follows it."""

STYLE: dict[RoleName, tuple[str, ...]] = {
    "student": (
        "okay,", "wait,", "hmm,", "actually,", "maybe", "so", "alright,", "right,", "but", "oh,",
        "anyway,", "um,", "perhaps", "let's", "see,",
    ),
    "teacher": (
        "thus", "we", "note", "indeed,", "clearly,", "hence", "therefore", "observe", "recall",
        "consequently,", "furthermore,", "that", "the", "following", "claim",
    ),
}  # fmt: skip
"""Discourse words of each role; none holds a digit."""

UNICODE_STYLE: dict[RoleName, tuple[str, ...]] = {
    "student": ("嗯，让我想想", "等等…", "🤔", "👩‍👩‍👧‍👦", "cafe\u0301,", "あれっ", "ну,", "hmm…"),
    "teacher": ("因此我们", "显然，", "✅", "🏳️‍🌈", "nai\u0308f,", "つまり", "итак,", "d’où"),
}
"""More of them: scripts without blanks, joined emoji, combining marks."""

_DIGITS: dict[RoleName, str] = {"student": "2468", "teacher": "13579"}
_FORMS = ("x{0}=", "n+", "", "mod", "f({0})=")
_UNICODE_FORMS = ("∑x{0}²=", "π≈", "√", "x\u0302{0}≤", "𝔼[X{0}]=")
_CODE = "y{0}=x{1}+"
_ANSWER: dict[RoleName, tuple[str, ...]] = {
    "student": ("So", "my", "answer", "is", "just", "about", "here:"),
    "teacher": ("The", "final", "result", "follows", "directly", "from", "this:"),
}


class Script(Protocol):
    """A model's behaviour."""

    def continue_(self, prompt: str) -> Iterator[str]:
        """Continue from where `prompt` ends.

        Args:
            prompt: All of the text so far; special tokens show as text.

        Returns:
            Pieces of text, made when they are asked for, until the model would end by itself.
        """
        ...


@dataclass(frozen=True, slots=True)
class EchoScript:
    """Continues with the same text after every prompt (so it is not chunk-invariant).

    Attributes:
        text: The text.
    """

    text: str

    def continue_(self, prompt: str) -> Iterator[str]:
        """See `Script.continue_`."""
        if self.text:
            yield self.text


@dataclass(frozen=True, slots=True)
class SilentScript:
    """Writes nothing: ends at once."""

    def continue_(self, prompt: str) -> Iterator[str]:
        """See `Script.continue_`."""
        return iter(())


@dataclass(frozen=True, slots=True)
class LoopScript:
    """Repeats a fragment for ever; after a prompt that ends within the fragment, from there.

    Attributes:
        fragment: What is repeated.
    """

    fragment: str

    def __post_init__(self) -> None:
        if not self.fragment:
            raise ValueError("LoopScript needs a fragment that is not empty")

    def continue_(self, prompt: str) -> Iterator[str]:
        """See `Script.continue_`."""
        for length in range(len(self.fragment) - 1, 0, -1):
            if prompt.endswith(self.fragment[:length]):
                yield self.fragment[length:]
                break
        while True:
            yield self.fragment


@dataclass(frozen=True, slots=True)
class CooperativeScript:
    """A reasoning model with a part to play in TESSY: a student or a teacher.

    For each question there is a plan of `thinking_words` words: style and capability spans in
    turn, the same for every role and seed. At word i of the thinking (words are separated by
    white space) the script writes *its own* word for place i, no matter who wrote the words
    before; a half-written last word is completed first. After the last word it closes the
    thinking as the prompt's opening marker requires (`<think>` or gpt-oss's channels), writes its
    own answer, and ends. Together, student and teacher thus write the plan with the student's
    style words and the teacher's capability words.

    After an assistant's header without opened thinking, the script opens the thinking itself. A
    prompt with neither gets an answer, on a line of its own.

    Attributes:
        role: Whose words to write.
        seed: Draws other words, of the same plan.
        thinking_words: Words of thinking.
        answer_words: Words of the answer.
        style_mean: Mean words of a style span (exponential, at least 1).
        capability_mean: Mean words of a capability span.
        unicode: Mix in scripts without blanks, joined emoji, combining marks, maths symbols.
        key: Makes the question's key from the prompt before the response; by default
            `tessy.testing.prompts.question_key`.
    """

    role: RoleName
    seed: int = 0
    thinking_words: int = 60
    answer_words: int = 12
    style_mean: float = 7
    capability_mean: float = 24
    unicode: bool = False
    key: Callable[[str], str] = question_key

    def __post_init__(self) -> None:
        if self.role not in ("student", "teacher"):
            raise ValueError(f'role is "student" or "teacher", not {self.role!r}')
        if min(self.style_mean, self.capability_mean) <= 0:
            raise ValueError("the means of the spans are greater than 0")

    def continue_(self, prompt: str) -> Iterator[str]:
        """See `Script.continue_`."""
        situation = read(prompt, self.thinking_words)
        key = self.key(situation.head)
        if situation.lead:
            yield situation.lead
        if situation.answering:
            yield from _rest(situation.written, _answer(self, key))
            return
        yield from _rest(situation.written, _thinking(self, key))
        yield situation.closes
        yield from _rest("", _answer(self, key))

    def plan(self, question: str) -> tuple[PlannedWord, ...]:
        """The plan for a question, to compare the result with.

        Args:
            question: The user's text alone.
        """
        return _plan(self, self.key(f"<|user|>{question}"))


@dataclass(frozen=True, slots=True)
class PlannedWord:
    """One word of a plan.

    Attributes:
        style: It is a style word; else a capability word.
        form: Which kind of capability word (an index), or -1 for a piece of a code line.
        stem: Numbers that the capability word is about.
        after: What stands between this word and the next; empty after the last.
    """

    style: bool
    form: int
    stem: tuple[int, int]
    after: str


def _plan(script: CooperativeScript, key: str) -> tuple[PlannedWord, ...]:
    """The structure of the thinking: style and capability spans in turn, beginning with style.

    The first span takes at most half of the words, so that even two words are of both kinds.
    """
    draw = random.Random(f"plan\0{key}")
    count = script.thinking_words
    words: list[PlannedWord] = []
    style = True
    while len(words) < count:
        mean = script.style_mean if style else script.capability_mean
        length = max(1, round(draw.expovariate(1 / mean)))
        if not words:
            length = min(length, max(1, count // 2))
        words += _style_span(draw, length) if style else _capability_span(draw, length)
        style = not style
    words = words[:count]
    if words:
        words[-1] = replace(words[-1], after="")
    return tuple(words)


def _style_span(draw: random.Random, length: int) -> list[PlannedWord]:
    last = draw.choices((" ", "\n", "\n\n"), (80, 14, 6))[0]
    return [PlannedWord(True, 0, (0, 0), last if at == length - 1 else " ") for at in range(length)]


def _capability_span(draw: random.Random, length: int) -> list[PlannedWord]:
    afters = [" "] * length
    forms = [draw.randrange(len(_FORMS)) for _ in range(length)]
    if length >= 6 and draw.random() < 0.4:  # an indented line of code
        first = draw.randrange(1, length - 3)
        last = first + draw.randrange(3)
        forms[first : last + 1] = [-1] * (last + 1 - first)
        afters[first - 1], afters[last] = "\n    ", "\n"
    return [
        PlannedWord(False, form, (draw.randrange(1, 40), draw.randrange(1, 40)), after)
        for form, after in zip(forms, afters, strict=True)
    ]


@lru_cache(maxsize=4096)
def _thinking(script: CooperativeScript, key: str) -> Words:
    """The words that the script's role would write at each place of the plan."""
    draw = random.Random(f"words\0{key}\0{script.role}\0{script.seed}")
    return tuple((_word(word, draw, script), word.after) for word in _plan(script, key))


def _word(planned: PlannedWord, draw: random.Random, script: CooperativeScript) -> str:
    special = script.unicode and draw.random() < 0.5
    if planned.style:
        return draw.choice((UNICODE_STYLE if special else STYLE)[script.role])
    value = draw.choice(_DIGITS[script.role]) + str(draw.randrange(100))[: draw.randrange(3)]
    if planned.form < 0:
        return _CODE.format(*planned.stem) + value + ";"
    forms = _UNICODE_FORMS if script.unicode and planned.stem[1] % 2 else _FORMS
    return forms[planned.form].format(*planned.stem) + value


@lru_cache(maxsize=4096)
def _answer(script: CooperativeScript, key: str) -> Words:
    """The words of the role's answer, with a number as the last one."""
    draw = random.Random(f"answer\0{key}\0{script.role}\0{script.seed}")
    texts = [draw.choice(_ANSWER[script.role]) for _ in range(script.answer_words)]
    if texts:
        texts[-1] = draw.choice(_DIGITS[script.role]) + str(draw.randrange(10))
    return tuple((text, " ") for text in texts[:-1]) + tuple((text, "") for text in texts[-1:])


def _rest(written: str, words: Words) -> Iterator[str]:
    """The words that are missing after `written`, whose last word may be half-written."""
    done = written.split()
    between = ""
    if done and len(done) <= len(words):
        word, after = words[len(done) - 1]
        blank = written[len(written.rstrip()) :]
        if not blank and word.startswith(done[-1]) and len(word) > len(done[-1]):
            yield word[len(done[-1]) :]
        between = after[len(blank) :] if after.startswith(blank) else ""
    for word, after in words[len(done) :]:
        yield between + word
        between = after
