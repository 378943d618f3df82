r"""`choice`: the answer's letter is the reference's.

Letters from A to Z. The reference is a letter (`B`, `(b)`), or a whole number, the index of the
choice from 0. A column `choices`, if there is one, says how many there are, and lets an answer
give a choice's text instead of its letter.

A letter is looked for in the final answer (`verifiers.extract`): alone, or as `(B)`, `B)`, `B.`,
`B:`, `\text{B}`, `option B`, at its beginning; then as `the choice is B` anywhere in the answer,
the last one; then as `(B)` or `option B`; then as `it is B` at its end.
"""

from __future__ import annotations

import re
from string import ascii_uppercase

from tessy.errors import DataError
from tessy.verifiers.extract import bare, final_answer
from tessy.verifiers.protocol import Row, Verdict, VerdictOutcome, required, shorten

_FIRST = re.compile(
    r"(?:(?:the\s+)?(?:option|choice|answer|letter)\s+)?[*_\"'`]*"
    r"(?:\\(?:text|mathrm|mathbf|textbf)\s*\{\s*)?\(?\s*(?P<letter>[A-Za-z])\s*"
    r"(?:[)}.:*_\"'`]|$|\s*[-–—]\s|\s+(?=because\b|since\b|as\b))",
    re.I,
)
_NO_ARTICLE = r"(?!['’]|\s+(?!because\b|since\b|as\b)[a-z])"
"""`A` and `I` are words, too: after "is" a letter is followed by no other word."""
_ANYWHERE = re.compile(r"\(([A-Z])\)|\b(?:[Oo]ption|[Cc]hoice)\s+\**\(?([A-Z])\b")
_SAID = re.compile(
    rf"\b(?:[Oo]ption|[Cc]hoice|[Ll]etter)\s+is\s*:?\s*[*_\"'`]*\(?([A-Z])\b{_NO_ARTICLE}"
)
_END = re.compile(r"\bis\s*:?\s*[*_\"'`]*\(?([A-Z])\)?[*_\"'`]*\.?\s*$")


class ChoiceVerifier:
    """Compares letters.

    Args:
        column: The column of the right letter or index.
    """

    def __init__(self, column: str = "answer") -> None:
        self.name = "choice"
        self._column = column

    def check(self, row: Row) -> None:
        """Check that the reference is the letter or index of a choice that exists."""
        self._right(row)

    async def verify(self, row: Row, answer: str) -> Verdict:
        """Compare the answer's letter with the reference."""
        right = self._right(row)
        choices = _choices(row)
        said = _letter(answer, choices)
        if said is None:
            return Verdict(VerdictOutcome.NO_ANSWER, detail="no letter of a choice in the answer")
        return Verdict.of(said == right, said if said == right else f"{said}, not {right}")

    async def aclose(self) -> None:
        """Nothing was started."""

    def _right(self, row: Row) -> str:
        value = required(row, self._column, self.name)
        text = str(value).strip().strip("().").upper()
        letters = ascii_uppercase[: len(_choices(row)) or None]
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < len(letters):
            return letters[value]
        if text.isdecimal() and int(text) < len(letters):
            return letters[int(text)]
        if len(text) == 1 and text in letters:
            return text
        said = shorten(str(value))
        raise DataError(
            f"verifier choice: column {self._column!r} is {said!r}, which is no letter from A to "
            f"{letters[-1]} and no index from 0 to {len(letters) - 1}"
        )


def _choices(row: Row) -> list[str]:
    """The texts of the choices; none if the question does not list them."""
    choices = row.get("choices")
    if isinstance(choices, dict):  # Hugging Face: {"label": [...], "text": [...]}
        choices = choices.get("text")
    return [str(item) for item in choices] if isinstance(choices, list) else []


def _letter(answer: str, choices: list[str]) -> str | None:
    letters = ascii_uppercase[: len(choices) or None]
    found = final_answer(answer)
    if found is None:
        return None
    first = _FIRST.match(found.text)
    if first and first["letter"].upper() in letters:
        return first["letter"].upper()
    texts = [_plain(choice) for choice in choices]
    if _plain(found.text) in texts:
        at = texts.index(_plain(found.text))
        return letters[at] if at < len(letters) else f"choice {at + 1}"
    shown = [one or other for one, other in _ANYWHERE.findall(answer)]
    said = _SAID.findall(answer) or shown or _END.findall(answer)
    return next((letter for letter in reversed(said) if letter in letters), None)


def _plain(text: str) -> str:
    return " ".join(bare(text).casefold().split())
