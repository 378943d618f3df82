r"""`choice`: the answer's choice is the reference's.

The choices are in the column `choices` or `options`: a list of texts, an object with lists `label`
and `text` (as in ARC), a list of objects, an object of texts by label, any of these as JSON text;
or in columns `A`, `B`, `C`, …. Their labels are those of the data, else letters from A. Without
choices, labels are the letters from A to Z.

The reference is a label (`B`, `(b)`), a whole number, the index of the choice from 0 where it is
no label itself, or a choice's text.

Looked at are the tag, the box and the announcements of an answer (`verifiers.extract`), then what
says `I choose D` or `C is correct`, the beginning of the last line, and what is named alone in it:
a label (`B`, `(B)`, `B.`, `\text{B}`, `option B`, `B, glass`) or a choice's text. A label that is
denied (`not B`, `(A) is false`) does not count; where several remain, there is no answer.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from string import ascii_uppercase
from typing import Any

from tessy.errors import DataError
from tessy.verifiers.extract import AnswerForm, bare, final_answers, last_line
from tessy.verifiers.limits import VerifierSettings
from tessy.verifiers.protocol import Row, from_json, required_text, shorten
from tessy.verifiers.reference import ReferenceVerifier

_MAX_ANSWER = 1000
"""Characters of a final answer, and of a response's end, that are read."""
_MAX_WHOLE = 20_000
_MAX_SENTENCE = 120
COLUMNS = ("choices", "options")
_TEX = r"\\(?:text|mathrm|mathbf|textbf|textit|textsf|boldsymbol|mathsf)"
_OPEN = rf"(?:[\s*_\"'`$([{{（]|{_TEX}\s*\{{|\\[(\[])*+"
_CLOSE = r"[*_\"'`\])}）$~\s]*"
_BEFORE = r"(?:(?:the|option|choice|answer|letter|clearly|therefore|thus|hence|so|then|definitely|simply|most\s+likely|probably|indeed|is|either)\b[\s:,]*)*+"  # noqa: E501
_REASON = (
    r"(?:because|since|as|for|given|due|which|where|with|and\s+not|not"
    r"|but\s+not|rather|instead|over)\b"
)
_JOIN = r"(?:\s*,?\s*(?:and|or|&|/)\s*|\s*[,/]\s*)"
_DENIED_BEFORE = re.compile(
    r"(?:\bnot|n['’]t|\bnever|\brather\s+than|\binstead\s+of|\bneither|\bnor|\bexclud\w*|\bunlike"
    r"|\beliminat\w*|\brul(?:e|es|ed|ing)\s+out|\breject\w*|\bexcept)"
    r"(?:\s+(?:be|the|option|choice|answer|letter|is|either))*[\s*_(\[\"'$:]*\Z",
    re.I,
)
_DENIED_AFTER = re.compile(
    rf"{_CLOSE}\s*(?:is|are|was|seems|looks|would\s+be|can(?:not|['’]t|\s+not)\s+be|fails?\b)?\s*"
    r"(?:(?:clearly|also|obviously|therefore|then)\s+)?"
    r"(?:n['’]t\b|not\b|false\b|wrong\b|incorrect\b|invalid\b|out\b|fails?\b|impossible\b|ruled\s+out"
    r"|excluded|eliminated|correct\b.{0,20}\bnot\b|(?<=\bcannot be )\w|(?<=n't be )\w)",
    re.I,
)
_BUT = re.compile(r"\bbut\b(?:\s+rather)?\s*|[,;]\s*(?:it['’]s|it\s+is|rather|instead)\b\s*", re.I)
_VERDICTS = r"(?:correct|right|true|best|appropriate|the\s+(?:\w+\s+){0,2}(?:answer|choice|option|one|solution)|my\s+(?:\w+\s+)?(?:answer|choice))"  # noqa: E501
_CHOOSING = (
    r"\b(?:I|we|I['’]d|I['’]ll|must|would|should|will|can|to)\s+(?:therefore\s+|also\s+)?"
    r"(?:choose|pick|select|go\s+with|answer|opt\s+for)\b|\bI(?:['’]d|\s+would)?\s+say\b"
    r"|\b(?:leaves?|leaving)\b(?:\s+(?:us|me)\s+with)?(?:\s+only)?"
    r"|\b(?:option|choice|letter)\s+(?:(?:must|should|would)\s+be|is)\b|\b(?:it|this)\s+must\s+be\b"
    r"|\bit(?:['’]s|\s+is|\s+has\s+to\s+be)\b|\bgoing\s+with\b|\b(?:correct|selected|choice|option|ans)(?=\s?[:：])|[选選]择?"
    r"|\bmatch(?:es|ing)?\b"
)


