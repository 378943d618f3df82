"""Text of strangers on a terminal: ids, names and messages can't command it."""

from __future__ import annotations

import unicodedata

import orjson
import pytest

from commands import run
from made_runs import STUDENT, TEACHER, Made, answer, last, turn, write_run
from tessy.display import visible, visible_line
from tessy.method.trajectory import Failure

HOSTILE_TEXT = [
    "\x1b[2J\x1b[1;1Hcleared",
    "\x1b]0;title\x07",
    "\x1b]8;;http://evil.example\x1b\\click\x1b]8;;\x1b\\",
    "\x1b]52;c;ZXZpbA==\x07",
    "\x1bPq#0;2;0;0;0\x1b\\",
    "\x9b31mred\x9d0;t\x9c",
    "\u202egnp.exe\u202c",
    "\u2066a\u2067b\u2068c\u2069",
    "one\rtwo\x08\x08\x7f",
    "[bold red]markup[/] [link=http://evil.example]x[/link] [/]",
    ":skull: {0} %s ${HOME}",
    "a\nerror: a line of its own",
    "a\u2028b\u2029c",
    "\ufffe\uffff\x00",
]


def check(text: str) -> None:
    for character in text.replace("\n", ""):
        assert unicodedata.category(character) not in ("Cc", "Cs"), ascii(character)
        assert character not in "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"


@pytest.mark.parametrize("text", HOSTILE_TEXT, ids=ascii)
def test_a_terminal_is_shown_hostile_text_and_does_not_obey_it(text, tmp_path):
    turns = [turn(STUDENT, f"okay {text}", 5, f" gone {text}", 3), turn(TEACHER, text, 5)]
    whole = [*turns, last(STUDENT, " so", 2), answer(text, 2)]
    failed = Made(f"f{text}", turns, prompt=text, failure=Failure.REPETITION, detail=text)
    folder = write_run(tmp_path / "run", [Made(f"i{text}", whole, prompt=text), failed])
    for arguments in (
        ("show", folder),
        ("show", folder, f"i{text}", "--discarded"),
        ("show", folder, f"f{text}", "--discarded"),
        ("show", folder, f"no{text}"),
        ("show", tmp_path / text.replace("/", "").replace("\0", "")),
    ):
        done = run(*arguments)
        check(done.out + done.err)
    listed = run("show", folder).out.splitlines()
    assert len([line for line in listed if line.endswith(("finished", "repetition"))]) == 2
    assert not any(line.startswith("error:") for line in listed)


@pytest.mark.parametrize("text", HOSTILE_TEXT, ids=ascii)
def test_names_of_columns_and_groups(text, tmp_path):
    row = {
        "messages": [{"role": "user", "content": "?"}, {"role": "assistant", "content": text}],
        "answer": "1",
        "group": text,
    }
    path = tmp_path / "r.jsonl"
    path.write_bytes(orjson.dumps(row))
    done = run("verify", path, "--with", "exact", "--group", "group")
    assert done.code == 0, done.err
    check(done.out + done.err)


def test_what_can_be_seen():
    assert visible("a\ud800b\ufffec\uffff") == "a\ufffdb\ufffdc\ufffd"
    assert visible_line("a\nb\tc\x1b") == "a␊b␉c␛"
