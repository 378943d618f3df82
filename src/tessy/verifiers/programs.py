"""Finding the program in an answer. Pure; no I/O.

1. The last fenced block that says it is Python.
2. The last fenced block that does not say what it is, and is Python.
3. The whole answer, if it is Python.

A block that is not closed, since the answer was cut off, ends with the answer.
"""

from __future__ import annotations

import ast
import re
import textwrap
import warnings

_FENCE = re.compile(
    r"^[ \t]*(?P<fence>`{3,}|~{3,})[ \t]*(?P<label>[^\n`]*)\n(?P<code>.*?)"
    r"(?:^[ \t]*(?P=fence)[ \t]*$|\Z)",
    re.M | re.S,
)
_PYTHON = ("python", "py", "python3", "py3", "cpython")


def program(answer: str) -> str | None:
    """The program in an answer; None if there is none.

    Args:
        answer: The final answer part of a response.
    """
    blocks = [(found["label"].strip().lower(), found["code"]) for found in _FENCE.finditer(answer)]
    labelled = [code for label, code in blocks if re.split(r"[\s{]", label)[0] in _PYTHON]
    if labelled:
        return textwrap.dedent(labelled[-1])
    for label, code in reversed(blocks):
        if not label and is_program(textwrap.dedent(code)):
            return textwrap.dedent(code)
    return answer if not blocks and is_program(answer) else None


def is_program(text: str) -> bool:
    """Whether a text is Python, and more than words and numbers that happen to be Python, too."""
    tree = _parsed(text)
    return tree is not None and not all(
        isinstance(item, ast.Expr) and not any(isinstance(n, ast.Call) for n in ast.walk(item))
        for item in tree.body
    )


def defines(source: str, name: str) -> bool:
    """Whether a program defines a function, a class or a variable of that name, at its top."""
    tree = _parsed(source)
    return tree is not None and any(name in _names(item) for item in tree.body)


def completed(prompt: str, entry_point: str, source: str) -> str:
    """A program completed by the code of the question.

    Args:
        prompt: Code that ends with a function's head and docstring, as HumanEval's; or any text.
        entry_point: That function's name.
        source: A program that defines the function: the part of the prompt before the function
            (imports, helpers) is put before it. Or its body only: it is put after the prompt.
    """
    head = re.search(rf"^(?:async\s+)?def\s+{re.escape(entry_point)}\b", prompt, re.M)
    if not head:
        return source
    if defines(source, entry_point):
        before = prompt[: head.start()]
        return f"{before}\n{source}" if _parsed(before) is not None else source
    head_and_docstring = prompt.rstrip()
    for body in (source, textwrap.indent(textwrap.dedent(source), "    ")):
        if _compiles(f"{head_and_docstring}\n{body}"):
            return f"{head_and_docstring}\n{body}"
    return source


def _parsed(text: str) -> ast.Module | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _compiles(text: str) -> bool:
    """Whether a text is Python that could run: unlike a tree, it holds no `return` on its own."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            compile(text, "answer", "exec", dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True


def _names(item: ast.stmt) -> set[str]:
    if isinstance(item, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return {item.name}
    targets = item.targets if isinstance(item, ast.Assign) else []
    return {target.id for target in targets if isinstance(target, ast.Name)}
