r"""Mathematical expressions in answers, in one way of writing. Pure; no I/O; linear.

`math` compares what this module finds: the tag, the boxes that end the answer (several, joined by
`and`, `or` or commas, are one list), the announcement, or the last expression of the last line.
"""

from __future__ import annotations

import re

from tessy.verifiers.extract import AnswerForm, Box, bare, boxes, final_answers, gives_up
from tessy.verifiers.numerals import RAISED, lowered

MAX_LENGTH = 2000
"""Characters of an expression; longer ones are no answers that a person would mark."""
_SYMBOLS = {
    "π": r"\pi ", "∞": r"\infty ", "≤": r"\le ", "⩽": r"\le ", "≥": r"\ge ", "⩾": r"\ge ",
    "≠": r"\ne ", "×": r"\times ", "·": r"\cdot ", "⋅": r"\cdot ", "÷": "/", "−": "-", "–": "-",
    "∪": r"\cup ", "∩": r"\cap ", "∅": r"\emptyset ", "°": "", "±": r"\pm ", "∈": r"\in ",
    "θ": r"\theta ", "α": r"\alpha ", "β": r"\beta ", "λ": r"\lambda ", "“": "", "”": "",
    "½": r"\frac{1}{2}", "⅓": r"\frac{1}{3}", "⅔": r"\frac{2}{3}", "¼": r"\frac{1}{4}",
    "¾": r"\frac{3}{4}", "\u00a0": " ", "\u202f": " ", "\u2009": " ", "，": ",", "％": "%",
}  # fmt: skip
_RAISED = f"{RAISED}ⁿ"
_TEXT = r"\\(?:text|textbf|textit|textrm|textsf|texttt|mathrm|mathbf|mathit|mathsf|mbox|rm)\b"
_ONE_SIGN = re.compile(rf"{_TEXT}\s*\{{\s*([A-Za-z]|\d+)\s*\}}")
_BRACED = re.compile(rf"{_TEXT}\s*\{{([^{{}}]*)\}}")
_REWRITES = [
    (re.compile(pattern), instead)
    for pattern, instead in (
        (r"\\\$|(?<!\\)\$", ""),
        (r"(?<!\\)\\[()\[\]]", " "),
        (r"\\(?:left|right|[bB]igg?[lr]?|displaystyle|textstyle|limits)(?![A-Za-z])\s?\.?", ""),
        (r"\\[dtc]frac(?![A-Za-z])", r"\\frac"),
        (r"\\(?:varnothing|O)(?![A-Za-z])|\\\{\s?\\\}", r"\\emptyset "),
        (r"\\leqs?(?:lant)?(?![A-Za-z])", r"\\le "),
        (r"\\geqs?(?:lant)?(?![A-Za-z])", r"\\ge "),
        (r"\\neq(?![A-Za-z])", r"\\ne "),
        (r"\s?\{,\}|,\s?\\!", ","),
        (r"(?<!\\)\\!|\\degree(?![A-Za-z])|\^\s?\{?\s?\\circ(?![A-Za-z])\s?\}?", ""),
        (r"(?<=\d)(?:(?<!\\)\\[,; ]|~)(?=\d{3}(?!\d))", ""),
        (r"(?<!\\)\\[,;: ]|~|\\quad(?![A-Za-z])|\\qquad(?![A-Za-z])", " "),
        (rf"(?:,\s?)?{_TEXT}\s?\{{\s?,?\s?(?:and|or)\s?\}}", ","),
        (r"(?:,\s?)?(?<![A-Za-z\\])(?:and|or)(?![A-Za-z])", ","),
        (r"(?<![\d,.(\[{])(\d{1,3}),(\d{3})(?![\d)\]}]|,\d)", r"\1\2"),
        (r"(?<![\d,.(\[{])(\d{1,3}),(\d{3}),(\d{3})(?![\d)\]}]|,\d)", r"\1\2\3"),
        (r"\*\*", "^"),
        (r"(?<=\d)i(?![A-Za-z\d])", " i"),
        (r"√\s?\(([^()]*)\)|√\s?([\w.]+)|√\s?\{([^{}]*)\}", r"\\sqrt{\1\2\3}"),
        (r"(?<![A-Za-z\\])sqrt\s?\(([^()]*)\)", r"\\sqrt{\1}"),
        (r"(?<![A-Za-z\\])(pi|sin|cos|tan|log|ln)(?![A-Za-z])", r"\\\1 "),
        (r"(?<![A-Za-z\\])(?:infinity|inf)(?![A-Za-z])", r"\\infty "),
    )
]  # fmt: skip
_TRIGONOMETRY = re.compile(r"\\(?:sin|cos|tan|cot|sec|csc)(?![a-z])")
_DEGREES = re.compile(
    r"(\d+(?:\.\d+)?)\s?(?:°|\\degree(?![A-Za-z])|\^\s?\{?\s?\\circ(?![A-Za-z])\s?\}?)"
)
_REPEATING = re.compile(r"(\d*)\.(\d*)\\(?:overline|bar)\s?\{?(\d+)\}?")
_PM = re.compile(r"\\pm(?![A-Za-z])")
_UNIT = re.compile(
    rf"(?<=[\d}})\w])\s*(?:{_TEXT}\s*\{{[^{{}}]*[A-Za-z][^{{}}]*\}}"
    r"|(?<=\s)[a-zA-Z]{2,12}(?![A-Za-z(])|(?<=\d)(?:cm|mm|km|kg|mg|ml|ft|min|sec|hrs?|mph)(?![A-Za-z(]))"
    r"(?:\s*\^\s*\{?-?\d\}?)?(?:\s*/\s*[A-Za-z]{1,8}(?:\^\{?\d\}?)?)?\.?$"
)
_BASE = re.compile(r"^(-?\w+)_\{?(\d{1,2})\}?$")
_PERCENT = re.compile(r"\s*(?:\\?%|\\?(?:text\{\s*)?(?:percent|per\s?cent)\}?)\.?$", re.I)
_FUNCTIONS = frozenset(
    re.findall(
        "[a-z]+",
        "pi sqrt sin cos tan cot sec csc log ln exp det lim max min mod gcd lcm arcsin arccos"
        " arctan sinh cosh tanh inf infinity and or",
    )
)
_WORD = re.compile(r"(?<![\\A-Za-z])[A-Za-z]{2,}")
_ENVIRONMENT = re.compile(r"\\(?:begin|end)\s?\{[a-z]+\*?\}")
_MATH = re.compile(
    r"\$\$([^$]+)\$\$|(?<![\\$])\$((?:[^$\\\n]|\\.)+)\$|\\\(((?:[^\\]|\\[^)])*+)\\\)"
    r"|\\\[((?:[^\\]|\\[^\]])*+)\\\]",
    re.S,
)
_SEPARATOR = re.compile(
    r"[\s$\\()\[\],;.]*(?:and|or)?(?:\\text\{\s*(?:and|or)\s*\})?[\s$\\()\[\],;]*"
)
_IS = re.compile(r"\s(?:is|are|equals)\s(?:the\s|an?\s)?")


