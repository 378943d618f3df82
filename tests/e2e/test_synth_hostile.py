"""`tessy synth` where a server does harm to one sample: that one fails, the others are finished."""

from __future__ import annotations

import asyncio
import json
import signal
from contextlib import asynccontextmanager

import pytest

from commands import start, tessy
from models.hostile_servers import (
    BROKEN,
    ENDS,
    FLOODS,
    MOST_READ,
    OPEN,
    REDIRECTS,
    SILENT,
    Hostile,
    between,
    event,
    hostile,
    sends,
    text,
)
from scripted import FIXED, lines, two_servers, until, write_questions
from tessy.models import client as client_module
from tessy.testing import EchoScript, Fault, Faults, ScriptedServer

PLAIN = ("--student-format", "plain", "--teacher-format", "plain")
MARK = b"[[task 1]]"
SETTINGS = """
[student]
retries = 1
[student.timeouts]
first_token_s = 2
next_token_s = 0.3
total_s = 2
"""
LESS = ("a text that is too long", "too many ids", "too many texts", "a redirect without end")
"""Too much for the eight tokens of a test of the client, not for a span; the last stops the run."""
NOTHING = BROKEN[-1]
HARM = [
    *(
        one
        for one in ENDS
        if "abort" in one.name or "error in" in one.name or "without" in one.name
    ),
    *(one for one in SILENT if "after the first token" in one.name),
    *(one for one in FLOODS if one.stream is not False and one.name not in LESS),
    *(one for one in BROKEN if one.stream is not False and one is not NOTHING),
]


@pytest.fixture
def quick(monkeypatch):
    """Retries without waiting."""
    monkeypatch.setattr(client_module, "_LONGEST_WAIT_S", 0.01)


@asynccontextmanager
async def harmed(tmp_path, one: Hostile, *options):
    """A run of three questions, with harm done to one by the student's server."""
    questions = write_questions(tmp_path / "q.jsonl", 3)
    (tmp_path / "run.toml").write_text(SETTINGS)
    async with (
        two_servers(None, words=12) as (servers, named),
        between(servers["student"].url, one, MARK) as traffic,
    ):
        named[named.index("--student") + 1] = traffic.url
        done = await tessy(
            *("synth", questions, "--out", tmp_path / "run", *named),
            *("--config", tmp_path / "run.toml", *PLAIN, *options),
        )
        yield done, traffic, tmp_path / "run"


@pytest.mark.parametrize("one", HARM, ids=lambda one: one.name)
async def test_one_sample_fails_and_the_others_are_finished(tmp_path, quick, one):
    async with harmed(tmp_path, one, "--mode", "stream") as (done, traffic, run):
        assert done.code == 0, done.err
        assert [record["id"] for record in lines(run / "dataset.jsonl")] == ["q0", "q2"]
        (failed,) = lines(run / "failures.jsonl")
    refused = one.error.__name__ == "Refused"
    assert (failed["id"], failed["reason"]) == ("q1", "refused" if refused else "model_error")
    assert failed["detail"].startswith(("http://", f"{one.error.__name__}: "))
    assert len(traffic.sent) == (1 if refused else 2), "a failed call is retried"
    assert sum(traffic.sent) < 2 * MOST_READ
    assert "Traceback" not in done.err
    assert "2 finished + 1 failed" in done.err


@pytest.mark.parametrize("one", REDIRECTS[:2], ids=lambda one: one.name)
async def test_a_redirect_in_mid_run_stops_it(tmp_path, one):
    async with harmed(tmp_path, one) as (done, _, run):
        assert done.code == 3
        assert "redirects to" in done.err
        assert "resumes the run" in done.err
        assert " to go" not in done.err  # it is not known
        assert f"samples 3 = {len(lines(run / 'dataset.jsonl'))} finished + 0 failed + " in (
            " ".join(done.err.split())
        )
        assert lines(run / "failures.jsonl") == []


ODD = {
    "a NUL": " a\0b",
    "a character that was broken": " a\ufffdb\ufffd",
    "line separators": " a\u2028b\u2029c\x85d\r\n",
    "what is no character": " a\ufdd0b\uffff",
    "beyond the BMP": " 🤔\U0010ffff",
    "marks of direction": " \u202eabc\u2066",
}


