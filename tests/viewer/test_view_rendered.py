"""Markdown of hostile text: only the elements that are meant, and every word by its author."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tessy.data.pieces import Piece
from tessy.display import visible
from tessy.method.trajectory import Role
from tessy.report.viewer.rendered import rendered, rendered_text

ELEMENTS = {
    *("p", "br", "hr", "em", "strong", "s", "ul", "ol", "li", "blockquote", "pre", "code", "span"),
    *("table", "thead", "tbody", "tr", "th", "td", "h1", "h2", "h3", "h4", "h5", "h6"),
}
MARKS = [
    *("# ", "## ", "- ", "1. ", "> ", "**", "*", "_", "`", "```", "```python", "~~", "|", "---"),
    *("\n", "\n\n", "    ", "$", "$$", "\\(", "\\)", "\\[", "\\]", "\\", "&lt;", "&#60;"),
    *("[x](javascript:alert(1))", "![x](http://evil)", "<http://evil>", "[x]: http://evil"),
    *("<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "<!--", "<style>", "]]>"),
    *("<span class=teacher>", "</span></div>", "\ufdd0", "\ufdd1", "\0", "\u202e", "word", "4"),
]
some = st.lists(st.sampled_from(MARKS) | st.text(max_size=6), max_size=12).map("".join)
roles = st.sampled_from([Role.STUDENT, Role.TEACHER])


class Elements(HTMLParser):
    """The elements of a page, and the author of each character."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.names: set[str] = set()
        self.attributes: set[tuple[str, str]] = set()
        self.open: list[tuple[str, str]] = []
        self.authors: list[tuple[str, str]] = []
        self.feed(page)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.names.add(tag)
        self.attributes |= {(name, value or "") for name, value in attrs}
        if tag not in ("br", "hr"):
            self.open.append((tag, dict(attrs).get("class") or ""))

    def handle_endtag(self, tag):
        assert self.open.pop()[0] == tag

    def handle_data(self, data):
        author = next((c for _, c in reversed(self.open) if {*c.split()} & {*Role}), "")
        self.authors += [(character, author) for character in data]

    def handle_comment(self, data):
        raise AssertionError("a comment")


@given(st.lists(st.tuples(some, roles), max_size=4))
def test_only_what_is_meant_comes_out(pieces):
    page = Elements(rendered([Piece(text, role) for text, role in pieces]))
    assert page.names <= ELEMENTS
    for name, value in page.attributes:
        assert name in ("class", "start", "style"), (name, value)
        if name == "style":
            assert value in {f"text-align:{side}" for side in ("left", "right", "center")}
        if name == "start":
            assert value.isdecimal()
        if name == "class":
            words = value.split()
            assert all(
                w in {*Role, "formula", "inline", "display"} or w.startswith("code-") for w in words
            )
    shown = "".join(character for character, _ in page.authors)
    assert not {*shown} & {"\ufdd0", "\ufdd1", "\ufdd2", "\0", "\u202e"}


words = st.lists(st.sampled_from(["so", "wait", "x", "42", "ü", "計"]), min_size=1, max_size=5)


@given(st.lists(st.tuples(words.map(lambda several: " ".join(several) + " "), roles), max_size=5))
def test_each_word_has_its_author(pieces):
    page = Elements(rendered([Piece(text, role) for text, role in pieces]))
    expected = [(c, role) for text, role in pieces for c in text if c.strip()]
    assert [(c, author) for c, author in page.authors if c.strip()] == expected


@given(some)
def test_no_letter_is_lost(text):
    """Marks may go, words may not; the name of a fence's language is one."""
    if "```" in text or "~~~" in text:
        return
    shown = "".join(character for character, _ in Elements(rendered_text(text)).authors)
    letters = [c for c in visible(text).replace("\ufdd0", "").replace("\ufdd1", "") if c.isalpha()]
    assert [c for c in shown if c.isalpha()] == letters


@pytest.mark.parametrize(
    ("text", "page"),
    [
        ("**so**", "<p><strong>so</strong></p>"),
        ("a\nb", "<p>a<br>\nb</p>"),
        ("$x^2$", '<p><span class="formula inline">x^2</span></p>'),
        ("it costs $5 and $6", "<p>it costs $5 and $6</p>"),
        ("\\(a*b*c\\)", '<p><span class="formula inline">a*b*c</span></p>'),
        ("$$\n- a\n= b\n$$", '<span class="formula display">\n- a\n= b\n</span>'),
        ("\\[ a < b \\]", '<span class="formula display"> a &lt; b </span>'),
        ("```python\nif 1:\n```", '<pre><code><span class="code-k">if</span> '),
        ("```evil\n<b>\n```", "<pre><code>&lt;b&gt;\n</code></pre>"),
        ("`<b>`", "<p><code>&lt;b&gt;</code></p>"),
        ("[x](http://y)", "<p>[x](http://y)</p>"),
    ],
)
def test_what_models_write(text, page):
    assert str(rendered_text(text)).strip().startswith(page)


def test_a_boundary_before_a_mark_does_not_break_it():
    pieces = [Piece("okay\n", Role.STUDENT), Piece("1. first\n2. $x$ it", Role.TEACHER)]
    page = str(rendered(pieces))
    assert "<ol>" in page
    assert '<span class="formula inline teacher">x</span>' in page
    assert '<span class="teacher">first</span>' in page


def test_a_formula_has_the_author_of_its_first_letter():
    pieces = [Piece("so\n", Role.STUDENT), Piece("\\[\n\\int x\n\\]\n", Role.TEACHER)]
    assert 'class="formula display teacher"' in str(rendered(pieces))
