r"""Finding the final answer in a response. Pure; no I/O; linear in the length of the response.

A response gives its answer in one of four forms. They are tried in this order; of several in one
form the last counts, since models correct themselves:

1. `<answer>…</answer>`;
2. `\boxed{…}` or `\fbox{…}`, with balanced braces; `\boxed5`;
3. an announcement: `Answer: x`, `**Final answer:** x`, `the result is x.`, `the answer is: x`,
   `La respuesta es x`, `答案：x`, `#### 5`, up to the end of its sentence, or the next line if
   nothing follows on its own;
4. the last line that is not empty.

A tag or box that is taken back (`\boxed{5}. Wait, the answer is 7.`) gives way to the announcement
after it. Markup around an answer is removed: Markdown emphasis, code marks, dollar signs, `\( \)`,
and a full stop at its end.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
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


class Announcement(NamedTuple):
    """What a response says that its answer is.

    Attributes:
        rest: To the end of the sentence; never empty.
        line: To the end of the line.
    """

    rest: str
    line: str


class Box(NamedTuple):
    """A box: where its command begins, where it ends, and what is inside."""

    start: int
    end: int
    text: str


_NOUN = (
    r"(?:answers?|results?|solutions?|respuesta|resultado|soluci[óo]n|resposta|r[ée]ponse"
    r"|r[ée]sultat|antwort|ergebnis|l[öo]sung|risposta|risultato|antwoord|ответ|результат)"
)
_VERB = (
    r"(?:(?:is|are|was|equals|es|é|est|ist|lautet|beträgt|è)\b"
    r"|(?:would|must|should|will|has\s+to)\s+be\b|comes\s+(?:out\s+)?to\b|[:=])"
)
_HEAD = re.compile(
    rf"""
      \b{_NOUN}\b (?:\s(?:to|of|for|in|that|which|I|we|you)\b[^.:=\n]{{1,60}}?)?
          [*_`"'\ \t]{{0,8}}\s?{_VERB}\s{{0,4}}:?
    | (?:最终答案|最終的な答え|答案|结果|結果|答え|정답|답)\s?
          (?:(?:是|为|為|は|은|는)\s?[:：]?|[:：])
    | ^[ \t]{{0,3}}\#\#\#\#(?=[^A-Za-z\n]*$|[ \t]*\(?(?-i:[A-Z])\)?\.?$)
    | ^[\#*_\ \t]{{0,12}}(?:the\s)?(?:final\s)?answer[*_:\ \t]{{0,8}}$
    | \b(?:it|this|that)\s+should\s+(?:actually\s+|rather\s+)?be\b
    | \b(?:wait|no|actually|sorry|correction|oops)\b[,.:;!—–\s-]{{1,4}}(?:no[,\s]+)?
          (?:it['’]s|it\s+is|correction\s*:)
    """,
    re.I | re.M | re.X,
)
_CONDITION = re.compile(
    r"\b(?:if|whether|suppose|assum\w{1,4}|unless)\s+(?:that\s+)?(?:the\s+|an?\s+|my\s+)?"
    r"(?:final\s+|correct\s+)?\Z",
    re.I,
)
_ON = re.compile(r"\W*(?:(?:the|my|our|so|final|correct|that|is|this)\W+)*", re.I)
_TAKEN_BACK = re.compile(
    r"\b(?:wait|actually|correction|corrected|sorry|mistake|oops|scratch\s+that|second\s+thought)\b",
    re.I,
)
_GIVES_UP = re.compile(
    r"\b(?:can(?:not|['’]t|\s+not)|could(?:n['’]t|\s+not))\s+(?:\w+\s+){0,2}?(?:be\s+)?"
    r"(?:determin|find|found|answer|solv|calculat|comput|know|say|tell|give)"
    r"|\b(?:impossible|not\s+possible|unable|undetermined|indeterminate|undefined)\b"
    r"|\b(?:not\s+enough|insufficient)\s+(?:information|data)|\b(?:do\s+not|don['’]t)\s+know\b"
    r"|\bno\s+(?:answer|solution|idea)s?\b",
    re.I,
)
_TAG = re.compile(r"<(/?)answer>", re.I)
_BRACE = re.compile(
    r"(?P<box>\\{1,4}(?:boxed|fbox)\s{0,8}\{)"
    r"|\\{1,4}(?:boxed|fbox)\s{0,8}(?P<bare>[-+−]?\d[\d.,]*|[A-Z](?![A-Za-z]))"
    r"|\\.|(?P<open>\{)|(?P<close>\})",
    re.S,
)
_BLOCK = re.compile(r"^```[^\n]*\n(.*?)^```", re.M | re.S)
_WRAPPERS = (
    ("**", "**"), ("__", "__"), ("`", "`"), ("$$", "$$"), ("$", "$"),
    ("\\(", "\\)"), ("\\[", "\\]"),
)  # fmt: skip
_LINE_START = re.compile(r"(?:[-> ]|#{1,6})\s+|</?answer>", re.I)
_SENTENCE_END = re.compile(
    r"""\.(?=\s+[A-Z(*])|。|(?<!\\)\?(?=\s)|!(?=\s+[A-Z*])"""
    r"""|(?<!\\);(?=\s)(?!(?=[^\n]{0,99}\d)[\t \d.,;*$()\[\]'"-]{0,200}(?:\n|\Z))"""  # no list
)
_SIGN = re.compile(r"^[-−–]\s+(?=[\d.$\\(]|[a-z]\b)")
_NOTHING = re.compile(r"[\s*_`$#=>-]*")


def final_answer(text: str) -> Found | None:
    """The final answer of a response; None if there are only blanks and markup.

    Args:
        text: The response, without its thinking.
    """
    return next(iter(final_answers(text)), None)


def final_answers(text: str) -> Iterator[Found]:
    """What may be the final answer of a response, the likeliest first.

    The last tag and the last box, all announcements from the last one to the first, and the last
    line. Callers that can't use one try the next.
    """
    for form, last in (
        (AnswerForm.TAG, _last(_tags(text))),
        (AnswerForm.BOXED, _last(boxes(text))),
    ):
        if last is not None:
            back = _taken_back(text, last.end)
            yield (
                Found(bare(last.text), form) if back is None else Found(back, AnswerForm.ANNOUNCED)
            )
    for said in reversed(announcements(text)):
        if bare(said.rest):
            yield Found(bare(said.rest), AnswerForm.ANNOUNCED)
    line = last_line(text)
    if line is not None:
        yield Found(line, AnswerForm.LAST_LINE)


def candidates(text: str) -> list[str]:
    """Everything that a response may mean as its answer, the likeliest first, each once.

    For scorers of answers that may be long (a grid, a list of moves): the tagged text alone, if
    there is one; else the final answer, everything after the last announcement, the last fenced
    block, and the whole response.
    """
    if (tag := _last(_tags(text))) is not None:
        return [bare(tag.text)]
    found = final_answer(text)
    if found is None:
        return []
    heads = list(_HEAD.finditer(text))
    tail = text[heads[-1].end() :] if heads else ""
    blocks = _BLOCK.findall(text)
    wide = [bare(tail), blocks[-1].strip("\n") if blocks else "", text.strip()]
    return [item for item in dict.fromkeys([found.text, *wide]) if item]


def boxed(text: str) -> str | None:
    r"""What is in the last `\boxed{…}` whose braces are closed, and that is not empty."""
    last = _last(boxes(text))
    return None if last is None else bare(last.text)


def _last(found: list[Box]) -> Box | None:
    """The last one that is not empty."""
    return next((box for box in reversed(found) if bare(box.text)), None)


def last_line(text: str) -> str | None:
    """The last line that holds more than markup."""
    return next((line for line in map(bare, reversed(text.splitlines())) if line), None)


def gives_up(text: str) -> bool:
    """Whether a text says that there is no answer, or that it can't be found."""
    return bool(_GIVES_UP.search(text))


def boxes(text: str) -> list[Box]:
    r"""All boxes with balanced braces, in order of their beginnings; `\boxed5` is one, too."""
    opened: list[tuple[int, int]] = []
    found: list[Box] = []
    for token in _BRACE.finditer(text):
        if token["box"]:
            opened.append((token.start(), token.end()))
        elif token["open"]:
            opened.append((-1, -1))
        elif token["close"] and opened:
            start, inside = opened.pop()
            if start >= 0:
                found.append(Box(start, token.end(), _signed(text[inside : token.start()])))
        elif token["bare"]:
            found.append(Box(token.start(), token.end(), token["bare"]))
    return sorted(found)


def announcements(text: str) -> list[Announcement]:
    """All places where a response says what its answer is, in order.

    One in the sentence of another counts only if it takes that one back, or if nothing but
    connecting words is between them. One under a condition (`if the answer is`) does not count.
    """
    heads: list[re.Match[str]] = []
    seen = 0  # up to here there is nothing that begins another one
    for head in _HEAD.finditer(text):
        between = text[seen : head.start()]
        seen = head.end()
        if heads and _ON.fullmatch(between):
            heads.pop()
        elif heads and not (
            "\n" in between or _SENTENCE_END.search(between) or _TAKEN_BACK.search(between)
        ):
            continue
        if not _CONDITION.search(text[max(0, head.start() - 40) : head.start()]):
            heads.append(head)
    ends = [*(head.start() for head in heads[1:]), len(text)]
    every = [_announcement(text, head, end) for head, end in zip(heads, ends, strict=False)]
    return [said for said in every if said is not None]


def _announcement(text: str, head: re.Match[str], end: int) -> Announcement | None:
    """What a head announces, before the next one."""
    start = head.end()
    while start < end:
        stop = text.find("\n", start, end)
        stop = end if stop < 0 else stop
        if not _NOTHING.fullmatch(text, start, stop):
            line = text[start:stop].strip()
            if start == head.end():
                line = _signed(line)
            cut = _SENTENCE_END.search(line)
            rest = line[: cut.start()] if cut and bare(line[: cut.start()]) else line
            return Announcement(rest, line)
        start = stop + 1
    return None


def _signed(text: str) -> str:
    """A text whose first dash is a sign: what begins no line begins no list."""
    return text if "\n" in text.strip() else _SIGN.sub("-", text.strip())


def _taken_back(text: str, position: int) -> str | None:
    """What is announced after a place, if a word of correction comes before it."""
    said = announcements(text[position:]) if _TAKEN_BACK.search(text, position) else []
    return bare(said[-1].rest) or None if said else None


def _tags(text: str) -> list[Box]:
    """All `<answer>…</answer>`, in order."""
    found: list[Box] = []
    opened: re.Match[str] | None = None
    for token in _TAG.finditer(text):
        if not token[1]:
            opened = token
        elif opened is not None:
            inside = text[opened.end() : token.start()]
            found.append(Box(opened.start(), token.end(), _signed(inside)))
            opened = None
    return found


def bare(text: str) -> str:
    """A text without blanks, markup and the full stop around it."""
    start, end, before = 0, len(text), (-1, -1)
    while (start, end) != before:
        before = (start, end)
        start, end = _stripped(text, start, end)
    return "" if _NOTHING.fullmatch(text, start, end) else text[start:end]


def _stripped(text: str, start: int, end: int) -> tuple[int, int]:
    """The bounds of a text without its outermost markup.

    A wrapper goes only if it is not inside, too, so each goes once and reading stays linear.
    """
    while start < end and (text[start].isspace() or (text[start] == "*" and text[end - 1] != "*")):
        start += 1
    while start < end and text[end - 1].isspace():
        end -= 1
    for opening, closing in _WRAPPERS:
        inside, outside = start + len(opening), end - len(closing)
        is_around = text.startswith(opening, start) and text.endswith(closing, 0, end)
        if inside < outside and is_around and text.find(opening, inside, outside) < 0:
            return inside, outside
    while start < end and text[start] == "*":
        start += 1
    while start < end and text[end - 1] == "*":
        end -= 1
    if start < end and text[end - 1] == "." and not text.endswith("..", start, end):
        end -= 1
    if marker := _LINE_START.match(text, start, end):
        start = marker.end()
    return start, end
