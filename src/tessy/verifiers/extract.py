r"""Finding the final answer in a response. Pure; no I/O.

A response gives its answer in one of four forms. They are tried in this order; of several in one
form the last counts, since models correct themselves:

1. `<answer>…</answer>`;
2. `\boxed{…}` or `\fbox{…}`, with balanced braces;
3. an announcement: `Answer: x`, `**Final answer:** x`, `the result is x.`, `the answer is: x`,
   up to the end of its line, or the next line if nothing follows on it;
4. the last line that is not empty.

Markup around it is removed: Markdown emphasis, code marks, dollar signs, `\( \)`,
and a full stop at its end.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import NamedTuple


class AnswerForm(StrEnum):
    """How a response gives its answer."""

    TAG = "tag"
    BOXED = "boxed"
    ANNOUNCED = "announced"
    LAST_LINE = "last_line"


class Found(NamedTuple):
    """A final answer, and how it was given."""

    text: str
    form: AnswerForm


_TAG = re.compile(r"<answer>(.*?)</answer>", re.I | re.S)
_BOX = re.compile(r"\\(?:boxed|fbox)\s*\{")
_ANNOUNCED = re.compile(
    r"(?:\b(?:final\s+|correct\s+)?(?:answer|result|solution)\b[*_`\"' ]*"
    r"(?::|=|\bis\b\s*:?|\bare\b\s*:?|\bwould\s+be\b\s*:?))"
    r"[ \t]*(?P<rest>[^\n]*)(?P<next>\n+[^\n]*)?",
    re.I,
)
_BLOCK = re.compile(r"^```[^\n]*\n(.*?)^```", re.M | re.S)
_WRAPPERS = (("**", "**"), ("__", "__"), ("`", "`"), ("$$", "$$"), ("$", "$"))
_LATEX_WRAPPERS = (("\\(", "\\)"), ("\\[", "\\]"))
_SENTENCE_END = re.compile(r"\.(?=\s+[A-Z(*])")


def final_answer(text: str) -> Found | None:
    """The final answer of a response; None if there are only blanks and markup.

    Args:
        text: The response, without its thinking.
    """
    for form, find in _FORMS:
        found = find(text)
        if found is not None:
            return Found(found, form)
    return None


def readings(text: str) -> list[str]:
    """Everything that a response may mean as its answer, the likeliest first, each once.

    For scorers of answers that may be long (a grid, a list of moves): the tagged text alone, if
    there is one; else the final answer, everything after the last announcement, the last fenced
    block, and the whole response.
    """
    inside = tagged(text)
    if inside is not None:
        return [inside]
    found = final_answer(text)
    if found is None:
        return []
    announcements = list(_ANNOUNCED.finditer(text))
    tail = text[announcements[-1].start("rest") :] if announcements else ""
    blocks = _BLOCK.findall(text)
    wide = [bare(tail), blocks[-1].strip("\n") if blocks else "", text.strip()]
    return [item for item in dict.fromkeys([found.text, *wide]) if item]


def tagged(text: str) -> str | None:
    """What is in the last `<answer>…</answer>`."""
    return next((bare(found[1]) for found in reversed(list(_TAG.finditer(text)))), None) or None


def boxed(text: str) -> str | None:
    r"""What is in the last `\boxed{…}` whose braces are closed."""
    for found in reversed(list(_BOX.finditer(text))):
        inside = _balanced(text, found.end())
        if inside is not None and inside.strip():
            return bare(inside)
    return None


def announced(text: str) -> str | None:
    """What follows the last "answer is", "Answer:", "result is" and similar."""
    for found in reversed(list(_ANNOUNCED.finditer(text))):
        rest = bare(_first_sentence(found["rest"]))
        if not rest:
            rest = bare(_first_sentence((found["next"] or "").strip()))
        if rest:
            return rest
    return None


def last_line(text: str) -> str | None:
    """The last line that holds more than markup."""
    return next((line for line in map(bare, reversed(text.splitlines())) if line), None)


def bare(text: str) -> str:
    """A text without blanks, markup and the full stop around it."""
    before = None
    text = text.strip()
    while text != before:
        before = text
        text = _unwrapped(text).strip().strip("*").strip()
        if text.endswith(".") and not text.endswith(".."):
            text = text[:-1].rstrip()
        if text.startswith(("- ", "> ", "# ")):
            text = text[2:].lstrip()
    return "" if re.fullmatch(r"[\s*_`$#=>-]*", text) else text


def _unwrapped(text: str) -> str:
    for opening, closing in (*_WRAPPERS, *_LATEX_WRAPPERS):
        inside = text[len(opening) : -len(closing)]
        whole = text.startswith(opening) and text.endswith(closing)
        if whole and len(text) > len(opening) + len(closing) and opening not in inside:
            return inside
    return text


def _balanced(text: str, start: int) -> str | None:
    """The text from `start` to the brace that closes one opened before it."""
    depth = 1
    index = start
    while index < len(text):
        character = text[index]
        if character == "\\":
            index += 1
        elif character == "{":
            depth += 1
        elif character == "}":
            depth -= 1
            if not depth:
                return text[start:index]
        index += 1
    return None


def _first_sentence(line: str) -> str:
    return _SENTENCE_END.split(line, maxsplit=1)[0]


_FORMS = (
    (AnswerForm.TAG, tagged),
    (AnswerForm.BOXED, boxed),
    (AnswerForm.ANNOUNCED, announced),
    (AnswerForm.LAST_LINE, last_line),
)
