r"""`exact`: the answer is the reference, except for white space and Unicode forms.

Both are brought to Unicode NFC, runs of blanks and new lines become one blank, and blanks at the
ends go. With `?case=ignore` they are also case-folded. The whole answer is compared first, then
the final answer in it (`tessy.verifiers.extract`): its sentence, and its line; without `\text{…}`
or quotation marks around it, and without a full stop at its end.
"""

from __future__ import annotations

import re
import unicodedata

from tessy.verifiers.extract import AnswerForm, announcements, bare, final_answer
from tessy.verifiers.protocol import Row, Verdict, VerdictOutcome, required_text, shorten

_WRAPPED = re.compile(
    r"\\(?:text|textbf|textit|textrm|mathrm|mathbf|mathit|mbox)\s*\{([^{}]*)\}|[\"“”„«'‘]([^\"“”„«»]*)[\"”“»'’]"
)


class ExactVerifier:
    """Compares texts.

    Args:
        column: The column of the right answer.
        ignore_case: Whether `Paris` and `paris` are the same.
    """

    def __init__(self, column: str = "answer", *, ignore_case: bool = False) -> None:
        self.name = "exact"
        self._column = column
        self._ignore_case = ignore_case

    def check(self, row: Row) -> None:
        """Check that there is a reference: text, or a number."""
        required_text(row, self._column, self.name)

    async def verify(self, row: Row, answer: str) -> Verdict:
        """Compare the answer, and the final answer in it, with the reference."""
        gold = required_text(row, self._column, self.name)
        found = final_answer(answer)
        if found is None:
            return Verdict(VerdictOutcome.NO_ANSWER, detail="the answer is empty")
        said = [answer, *_unwrapped(found.text)]
        if found.form is AnswerForm.ANNOUNCED:
            said += _unwrapped(announcements(answer)[-1].line)
        right = {self._normal(gold), self._normal(bare(gold))} - {""}
        is_right = any(self._normal(text) in right for text in said)
        shown = shorten(found.text)
        return Verdict.of(is_right, shown if is_right else f"{shown}, not {shorten(gold)}")

    async def aclose(self) -> None:
        """Nothing was started."""

    def _normal(self, text: str) -> str:
        text = " ".join(unicodedata.normalize("NFC", text).split())
        return text.casefold() if self._ignore_case else text


def _unwrapped(text: str) -> list[str]:
    """A text, and what is within the marks around it."""
    text = bare(text)
    inside = _WRAPPED.fullmatch(text)
    return [text] if inside is None else [text, bare(inside[1] or inside[2])]
