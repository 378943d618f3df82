"""Files of questions that go wrong elsewhere: each is read exactly, or refused with the line.

Each has the name of a file, its bytes, and what the error says; None where it is read. A row that
is refused is refused with its line, and the other rows can be read with `--skip-bad`.
"""

from __future__ import annotations

import gzip
import json
from typing import NamedTuple


class HostileRows(NamedTuple):
    kind: str
    file: str
    content: bytes
    says: str | None


def _messages(*messages: dict, **more: object) -> bytes:
    return json.dumps({"messages": list(messages), **more}).encode()


def _deep(levels: int) -> bytes:
    return b'{"prompt": "a", "n": ' + b"[" * levels + b"]" * levels + b"}"


_USER = {"role": "user", "content": "a"}
_CALL = [{"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]

ROWS = [
    # --- numbers
    ("a long integer", b'{"prompt": "a", "answer": 123456789012345678901234567890}', None),
    ("a negative one", b'{"prompt": "a", "answer": -98765432109876543210}', None),
    ("an integer of 400 digits", b'{"prompt": "a", "answer": 1' + b"0" * 400 + b"}", None),
    ("a float of 25 digits", b'{"prompt": "a", "answer": 3.141592653589793238462643}', None),
    ("a tiny float", b'{"prompt": "a", "answer": 1e-400}', None),
    ("an integer of 5,000 digits", b'{"prompt": "a", "n": ' + b"7" * 5000 + b"}", "5,000 digits"),
    ("a float beyond all", b'{"prompt": "a", "answer": 1e400}', "1e400 is larger"),
    ("NaN", b'{"prompt": "a", "answer": NaN}', "NaN is not JSON: write null"),
    ("Infinity", b'{"prompt": "a", "answer": Infinity}', "Infinity is not JSON"),
    ("-Infinity", b'{"prompt": "a", "answer": [1, -Infinity]}', "not JSON"),
    # --- JSON
    ("200 levels", _deep(200), None),
    ("300 levels", _deep(300), "nested too deeply"),
    ("2,000 levels", _deep(2000), "nested too deeply"),
    ("200,000 levels", _deep(200_000), "nested too deeply"),
    ("deep, and with a long number", _deep(900)[:-1] + b', "m": 1' + b"0" * 400 + b"}", "deeply"),
    ("a key twice", b'{"prompt": "a", "prompt": "b"}', "the key 'prompt' is there twice"),
    ("a key twice, below", b'{"prompt": "a", "x": {"y": 1, "y": 2}}', "the key 'y' is there twice"),
    ("half a surrogate pair", b'{"prompt": "\\ud800"}', "surrogate"),
    ("half of one, in a key", b'{"prompt": "a", "\\udc00": 1}', "surrogate"),
    ("half of one, a long number", b'{"prompt": "\\ud800", "n": 1' + b"0" * 400 + b"}", "surrog"),
    ("Latin-1", '{"prompt": "é"}'.encode("latin-1"), "is not UTF-8; if the file is Latin-1"),
    ("a NUL byte", b'{"prompt": "a\0"}', "NUL"),
    ("NUL, escaped", b'{"prompt": "a\\u0000b"}', None),
    ("a control character", b'{"prompt": "a\x01"}', "control character"),
    ("a Python dict", b"{'prompt': 'a'}", "not JSON"),
    ("cut off", b'{"prompt": "a', "ends too early"),
    ("two on a line", b'{"prompt": "a"} {"prompt": "b"}', "not JSON"),
    ("a trailing comma", b'{"prompt": "a",}', "not JSON"),
    ("a list", b"[1]", "a question is an object, not list"),
    ("null", b"null", "a question is an object, not NoneType"),
    ("a text", b'"What?"', "a question is an object, not str"),
    ("a line of 2 MB", b'{"prompt": "' + b"a" * 2_000_000 + b'"}', None),
    ("no-break spaces around", b'{"prompt": "a"}\xc2\xa0', "not JSON"),
    # --- ids
    ("an id twice", b'{"prompt": "a", "id": "first"}', "id 'first' is already at"),
    ("an id like our own", b'{"prompt": "a", "id": "bad-line:2"}', "is the id of a bad line"),
    ("an id that is true", b'{"prompt": "a", "id": true}', "id must be text or a whole number"),
    ("an id that is a float", b'{"prompt": "a", "id": 1.0}', "id must be text or a whole number"),
    ("an id that is a list", b'{"prompt": "a", "id": []}', "id must be text or a whole number"),
    ("an empty id", b'{"prompt": "a", "id": ""}', "must be a line of text"),
    ("a blank id", b'{"prompt": "a", "id": "  "}', "must be a line of text"),
    ("an id of two lines", b'{"prompt": "a", "id": "a\\nb"}', "must be a line of text"),
    ("an id with an escape", b'{"prompt": "a", "id": "a\\u001b[2J"}', "must be a line of text"),
    ("a very long id", b'{"prompt": "a", "id": "' + b"x" * 5000 + b'"}', "at most 500 characters"),
    ("an id beyond 64 bits", b'{"prompt": "a", "id": 123456789012345678901234567890}', None),
    ("an id of a family", '{"prompt": "a", "id": "👩‍👩‍👧\u00a0a"}'.encode(), None),
    ("an id with a hash", b'{"prompt": "a", "id": "first#0"}', None),
    # --- columns
    ("no question", b'{"text": "a"}', "none of prompt, question, problem"),
    ("an empty object", b"{}", "only nothing"),
    ("an empty question", b'{"prompt": ""}', "prompt is empty"),
    ("a blank question", b'{"prompt": " \\n\\t"}', "prompt is empty"),
    ("a number for a question", b'{"prompt": 3}', "prompt must be text, not int"),
    ("two that differ", b'{"prompt": "a", "question": "b"}', "--question-column"),
    ("two that are the same", b'{"prompt": "a", "question": "a"}', None),
    ("a text and an SFT sample of it", _messages(
        _USER, {"role": "assistant", "content": "b"}, problem="a"), None),
    ("a text and a chat that differs", _messages(_USER, problem="b"), "--question-column"),
    ("Alpaca's", b'{"instruction": "a", "input": "b", "output": "c"}', None),
    ("Alpaca's history", b'{"instruction": "a", "history": [["x", "y"]]}', "history has no place"),
    ("a system prompt beside it", b'{"prompt": "a", "system": "Be brief."}', "system has no place"),
    ("tools beside it", b'{"prompt": "a", "tools": [{"name": "f"}]}', "tools can't be called here"),
    ("a foreign spans column", b'{"prompt": "a", "spans": [{"start": 1, "label": "A"}]}', None),
    ("spans, and its new name", b'{"prompt": "a", "spans": 1, "question_spans": 2}', "spans bec"),
    ("columns of the record", b'{"prompt": "a", "stats": 1, "method": 2, "models": 3, "seed": 4}',
     None),
    # --- messages
    ("a list for prompt", json.dumps({"prompt": [_USER]}).encode(), None),
    ("ShareGPT's", b'{"conversations": [{"from": "human", "value": "a"}]}', None),
    ("ShareGPT's with an answer", b'{"conversations": [{"from": "human", "value": "a"}, '
     b'{"from": "gpt", "value": "b"}]}', "must end with the user"),
    ("tool calls", _messages(_USER, {"role": "assistant", "content": "b", "tool_calls": _CALL},
                             _USER), "tool_calls of the assistant is not read"),
    ("no tool calls", _messages({**_USER, "tool_calls": None, "name": ""}), None),
    ("a tool's message", _messages({"role": "tool", "content": "b"}, _USER), "not 'tool'"),
    ("a developer's", _messages({"role": "developer", "content": "b"}, _USER), "not 'developer'"),
    ("a name", _messages({**_USER, "name": "Bob"}), "name of the user is not read"),
    ("reasoning_content", _messages(
        _USER, {"role": "assistant", "content": "b", "reasoning_content": "hm"}, _USER), None),
    ("reasoning_content of a user", _messages({**_USER, "reasoning_content": "hm"}), "is not read"),
    ("thinking", _messages(_USER, {"role": "assistant", "content": "b", "thinking": "hm"}, _USER),
     "write it as reasoning_content"),
    ("a late system prompt", _messages(_USER, {"role": "system", "content": "b"}, _USER),
     "only the first message"),
    ("text in parts",
     _messages({"role": "user", "content": [{"type": "text", "text": "a"}]}), None),
    ("an image", _messages({"role": "user", "content": [{"type": "image_url", "image_url": "x"}]}),
     "only parts of text are read"),
    ("an image beside text", _messages({"role": "user", "content": [
        {"type": "text", "text": "a", "image": "x"}]}), "more than text"),
    ("a part that is no text", _messages({"role": "user", "content": [
        {"type": "thinking", "text": "a"}]}), "only parts of text are read"),
    ("an endless role", _messages({"role": "x" * 10**6, "content": "a"}), "not 'xxxxxxxx"),
    ("no content", _messages({"role": "user"}), "content must be text, not null"),
    ("a role that is a list", _messages({"role": ["user"], "content": "a"}), "role must be one of"),
    ("messages as text", b'{"messages": "[{}]"}', "messages must be a list"),
    ("messages of texts", b'{"messages": ["a"]}', "messages[0] must be {role, content}, not str"),
    ("one message, not in a list", json.dumps({"messages": _USER}).encode(), "must be a list"),
]  # fmt: skip
"""Rows: each is the second line of a file whose other lines are fine."""

BEFORE = b'{"id": "first", "prompt": "before"}\n'
AFTER = b'\n{"id": "last", "prompt": "after"}\n'

FILES = [
    ("empty", "q.jsonl", b"", "contains no questions"),
    ("blank", "q.jsonl", b"\n \r\n", "contains no questions"),
    ("a byte order mark", "q.jsonl", b'\xef\xbb\xbf{"prompt": "a"}\n', None),
    ("Windows' line ends", "q.jsonl", b'{"prompt": "a"}\r\n\r\n{"prompt": "b"}\r\n', None),
    ("no line end", "q.jsonl", b'{"prompt": "a"}\n{"prompt": "b"}', None),
    ("cut off", "q.jsonl", b'{"prompt": "a"}\n{"prompt": "b', "q.jsonl:2: not JSON: it ends too e"),
    ("the old Mac's line ends", "q.jsonl", b'{"prompt": "a"}\r{"prompt": "b"}', "not JSON"),
    ("UTF-16", "q.jsonl", '{"prompt": "a"}\n'.encode("utf-16"), "is UTF-16"),
    ("UTF-16 without a mark", "q.jsonl", '{"prompt": "a"}\n'.encode("utf-16-le"), "UTF-16"),
    ("an array", "q.json", b'[{"prompt": "a"},\n {"prompt": "b"}]', None),
    ("an array by another name", "q.jsonl", b'\n[{"prompt": "a"}]\n', None),
    (
        "an array with a bad item",
        "q.json",
        b'[{"prompt": "a"}, {"promt": "b"}]',
        "q.json: item 2: ",
    ),
    ("an array that is cut off", "q.json", b'[{"prompt": "a"},\n {"prom', "q.json:2: not JSON"),
    (
        "an array, and more",
        "q.json",
        b'\n[{"prompt": "a"}]\n[]',
        "q.json:3: not JSON: there is more",
    ),
    (
        "an array without a comma",
        "q.json",
        b'[{"prompt": "a"}\n{}]',
        "q.json:2: not JSON: expected ,",
    ),
    ("an array with a comma too many", "q.json", b'[{"prompt": "a"},]', "q.json:1: not JSON"),
    ("an array with NaN", "q.json", b'[{"prompt": "a"},{"x": NaN}]', "q.json: item 2: NaN is not"),
    (
        "an array in Latin-1",
        "q.json",
        '[{"prompt": "é"}]'.encode("latin-1"),
        "q.json: byte 14 (0xe9) is not UTF-8; if the file is Latin-1",
    ),
    ("a deep array", "q.json", b'[{"prompt": "a"},' + b"[" * 99999, "q.json: after item 1"),
    ("an empty array", "q.json", b"[]", "contains no questions"),
    ("lines in .json", "q.json", b'{"prompt": "a"}\n{"prompt": "b"}\n', None),
    ("an object over lines", "q.json", b'{\n "prompt": "a"\n}\n', "an object over several lines"),
    ("gzip", "q.jsonl.gz", gzip.compress(b'{"prompt": "a"}\n'), None),
    ("gzip, cut off", "q.jsonl.gz", gzip.compress(b'{"prompt": "a"}\n')[:-9], "q.jsonl.gz: "),
    ("no gzip", "q.jsonl.gz", b'{"prompt": "a"}\n', "q.jsonl.gz: "),
    ("no zstd", "q.jsonl.zst", b'{"prompt": "a"}\n', "q.jsonl.zst: "),
    ("no bzip2", "q.jsonl.bz2", b'{"prompt": "a"}\n', "q.jsonl.bz2: "),
    ("no xz", "q.jsonl.xz", b'{"prompt": "a"}\n', "q.jsonl.xz: "),
    ("no Parquet", "q.parquet", b"PAR1 but not", "q.parquet: "),
    ("no Arrow", "q.arrow", b"ARROW1 but not", "q.arrow: "),
    ("CSV", "q.csv", b'\xef\xbb\xbfid,prompt\r\n007,"two\r\nlines, and ""quotes"""\r\n', None),
    ("TSV", "q.tsv", b"id\tprompt\n1\ta, b\n", None),
    (
        "CSV, a value too many",
        "q.csv",
        b"prompt,n\na,1\nb,c,2\n",
        "q.csv:3: 3 values, and 2 columns",
    ),
    ("CSV, an open quote", "q.csv", b'prompt,n\n"a,1\nb,2\n', "is a quote missing?"),
    ("CSV, a name twice", "q.csv", b"prompt,prompt\na,b\n", "the column 'prompt' is there twice"),
    ("CSV, no name", "q.csv", b"prompt,\na,b\n", "a column has no name"),
    (
        "CSV, no question",
        "q.csv",
        b"a;prompt\n1;b\n",
        "q.csv: no row has a question: none of prompt",
    ),
    ("CSV in Latin-1", "q.csv", "prompt,n\né,1\nb,2\n".encode("latin-1"), "UTF-8; if the file is"),
    ("CSV in Latin-1, names", "q.csv", "prompt,é\na,1\n".encode("latin-1"), "0xe9) is not UTF-8"),
    ("CSV in UTF-16", "q.csv", "prompt\na\n".encode("utf-16"), "is UTF-16"),
    ("a web page", "q.jsonl", b"<!DOCTYPE html>\n<html>\n", "q.jsonl:1: not JSON"),
    ("an LFS pointer", "q.jsonl", b"version https://git-lfs.github.com/spec/v1\n", "not JSON"),
    ("text", "q.txt", b"What?\n", ".txt is not known"),
    ("no suffix", "q", b'{"prompt": "a"}\n', "no suffix is not known"),
]
"""Whole files."""

HOSTILE = [
    *(HostileRows(kind, "q.jsonl", BEFORE + row + AFTER, says) for kind, row, says in ROWS),
    *(HostileRows(*case) for case in FILES),
]
