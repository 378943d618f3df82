"""`tessy synth --dry-run` and `--canary`: what a run costs, and is worth, before it is written."""

from __future__ import annotations

import asyncio
import json
import re
import signal

import pytest

from commands import start, tessy
from scripted import FIXED, PLAIN, lines, two_servers, until, write_questions
from tessy.config import Config, Mode
from tessy.evaluation.dry_run import dry_run
from tessy.method.trajectory import Role
from tessy.runs.folder import RunFolder
from tessy.runs.identity import read_settings
from tessy.runs.progress import Progress, Show
from tessy.testing import Latency, LoopScript, ScriptedServer, SilentScript

EVEN = "python:verdicts:EvenVerifier"
DEAD = "http://127.0.0.1:9/v1"
SLOW = Latency(first_token_s=0.01, token_s=0.002)
QUIET = Progress(Show.QUIET)


def told(out: str) -> dict[str, str]:
    """The rows of a dry run, by label; lines without one belong to the row before."""
    found: dict[str, str] = {}
    label = ""
    for line in filter(str.strip, out.splitlines()):
        label = line[:19].strip() or label
        found[label] = f"{found.get(label, '')} {line[20:].strip()}".strip()
    return found


def files(folder) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# --- Dry runs -----------------------------------------------------------------------------------


async def test_a_sample_of_all_questions_tells_exactly_what_the_run_costs(tmp_path, tokenizers):
    questions = write_questions(tmp_path / "q.jsonl", 7)
    async with two_servers(tokenizers, latency=SLOW) as (_, options):
        command = ["synth", questions, "--out", tmp_path / "run", *options]
        done = await tessy(*command, "--dry-run", "--sample", "50", "--gpus", "8")
        assert done.code == 0, done.err
        assert not (tmp_path / "run").exists()
        assert (await tessy(*command)).code == 0
    stats = [record["stats"] for record in lines(tmp_path / "run" / "dataset.jsonl")]
    rows = told(done.out)
    assert rows["samples"] == "7 questions"
    assert rows["sample"] == "7 questions, drawn at random: 7 finished"
    for role in Role:
        names = (f"{role}_tokens", f"{role}_discarded_tokens")
        tokens = sum(each[name] for each in stats for name in names)
        assert rows[str(role)].startswith(f"{tokens:,} (")
    found = re.search(r"of 8: (\d) for the student .*, (\d) for the teacher", rows["GPUs"])
    assert int(found[1]) + int(found[2]) == 8
    assert re.match(r"about (a second|\d+ s)|(a second|\d+ s) to \d+ s", rows["time"])


async def test_figures_are_of_the_questions_that_were_written(tmp_path, tokenizers):
    questions = write_questions(tmp_path / "q.jsonl", 9)
    async with two_servers(tokenizers) as (servers, _):
        models = {
            role: {"model": servers[role].url, "tokenizer": str(tokenizers[role])}
            for role in servers
        }
        settings = {"predictor": "python:tessy.testing.predictors:digits", "concurrency": 2}
        config = Config(**models, **settings, samples_per_question=3, mode=Mode.STREAM)
        found = await dry_run(
            questions, out=tmp_path / "run", config=config, sample=3, limit=6, progress=QUIET
        )
    assert found.questions == 6
    assert found.run.samples == 18
    assert found.accounts.ended == 3
    assert found.trajectory.at_once <= 2
    assert found.run.least_s <= found.run.most_s
    turns = found.accounts.all.sums["requests"]
    assert sum(found.run.requests.values()) == pytest.approx(6 * turns)
    in_all = found.accounts.all.generated
    assert sum(each.value for each in found.run.tokens.values()) == pytest.approx(6 * in_all)