@dataclass(frozen=True, slots=True)
class Choices:
    """The choices of a question.

    Attributes:
        labels: How they are named.
        texts: What they say; empty if the question does not list them.
    """

    labels: tuple[str, ...] = tuple(ascii_uppercase)
    texts: tuple[str, ...] = ()

    def label(self, said: str) -> str | None:
        """The label that a text is, whatever its case."""
        return next((label for label in self.labels if label.casefold() == said.casefold()), None)

    def by_text(self, said: str) -> str | None:
        """The label of the choice whose text this is."""
        plain = _plain(said)
        found = [
            label
            for label, text in zip(self.labels, self.texts, strict=False)
            if plain and _plain(text) == plain
        ]
        return found[0] if len(found) == 1 else None


def choice_verifier(settings: VerifierSettings, column: str = "answer") -> ReferenceVerifier:
    """A verifier that compares choices.

    Args:
        settings: How many long answers are read at once.
        column: The column of the right label, index or text.
    """

    def given(row: Row) -> dict[str, Any]:
        choices = _choices(row)
        right = _right(row, column, choices)
        return {"right": right, "labels": choices.labels, "texts": choices.texts}

    return ReferenceVerifier("choice", given, compare, "no one choice in the answer", settings)


def _right(row: Row, column: str, choices: Choices) -> str:
    text = required_text(row, column, "choice").strip()
    labels = choices.labels
    found = choices.label(text) or choices.label(text.strip("().[] ")) or choices.by_text(text)
    if found is not None:
        return found
    value = row[column]
    is_index = text.isdecimal() and len(text) < 4 and not isinstance(value, bool)
    if is_index and int(text) < len(labels):
        return labels[int(text)]
    raise DataError(
        f"verifier choice: column {column!r} is {shorten(str(value))!r}, which is no "
        f"letter from {labels[0]} to {labels[-1]} and no index from 0 to {len(labels) - 1}"
    )


def compare(
    answer: str, right: str, labels: Sequence[str], texts: Sequence[str]
) -> tuple[str | None, bool]:
    """The label of the choice that an answer makes, if any; and whether it is right."""
    said = choice_of(answer, Choices(tuple(labels), tuple(texts)))
    return said, said == right


def choice_of(answer: str, choices: Choices) -> str | None:
    """The label of the choice that an answer makes; None if it makes none, or several."""
    for found in final_answers(answer):
        text = found.text[:_MAX_ANSWER]
        if found.form is AnswerForm.LAST_LINE:
            break
        try:
            said = _named(text, choices)
        except _SeveralChoices:
            return None
        if said is not None:
            return said
    return _in_prose(answer, choices)


class _SeveralChoices(Exception):
    """Several choices are named, or the one that is named is denied."""


def _named(text: str, choices: Choices) -> str | None:
    """The choice that a final answer names at its beginning."""
    by_text = choices.by_text(text)
    if by_text is not None and choices.label(text) is None:
        return by_text
    denied = re.match(rf"{_OPEN}(?:not|neither)\b\s*", text, re.I)
    if denied:
        but = _BUT.search(text[denied.end() :])
        if but is None:
            raise _SeveralChoices
        return _named(text[denied.end() + but.end() :], choices)
    first = _leading(choices).match(text)
    if first is None:
        return _text_at_start(text, choices)
    label = choices.label(first["label"])
    more = _another(choices).match(text, first.end("label"))
    if label is None or (more and choices.label(more["label"]) != label):
        raise _SeveralChoices
    after = text[first.end() :].strip(" .:,;)-–—*_\"'`~}$\\")
    other = choices.by_text(after)
    if other is not None and other != label and choices.label(after) is None:
        raise _SeveralChoices  # its label is one choice's, its text another's
    return label


def _text_at_start(text: str, choices: Choices) -> str | None:
    """The choice whose text a final answer begins with, before a comma or a reason."""
    head = re.split(rf"[,;:(]|\.\s|\s[-–—]\s|\s(?={_REASON})", text, maxsplit=1)[0]
    return choices.by_text(head) or _text_within(text, choices)


