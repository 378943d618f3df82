r"""`exact`: the answer is the reference, except for white space and Unicode forms.

Both are brought to Unicode NFC, runs of blanks and new lines become one blank, and blanks at the
ends go. With `?case=ignore` they are also case-folded. The whole answer is compared first, then
the final answer in it (`tessy.verifiers.extract`): its sentence, and its line; without `\text{…}`
or quotation marks around it, and without a full stop or an exclamation mark at its end.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Any

from tessy.verifiers.extract import AnswerForm, announcements, bare, final_answer
from tessy.verifiers.limits import VerifierSettings
from tessy.verifiers.protocol import Row, required_text, shorten
from tessy.verifiers.reference import ReferenceVerifier

_WRAPPED = re.compile(
    r"\\(?:text|textbf|textit|textrm|mathrm|mathbf|mathit|mbox)\s*\{([^{}]*)\}|_([^_]*)_|[\"“”„«'‘]([^\"“”„«»]*)[\"”“»'’]"
)

_PILED = re.compile(r"[\u0300-\u036f\u0483-\u0489\u0591-\u05c7\u0610-\u061a\u064b-\u065f]{31}")
"""More marks on one letter than a stream-safe text has (Unicode Standard Annex 15, section 13)."""


def exact_verifier(
    settings: VerifierSettings, column: str = "answer", case: str = "keep"
) -> ReferenceVerifier:
    """A verifier that compares texts.

    Args:
        settings: How many long answers are read at once.
        column: The column of the right answer: text, or a number.
        case: With `ignore`, `Paris` and `paris` are the same.
    """

    def given(row: Row) -> dict[str, Any]:
        return {"right": required_text(row, column, "exact"), "ignore_case": case == "ignore"}

    return ReferenceVerifier("exact", given, compare, "the answer is empty", settings)


def compare(answer: str, right: str, ignore_case: bool) -> tuple[str | None, bool]:
    """The final answer, shortened, None if there is none; and whether it is right."""
    found = final_answer(answer)
    if found is None:
        return None, False
    said = [answer, *_unwrapped(found.text)]
    if found.form is AnswerForm.ANNOUNCED:
        for last in announcements(answer)[-1:]:  # none where a box was taken back
            said += _unwrapped(last.line)
    rights = {_normal(right, ignore_case), _normal(bare(right), ignore_case)} - {""}
    is_right = any(_normal(text, ignore_case) in rights for text in said)
    return shorten(found.text), is_right


def _normal(text: str, ignore_case: bool) -> str:
    if not _PILED.search(text):  # normalising takes the square of their number
        text = unicodedata.normalize("NFC", text)
    text = " ".join(text.split())
    return text.casefold() if ignore_case else text


def _unwrapped(text: str) -> list[str]:
    """A text, and what is within the marks around it."""
    found = [text := bare(text), bare(text.removesuffix("!"))]
    inside = [match for one in found if (match := _WRAPPED.fullmatch(one))]
    return [*found, *(bare(match[match.lastindex or 0]) for match in inside)]
