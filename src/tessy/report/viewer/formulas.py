r"""Formulas in Markdown: `$…$`, `\(…\)`, `$$…$$`, `\[…\]`, as models write them. Pure.

A formula is text that is not Markdown. Pages show its source, and KaTeX draws it in the browser.
"""

from __future__ import annotations

import re

from markdown_it import MarkdownIt
from markdown_it.rules_block import StateBlock
from markdown_it.rules_inline import StateInline

FORMULA = "formula"
"""The type of a formula's token; its `markup` is `display` or `inline`."""
_INLINE = re.compile(
    r"""
    \$\$ (?P<dollars> (?:[^$\\]|\\.)+ ) \$\$
    | \\\[ (?P<bracket> .+? ) \\\]
    | \\\( (?P<paren> .+? ) \\\)
    | \$ (?P<dollar> (?![\s$]) (?:[^$\\\n]|\\.)* (?<!\s) ) \$ (?!\d)
    """,
    re.X | re.S,
)
_CLOSES = {"$$": "$$", r"\[": r"\]"}
_MOST = 4000
"""Characters of a formula; a longer one is text."""


def add_formulas(markdown: MarkdownIt) -> None:
    """Teach a parser formulas."""
    markdown.inline.ruler.before("escape", FORMULA, _inline)
    markdown.block.ruler.before(
        "fence", FORMULA, _block, {"alt": ["paragraph", "blockquote", "list"]}
    )


def _inline(state: StateInline, silent: bool) -> bool:
    if state.src[state.pos] not in "$\\":
        return False
    found = _INLINE.match(state.src, state.pos, state.pos + _MOST)
    if found is None:
        return False
    if not silent:
        token = state.push(FORMULA, "", 0)
        token.content = found[found.lastgroup or 0]
        token.markup = "display" if found.lastgroup in ("dollars", "bracket") else "inline"
    state.pos = found.end()
    return True


def _block(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    """A formula whose markers begin and end lines: no line in it is a list or a heading."""
    first = state.src[state.bMarks[start] + state.tShift[start] : state.eMarks[start]]
    close = _CLOSES.get(first[:2])
    if close is None or state.is_code_block(start):
        return False
    lines: list[str] = []
    for number in range(start, end):
        line = state.getLines(number, number + 1, state.blkIndent, False).strip()
        line = line[2:] if number == start else line
        if line.endswith(close):
            if not silent:
                lines.append(line[:-2])
                token = state.push(FORMULA, "", 0)
                token.content, token.markup, token.block = "\n".join(lines), "display", True
                state.line = number + 1
            return True
        if close in line or not (line or number == start):
            return False
        lines.append(line)
    return False
