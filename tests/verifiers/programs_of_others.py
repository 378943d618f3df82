"""Real programs with tests, and mutants of them."""

from __future__ import annotations

import ast
import gzip
import json
import random
from pathlib import Path

DATA = Path(__file__).with_name("data")
_SWAPS = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Add,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
    ast.Lt: ast.GtE,
    ast.LtE: ast.Gt,
    ast.Gt: ast.LtE,
    ast.GtE: ast.Lt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
}


def read(name: str) -> list[dict]:
    with gzip.open(DATA / name) as file:
        return [json.loads(line) for line in file]


def contest() -> list[dict]:
    return read("codecontests_stdio.jsonl.gz")


def humaneval() -> list[dict]:
    return read("HumanEval.jsonl.gz")


def fenced(source: str) -> str:
    return f"The program:\n\n```python\n{source}\n```\n"


def mutant(source: str, seed: int) -> str:
    """The program with one operator or comparison turned into another, or a number one higher."""
    tree = ast.parse(source)
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.BinOp | ast.AugAssign) and type(node.op) in _SWAPS:
            found.append((node, "op"))
        elif isinstance(node, ast.Compare) and type(node.ops[0]) in _SWAPS:
            found.append((node, "ops"))
        elif isinstance(node, ast.Constant) and type(node.value) is int:
            found.append((node, "value"))
    node, what = random.Random(seed).choice(found)
    if what == "op":
        node.op = _SWAPS[type(node.op)]()
    elif what == "value":
        node.value += 1
    else:
        node.ops[0] = _SWAPS[type(node.ops[0])]()
    return ast.unparse(tree)


def spoiled(source: str) -> str:
    """A program that prints what another one does, but for its last character."""
    return f"""\
import atexit, io, sys
own, sys.stdout = sys.stdout, io.TextIOWrapper(io.BytesIO(), "utf-8")
def spoil(made=sys.stdout, own=own):
    made.flush()
    text = made.buffer.getvalue().decode().rstrip()
    own.write(text[:-1] + ("x" if text[-1:] != "x" else "y"))
    own.flush()
atexit.register(spoil)
{source}"""