async def test_without_a_sample_it_assumes_and_says_so_and_touches_no_run(tmp_path, tokenizers):
    questions = write_questions(tmp_path / "q.jsonl", 3)
    async with two_servers(tokenizers, latency=SLOW) as (servers, options):
        command = ["synth", questions, "--out", tmp_path / "run", *options]
        assert (await tessy(*command, "--limit", "1")).code == 0
        before = files(tmp_path / "run")
        asked = servers["teacher"].stats.generated_tokens
        done = await tessy(*command, "--dry-run", "--quiet")
        assert done.code == 0, done.err
        assert servers["teacher"].stats.generated_tokens < asked + 3000, "no trajectory"
    assert files(tmp_path / "run") == before
    rows = told(done.out)
    assert rows["assumed"].startswith("14,602 tokens a response, 110 (60–170) hand-overs in 1,000")
    assert rows["time"].startswith("at least ")
    assert "if 2 at once are as fast as one alone; --sample 20" in rows["time"]
    assert rows["samples"] == "2 are left of 3 questions; 1 have ended in this --out"
    assert "GPUs" not in rows
    assert done.err == ""


async def test_a_dry_run_says_how_many_of_all_questions_cannot_be_verified(tmp_path, tokenizers):
    questions = tmp_path / "q.jsonl"
    rows = [{"prompt": f"What is {n}?", **({"answer": n} if n < 3 else {})} for n in range(5)]
    questions.write_text("".join(json.dumps(row) + "\n" for row in rows))
    async with two_servers(tokenizers) as (_, options):
        command = ["synth", questions, "--out", tmp_path / "run", *options, "--verify", "number"]
        done = await tessy(*command, "--dry-run")
    assert done.code == 0, done.err
    assert "2 of 5 questions are written and not verified, such as id '000003': " in done.err


async def test_a_method_of_which_nothing_is_assumed_needs_a_sample(tmp_path, tokenizers):
    questions = write_questions(tmp_path / "q.jsonl", 3)
    async with two_servers(tokenizers, latency=SLOW) as (_, options):
        alone = [*options[4:], "--method", "teacher-only"]  # there is no student
        command = ["synth", questions, "--out", tmp_path / "run", *alone, "--dry-run"]
        done = await tessy(*command)
        assert done.code == 2
        assert "what method 'teacher-only' costs is not assumed" in done.err
        assert "hint: --sample 20" in done.err
        done = await tessy(*command, "--sample", "2", "--gpus", "4")
    assert done.code == 0, done.err
    rows = told(done.out)
    assert "student" not in rows
    assert rows["GPUs"].startswith("of 4: 4 for the teacher")


async def test_servers_that_do_not_stream_have_no_pace(tmp_path, think_tokenizers):
    questions = write_questions(tmp_path / "q.jsonl", 3)
    async with two_servers(think_tokenizers, streams=False) as (_, options):
        command = ["synth", questions, "--out", tmp_path / "run", *options, "--dry-run"]
        assumed = await tessy(*command, "--gpus", "2")
        sampled = await tessy(*command, "--gpus", "2", "--sample", "2")
    assert (assumed.code, sampled.code) == (0, 0)
    assert told(assumed.out)["time"].startswith("not known: a server does not stream")
    assert told(sampled.out)["time"].startswith(("about", "a second", "1 s"))
    for done in (assumed, sampled):
        assert told(done.out)["GPUs"] == "not known: the pace of a server could not be told"


async def test_samples_that_fail_are_counted_and_cost_something(tmp_path):
    questions = write_questions(tmp_path / "q.jsonl", 4)
    async with ScriptedServer(LoopScript(" okay wait hmm so")) as server:
        models = ["--student", server.url, "--teacher", server.url, *PLAIN]
        command = ["synth", questions, "--out", tmp_path / "run", *models, "--predictor", "lexicon"]
        done = await tessy(*command, "--dry-run", "--sample", "2")
    assert done.code == 0, done.err
    rows = told(done.out)
    assert rows["sample"] == "2 questions, drawn at random: 0 finished, 2 repetition"
    assert rows["WARNING"].startswith("no sample finished, most failed with repetition")


async def test_a_sample_that_ends_at_a_limit_says_which_to_raise(tmp_path, tokenizers):
    questions = write_questions(tmp_path / "q.jsonl", 2)
    async with two_servers(tokenizers) as (_, options):
        command = ["synth", questions, "--out", tmp_path / "run", *options, "--dry-run"]
        short = await tessy(*command, "--sample", "2", "--thinking-tokens", "8")
        long = await tessy(*command, "--sample", "2")
    rows = told(short.out)
    assert rows["sample"].endswith("0 finished, 2 thinking_limit")
    assert "a larger --thinking-tokens (8 now), or --on-thinking-limit answer" in rows["WARNING"]
    assert "WARNING" not in told(long.out)


