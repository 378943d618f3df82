"""Scripts: what a scripted server's "model" writes, as a function of the text so far.

A script has no memory. What it writes depends on the prompt alone, so it does not matter how a
caller cuts the text into requests (*chunk invariance*): for `full = continue_(p)`,
`continue_(p + full[:n])` is `full[n:]` for every n.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

from tessy.testing.plans import RoleName, Shape, Slot, Words, answer, plan, thinking
from tessy.testing.prompts import question_key, read


class Script(Protocol):
    """A model's behaviour."""

    def continue_(self, prompt: str) -> Iterator[str]:
        """Go on from where `prompt` ends.

        Args:
            prompt: All of the text so far; special tokens show as text.

        Returns:
            Pieces of text, made when they are asked for, until the model would end by itself.
        """
        ...


@dataclass(frozen=True, slots=True)
class EchoScript:
    """Always continues with the same text, whatever the prompt (so it is not chunk-invariant).

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
        yield from ()


@dataclass(frozen=True, slots=True)
class LoopScript:
    """Repeats a fragment for ever, going on in the middle of it where the prompt does.

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
    turn, the same for every role and seed. At word i of the thinking (words are told apart by
    white space) the script writes *its own* word for place i, whoever wrote the words before; a
    half-written last word is completed first. Behind the last word it closes the thinking as the
    prompt's opening marker calls for (`<think>` or gpt-oss's channels), writes its own answer,
    and ends. Told to cooperate, student and teacher thus write the plan with style words of the
    student's and capability words of the teacher's.

    A prompt with an assistant's header but no opened thinking is opened by the script; one with
    neither gets an answer, on a line of its own.

    Attributes:
        role: Whose words to write.
        seed: Draws other words; not another plan.
        thinking_words: Words of thinking.
        answer_words: Words of the answer.
        style_mean: Mean words of a style span.
        capability_mean: Mean words of a capability span.
        unicode: Mix in scripts without blanks, joined emoji, combining marks, maths symbols.
        key: What stands for the question, given the prompt before the response; see
            `tessy.testing.prompts.question_key`, the default.
    """

    role: RoleName
    seed: int = 0
    thinking_words: int = 60
    answer_words: int = 12
    style_mean: float = 7
    capability_mean: float = 24
    unicode: bool = False
    key: Callable[[str], str] | None = None

    def __post_init__(self) -> None:
        if self.role not in ("student", "teacher"):
            raise ValueError(f'role is "student" or "teacher", not {self.role!r}')
        if min(self.style_mean, self.capability_mean) <= 0:
            raise ValueError("the means of the spans are greater than 0")

    def continue_(self, prompt: str) -> Iterator[str]:
        """See `Script.continue_`."""
        situation = read(prompt, self.thinking_words)
        key = (self.key or question_key)(situation.head)
        if situation.lead:
            yield situation.lead
        answers = answer(key, self.answer_words, self.role, self.seed)
        if situation.answering:
            yield from _go_on(situation.written, answers)
            return
        words = thinking(key, self._shape, self.role, self.seed, self.unicode)
        yield from _go_on(situation.written, words)
        yield situation.closes
        yield from _go_on("", answers)

    def plan(self, question: str) -> tuple[Slot, ...]:
        """The plan for a question, to compare what came out with.

        Args:
            question: The user's text alone.
        """
        return plan((self.key or question_key)(f"<|user|>{question}"), self._shape)

    @property
    def _shape(self) -> Shape:
        return Shape(self.thinking_words, self.style_mean, self.capability_mean)


def _go_on(written: str, words: Words) -> Iterator[str]:
    """Write the words that are still missing after `written`, the last of which may be half."""
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
