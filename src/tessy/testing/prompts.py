"""Reading a prompt as a cooperative script does: which question, which part, what is written.

The markers are those of Qwen3 and DeepSeek-R1 (`<think>`), gpt-oss (harmony channels) and plain
headings (`### Question`, `User:`). Not covered: other families, and multimodal prompts.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

THINK_OPENS = "<think>\n"
THINK_CLOSES = "\n</think>\n\n"
HARMONY_OPENS = "<|channel|>analysis<|message|>"
HARMONY_FINAL = "<|channel|>final<|message|>"
HARMONY_CLOSES = f"<|end|><|start|>assistant{HARMONY_FINAL}"

_ASSISTANT = re.compile(
    r"<\|im_start\|>assistant\n|<\|start\|>assistant|<｜Assistant｜>"
    r"|^(?:### )?(?:response|assistant|answer)(?::[ \n]?|\n\n)",
    re.IGNORECASE | re.MULTILINE,
)
# The surest first: a question may itself begin with "Question:".
_USER = (
    re.compile(
        r"<\|im_start\|>user\s|<\|start\|>user<\|message\|>"
        r"|<\|start_header_id\|>user<\|end_header_id\|>|<[|｜]user[|｜]>",
        re.IGNORECASE,
    ),
    re.compile(r"^### (?:question|user)\n\n", re.IGNORECASE | re.MULTILINE),
    re.compile(r"^(?:user|question|human):", re.IGNORECASE | re.MULTILINE),
)
_CONTROL = re.compile(r"<[|｜][^<>|｜\n]{1,64}[|｜]>")
_HEADING = re.compile(
    r"^(?:### )?(?:response|assistant|answer):?\s*\Z", re.IGNORECASE | re.MULTILINE
)
_TAG = re.compile(r"\[\[([\w.:/-]+)\]\]")


@dataclass(frozen=True, slots=True)
class Situation:
    """Where in a response a prompt ends.

    Attributes:
        head: The prompt before the response.
        answering: The thinking is over, or there is none.
        written: What is written of the part so far.
        lead: The rest of a marker, to be written before the part continues.
        closes: What ends the thinking.
    """

    head: str
    answering: bool
    written: str
    lead: str = ""
    closes: str = THINK_CLOSES


def question_key(head: str) -> str:
    """The key of a question, the same in every chat format.

    It is the last user message, from the last user header to the next control token, without
    white space and word joiners (with which special tokens in text are escaped). If that message
    has a tag such as `[[q17]]`, the tag alone is the key: use one where the prompts of the two
    roles differ in more than the format (a reference answer, say). Without a user header, the
    whole prompt is the message.

    Args:
        head: The prompt before the response.
    """
    head = head.replace("\u2060", "")
    text = head
    for header in _USER:
        if found := list(header.finditer(head)):
            text = head[found[-1].end() :]
            end = _CONTROL.search(text)
            text = text[: end.start()] if end else text
            break
    text = _HEADING.sub("", _CONTROL.sub("", text))
    if tag := _TAG.search(text):
        return tag.group(1)
    return "".join(text.split())


def read(prompt: str, thinking_words: int) -> Situation:
    """Find out where in a response `prompt` ends.

    Args:
        prompt: What the model is to continue.
        thinking_words: The number of words after which the thinking may close. Before that, a
            new line at the end is not the beginning of the closing marker.
    """
    harmony, think = prompt.rfind(HARMONY_OPENS), prompt.rfind("<think>")
    if harmony > think:
        rest = prompt[harmony + len(HARMONY_OPENS) :]
        return _inside(prompt[:harmony], rest, HARMONY_CLOSES, "<|end|>", thinking_words)
    if think >= 0:
        rest = prompt[think + len("<think>") :]
        if not rest:  # the new line of the opening marker is missing
            return Situation(prompt[:think], False, "", lead="\n")
        rest = rest.removeprefix("\n")
        return _inside(prompt[:think], rest, THINK_CLOSES, "\n</think>", thinking_words)
    return _unopened(prompt)


def _inside(head: str, rest: str, closes: str, core: str, thinking_words: int) -> Situation:
    """The thinking was opened; `rest` is all that follows it."""
    at = rest.find(core.strip())
    if at >= 0:
        tail, wanted = rest[at + len(core.strip()) :], closes[len(core) :]
        if tail.startswith(wanted):
            return Situation(head, True, tail[len(wanted) :], closes=closes)
        if wanted.startswith(tail):
            return Situation(head, True, "", lead=wanted[len(tail) :], closes=closes)
        return Situation(head, True, tail, closes=closes)
    for length in range(len(core) - 1, 0, -1):
        if rest.endswith(core[:length]) and len(rest[:-length].split()) >= thinking_words:
            return Situation(head, True, "", lead=closes[length:], closes=closes)
    return Situation(head, False, rest, closes=closes)


def _unopened(prompt: str) -> Situation:
    """No thinking was opened: right after the assistant's header the model opens it itself."""
    headers = list(_ASSISTANT.finditer(prompt))
    if not headers:
        head, line_end, rest = prompt.partition("\n")
        return Situation(head, True, rest, lead="" if line_end else "\n")
    head, rest = prompt[: headers[-1].start()], prompt[headers[-1].end() :]
    harmony = headers[-1].group() == "<|start|>assistant"
    opens = HARMONY_OPENS if harmony else THINK_OPENS
    closes = HARMONY_CLOSES if harmony else THINK_CLOSES
    if opens.startswith(rest):
        return Situation(head, False, "", lead=opens[len(rest) :], closes=closes)
    rest = rest.removeprefix(HARMONY_FINAL) if harmony else rest
    return Situation(head, True, rest, closes=closes)