async def test_a_dry_run_costs_what_is_left_in_its_folder(tmp_path, tokenizers):
    questions = write_questions(tmp_path / "q.jsonl", 3)
    async with two_servers(tokenizers) as (servers, options):
        command = ["synth", questions, "--out", tmp_path / "run", *options]
        assert (await tessy(*command, "--limit", "2")).code == 0
        sampled = await tessy(*command, "--dry-run", "--sample", "9")
        assert (await tessy(*command)).code == 0
        asked = servers["student"].stats.requests
        none = await tessy(*command, "--dry-run", "--sample", "9")
        assert servers["student"].stats.requests == asked
    [_, _, last] = lines(tmp_path / "run" / "dataset.jsonl")
    tokens = sum(last["stats"][f"teacher_{name}tokens"] for name in ("", "discarded_"))
    rows = told(sampled.out)
    assert rows["teacher"].startswith(f"{tokens:,} tokens"), "of the third question alone"
    assert rows["sample"].startswith("1 questions")
    assert none.code == 0
    assert told(none.out) == {"samples": "0 are left of 3 questions; 3 have ended in this --out"}


async def test_a_dry_run_refuses_a_folder_that_the_run_would_refuse(tmp_path, tokenizers):
    questions = write_questions(tmp_path / "q.jsonl", 2)
    (tmp_path / "file").write_text("mine")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "notes.txt").write_text("mine")
    async with two_servers(tokenizers) as (_, options):
        first = ["synth", questions, "--out", tmp_path / "run", *options, "--limit", "1"]
        assert (await tessy(*first)).code == 0
        for out, more in (
            ("run", ["--seed", "9"]),
            ("run", ["--student", f"{options[1]}#other"]),
            ("file", []),
            ("file/below", []),
            ("other", []),
        ):
            command = ["synth", questions, "--out", tmp_path / out, *options, *more]
            before = files(tmp_path)
            dry = await tessy(*command, "--dry-run")
            assert files(tmp_path) == before
            run = await tessy(*command)
            assert dry.code == run.code != 0, (out, dry.err)
            assert dry.err.splitlines()[-1] == run.err.splitlines()[-1]
        with RunFolder(tmp_path / "run").locked():
            command = ["synth", questions, "--out", tmp_path / "run", *options]
            busy = await tessy(*command, "--dry-run")
        assert "is working on this run" in busy.err


async def test_a_sample_in_which_nothing_is_written_says_why(tmp_path):
    questions = write_questions(tmp_path / "q.jsonl", 4)
    async with ScriptedServer(SilentScript()) as server:
        models = ["--student", server.url, "--teacher", server.url, *PLAIN]
        command = ["synth", questions, "--out", tmp_path / "run", *models, "--predictor", "lexicon"]
        done = await tessy(*command, "--dry-run", "--sample", "2")
    assert done.code == 1
    assert "error: all 2 trajectories failed, the first with no_progress" in done.err
    assert done.out == ""


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--sample", "3"], "--sample 3 is for --dry-run, which is not given"),
        (["--gpus", "3"], "--gpus 3 is for --dry-run"),
        (["--dry-run", "--gpus", "1"], "--gpus 1: should be at least 2"),
        (["--dry-run", "--sample", "0"], "--sample 0: should be at least 1"),
        (["--dry-run", "--canary", "3"], "--canary writes samples and --dry-run none"),
        (["--canary", "0"], "--canary 0: should be at least 1"),
        (["--dry-run", "--method", "teser"], "did you mean tessy?"),
        (["--dry-run", "--predictor", "lexikon"], "did you mean lexicon?"),
        (["--dry-run", "--student", "gpt"], "'gpt'"),
        (["--dry-run", "--verify", "numbre"], "did you mean number?"),
        (
            ["--dry-run", "--verify", "number"],
            "no question can be verified: id 'q0': verifier number: no column",
        ),
        (["--canary", "3", "--method", "teacher-only"], "and this is teacher-only"),
    ],
)
async def test_what_does_not_fit_is_refused_before_anything_is_done(tmp_path, more, said):
    questions = write_questions(tmp_path / "q.jsonl", 2)
    models = ["--student", DEAD, "--teacher", DEAD, *PLAIN]
    done = await tessy("synth", questions, "--out", tmp_path / "run", *models, *more)
    assert done.code == 2, done.err
    assert said in done.err
    assert not (tmp_path / "run").exists()


