"""Text as Markdown, with code in colours, formulas, and its authors still marked. Pure.

Text is untrusted. HTML in it is text; links and pictures are not made; what is not an element
that is named here can't come out. Authors are carried through the parser as characters that no text
has (Unicode's noncharacters): one stands where the author changes, behind what Markdown may read
as a mark.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from markupsafe import Markup, escape
from pygments import highlight
from pygments.formatters.html import HtmlFormatter
from pygments.lexers import get_lexer_by_name

from tessy.data.pieces import Piece
from tessy.display import visible
from tessy.method.trajectory import Role
from tessy.report.viewer.formulas import add_formulas

_LANGUAGES = (
    "bash c c++ cpp css go haskell html java javascript js json kotlin lua php python py r ruby"
    " rust scala sh sql swift toml ts typescript xml yaml"
)
"""Languages that are highlighted."""
MOST = 200_000
"""Characters that are rendered; a longer text is shown raw."""
_MOST_CODE = 20_000
_SIGNS = {Role.STUDENT: "\ufdd0", Role.TEACHER: "\ufdd1", None: "\ufdd2"}
_AUTHORS = {sign: role for role, sign in _SIGNS.items()}
_SIGN = re.compile("([\ufdd0-\ufdd2])")
_ANY_SIGN = dict.fromkeys(range(0xFDD0, 0xFDD3), "\ufffd")
_HELD = re.compile(r"[\s#>*+\-_~`|$\\\[\](){}]*(?:\d{1,9}[.)][ \t]+)?[\s#>*_~`$\\]*")
"""What Markdown may read as marks at the beginning of a line or a word: a sign goes after it."""


def rendered(pieces: Iterable[Piece]) -> Markup:
    """The kept text of a response as HTML.

    Args:
        pieces: Who wrote what, without markers; what was discarded is left out.
    """
    text = _signed([piece for piece in pieces if not piece.discarded])
    return Markup(_parser().render(text, {}))


def rendered_text(text: str) -> Markup:
    """A text without authors as HTML."""
    return rendered([Piece(text, None)])


def _signed(pieces: Sequence[Piece]) -> str:
    """The text with a sign where the author changes."""
    text = "".join(piece.text for piece in pieces).translate(_ANY_SIGN)
    parts: list[str] = []
    at = done = 0
    author: Role | None = None
    for piece in pieces:
        if piece.role is not author and piece.text:
            author = piece.role
            held = _HELD.match(text, at)
            to = max(done, held.end() if held else at)
            parts += [text[done:to], _SIGNS[author]]
            done = to
        at += len(piece.text)
    return "".join([*parts, text[done:]])


class AuthorRenderer(RendererHTML):
    """Writes tokens as HTML; where the author changes, an element ends and another begins."""

    def render(self, tokens: Sequence[Token], options: Any, env: Any) -> str:
        """As `RendererHTML`, from a text's beginning."""
        env["author"] = None
        return super().render(tokens, options, env)

    def text(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        """Words, each stretch with its author."""
        return self._words(tokens[idx].content, env)

    def code_inline(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        """Code in a line."""
        return f"<code>{self._words(tokens[idx].content, env)}</code>"

    def code_block(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        """Code that is indented."""
        return f"<pre><code>{self._words(tokens[idx].content, env)}</code></pre>\n"

    def fence(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        """Code between fences: highlighted, if its language is known and it has one author."""
        token = tokens[idx]
        language = _SIGN.sub("", token.info).strip().lower().partition(" ")[0]
        self._words(token.info, env)
        plain = language not in _LANGUAGES.split() or len(token.content) > _MOST_CODE
        if plain or _SIGN.search(token.content):
            return f"<pre><code>{self._words(token.content, env)}</code></pre>\n"
        code = highlight(visible(token.content), get_lexer_by_name(language), _formatter())
        return f"<pre><code{_class(env['author'])}>{code}</code></pre>\n"

    # The name is that of the token, `tessy.report.viewer.formulas.FORMULA`.
    def formula(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        """A formula's source, which the page draws; it has the author of its first letter."""
        token = tokens[idx]
        first = _SIGN.search(token.content)
        began = first is not None and not re.search(r"\w", token.content[: first.start()])
        author = _AUTHORS[first[0]] if first and began else env["author"]
        self._words(token.content, env)
        source = escape(visible(_SIGN.sub("", token.content)))
        kind = f"formula {token.markup}{f' {author}' if author else ''}"
        return f'<span class="{kind}">{source}</span>' + ("\n" if token.block else "")

    def _words(self, text: str, env: Any) -> str:
        parts = []
        for part in _SIGN.split(text):
            if part in _AUTHORS:
                env["author"] = _AUTHORS[part]
            elif part:
                words = escape(visible(part))
                author = env["author"]
                parts.append(f"<span{_class(author)}>{words}</span>" if author else words)
        return "".join(parts)


def _class(author: Role | None) -> str:
    return f' class="{author}"' if author else ""


@cache
def _parser() -> MarkdownIt:
    markdown = MarkdownIt(
        "commonmark",
        {"html": False, "breaks": True, "xhtmlOut": False},
        renderer_cls=AuthorRenderer,
    )
    markdown.enable(["table", "strikethrough"])
    markdown.disable(["link", "image", "autolink", "reference", "html_block", "html_inline"])
    markdown.disable("entity")
    add_formulas(markdown)
    return markdown


@cache
def _formatter() -> Any:
    return HtmlFormatter(nowrap=True, classprefix="code-")
