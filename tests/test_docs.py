"""The docs: messages, options and pages that they name exist, and the site lists every page."""

from __future__ import annotations

import ast
import re
import runpy

import pytest

from test_architecture import PACKAGE, ROOT

PAGES = sorted(ROOT.glob("docs/*.md"))
COMMANDS = runpy.run_path(str(ROOT / "docs" / "reference.py"))["commands"]()


def texts_of_the_code() -> list[str]:
    """All texts in the package, with … where something is filled in."""
    found = []
    for module in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(module.read_text("utf-8"))):
            if isinstance(node, ast.JoinedStr):
                parts = (p.value if isinstance(p, ast.Constant) else "…" for p in node.values)
                found.append("".join(map(str, parts)))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.append(node.value)
    return found


TEXTS = texts_of_the_code()
EXPLAINED = re.findall(
    r"^### (.+)$", (ROOT / "docs" / "troubleshooting.md").read_text("utf-8"), re.MULTILINE
)


@pytest.mark.parametrize("message", EXPLAINED)
def test_a_message_that_is_explained_exists(message):
    assert any(message in text for text in TEXTS), message


def test_the_site_lists_every_page():
    listed = re.findall(r"- (?:[^:\n]+: )?([\w-]+\.md)$", (ROOT / "mkdocs.yml").read_text(), re.M)
    assert sorted(listed) == [page.name for page in PAGES]


def examples() -> list[tuple[str, str, list[str]]]:
    """The commands in the README and the docs: page, command, its options."""
    names = sorted(COMMANDS, key=len, reverse=True)
    command = re.compile(rf"(?:^| )tessy ({'|'.join(names)})\b([^|#;)\n`]*)", re.MULTILINE)
    found = []
    for page in (ROOT / "README.md", *PAGES):
        text = page.read_text("utf-8")
        blocks = re.findall(r"^```\w*\n(.*?)^```|((?:^ {4}.*\n)+)", text, re.DOTALL | re.MULTILINE)
        for block in blocks:
            joined = re.sub(r" \\\n\s*", " ", "".join(block))
            for name, rest in command.findall(joined):
                found.append((page.name, name, re.findall(r"(?<= )--[a-z][a-z-]+", rest)))
    return found


@pytest.mark.parametrize(("page", "name", "options"), examples())
def test_the_options_of_an_example_exist(page, name, options):
    known = {setting.flag for setting in COMMANDS[name]} | {"--help"}
    assert set(options) <= known, f"{page}: tessy {name}"