async def test_what_is_missing_is_said_by_a_dry_run_as_by_a_run(tmp_path):
    questions = write_questions(tmp_path / "q.jsonl", 2)
    models = ["--student", DEAD, "--teacher", DEAD]
    command = ["--out", tmp_path / "run", *models, "--dry-run"]
    done = await tessy("synth", tmp_path / "none.jsonl", *command, *PLAIN)
    assert (done.code, "none.jsonl" in done.err) == (2, True)
    done = await tessy("synth", questions, *command)
    assert (done.code, "'s chat format is not known" in done.err) == (2, True)
    done = await tessy("synth", questions, *command, *PLAIN)
    assert done.code == 1
    assert "error: the student can't be used: " in done.err
    assert "is it running, and its URL right?" in done.err
    assert list(tmp_path.iterdir()) == [questions]


async def test_a_server_that_dies_under_a_dry_run_ends_it(tmp_path, tokenizers):
    questions = write_questions(tmp_path / "q.jsonl", 4)
    settings = tmp_path / "run.toml"
    settings.write_text("[student]\nretries = 1\n[teacher]\nretries = 1\n")
    async with two_servers(tokenizers, latency=SLOW, words=300) as (servers, options):
        command = ["synth", questions, "--out", tmp_path / "run", *options, "--config", settings]
        running = asyncio.create_task(tessy(*command, "--dry-run", "--sample", "4"))
        await until(lambda: servers["student"].stats.most_in_flight > 3)
        await servers["teacher"].__aexit__(None, None, None)
        done = await running
    assert done.code == 3, done.err
    assert "the teacher's server" in done.err
    assert "the sample begins again" in done.err
    assert "resumes it" not in done.err
    assert "dry-run-" not in done.err, "a folder that is deleted"
    assert not (tmp_path / "run").exists()


async def test_ctrl_c_ends_a_dry_run_and_leaves_nothing(tmp_path, tokenizers):
    questions = write_questions(tmp_path / "q.jsonl", 4)
    (tmp_path / "temporary").mkdir()
    async with two_servers(tokenizers, latency=SLOW, words=300) as (servers, options):
        command = ["synth", questions, "--out", tmp_path / "run", *options]
        sampling = ["--dry-run", "--sample", "4"]
        process = await start(*command, *sampling, TMPDIR=str(tmp_path / "temporary"))
        await until(lambda: servers["student"].stats.most_in_flight > 3)
        process.send_signal(signal.SIGINT)
        out, err = await process.communicate()
    assert process.returncode == 130
    assert b"stopped: no cost is told" in err
    assert b"Traceback" not in err
    assert out == b""
    assert list((tmp_path / "temporary").iterdir()) == []
    assert not (tmp_path / "run").exists()


# --- Canaries -----------------------------------------------------------------------------------


async def test_a_canary_stops_compares_and_lets_the_run_go_on(tmp_path, tokenizers):
    questions = write_questions(tmp_path / "q.jsonl", 8)
    run = tmp_path / "run"
    async with two_servers(tokenizers) as (servers, options):
        command = ["synth", questions, *options, *FIXED, "--out"]
        assert (await tessy(*command, tmp_path / "calm")).code == 0
        done = await tessy(*command, run, "--canary", "4")
        assert done.code == 0, done.err
        assert "canary: the first 4 samples" in done.out
        assert "0 of 4: 0.0% (0.0–49.0%)" in done.out, "Wilson's interval"
        assert "No answer was verified" in " ".join(done.out.split())
        assert "the same command without --canary, or with a larger one, goes on" in done.err
        for folder in (run, run / "canary"):
            assert [each["id"] for each in lines(folder / "dataset.jsonl")] == [
                f"q{n}" for n in range(4)
            ]
        assert {each["method"] for each in lines(run / "canary" / "dataset.jsonl")} == {
            "teacher-only"
        }
        asked = servers["teacher"].stats.requests
        again = await tessy(*command, run, "--canary", "4")
        assert (again.code, again.out) == (0, done.out)
        assert servers["teacher"].stats.requests == asked, "nothing is written twice"
        larger = await tessy(*command, run, "--canary", "6")
        assert "canary: the first 6 samples" in larger.out
        assert "goes on" in larger.err
        whole = await tessy(*command, tmp_path / "whole", "--canary", "100")
        assert "nothing is left" in whole.err
        assert "goes on" not in whole.err
        assert (await tessy(*command, run)).code == 0
        smaller = await tessy(*command, run, "--canary", "4")
        assert smaller.out == done.out, "of the first 4, though there are more"
    name = "dataset.jsonl"
    assert (run / name).read_bytes() == (tmp_path / "calm" / name).read_bytes()
    settings, alone = (read_settings(RunFolder(f).settings) for f in (run, run / "canary"))
    assert (settings.pop("method"), alone.pop("method")) == ("tessy", "teacher-only")
    for each in (settings, alone):
        each["run"].pop("models")
    assert settings == alone, "the same seed, verifier, limits and questions"