@pytest.mark.parametrize("mode", ["stream", "chunks"])
async def test_odd_text_is_kept_as_it_is(tmp_path, mode):
    texts = "".join(ODD.values()) + " and so on.</think>"
    async with ScriptedServer(EchoScript(texts)) as server:
        done = await tessy(
            *("synth", write_questions(tmp_path / "q.jsonl", 1), "--out", tmp_path / "run"),
            *("--method", "student-only", "--student", server.url, "--mode", mode),
            *("--thinking-tokens", "200", "--student-format", "plain"),
        )
        assert "Traceback" not in done.err
    (record,) = map(json.loads, (tmp_path / "run" / "failures.jsonl").read_bytes().splitlines())
    assert record["reason"] == "marker", "the same text is its answer"
    assert all(odd.strip() in record["content"] for odd in ODD.values())


async def test_a_prompt_beyond_the_servers_context_is_a_context_limit(tmp_path, quick):
    said = b'{"error":{"message":"This model\'s maximum context length is 100 tokens."}}'
    reply = sends(b"HTTP/1.1 400 Bad\r\nContent-Length: %d\r\n\r\n%b" % (len(said), said))
    one = Hostile("a short context", reply, Exception, "")
    async with harmed(tmp_path, one) as (done, _, run):
        assert done.code == 0, done.err
        (failed,) = lines(run / "failures.jsonl")
    assert (failed["reason"], "maximum context length" in failed["detail"]) == (
        "context_limit",
        True,
    )


async def test_a_filtered_text_is_refused_and_not_retried(tmp_path):
    reply = sends(OPEN, text(), text("", finish_reason="content_filter"), event(x=1))
    async with harmed(tmp_path, Hostile("filter", reply, Exception, "")) as (done, traffic, run):
        assert done.code == 0, done.err
        (failed,) = lines(run / "failures.jsonl")
    assert (failed["reason"], len(traffic.sent)) == ("refused", 1)
    assert "content_filter" in failed["detail"]


async def test_aborted_and_silent_answers_leave_nothing_in_the_data(tmp_path, quick):
    """Every third call is cut off; what is finished is what a calm run writes."""
    questions = write_questions(tmp_path / "q.jsonl", 4)
    (tmp_path / "run.toml").write_text(SETTINGS.replace("retries = 1", "retries = 20"))
    options = ["--config", tmp_path / "run.toml", *PLAIN, *FIXED]
    for name, kinds in (("calm", ()), ("run", (Fault.ABORT, Fault.STALL))):
        faults = (lambda seed, kinds=kinds: Faults(0.3, kinds, seed=seed)) if kinds else None
        async with two_servers(None, words=12, faults=None) as (servers, named):
            servers["student"].faults = faults(1) if faults else None
            done = await tessy("synth", questions, "--out", tmp_path / name, *named, *options)
            assert done.code == 0, done.err
            if faults:
                assert servers["student"].stats.faults
    calm, run = (tmp_path / name / "dataset.jsonl" for name in ("calm", "run"))
    assert calm.read_bytes() == run.read_bytes()


def predictor_at(traffic, tokenizers):
    """The name of a served predictor; what it judges is of no matter here."""
    url = traffic.url.removesuffix("/v1")
    return ("--predictor", f"{url}?tokenizer={tokenizers['student']}")


async def test_a_predictors_server_that_dies_stops_the_run(tmp_path, tokenizers, quick):
    questions = write_questions(tmp_path / "q.jsonl", 2)
    async with two_servers(tokenizers) as (_, named), hostile(NOTHING) as traffic:
        command = ["synth", questions, "--out", tmp_path / "run", *named[:-2]]
        done = await tessy(*command, *predictor_at(traffic, tokenizers))
        assert done.code == 3, done.err
        assert "the predictor's server" in done.err
        assert "resumes the run" in done.err
        assert lines(tmp_path / "run" / "failures.jsonl") == []
        assert len(traffic.heads) > 8, "it was asked again"


async def test_ctrl_c_while_a_predictors_server_hangs(tmp_path, tokenizers):
    questions = write_questions(tmp_path / "q.jsonl", 2)
    one = Hostile("hangs", sends(OPEN, hold=True), Exception, "")
    async with two_servers(tokenizers) as (_, named), hostile(one) as traffic:
        command = ["synth", questions, "--out", tmp_path / "run", *named[:-2]]
        process = await start(*command, *predictor_at(traffic, tokenizers))
        try:
            await until(lambda: any(b"/pooling" in head for head in traffic.heads))
            process.send_signal(signal.SIGINT)
            async with asyncio.timeout(20):  # the predictor's own time-out is 60 s
                _, err = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
    assert process.returncode == 130, err
    assert b"Traceback" not in err
