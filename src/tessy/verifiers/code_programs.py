"""Finding the program in an answer. Pure; no I/O.

Of the fenced blocks, those that say they are Python count; or, if none does, those that say nothing
and are Python; without blocks, the part of the text that is Python. Of several,

- the last that defines what the tests call, if they call something;
- else the last that is whole, reads the input and does something with it: not a demonstration,
  which calls what an earlier block defines.

What such a block lacks is taken from the others: parts of one program, given one after the other.
A block that is not closed, since the answer was cut off, ends with the answer.
"""

from __future__ import annotations

import ast
import builtins
import functools
import re
import textwrap
import warnings
from collections.abc import Collection, Sequence
from contextlib import suppress

from tessy.verifiers.sandbox_calls import bound_names

_ANSWER = re.compile(r"<answer>(.*?)(?:</answer>|\Z)", re.I | re.S)
_FENCE = re.compile(r"[ \t]*(?P<fence>`{3,}|~{3,})[ \t]*(?P<label>[^\n]*)")
_PYTHON = re.compile(
    r"(?:^|[\s.:{=\"'/-])[ci]?(?:python|py|pypy|pycon)[\d.]*(?:$|[\s.:,;{}=\"'-])", re.I
)
_CPP = ("cpp", "c++", "cc", "cxx", "c", "", "text")
_MAIN = re.compile(r"^#include\b.*\bmain\s*\(", re.M | re.S)
_PLAIN = ("", "text", "txt", "plaintext", "plain", "code")
_READS = re.compile(
    r"\binput\s*\(|\bstdin\b|\bopen\s*\(\s*0\b|/dev/stdin|\bfileinput\b|os\.read\s*\(\s*0\b"
)
_INVISIBLE = {ord(c): None for c in "\u200b\u200c\u200d\u2060\ufeff"} | {0xA0: " "}
_PROMPT = re.compile(r"^[ \t]*(?:>>>|\.\.\.)(?: |$)", re.M)
_EXTENSIONS = 10
"""How many fences inside texts in triple quotes are read over, at most."""
_LONGEST = 128 << 10
"""Characters of an answer that are searched, its last ones: no program is longer."""
_PIECES = 12
"""Blocks that are looked at, the last ones."""
_KNOWN = {*dir(builtins), "__name__", "__file__", "__doc__", "__builtins__"}


def program(
    answer: str, names: Collection[str] = frozenset(), *, reads: bool = False
) -> str | None:
    """The program in an answer; None if there is none.

    Args:
        answer: The final answer part of a response.
        names: What the tests call, if they call something.
        reads: Whether its input matters.
    """
    answer = answer[-_LONGEST:]
    inside = _ANSWER.findall(answer)
    for text in (*inside[-1:], answer):
        blocks = _blocks(text)
        if not blocks:
            sources = _unfenced(text)
        elif not (sources := [code for label, code in blocks if _PYTHON.search(label)]):
            sources = [code for label, code in blocks if label in _PLAIN and is_program(code)]
        if sources:
            return _chosen(sources, names, reads)
    return None


def languages(answer: str) -> list[str]:
    """What the fenced blocks of an answer say they are."""
    return list(dict.fromkeys(label for label, _ in _blocks(answer) if label))


def cpp_program(answer: str) -> str | None:
    """The program in C++ in an answer: the last block that has a `main`; None if there is none."""
    blocks = _blocks(answer[-_LONGEST:])
    found = [code for label, code in blocks if label.split(" ")[0] in _CPP and _MAIN.search(code)]
    return found[-1] if found else None


def is_program(text: str) -> bool:
    """Whether a text is Python, and more than words and numbers that happen to be Python, too."""
    tree = _parsed(text)
    return tree is not None and not all(
        isinstance(item, ast.Expr) and not any(isinstance(n, ast.Call) for n in ast.walk(item))
        for item in tree.body
    )


def defines(source: str, name: str) -> bool:
    """Whether a program defines a name at its top, or as a method of its class `Solution`."""
    tree = _parsed(source)
    if tree is None:
        return False
    methods = [item.body for item in tree.body if isinstance(item, ast.ClassDef)]
    is_method = any(name in _names(item) for body in methods for item in body)
    return is_method or any(name in _names(item) for item in tree.body)


def completed(prompt: str, entry_point: str, source: str) -> str:
    """A program completed by the code of the question.

    Args:
        prompt: Code that ends with a function's head and docstring, as HumanEval's; or any text.
        entry_point: That function's name.
        source: A program that defines the function: the part of the prompt before the function
            (imports, helpers) is put before it. Or its body only: it is put after the prompt.
    """
    parts = head_of(prompt, entry_point)
    if parts is None:
        return source
    if defines(source, entry_point):
        return f"{parts}\n{source}" if _parsed(parts) is not None else source
    head_and_docstring = prompt.rstrip()
    for body in (source, textwrap.indent(textwrap.dedent(source), "    ")):
        if _compiles(f"{head_and_docstring}\n{body}"):
            return f"{head_and_docstring}\n{body}"
    return source


def head_of(prompt: str, entry_point: str) -> str | None:
    """The code of a question before its function; None if its text is no such code."""
    found = re.search(rf"^(?:async\s+)?def\s+{re.escape(entry_point)}\b", prompt, re.M)
    return prompt[: found.start()] if found else None


# --- Blocks ---------------------------------------------------------------------------------------