def expression(answer: str) -> tuple[str, str] | None:
    """The expression that an answer gives, as it is written, and the form in which it is given.

    None if there is none, or one that no person would read.
    """
    for found in final_answers(answer):
        if found.form is AnswerForm.BOXED:
            text = _last_boxes(answer)
        elif found.form is AnswerForm.TAG:
            text = found.text
        else:
            is_last = found.form is AnswerForm.LAST_LINE
            text = _in_prose(found.text, is_last=is_last)
            if not text and not is_last:
                continue  # "The result is correct."
        text = bare(text)
        return (text, found.form.value) if 0 < len(text) <= MAX_LENGTH else None
    return None


def _last_boxes(answer: str) -> str:
    """The last box, with those before it from which only `and`, `or` or a comma part it."""
    found = [box for box in boxes(answer) if bare(box.text)]
    run: list[Box] = found[-1:]
    for box in reversed(found[:-1]):
        if box.end > run[0].start:
            continue  # it is around the one after it
        if not _SEPARATOR.fullmatch(answer, box.end, run[0].start) or len(run) > 20:
            break
        run.insert(0, box)
    return ", ".join(dict.fromkeys(bare(box.text) for box in run))


def _in_prose(text: str, *, is_last: bool) -> str:
    """The expression of a sentence: what is marked as mathematics, else what looks like it."""
    text = lowered(text[-MAX_LENGTH:] if is_last else text[:MAX_LENGTH], _RAISED)
    if gives_up(text):
        return text
    marked = list(_MATH.finditer(text))
    if is_last:  # the minimum is $1$ at $x = 2$
        said = max((found.end() for found in _IS.finditer(text)), default=0)
        after = [one for one in marked if one.start() >= said]
        is_last, marked = not (said and after), after or marked
    if marked:
        run = marked[-1:] if is_last else marked[:1]
        for one in reversed(marked[:-1]) if is_last else marked[1:]:
            gap = (one.end(), run[0].start()) if is_last else (run[-1].end(), one.start())
            if not _SEPARATOR.fullmatch(text, *gap):
                break
            run.insert(0 if is_last else len(run), one)
        percent = "\\%" if text[run[-1].end() :].lstrip("\\ ").startswith("%") else ""
        return ", ".join(next(filter(None, one.groups())) for one in run) + percent
    if "\\" in text and not _words(text):
        return text
    pieces = _chunks(text)
    if not pieces:
        text = _IS.split(text)[-1]
        return text if len(text.split()) <= 6 else ""
    return pieces[-1] if is_last else pieces[0]