def _text_within(text: str, choices: Choices) -> str | None:
    """The one choice whose text is in a short sentence, and not denied."""
    line = " ".join(text.casefold().split())
    if len(line) > _MAX_SENTENCE:
        return None
    found = set()
    for label, choice in zip(choices.labels, choices.texts, strict=False):
        words = _plain(choice)
        for place in re.finditer(rf"(?<!\w){re.escape(words)}(?!\w)", line) if words else ():
            if not _is_denied(line, *place.span()):
                found.add(label)
    return found.pop() if len(found) == 1 else None


def _in_prose(answer: str, choices: Choices) -> str | None:
    """The choice of an answer that does not announce it: by its last decision, or its last line."""
    text = answer[-_MAX_WHOLE:]
    decided = [
        label
        for found in _decision(choices).finditer(text)
        if (label := _decided(text, found, choices)) is not None
    ]
    if decided:
        return decided[-1]
    line = (last_line(text) or "")[:_MAX_ANSWER]
    try:
        said = _named(line, choices) if _is_decorated(line, choices) else None
    except _SeveralChoices:
        return None
    return said or _text_at_start(line, choices) or _only(line, choices) or _only(text, choices)


def _decided(text: str, found: re.Match[str], choices: Choices) -> str | None:
    """The label of a decision, if it is one and does not deny it."""
    group = found.lastgroup or "label"
    before = text[max(0, found.start() - 40) : found.start()]
    start, end = found.span(group)
    if re.search(r"\b(?:if|whether|suppose|assum\w{1,4})\b[^.\n]{0,20}\Z", before, re.I):
        return None
    if group != "label":  # "B is correct": what follows is the decision
        end = len(text)
    elif _another(choices).match(text, end):
        return None
    return None if _is_denied(text, start, end) else choices.label(found[group])


def _is_denied(text: str, start: int, end: int) -> bool:
    """Whether a choice that is named at a place is said to be wrong."""
    before, after = text[max(0, start - 40) : start], text[end : end + 40]
    return bool(_DENIED_BEFORE.search(before) or _DENIED_AFTER.match(after))


def _only(text: str, choices: Choices) -> str | None:
    """The one choice that is named in a text as `(B)` or `option B` and not denied."""
    named = set()
    for found in _mention(choices).finditer(text):
        group = found.lastgroup or 0
        if not _is_denied(text, *found.span(group)):
            named.add(choices.label(found[group]))
    return named.pop() if len(named) == 1 else None


def _is_decorated(line: str, choices: Choices) -> bool:
    """Whether a line begins with its label: `B`, `(B)`, `B. …`, `**B**`.

    `A horse` does not, nor do `(A) is false` and `(A) is iron, (B) is wood`.
    """
    found = _leading(choices).match(line)
    if found is None or line[found.end("label") :].lstrip()[:1].isalpha():
        return False
    if line[found.end() :].lstrip()[:1].isalpha() and not _only(line, choices):
        return not _mention(choices).search(line)
    return not _DENIED_AFTER.match(line[found.end("label") :][:40])


# --- Patterns, by the labels of a question --------------------------------------------------------


def _any(choices: Choices, *, upper: bool) -> str:
    """A pattern of one label; `upper`: only as the data write it."""
    labels = sorted(choices.labels, key=len, reverse=True)
    pattern = "|".join(re.escape(label) for label in labels)
    return f"(?:{pattern})" if upper else f"(?i:{pattern})"


def _leading(choices: Choices) -> re.Pattern[str]:
    """A label at the beginning: alone, or followed by what does not make it a word."""
    label = _any(choices, upper=False)
    return re.compile(
        rf"{_OPEN}(?i:{_BEFORE}){_OPEN}(?P<label>{label})(?!\w)(?!['’]\w)(?![.,]\d)"
        rf"(?:{_CLOSE}(?:[.:,;!)\\]|$|[-–—](?=\s))|\s+(?={_JOIN}|{_REASON}|\()|[*_\"'`\])}}）$])",
        re.S,
    )


