"""`tessy verify`, as its user has it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from commands import start, tessy
from scripted import lines
from tessy.runs.reviews import digest


def responses(path, *answers, **columns):
    rows = [
        {
            "messages": [
                {"role": "user", "content": "What?"},
                {"role": "assistant", "content": f"<think>\nHm.\n</think>\n\n{answer}"},
            ],
            "answer": 2,
            "family": "even" if number % 2 == 0 else "odd",
            **columns,
        }
        for number, answer in enumerate(answers)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path


async def test_rows_that_cannot_be_judged_are_refused_or_skipped_and_counted(tmp_path):
    path = responses(tmp_path / "r.jsonl", "It is 2.", "It is 3.")
    tools = {"role": "assistant", "content": "2", "tool_calls": [{"id": "1"}]}
    with path.open("a") as file:
        for row in ({"messages": [{"role": "user", "content": "a"}, tools], "answer": 2}, [1]):
            file.write(json.dumps(row) + "\n")
        file.write('{"messages": [{"role": "assistant", "content": "2"}], "answer": [2]}\n')
    command = ["verify", path, "--with", "number"]
    done = await tessy(*command)
    assert done.code == 2
    assert f"{path}:3: messages[1].tool_calls of the assistant is not read" in done.err
    assert f"{path}:4: a response is an object, not list" in done.err
    assert f"{path}:5: verifier number: column 'answer' must hold text" in done.err
    out = tmp_path / "verdicts.jsonl"
    done = await tessy(*command, "--skip-bad", "--out", out)
    assert done.code == 0, done.err
    assert "all          2" in done.out
    assert "skipped: 3," in done.out
    assert [verdict["outcome"] for verdict in lines(out)] == ["right", "wrong"]


async def test_counts_groups_and_verdicts(tmp_path):
    path = responses(tmp_path / "r.jsonl", "It is 2.", "It is 3.", "I don't know", "\\boxed{2}")
    out = tmp_path / "verdicts.jsonl"
    for _ in range(2):  # the second replaces what the first wrote
        done = await tessy("verify", path, "--with", "number", "--group", "family", "--out", out)
        assert done.code == 0, done.err
    table = [line.split() for line in done.out.splitlines()]
    assert table[0][-8:] == [
        "responses",
        "right",
        "wrong",
        "no_answer",
        "error",
        "share",
        "right",
        "score",
    ]
    assert ["all", "4", "2", "1", "1", "0", "50.0%", "0.500"] in table
    assert ["even", "2", "1", "0", "1", "0", "50.0%", "0.500"] in table
    verdicts = lines(out)
    assert [v["outcome"] for v in verdicts] == ["right", "wrong", "no_answer", "right"]
    assert verdicts[1] == {
        "id": "000001",
        "verifier": "number",
        "outcome": "wrong",
        "score": 0.0,
        "detail": "3, not 2",
        "text": digest("<think>\nHm.\n</think>\n\nIt is 3."),
    }


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--with", "numbr"], "did you mean number?"),
        (["--with", "number:gold"], "no column 'gold'"),
        (["--with", "number", "--group", "famly"], "no response has a column 'famly' to group by"),
        (["--with", "number", "--group", "famly"], "did you mean family? there are answer, family"),
        (["--with", "code"], "none of tests, test_list, test"),
        (["--with", "number", "--out", "/nowhere/at/all"], "--out /nowhere/at/all"),
        (["--with", "number", "--out", __file__], "is not what this command writes"),
        ([], "no column 'verifier'"),
        ([], "hint: --with number fits these columns; so do exact, math"),
    ],
)
async def test_what_is_wrong_is_said(tmp_path, arguments, said):
    path = responses(tmp_path / "r.jsonl", "2")
    done = await tessy("verify", path, *arguments)
    assert done.code == 2
    assert said in done.err
    assert "Traceback" not in done.err


async def test_the_verifier_has_the_name_that_it_has_in_synth_too(tmp_path):
    path = responses(tmp_path / "r.jsonl", "2")
    done = [await tessy("verify", path, option, "number") for option in ("--with", "--verify")]
    assert done[0].code == 0, done[0].err
    assert done[0] == done[1]
    named = responses(tmp_path / "named.jsonl", "2", verifier="number")
    assert await tessy("verify", named) == done[0], "it may be left out where rows name one"


async def test_no_such_file(tmp_path):
    done = await tessy("verify", tmp_path / "nothing.jsonl", "--with", "number")
    assert done.code == 2
    assert "no such file" in done.err


async def test_without_a_sandbox_code_is_refused_unless_asked_for(tmp_path):
    answer = "```python\nprint(input())\n```"
    path = responses(tmp_path / "r.jsonl", answer, tests=[["a", "a"]])
    broken = tmp_path / "bwrap"
    broken.write_text("#!/bin/sh\necho 'no namespaces for you' >&2; exit 1\n")
    broken.chmod(0o755)
    search = f"{tmp_path}:{os.environ['PATH']}"
    done = await tessy("verify", path, "--with", "code", PATH=search)
    assert done.code == 1
    assert "no namespaces for you" in done.err
    assert "--unsafe-no-sandbox" in done.err
    done = await tessy("verify", path, "--with", "code", "--unsafe-no-sandbox", PATH=search)
    assert done.code == 0, done.err
    assert "warning: programs run without isolation" in done.err
    assert "100.0%" in done.out


@pytest.mark.skipif(sys.platform != "linux", reason="programs run on Linux only")
async def test_ctrl_c_stops_at_once_and_leaves_nothing(tmp_path):
    answer = "```python\nimport time; time.sleep(3600)\n```"
    path = responses(tmp_path / "r.jsonl", *[answer] * 4, tests=[["a", "a"]])
    out = tmp_path / "verdicts.jsonl"
    arguments = ("verify", path, "--with", "code", "--unsafe-no-sandbox", "--out", out)
    process = await start(*arguments, TMPDIR=str(tmp_path))
    while not list(tmp_path.glob("tessy-program-*/*")) or not list(tmp_path.glob(".tessy-*.part")):
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, err = await process.communicate()
    assert process.returncode == 130
    assert "Traceback" not in err.decode()
    assert not out.exists()
    listed = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True)
    assert str(tmp_path) not in listed.stdout
