r"""`exact`: the answer is the reference, except for white space and Unicode forms.

Both are brought to Unicode NFC, runs of blanks and new lines become one blank, and blanks at the
ends go. With `?case=ignore` they are also case-folded. The whole answer is compared first, then
the final answer in it (`tessy.verifiers.extract`): its sentence, and its line; without `\text{…}`
or quotation marks around it, and without a full stop or an exclamation mark at its end.
"""

from __future__ import annotations

import re
import unicodedata

from tessy.verifiers.extract import AnswerForm, announcements, bare, final_answer
from tessy.verifiers.limits import VerifierSettings
from tessy.verifiers.protocol import Row, Verdict, VerdictOutcome, required_text, shorten
from tessy.verifiers.reading import AnswerReader
from tessy.verifiers.workers import CheckFailed

_WRAPPED = re.compile(
    r"\\(?:text|textbf|textit|textrm|mathrm|mathbf|mathit|mbox)\s*\{([^{}]*)\}|_([^_]*)_|[\"“”„«'‘]([^\"“”„«»]*)[\"”“»'’]"
)

_PILED = re.compile(r"[\u0300-\u036f\u0483-\u0489\u0591-\u05c7\u0610-\u061a\u064b-\u065f]{31}")
"""More marks on one letter than a stream-safe text has (Unicode Standard Annex 15, section 13)."""


class ExactVerifier:
    """Compares texts.

    Args:
        column: The column of the right answer.
        ignore_case: Whether `Paris` and `paris` are the same.
        settings: How many long answers are read at once.
    """

    def __init__(
        self,
        column: str = "answer",
        *,
        ignore_case: bool = False,
        settings: VerifierSettings | None = None,
    ) -> None:
        self.name = "exact"
        self._compare = AnswerReader(compare, settings)
        self._column = column
        self._ignore_case = ignore_case

    def check(self, row: Row) -> None:
        """Check that there is a reference: text, or a number."""
        required_text(row, self._column, self.name)

    async def verify(self, row: Row, answer: str) -> Verdict:
        """Compare the answer, and the final answer in it, with the reference."""
        right = required_text(row, self._column, self.name)
        try:
            said, is_right = await self._compare(answer, right=right, ignore_case=self._ignore_case)
        except CheckFailed as error:
            return Verdict(VerdictOutcome.ERROR, detail=str(error))
        if said is None:
            return Verdict(VerdictOutcome.NO_ANSWER, detail="the answer is empty")
        return Verdict.of(is_right, said if is_right else f"{said}, not {shorten(right)}")

    async def aclose(self) -> None:
        """End what reads long answers."""
        await self._compare.aclose()


def compare(answer: str, right: str, ignore_case: bool) -> tuple[str | None, bool]:
    """The final answer, shortened, None if there is none; and whether it is right."""
    found = final_answer(answer)
    if found is None:
        return None, False
    said = [answer, *_unwrapped(found.text)]
    if found.form is AnswerForm.ANNOUNCED:
        said += _unwrapped(announcements(answer)[-1].line)
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