def _another(choices: Choices) -> re.Pattern[str]:
    """Another label after one: `A and C`, `A, C`."""
    label = _any(choices, upper=True)
    return re.compile(
        rf"{_CLOSE}{_JOIN}{_OPEN}(?:(?:option|choice)\s+)?(?P<label>{label})(?!\w)"
        rf"(?={_CLOSE}(?:[.,;:)]|$|\s+(?:and|or)\b|\s*[,/&]))"
    )


def _decision(choices: Choices) -> re.Pattern[str]:
    label = _any(choices, upper=True)
    end = rf"(?![\w'’])(?!\s+(?!{_REASON})[a-z])"
    open_ = _OPEN.replace(r"\s", " ")
    return re.compile(
        rf"(?i:{_CHOOSING})[\s:：]{{0,3}}(?:(?:option|choice|answer|letter)\s)?{open_}"
        rf"(?P<label>{label}){end}"
        rf"|(?:^|[\s*_(\[\"'])(?P<label2>{label})[*_)\]\"']{{0,4}}\s(?:is|must\s+be|seems)\s{_VERDICTS}\b(?!\s+if\b)"
        rf"|\b(?P<label3>{label})[*_)\]\"']{{0,4}}\s(?:fits|works|holds)(?:\s+best)?[.!]?\s*$",
        re.M,
    )


def _mention(choices: Choices) -> re.Pattern[str]:
    label = _any(choices, upper=True)
    return re.compile(
        rf"\((?P<one>{label})\)|\b(?:[Oo]ption|[Cc]hoice)\s\**\(?(?P<two>{label})(?!\w)"
        rf"|\*\*\(?(?P<three>{label})[.)]?\*\*"
        rf"|\b[Ii]s\s?:?\s?[*_\"'`]{{0,3}}\(?(?P<four>{label})\)?[*_\"'`]{{0,3}}\.?\s*\Z"
    )


# --- The choices of a question --------------------------------------------------------------------


def _choices(row: Row) -> Choices:
    for column in COLUMNS:
        if pairs := _pairs(from_json(row.get(column))):
            break
    else:
        letters = [letter for letter in ascii_uppercase if isinstance(row.get(letter), str)]
        if letters[:2] != ["A", "B"]:
            return Choices()
        pairs = [(letter, row[letter]) for letter in letters]
    labels = [label or _own_label(number) for number, (label, _) in enumerate(pairs)]
    if len({label.casefold() for label in labels}) < len(labels):
        raise DataError(f"verifier choice: a label of the choices is there twice: {labels}")
    return Choices(tuple(labels), tuple(text for _, text in pairs))


def _own_label(number: int) -> str:
    return ascii_uppercase[number] if number < 26 else f"choice {number + 1}"


def _pairs(value: Any) -> list[tuple[str, str]]:
    """Labels, empty where the data have none, and texts of choices in any of their forms."""
    if isinstance(value, Mapping) and _is_list(value.get("text")):
        texts = [str(text) for text in value["text"]]
        labels = value.get("label", value.get("labels"))
        given = [str(label).strip() for label in labels] if _is_list(labels) else []
        if len(given) != len(texts):
            given = [""] * len(texts)
        return list(zip(given, texts, strict=True))
    if isinstance(value, Mapping):
        return [(str(name).strip(), str(text)) for name, text in value.items() if text is not None]
    return _without_labels([_pair(item) for item in value]) if _is_list(value) else []


def _pair(item: Any) -> tuple[str, str]:
    if not isinstance(item, Mapping):
        return "", str(item)
    label = next((item[key] for key in ("label", "key", "id", "letter") if key in item), "")
    text = next((item[key] for key in ("text", "value", "content", "option") if key in item), "")
    return str(label).strip(), str(text)


def _without_labels(pairs: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Texts that begin with their own labels in order (`A. iron`, `(B) wood`), without these."""
    shorter = []
    for number, (label, text) in enumerate(pairs):
        own = re.match(rf"\s*\(?{re.escape(_own_label(number))}[).:]\s*(?=\S)", text)
        if label or own is None:
            return pairs
        shorter.append(("", text[own.end() :]))
    return shorter


def _is_list(value: object) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str | bytes)


def _plain(text: str) -> str:
    text = re.sub(rf"{_TEX}\s*\{{([^{{}}]*)\}}", r"\1", bare(text))
    return re.sub(r"^(?:an?|the)\s+(?=\S)", "", " ".join(bare(text).casefold().split()))