async def test_a_canary_with_workers_is_the_same(tmp_path, tokenizers):
    questions = write_questions(tmp_path / "q.jsonl", 4)
    async with two_servers(tokenizers) as (_, options):
        command = ["synth", questions, *options, *FIXED, "--canary", "3", "--out"]
        one = await tessy(*command, tmp_path / "one")
        two = await tessy(*command, tmp_path / "two", "--workers", "2")
    assert (one.code, two.code) == (0, 0)
    for name in ("dataset.jsonl", "canary/dataset.jsonl"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    told = [[row for row in done.out.splitlines() if "tokens" in row] for done in (one, two)]
    assert told[0] == told[1]


async def test_a_canary_counts_what_is_right(tmp_path, tokenizers):
    questions = write_questions(tmp_path / "q.jsonl", 3)
    async with two_servers(tokenizers) as (_, options):
        command = ["synth", questions, *options, "--out", tmp_path / "run", "--verify", EVEN]
        done = await tessy(*command, "--canary", "50", "--samples-per-question", "2")
        assert done.code == 0, done.err
        assert "canary: the first 6 samples" in done.out, "there are no more"
        right = re.search(r"│ right +│ +4 of 6: 66.7% \(20.8–93.9%\) │ +4 of 6: 66.7%", done.out)
        assert right, done.out
        assert re.search(r"│ +rejected +│ +2 │ +2 │", done.out)
        assert "written again" not in done.out
        again = await tessy(
            *command, "--canary", "50", "--samples-per-question", "2", "--retry-failed"
        )
        had_another = re.search(r"│ written again after a failure +│ +2 │ +0 │", again.out)
        assert had_another, again.out
        options += ["--samples-per-question", "2", "--verify", EVEN]
        done = await tessy("synth", questions, *options, "--out", tmp_path / "b", "--canary", "3")
        assert "canary: the first 4 samples" in done.out, "whole questions"


async def test_a_broken_verifier_and_bad_lines_are_no_wrong_answers(tmp_path, tokenizers):
    questions = write_questions(tmp_path / "q.jsonl", 2)
    questions.write_text('{"prompt": 3}\n' + questions.read_text())
    async with two_servers(tokenizers) as (_, options):
        command = ["synth", questions, *options, "--out", tmp_path / "run", "--verify", EVEN]
        command += ["--canary", "3", "--skip-bad"]
        done = await tessy(*command, VERIFIER_IS_BROKEN="1")
    assert done.code == 1, "no sample of the run is finished"
    assert "canary: the first 2 samples, without 1 bad line" in done.out
    assert re.search(r"│ right +│ +– │ +– │", done.out), done.out
    assert re.search(r"│ +verifier_error +│ +2 │ +2 │", done.out)


async def test_questions_that_can_not_be_verified_are_bad_lines_of_a_canary_too(
    tmp_path, tokenizers
):
    questions = tmp_path / "q.jsonl"
    bad = '{"prompt": 3}\n{"prompt": "[[task 7]] ?", "answer": []}\n'
    questions.write_text(bad + '{"prompt": "[[task 8]] ?", "answer": 8}\n' * 2)
    async with two_servers(tokenizers) as (_, options):
        command = ["synth", questions, *options, "--out", tmp_path / "run", "--verify", "number"]
        command += ["--on-wrong", "keep", "--skip-bad"]
        some = await tessy(*command, "--canary", "3")
        assert "canary: the first 1 sample, without 2 bad lines" in some.out
        assert "goes on" in some.err
        every = await tessy(*command, "--canary", "4")
    assert "canary: the first 2 samples, without 2 bad lines" in every.out
    assert "that was the whole run: nothing is left" in every.err


async def test_bad_lines_after_those_of_a_canary_are_named_before_it(tmp_path, tokenizers):
    """A line that is mended later makes another run, and the canary's samples could not be kept."""
    questions = write_questions(tmp_path / "q.jsonl", 3)
    questions.write_text(questions.read_text() + '{"prompt": 3}\n')
    async with two_servers(tokenizers) as (servers, options):
        command = ["synth", questions, *options, "--out", tmp_path / "run", "--canary", "2"]
        done = await tessy(*command)
        assert done.code == 2
        assert "1 bad line; nothing was started" in done.err
        assert not servers["student"].stats.requests
        assert not (tmp_path / "run").exists()
        some = await tessy(*command, "--limit", "3")
        assert some.code == 0, some.err
        done = await tessy(*command, "--skip-bad")
    assert done.code == 0, done.err
    assert re.search(r"canary: the first 2 samples *\n", done.out)


async def test_a_canary_of_the_student_alone_needs_a_teacher_before_any_work(tmp_path, tokenizers):
    questions = write_questions(tmp_path / "q.jsonl", 2)
    async with two_servers(tokenizers) as (servers, options):
        command = ["synth", questions, *options[:4], "--method", "student-only"]
        done = await tessy(*command, "--out", tmp_path / "run", "--canary", "1")
        assert done.code == 2
        assert "no teacher is given" in done.err
        assert not servers["student"].stats.requests
    assert not (tmp_path / "run").exists()


async def test_a_canary_whose_teacher_dies_or_that_is_stopped_goes_on(tmp_path, tokenizers):
    questions = write_questions(tmp_path / "q.jsonl", 4)
    run, settings = tmp_path / "run", tmp_path / "run.toml"
    settings.write_text("[student]\nretries = 1\n[teacher]\nretries = 1\n")
    command = ["synth", questions, "--out", run, "--config", settings, "--canary", "3"]
    async with two_servers(tokenizers) as (_, options):
        calm = await tessy("synth", questions, "--out", tmp_path / "b", *options, "--canary", "3")
    async with two_servers(tokenizers, latency=SLOW) as (servers, options):
        teacher = servers["teacher"].stats
        process = await start(*command, *options)
        await until((run / "canary" / "run.toml").exists)
        await until(lambda: teacher.running == 3)  # more than the probe
        process.send_signal(signal.SIGINT)
        _, err = await process.communicate()
        assert process.returncode == 130, err.decode()
        assert b"stopped: the same command goes on with the teacher alone" in err
        assert b"Traceback" not in err
        written = servers["student"].stats.generated_tokens
        running = asyncio.create_task(tessy(*command, *options))
        await until(lambda: teacher.running == 3)
        await servers["teacher"].__aexit__(None, None, None)
        done = await running
        assert done.code == 3, done.err
        assert "the teacher's server" in done.err
    async with two_servers(tokenizers) as (servers, options):
        done = await tessy(*command, *options)
        assert done.code == 0, done.err
        assert servers["student"].stats.generated_tokens < written, "the run's part is there"
    tokens = [line for line in done.out.splitlines() if "tokens" in line]
    assert tokens == [line for line in calm.out.splitlines() if "tokens" in line]
    assert len(lines(run / "canary" / "dataset.jsonl")) == 3


async def test_failed_samples_are_seen_in_a_canary(tmp_path, tokenizers):
    questions = write_questions(tmp_path / "q.jsonl", 2)
    async with two_servers(tokenizers) as (_, options):
        command = ["synth", questions, "--out", tmp_path / "run", *options, "--canary", "2"]
        done = await tessy(*command, "--answer-tokens", "3")
    assert done.code == 1
    assert re.search(r"│ +answer_limit +│ +2 │ +2 │", done.out), done.out