def _blocks(text: str) -> list[tuple[str, str]]:
    """Label and code of each fenced block."""
    lines = text.splitlines(keepends=True)
    found = []
    at = extensions = 0
    while at < len(lines):
        fence = _FENCE.match(lines[at])
        at += 1
        if fence is None or (fence["fence"][0] == "`" and "`" in fence["label"]):
            continue
        end = _end(lines, at, fence["fence"])
        while extensions < _EXTENSIONS:
            code = "".join(lines[at:end])
            if end == len(lines) or all(code.count(quotes) % 2 == 0 for quotes in ("'''", '"""')):
                break
            extensions += 1
            further = _end(lines, end + 1, fence["fence"])  # this one is inside a text
            if _parsed(_clean("".join(lines[at:further]))) is None:
                break
            end = further
        found.append((fence["label"].strip().lower(), _clean("".join(lines[at:end]))))
        at = end + 1
    return found


def _end(lines: Sequence[str], at: int, fence: str) -> int:
    """The index of the line that closes a block, or of the end."""
    while at < len(lines):
        line = lines[at].strip()
        if line.startswith(fence) and not line.strip(fence[0]):
            return at
        at += 1
    return at


def _clean(code: str) -> str:
    """Code without what is not part of it: indentation, invisible characters, prompts."""
    code = textwrap.dedent(code)
    if _parsed(code) is not None:
        return code
    other = textwrap.dedent(code.translate(_INVISIBLE))
    if other.lstrip().startswith(">>>"):
        lines = [line for line in other.splitlines(keepends=True) if _PROMPT.match(line)]
        other = "".join(_PROMPT.sub("", line) for line in lines)
    return other if _parsed(other) is not None else code


def _unfenced(text: str) -> list[str]:
    """The parts of a text without fences that are Python."""
    whole = _clean(text)
    if is_program(whole):
        return [whole]
    found: list[list[str]] = []
    is_open = False
    for part in re.split(r"\n(?:[ \t]*\n)+", text.translate(_INVISIBLE)):
        if is_open and part[:1] in (" ", "\t"):  # a function goes on after an empty line
            found[-1].append(part)
            continue
        code = next((code for code in _pieces(part) if is_program(code)), None)
        if code is None:
            is_open = False
        elif is_open:
            found[-1].append(code)
        else:
            found.append([code])
            is_open = True
    return [code for parts in found if is_program(code := "\n\n".join(parts))]


def _pieces(part: str) -> list[str]:
    """A paragraph, and what is left of it without a sentence before or after."""
    lines = part.split("\n")
    pieces = [lines, lines[1:], lines[:-1], lines[1:-1]]
    return [_clean("\n".join(piece)) for piece in pieces if piece]


# --- Which of several -----------------------------------------------------------------------------


def _chosen(sources: Sequence[str], names: Collection[str], reads: bool) -> str | None:
    """The program among several pieces of Python."""
    sources = sources[-_PIECES:]
    whole = [code for code in sources if _has_code(code)]
    if not whole:  # the reason why it is none is the verdict's detail
        return next((code for code in reversed(sources) if _parsed(code) is None), None)
    order = range(len(whole) - 1, -1, -1)
    if names:
        index = next((n for n in order if any(defines(whole[n], name) for name in names)), None)
        return whole[-1] if index is None else _with_what_it_lacks(whole, index)
    for test in (lambda code: not _lacks(code) and (not reads or _reads(code)), _reads):
        for n in order:
            if test(whole[n]) and (code := _acting(whole, n)) is not None:
                return code
    return next((whole[n] for n in order if not _lacks(whole[n])), "\n".join(whole))


def _acting(whole: Sequence[str], index: int) -> str | None:
    """A block with the blocks before it that it lacks, and after it those that call it."""
    code = _with_what_it_lacks(whole, index)
    for later in whole[index + 1 :]:
        if _acts(code):
            break
        code = f"{code}\n{later}"
    return code if _acts(code) and not _lacks(code) else None


def _with_what_it_lacks(whole: Sequence[str], index: int) -> str:
    """A block, after those before it if it needs something of them."""
    code = whole[index]
    if not _lacks(code):
        return code
    joined = "\n".join(whole[: index + 1])
    return joined if len(_lacks(joined)) < len(_lacks(code)) else code


def _has_code(code: str) -> bool:
    tree = _parsed(code)
    return tree is not None and any(
        not (isinstance(item, ast.Expr) and isinstance(item.value, ast.Constant))
        for item in tree.body
    )


def _reads(code: str) -> bool:
    return _READS.search(code) is not None


def _acts(code: str) -> bool:
    """Whether a program does more than to define things."""
    quiet = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Import, ast.ImportFrom)
    tree = _parsed(code)
    return tree is not None and any(
        not isinstance(item, (*quiet, ast.Assign, ast.AnnAssign)) for item in tree.body
    )


def _lacks(code: str) -> set[str]:
    """The names that a program uses, and neither it nor Python defines."""
    tree = _parsed(code)
    nodes = [] if tree is None else list(ast.walk(tree))
    if any(isinstance(n, ast.ImportFrom) and n.names[0].name == "*" for n in nodes):
        return set()
    used = {n.id for n in nodes if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)}
    return used - bound_names(nodes) - _KNOWN


@functools.lru_cache(16)
def _parsed(text: str) -> ast.Module | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError, SystemError):
        return None


def _compiles(text: str) -> bool:
    """Whether a text is Python that could run: unlike a tree, it holds no `return` on its own."""
    with suppress(SyntaxError, ValueError, RecursionError, MemoryError), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        compile(text, "answer", "exec", dont_inherit=True)
        return True
    return False


def _names(item: ast.stmt) -> set[str]:
    if isinstance(item, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return {item.name}
    targets = item.targets if isinstance(item, ast.Assign) else []
    return {target.id for target in targets if isinstance(target, ast.Name)}
