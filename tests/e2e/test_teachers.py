"""Several teachers (docs/teachers.md): by a column, by vote, killed, without a server, misspelt."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import signal
import sqlite3
import tomllib
from contextlib import closing
from pathlib import Path

import aiohttp
import pytest

from commands import in_a_process, start, tessy
from scripted import PREDICTOR, lines, two_servers, until, write_questions
from several_teachers import SLOW, WORDS, asked, by_turns, teachers
from tessy.report.viewer.sample import read_sample
from tessy.runs.contents import unpack
from tessy.runs.folder import RunFolder
from tessy.runs.reader import JournalReader
from tessy.testing import CooperativeScript, Latency, ScriptedServer
from viewing import viewing

HERE = str(Path(__file__).parent)
PYTHONPATH = os.pathsep.join(filter(None, (HERE, os.environ.get("PYTHONPATH"))))
VERIFIED = ["--verify", "python:verdicts:WordsVerifier", "--answer-by", "teacher"]
SMALL = ["--concurrency", "4", "--workers", "1"]
CHUNKS = ["--mode", "chunks", "--student-chunk", "6", "--teacher-chunk", "10"]
"""Turns of a stream depend on how busy the machine is, and they are in the records."""
ONE_TEACHER = "79f9d70cf158f5eba687355a2c4992ed8c8038b020657b6a7bfcde0f042aaa7b"
EVEN = "python:verdicts:EvenVerifier"


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
    """As before there could be several; since then, rejected samples have their verdict."""
    questions, run = write_questions(tmp_path / "q.jsonl", 12), tmp_path / "run"
    async with two_servers(None, words=40) as (_, options):
        more = ["--verify", EVEN, "--attempts", "2", *CHUNKS]
        done = await tessy(
            "synth", questions, "--out", run, *options, *SMALL, *more, PYTHONPATH=PYTHONPATH
        )
    assert done.code == 0, done.err
    assert digest_of(run) == ONE_TEACHER
    about = tomllib.loads((run / "run.toml").read_text("utf-8"))
    assert about["run"]["models"] == {"student": "scripted", "teacher": "scripted"}
    assert not about.keys() & {"teachers", "route"}


# --- Two and three teachers ---------------------------------------------------------------------


def accepting(count: int) -> list[dict]:
    """Of three questions, two have one teacher whose answer is accepted, and one has none."""
    names = [*WORDS.values()]
    return [{"accepts": [names[n % len(names)]] if n % 3 else [1]} for n in range(count)]


async def test_the_column_of_a_question_names_its_teacher(tmp_path):
    questions, run = asked(tmp_path / "q.jsonl", by_turns(8)), tmp_path / "run"
    async with teachers("big", "old-7b") as (servers, options):
        done = await tessy("synth", questions, "--out", run, *options, "--route", "from")
        assert done.code == 0, done.err
        alone = asked(tmp_path / "alone.jsonl", by_turns(8)[:1] * 8)
        servers["old-7b"].stats.requests = 0
        one = await tessy("synth", alone, "--out", tmp_path / "one", *options, "--route", "from")
        assert one.code == 0, one.err
        assert servers["old-7b"].stats.requests < 20  # those of the probe
    records = lines(run / "dataset.jsonl")
    assert [record["from"] for record in records] == ["big", "old-7b"] * 4
    for record in records:
        name = record["from"]
        assert record["models"]["teacher_name"] == name
        assert record["models"]["teacher"] == f"model of {name}"
    assert "4 with big, 4 with old-7b" in done.err
    assert records[::2] == lines(tmp_path / "one" / "dataset.jsonl")[::2]
    about = tomllib.loads((run / "run.toml").read_text("utf-8"))
    assert about["run"]["models"] == {
        "student": "scripted",
        "teacher big": "model of big",
        "teacher old-7b": "model of old-7b",
    }
    assert about["route"] == "from"
    assert about["teachers"].keys() == {"big", "old-7b"}


async def test_a_vote_keeps_the_first_answer_that_is_accepted(tmp_path):
    questions, run = asked(tmp_path / "q.jsonl", accepting(12)), tmp_path / "run"
    async with teachers(*WORDS) as (_, options):
        command = ["synth", questions, "--out", run, *options, *VERIFIED, "--route", "vote"]
        done = await tessy(*command, PYTHONPATH=PYTHONPATH)
        assert done.code == 0, done.err
        again = await tessy(*command, PYTHONPATH=PYTHONPATH)
        assert "nothing was left to write" in again.err
    firsts = set()
    with JournalReader(RunFolder(run)) as reader:
        ended = list(reader.ended())
    assert len(ended) == 12
    for entry in ended:
        drafts = [draft["teacher"] for draft in entry.trace["drafts"]]
        if entry.failure is None:
            kept = entry.record["models"]["teacher_name"]
            assert WORDS[kept] in entry.record["accepts"]
            assert entry.record["verdict"]["outcome"] == "right"
        else:
            kept = entry.record["teacher"]
            assert entry.failure == "rejected"
        assert len({*drafts, kept}) == len(drafts) + 1
        assert entry.failure is None or len(drafts) == 2
        firsts.add([*drafts, kept][0])
    assert firsts == set(WORDS)
    assert sum(entry.failure is None for entry in ended) == 8
    shown = await tessy("show", run, "q0", "--discarded")
    assert shown.out.count("rejected, teacher") == 2
    failed = read_sample(RunFolder(run), "q0")
    assert failed is not None
    async with viewing(run) as site, aiohttp.ClientSession() as client:
        got = await client.get(f"{site.url}sample", params={"sample": "q0"})
        page = await got.text()
    assert page.count("<summary>Rejected, teacher ") == 2
    assert dict(failed.origin).keys() == {"teacher"}
    told = await tessy("report", run, "--markdown", tmp_path / "report.md")
    assert told.code == 0, told.err
    text = (tmp_path / "report.md").read_text("utf-8")
    assert "Teachers of tessy (run), finished samples" in text
    assert "| teacher old-7b | model of old-7b |" in text


@pytest.mark.parametrize("workers", ["1", "2"])
async def test_exactly_once_and_replay_a_vote_that_is_killed_ends_with_the_same_bytes(
    tmp_path, workers
):
    questions = asked(tmp_path / "q.jsonl", accepting(6))
    more = [*VERIFIED, *CHUNKS, "--route", "vote", "--attempts", "2", "--concurrency", "4"]
    async with teachers(*WORDS) as (servers, options):
        command = ["synth", questions, *options, *more, "--workers", workers, "--out"]
        calm = await tessy(*command, tmp_path / "calm", PYTHONPATH=PYTHONPATH)
        assert calm.code == 0, calm.err
        counts = [servers[name].stats for name in WORDS]
        in_all = sum(each.requests for each in counts)
        process = await start(*command, tmp_path / "killed", PYTHONPATH=PYTHONPATH)
        await until(lambda: sum(each.requests for each in counts) > 1.5 * in_all)
        os.kill(process.pid, signal.SIGKILL)
        await process.communicate()
        done = await tessy(*command, tmp_path / "killed", PYTHONPATH=PYTHONPATH)
        assert done.code == 0, done.err
    for name in ("dataset.jsonl", "failures.jsonl"):
        calm, killed = ((tmp_path / run / name).read_bytes() for run in ("calm", "killed"))
        assert calm == killed
        assert calm


async def test_a_teacher_without_a_server_stops_the_run_and_nothing_is_lost(tmp_path):
    questions, run = asked(tmp_path / "q.jsonl", by_turns(12)), tmp_path / "run"
    toml = tmp_path / "quick.toml"
    toml.write_text("[student]\nretries = 1\n[teacher]\nretries = 1\n")
    async with teachers("big", "old-7b") as (servers, options):
        command = ["synth", questions, *options, *CHUNKS, "--route", "from", "--concurrency", "2"]
        calm = await tessy(*command, "--out", tmp_path / "calm")
        assert calm.code == 0, calm.err
        before = servers["old-7b"].stats.requests
        command += ["--config", toml, "--out", run]
        process = asyncio.create_task(in_a_process(*command))
        await until(lambda: servers["old-7b"].stats.requests > before + 10)
        port = int(servers["old-7b"].url.rsplit(":", 1)[1].removesuffix("/v1"))
        await servers["old-7b"].__aexit__(None, None, None)
        done = await process
        assert done.code == 3, done.err
        assert f"the teacher old-7b's server http://127.0.0.1:{port}/v1 is gone" in done.err
        script = CooperativeScript("teacher", seed=2, thinking_words=40, answer_words=9)
        served = {"latency": SLOW, "served_name": "model of old-7b"}
        async with ScriptedServer(script, port=port, **served):
            done = await tessy(*command)
        assert done.code == 0, done.err
    one, two = ((tmp_path / name / "dataset.jsonl").read_bytes() for name in ("calm", "run"))
    assert one == two


async def test_a_replica_of_a_teacher_may_die(tmp_path):
    questions, run = asked(tmp_path / "q.jsonl", by_turns(8)), tmp_path / "run"
    async with teachers("big", "old-7b") as (servers, options):
        dead = "http://127.0.0.1:9/v1"
        options[options.index(f"big={servers['big'].url}")] += f",{dead}"
        done = await tessy("synth", questions, "--out", run, *options, "--route", "from")
    assert done.code == 0, done.err
    assert "teacher big: http://127.0.0.1:9/v1 does not answer" in done.err


async def test_another_model_of_one_teacher_is_another_run(tmp_path):
    questions, run = asked(tmp_path / "q.jsonl", by_turns(4)), tmp_path / "run"
    async with teachers("big", "old-7b") as (servers, options):
        command = ["synth", questions, "--out", run, *options, "--route", "from", "--limit", "1"]
        assert (await tessy(*command)).code == 0
        other = [*command[:-2]]
        other[other.index(f"old-7b={servers['old-7b'].url}")] = f"old-7b={servers['big'].url}"
        done = await tessy(*other)
        assert done.code == 2, done.err
        assert "teacher old-7b: 'model of old-7b' then, 'model of big' now" in done.err
        done = await tessy(*other, "--teacher", f"third={servers['big'].url}")
        assert "teachers.third" in done.err
        assert done.code == 2


async def test_questions_without_a_teacher_are_named_or_recorded_before_any_work(tmp_path):
    rows = [*by_turns(3), {"from": "bgi"}, {}]
    questions, run = asked(tmp_path / "q.jsonl", rows), tmp_path / "run"
    async with teachers("big", "old-7b") as (servers, options):
        command = ["synth", questions, "--out", run, *options, "--route", "from"]
        done = await tessy(*command)
        assert done.code == 2
        assert "2 of 5 questions name no teacher" in done.err
        assert f"{questions}:4: from is 'bgi': did you mean big?" in done.err
        assert f"{questions}:5: it has no column 'from'" in done.err
        assert not run.exists()
        assert not servers["student"].stats.requests
        done = await tessy(*command, "--skip-bad")
        assert done.code == 0, done.err
    failed = lines(run / "failures.jsonl")
    assert [each["reason"] for each in failed] == ["bad_question"] * 2
    assert "did you mean big?" in failed[0]["detail"]


@pytest.mark.parametrize(
    ("rows", "says", "never"),
    [
        ([{"answer": 1}], "1 of 1 questions name no teacher:", "verif"),
        ([{"answer": {}, "from": "a"}], "1 of 1 questions can't be verified by number:", "teacher"),
        (
            [{"answer": {}, "from": "a"}, {"answer": 1}],
            "can't be verified by number, or name no",
            "?",
        ),
    ],
)
async def test_only_what_questions_lack_is_said(tmp_path, rows, says, never):
    questions = asked(tmp_path / "q.jsonl", rows)
    command = ["synth", questions, "--out", tmp_path / "run", "--student", "lab:student"]
    command += ["--teacher", "a=lab:teacher", "--teacher", "b=lab:relative", "--route", "from"]
    done = await tessy(*command, "--verify", "number")
    assert done.code == 2
    assert says in done.err
    assert never not in done.err.replace(str(questions), "")


@pytest.mark.parametrize("more", [["--verify", "number"], ["--verify", "number:gold"]])
async def test_the_columns_of_the_file_are_listed_not_those_of_a_record(tmp_path, more):
    questions = tmp_path / "q.csv"
    questions.write_text("id,question,answer,topic\na,1 + 1?,2,\n")
    command = ["synth", questions, "--out", tmp_path / "run", "--student", "lab:student"]
    command += ["--teacher", "a=lab:teacher", "--teacher", "b=lab:relative", "--route"]
    done = await tessy(*command, "from" if more[1] == "number" else "vote", *more)
    assert done.code == 2
    assert "only id, question, answer" in done.err


async def test_named_teachers_take_the_place_of_the_one_in_the_file(tmp_path):
    settings = tmp_path / "run.toml"
    settings.write_text('verify = "number"\n[teacher]\nmodel = "lab:teacher"\nchunk = 7\n')
    questions = asked(tmp_path / "q.jsonl", by_turns(1))
    command = ["synth", questions, "--out", tmp_path / "run", "--config", settings, "--route"]
    command += ["vote", "--student", "lab:student", "--dry-run"]
    named = ["--teacher", "a=lab:teacher", "--teacher", "b=lab:relative"]
    done = await tessy(*command, *named)
    assert "what several teachers cost is not assumed" in done.err, "the settings are read"
    done = await tessy(*command, *named, "--teacher", "lab:relative")
    assert done.code == 2
    assert "the teacher lab:relative has no name" in done.err
    done = await tessy(*command, "--teacher-chunk", "a=9")
    assert done.code == 2
    assert "the teacher lab:teacher has no name" in done.err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--teacher", "lab:teacher", "--teacher", "lab:relative"], "is given several times"),
        (["--teacher", "a=lab:teacher", "--teacher", "lab:relative"], "has no name"),
        (["--teacher", "a=lab:teacher", "--teacher", "a=lab:relative"], "a has a value already"),
        (["--teacher", "a=lab:teacher,b=lab:relative", "--route", "a"], "'b=lab:relative' is not"),
        (["--teacher", "my a=lab:teacher"], "this is not NAME=VALUE"),
        (["--teacher", "a=", "--route", "x"], "this is not NAME=VALUE"),
        (["--teacher", "a=lab:teacher", "--teacher-chunk", "b=9", "--route", "x"], "b has no addr"),
        (["--teacher", "a=lab:teacher", "--teacher-chunk", "a=1"], "teachers.a.chunk = '1'"),
        (["--teacher", "a=lab:teacher", "--teacher", "b=lab:relative"], "nothing says which"),
        (["--teacher", "a=lab:teacher", "--route", "vote"], "--verify NAME"),
        (["--teacher", "lab:teacher", "--route", "from"], "none has a name"),
    ],
)
async def test_options_that_do_not_fit_together_are_refused(tmp_path, options, said):
    questions = write_questions(tmp_path / "q.jsonl", 1)
    student = ["--student", "lab:student"]
    done = await tessy("synth", questions, "--out", tmp_path / "run", *student, *options)
    assert done.code == 2
    assert said in done.err
    assert not (tmp_path / "run").exists()


# --- Before a run -------------------------------------------------------------------------------


async def test_doctor_examines_each_teacher(tmp_path):
    async with teachers("big", "old-7b") as (_, options):
        command = [each for each in options if each not in ("--predictor", PREDICTOR)]
        done = await tessy("doctor", *command)
        assert done.code == 0, done.err
        assert "teacher big" in done.out
        assert "model of old-7b" in done.out
        assert "teacher old-7b: in 1,000 words: about 110 hand-overs" in done.out
        command[command.index("--teacher") + 1] = "big=http://127.0.0.1:9/v1"
        done = await tessy("doctor", *command)
    assert done.code == 1
    assert "the teacher big does not work" in done.err


async def test_a_dry_run_and_a_canary_use_the_teachers_of_the_questions(tmp_path):
    questions, run = asked(tmp_path / "q.jsonl", by_turns(6)), tmp_path / "run"
    async with teachers("big", "old-7b", latency=Latency()) as (_, options):
        command = ["synth", questions, "--out", run, *options, "--route", "from"]
        done = await tessy(*command, "--dry-run")
        assert (done.code, "several teachers cost is not assumed" in done.err) == (2, True)
        done = await tessy(*command, "--dry-run", "--sample", "4")
        assert done.code == 0, done.err
        assert "teacher old-7b's cache" in done.out
        done = await tessy(*command, "--canary", "2")
        assert done.code == 0, done.err
    for record in lines(run / "canary" / "dataset.jsonl"):
        assert record["models"]["teacher"] == f"model of {record['from']}"
