"""Several teachers (docs/teachers.md): by a column, by vote, killed, without a server, misspelt."""

from __future__ import annotations

import hashlib
import json
import sqlite3
import tomllib
from contextlib import closing
from pathlib import Path

from commands import tessy
from scripted import two_servers, write_questions
from tessy.runs.contents import unpack

SMALL = ["--concurrency", "4", "--workers", "1"]
RULE = "python:verdicts:EvenVerifier"


def digest_of(run: Path) -> str:
    """Of all that a run wrote, but for times."""
    made = hashlib.sha256()
    for name in ("dataset.jsonl", "failures.jsonl"):
        made.update((run / name).read_bytes())
    with closing(sqlite3.connect(run / "shards" / "0000" / "journal.sqlite")) as journal:
        rows = journal.execute("select id, reason, record, trace from samples order by position")
        for sample, reason, record, trace in rows:
            made.update(f"{sample} {reason}".encode() + record)
            made.update(json.dumps(unpack(trace), sort_keys=True).encode())
    return made.hexdigest()


async def test_a_run_with_one_teacher_keeps_its_bytes(tmp_path):
    """They are those of the version before there could be several."""
    questions, run = write_questions(tmp_path / "q.jsonl", 12), tmp_path / "run"
    async with two_servers(None, words=40) as (_, options):
        more = ["--verify", RULE, "--attempts", "2", "--mode", "stream"]
        done = await tessy("synth", questions, "--out", run, *options, *SMALL, *more)
    assert done.code == 0, done.err
    assert digest_of(run) == "?"
    about = tomllib.loads((run / "run.toml").read_text("utf-8"))
    assert about["run"]["models"] == {"student": "scripted", "teacher": "scripted"}
    assert not about.keys() & {"teachers", "route"}