def _chunks(text: str) -> list[str]:
    """Runs of words that are mathematics: with digits, operators, commands, single letters."""
    found: list[list[str]] = [[]]
    for word in text.split():
        if _is_math(word) or (word.strip(",;") in ("and", "or") and found[-1]):
            found[-1].append(word)
            if word.endswith((".", ";", ":")) and not word.endswith("..."):
                found.append([])
        elif found[-1]:
            found.append([])
    joined = [" ".join(_without_ends(words)).rstrip(".,;:!?") for words in found]
    return [chunk for chunk in joined if re.search(r"[\d\\π√∞∅]|^[^\W\d_]$|=", chunk)]


def _without_ends(words: list[str]) -> list[str]:
    while words and words[-1].strip(",;") in ("and", "or", "a", "I", "-", "–", "="):
        words = words[:-1]
    while words and words[0] in ("a", "A", "I", "-", "–"):
        words = words[1:]
    return words


def _is_math(word: str) -> bool:
    bare_word = word.strip(".,;:!?*")
    if "\\" in bare_word or not re.search(r"[^\W\d_]{2,}", bare_word):
        return bool(bare_word)
    return (bool(re.search(r"[\d^=()√]", bare_word)) and not _words(bare_word)) or (
        bare_word in _FUNCTIONS - {"and", "or", "max", "min", "mod", "exp", "lim", "log"}
    )


def written_alike(text: str) -> str:
    """An expression in one way of writing: one command for each sign, no spacing, no dollars."""
    text = _ONE_SIGN.sub(r"\1", lowered(text, _RAISED))
    if _TRIGONOMETRY.search(text):
        text = _DEGREES.sub(r"(\1\\cdot\\pi/180)", text)
    for sign, command in _SYMBOLS.items():
        text = text.replace(sign, command)
    for pattern, instead in _REWRITES:
        text = pattern.sub(instead, text)
    text = _REPEATING.sub(_repeating, text)
    return " ".join(text.split()).rstrip(".,;: ")


def _repeating(found: re.Match[str]) -> str:
    r"""`0.1\overline{6}` as a fraction."""
    whole, fixed, again = found[1] or "0", found[2], found[3]
    if len(found[0]) > 60:
        return found[0]
    top = int(whole + fixed + again) - int(whole + fixed)
    return f"\\frac{{{top}}}{{{'9' * len(again)}{'0' * len(fixed)}}}"


def plain_words(text: str) -> str:
    """An answer as words: without commands for fonts, brackets around it, case and spacing."""
    text = _BRACED.sub(r"\1", written_alike(text))
    text = re.sub(r"[\s{}\"'`*]+", " ", text).strip(" .,;:!")
    inside = re.fullmatch(r"\(\s*([A-Za-z0-9]+)\s*\)", text)
    return (inside[1] if inside else text).casefold()


def is_text(text: str) -> bool:
    r"""Whether a reference is no mathematics but words: `\text{east}`, `June 20`, `2:3`."""
    text = written_alike(text)
    if re.fullmatch(r"\d+(?:\s*:\s*\d+)+", text):
        return True
    text = without_unit(text)
    shortest = 4 if re.search(r"[\d^+=*/<>]", text) else 2  # 2ab is a product
    text = _BRACED.sub(r" \1 ", text)
    return any(len(word) >= shortest for word in _words(text)) or not re.search(r"[\w\\∞]", text)


def _words(text: str) -> list[str]:
    return [word for word in _WORD.findall(_ENVIRONMENT.sub(" ", text)) if word not in _FUNCTIONS]


def without_unit(text: str) -> str:
    r"""An expression without the unit at its end, if it is more than that: `5 \text{ cm}^2`."""
    shorter = _UNIT.sub("", text).strip()
    return shorter if re.search(r"[\d\\]", shorter) else text


def without_percent(text: str) -> tuple[str, bool]:
    """An expression without its percent sign, and whether it had one."""
    shorter = _PERCENT.sub("", text)
    return shorter, shorter != text


def without_base(text: str) -> tuple[str, str]:
    """A number without the base written under it, and the base; empty without one."""
    found = _BASE.match(text)
    return (found[1], found[2]) if found and found[1].lstrip("-")[:1].isdigit() else (text, "")


def both_signs(text: str) -> str:
    r"""An expression with one `\pm` as the list of both."""
    if len(_PM.findall(text)) != 1 or "," in text:
        return text
    return f"{_PM.sub('+', text).lstrip('+')}, {_PM.sub('-', text)}"
