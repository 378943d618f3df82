r"""Where a text shows words instead of saying them: code, quotes and formulas.

A marker such as "wait" inside any of these is not style. Stretches are found from left to right,
so what is known of a prefix of a text never changes when more text comes. Since a stretch may
still be open, each sort has a limit that keeps a stray opening mark from swallowing the rest:

    sort                    closed by                                 or at the latest by
    ``` or ~~~ fence        ``` in the same line, a line ``` later    LONGEST_FENCE characters
    `code`                  as many back-ticks                        end of line, LONGEST_INLINE
    "…", “…”, «…»           the closing mark                          end of line, LONGEST_INLINE
    $…$, \(…\)                the closing mark                          end of line, LONGEST_INLINE
    $$…$$, \[…\]              the closing mark                          empty line, LONGEST_DISPLAY

Not covered: code indented by four blanks (in real traces such lines are nested lists, hardly
ever code) and quotes between single quotation marks (they look like apostrophes).
"""

from __future__ import annotations

import re

LONGEST_FENCE = 12_000
LONGEST_DISPLAY = 2_000
LONGEST_INLINE = 300

_MARK = re.compile(r'[\n"“”«»`~$\\]')
_RUN = {"`": re.compile("`+"), "~": re.compile("~+")}
# "$400", "$1.5k,": money, not the start of a formula.
_MONEY = re.compile(r"\$\d[\d,.]*[kKmMbB%]?[.,;:!?)*\"”]*(?=\s|$)")
_CLOSES_QUOTE = {"“": "”", "«": "»", '"': '"'}
_NO_WORD_BEFORE = " \t\n([{<“«'‘*_~>—–-/|"


def stretches(text: str, start: int = 0) -> list[tuple[int, int]]:
    """The stretches of `text` that are code, quotes or formulas, marks included.

    Args:
        text: The whole text from its first character.
        start: Stretches that end before this offset may be left out, to save time.

    Returns:
        Half-open character offsets, in order and without overlap. One that is still open
        reaches as far as its limit, which may lie behind the end of the text.
    """
    paragraph = text.rfind("\n\n", 0, start) + 1 if start else 0
    return _scan(text, 0, paragraph)


def stretches_from(text: str, outside: int) -> list[tuple[int, int]]:
    """The stretches behind a place that is in none, without a look at what is before it.

    Args:
        text: A part of a text: of what is before `outside` only the last character is needed, and
            that must not be blank.
        outside: 0 at the start of the whole text; else an offset that is in no stretch of the
            whole text and has a blank or an ideograph at it, so that no mark lies across it.
    """
    return _scan(text, outside, outside)


def _scan(text: str, fences_from: int, scan_from: int) -> list[tuple[int, int]]:
    """The stretches, given an offset behind the fences known and one behind all that is known."""
    found: list[tuple[int, int]] = []
    fence = _next_fence(text, fences_from)
    while fence:
        fence_start, fence_end = fence
        if fence_start >= scan_from:
            _inline(text, scan_from, fence_start, found)
        if fence_end > scan_from:
            found.append(fence)
            scan_from = fence_end
        fence = _next_fence(text, fence_end)
    _inline(text, scan_from, len(text), found)
    return found


def _next_fence(text: str, start: int) -> tuple[int, int] | None:
    """The next fenced block that opens at or after `start`."""
    openings = [at for mark in ("```", "~~~") if (at := _at_line_start(text, mark, start)) >= 0]
    if not openings:
        return None
    opening = min(openings)
    char = text[opening]
    mark = char * 3
    run_end = _run_end(text, opening)
    line_end = text.find("\n", run_end)
    if line_end < 0:
        line_end = len(text)
    closing = text.find(mark, run_end, line_end)
    if closing < 0:
        closing = _at_line_start(text, mark, line_end)
    limit = opening + LONGEST_FENCE
    if closing < 0 or closing >= limit:
        return opening, limit
    return opening, _run_end(text, closing)


def _at_line_start(text: str, mark: str, start: int) -> int:
    first = text.find(mark[0], start)  # far faster than `mark`, and mostly there is none
    at = text.find(mark, first) if first >= 0 else -1
    while at >= 0:
        line = text.rfind("\n", 0, at) + 1
        if not text[line:at].strip():
            return at
        at = text.find(mark, _run_end(text, at))
    return -1


def _run_end(text: str, start: int) -> int:
    run = _RUN[text[start]].match(text, start)
    assert run is not None
    return run.end()


def _inline(text: str, start: int, end: int, found: list[tuple[int, int]]) -> None:
    """Add the stretches that open in `text[start:end]`, which is outside of any fence."""
    position = start
    while mark := _MARK.search(text, position, end):
        opening = mark.start()
        closing, limit = _closing(text, opening)
        if not closing:
            position = opening + limit
            continue
        stop = _stop(text, opening, end, display=limit == LONGEST_DISPLAY)
        stop = min(stop, opening + limit)
        close = _find_close(text, opening, closing, min(stop, end))
        if close is None:
            # Open: it reaches to the end of its line, its limit, or what is still to come.
            close = stop if stop < len(text) else opening + limit
            position = min(close, end)
        else:
            position = close
        found.append((opening, close))


def _closing(text: str, at: int) -> tuple[str, int]:
    """What closes the stretch that opens at `at`, and its limit; "" and a step if none opens."""
    char = text[at]
    after = text[at + 1 : at + 2]
    before = text[at - 1] if at else " "
    if char == "`":
        return text[at : _run_end(text, at)], LONGEST_INLINE
    if char == "$":
        if after == "$":
            return "$$", LONGEST_DISPLAY
        if not after or after.isspace() or _MONEY.match(text, at):
            return "", 1
        return "$", LONGEST_INLINE
    if char == "\\":
        if after == "[":
            return "\\]", LONGEST_DISPLAY
        return ("\\)", LONGEST_INLINE) if after == "(" else ("", 2 if after == "\\" else 1)
    if char == '"' and (before not in _NO_WORD_BEFORE or not after or after.isspace()):
        return "", 1
    return _CLOSES_QUOTE.get(char, ""), LONGEST_INLINE if char in _CLOSES_QUOTE else 1


def _stop(text: str, opening: int, end: int, *, display: bool) -> int:
    stop = text.find("\n\n" if display else "\n", opening, end)
    return end if stop < 0 else stop


def _find_close(text: str, opening: int, closing: str, stop: int) -> int | None:
    width = _run_end(text, opening) - opening if text[opening] == "`" else len(closing)
    start = opening + width
    while (at := text.find(closing, start, stop)) >= 0:
        if closing[0] == "`" and _run_end(text, at) - at != width:
            start = _run_end(text, at)
            continue
        return at + len(closing)
    return None
