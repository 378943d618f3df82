"""The paper's methods from the command line, against scripted servers."""

from __future__ import annotations

import json
import os
import random
import signal
from pathlib import Path

import pytest

from commands import start, tessy
from scripted import lines, two_servers, until, write_questions
from tessy.runs.folder import RunFolder
from tessy.runs.reader import JournalReader
from tessy.testing import Latency

HERE = str(Path(__file__).parent)
EVEN = "python:verdicts:EvenVerifier"
PYTHONPATH = os.pathsep.join(filter(None, (HERE, os.environ.get("PYTHONPATH"))))
DEAD = "http://127.0.0.1:9/v1"


async def test_every_method_writes_a_data_set_with_the_authors_of_its_parts(tmp_path, tokenizers):
    authors = {
        "student-only": ({"student"}, {"student"}),
        "teacher-only": ({"teacher"}, {"teacher"}),
        "teacher-mix": ({"student", "teacher"}, {"student", "teacher"}),
        "teacher-think": ({"teacher"}, {"student"}),
        "teacher-answer": ({"student"}, {"teacher"}),
        "teacher-reference": ({"student"}, {"student"}),
    }
    questions = write_questions(tmp_path / "q.jsonl", 4)
    async with two_servers(tokenizers) as (_, options):
        for method, wanted in authors.items():
            out = tmp_path / method
            done = await tessy("synth", questions, "--out", out, *options, "--method", method)
            assert done.code == 0, done.err
            records = lines(out / "dataset.jsonl")
            assert len(records) == 4
            assert {record["method"] for record in records} == {method}
            assert written_by(records) == wanted
            assert all("student_predictor" not in record["models"] for record in records)
    mixed = lines(tmp_path / "teacher-mix" / "dataset.jsonl")
    assert [r["spans"][1]["role"] for r in mixed] == ["teacher", "student", "teacher", "student"]


def written_by(records) -> tuple[set[str], set[str]]:
    """Who wrote any of the thinkings, and who any of the answers."""
    found: tuple[set[str], set[str]] = (set(), set())
    for record in records:
        end = record["messages"][-1]["content"].index("\n</think>\n\n")
        for span in record["spans"]:
            if span["role"] != "format":
                found[span["start"] > end].add(span["role"])
    return found


async def test_a_model_that_is_not_needed_need_not_be_there(tmp_path, tokenizers):
    questions = write_questions(tmp_path / "q.jsonl", 2)
    async with two_servers(tokenizers) as (servers, options):
        for method, other in (("student-only", "teacher"), ("teacher-only", "student")):
            command = ["synth", questions, "--out", tmp_path / method, *options]
            command[command.index(f"--{other}") + 1] = DEAD
            before = servers[other].stats.requests
            done = await tessy(*command, "--method", method)
            assert done.code == 0, done.err
            assert servers[other].stats.requests == before
            (record, _) = lines(tmp_path / method / "dataset.jsonl")
            assert set(record["models"]) == {method.removesuffix("-only")}


async def test_the_teacher_can_answer_after_tessys_thinking(tmp_path, tokenizers):
    questions = write_questions(tmp_path / "q.jsonl", 2)
    async with two_servers(tokenizers) as (_, options):
        command = ["synth", questions, "--out", tmp_path / "run", *options]
        done = await tessy(*command, "--answer-by", "teacher")
    assert done.code == 0, done.err
    assert written_by(lines(tmp_path / "run" / "dataset.jsonl")) == (
        {"student", "teacher"},
        {"teacher"},
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--method", "teacher-onyl"), "method = 'teacher-onyl'"),
        (("--method", "student-only", "--answer-by", "teacher"), "is for method 'tessy'"),
        (("--teacher-only-system-prompt", "Be brief."), "is not for method 'tessy'"),
        (("--verify", "numbre"), "did you mean number?"),
        (("--attempts", "0"), "--attempts 0: should be at least 1"),
    ],
)
async def test_settings_that_do_not_go_together_are_refused(tmp_path, options, message):
    questions = write_questions(tmp_path / "q.jsonl", 1)
    pair = ["--student", "lab:student", "--teacher", "lab:teacher"]
    done = await tessy("synth", questions, "--out", tmp_path / "run", *pair, *options)
    assert done.code == 2
    assert message in done.err
    assert not (tmp_path / "run").exists()


async def test_questions_that_cannot_be_verified_are_named_before_any_model_is_called(tmp_path):
    questions = tmp_path / "q.jsonl"
    rows = [{"id": "a", "prompt": "1 + 1?", "answer": 2}, {"id": "b", "prompt": "2 + 2?"}]
    rows[1]["answer"] = ["four"]
    questions.write_text("".join(json.dumps(row) + "\n" for row in rows))
    options = ["--student", DEAD, "--teacher", DEAD, "--verify", "number"]
    done = await tessy("synth", questions, "--out", tmp_path / "run", *options)
    assert done.code == 2
    assert "1 of 2 questions can't be verified by number" in done.err
    assert f"{questions}:2: verifier number: column 'answer' must hold text" in done.err
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("command", ["synth", "eval"])
async def test_all_bad_lines_are_named_at_once(tmp_path, command):
    questions = tmp_path / "q.jsonl"
    rows = [
        {"id": "a", "prompt": "1 + 1?", "answer": 2},
        {"id": "b", "prompt": 3},
        {"id": "c", "prompt": "2 + 2?", "answer": ["four"]},
    ]
    questions.write_text("".join(json.dumps(row) + "\n" for row in rows))
    models = {"synth": ["--student", DEAD, "--teacher", DEAD], "eval": ["--model", DEAD]}[command]
    options = [*models, "--verify", "number"]
    done = await tessy(command, questions, "--out", tmp_path / "run", *options)
    assert done.code == 2
    assert "2 bad lines; nothing was started" in done.err
    assert f"{questions}:2: prompt must be text, not int" in done.err
    assert f"{questions}:3: id 'c': verifier number: column 'answer' must hold text" in done.err
    assert "docs/verifiers.md says which columns each verifier needs" in done.err
    assert not (tmp_path / "run").exists()


async def test_bad_lines_are_no_questions_that_are_left_unverified(tmp_path, tokenizers):
    questions = tmp_path / "q.jsonl"
    rows = [
        {"id": "x", "prompt": "[[task 1]] ?", "answer": 1},
        {"id": "x", "prompt": "[[task 2]] ?"},
        {"id": "x", "prompt": "[[task 3]] ?"},
    ]
    questions.write_text("".join(json.dumps(row) + "\n" for row in rows))
    async with two_servers(tokenizers) as (_, options):
        verified = ["--verify", "number", "--on-wrong", "keep"]
        command = ["synth", questions, *options, *verified, "--skip-bad"]
        done = await tessy(*command, "--out", tmp_path / "one")
        assert done.code == 0, done.err
        assert "not verified" not in done.err
        rows.append({"id": "y", "prompt": "[[task 4]] ?"})
        questions.write_text("".join(json.dumps(row) + "\n" for row in rows))
        done = await tessy(*command, "--out", tmp_path / "two")
        assert "1 of 2 questions are written and not verified, such as id 'y': " in done.err


@pytest.mark.parametrize("on_wrong", ["keep", "keep_judged"])
async def test_questions_without_a_reference_are_written_and_counted(
    tmp_path, tokenizers, on_wrong
):
    questions = tmp_path / "q.jsonl"
    rows = [{"id": f"q{n}", "prompt": f"[[task {n}]] ?", "answer": n} for n in range(4)]
    rows[1].pop("answer")
    rows[2]["answer"] = None
    questions.write_text("".join(json.dumps(row) + "\n" for row in rows))
    async with two_servers(tokenizers) as (_, options):
        command = ["synth", questions, "--out", tmp_path / "run", *options, "--verify", "number"]
        done = await tessy(*command, "--on-wrong", on_wrong)
        assert done.code == 0, done.err
        strict = ["--model", options[1], "--tokenizer", tokenizers["student"], "--verify", "number"]
        refused = await tessy("eval", questions, "--out", tmp_path / "eval", *strict)
    assert "2 of 4 questions are written and not verified, such as id 'q1': verifier" in done.err
    assert "of 2 verified: " in done.err
    assert "(2 not verified)" in done.err
    records = lines(tmp_path / "run" / "dataset.jsonl")
    assert ["verdict" in record for record in records] == [True, False, False, True]
    with JournalReader(RunFolder(tmp_path / "run")) as journal:
        assert journal.unverifiable() == 2
    assert refused.code == 2
    assert "2 of 4 questions can't be verified by number" in refused.err


async def test_a_column_that_no_question_has_is_a_mistake(tmp_path):
    questions = write_questions(tmp_path / "q.jsonl", 2)
    options = ["--student", DEAD, "--teacher", DEAD, "--verify", "number:gold"]
    done = await tessy("synth", questions, "--out", tmp_path / "run", *options)
    assert done.code == 2
    assert "no question can be verified: id 'q0': verifier number: no column 'gold'" in done.err
    assert not (tmp_path / "run").exists()


def keeping(folder: Path) -> Path:
    """Settings by which wrong answers are kept."""
    path = folder / "keep.toml"
    path.write_text('on_wrong = "keep"\n')
    return path


async def test_what_the_verifier_rejects_is_a_failure_and_the_rest_has_its_verdict(
    tmp_path, tokenizers
):
    questions = write_questions(tmp_path / "q.jsonl", 8)
    async with two_servers(tokenizers) as (_, options):
        command = ["synth", questions, "--out", tmp_path / "run", *options, "--verify", EVEN]
        done = await tessy(*command, "--attempts", "2", PYTHONPATH=PYTHONPATH)
    assert done.code == 0, done.err
    finished, failed = (
        lines(tmp_path / "run" / name) for name in ("dataset.jsonl", "failures.jsonl")
    )
    assert [r["id"] for r in finished] == ["q0", "q2", "q4", "q6"]
    assert all(r["verdict"]["outcome"] == "right" for r in finished)
    assert {(r["id"], r["reason"]) for r in failed} == {(f"q{n}", "rejected") for n in (1, 3, 5, 7)}
    assert all(r["verdict"]["outcome"] == "wrong" for r in failed)
    assert all(r["stats"]["drafts"] == 2 for r in failed)
    assert all(r["stats"]["drafts"] == 1 for r in finished)
    assert "right     4 of 8 verified: 50.0% (4 rejected)" in done.err
    listed = await tessy("show", tmp_path / "run")
    assert listed.out.splitlines()[0] == "right: 4 of 8 verified: 50.0% (4 rejected)"
    shown = await tessy("show", tmp_path / "run", "q1", "--discarded")
    assert "rejected (rejected): wrong: 1 is odd" in shown.out


@pytest.mark.parametrize("workers", ["1", "2"])
async def test_exactly_once_with_several_drafts_and_kill_9(tmp_path, tokenizers, workers):
    """Killed between and within candidates: the same bytes as an undisturbed run."""
    questions = write_questions(tmp_path / "q.jsonl", 6)
    slow = Latency(first_token_s=0.004, token_s=0.001)
    chance = random.Random(5)
    async with two_servers(tokenizers, latency=slow) as (servers, options):
        command = [
            *("synth", questions, *options, "--method", "teacher-score", "--candidates", "3"),
            *("--verify", EVEN, "--attempts", "2", "--quiet", "--concurrency", "3"),
        ]
        calm = await tessy(*command, "--out", tmp_path / "calm", PYTHONPATH=PYTHONPATH)
        assert calm.code == 0, calm.err
        command += ["--workers", workers, "--out", tmp_path / "killed"]
        for _ in range(3):
            wanted = servers["student"].stats.requests + chance.randint(5, 25)
            process = await start(*command, PYTHONPATH=PYTHONPATH)
            await until(lambda wanted=wanted: servers["student"].stats.requests > wanted)
            process.kill()
            await process.wait()
        done = await tessy(*command, PYTHONPATH=PYTHONPATH)
        assert done.code == 0, done.err
    for name in ("dataset.jsonl", "failures.jsonl"):
        assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "calm" / name).read_bytes()


async def test_eval_counts_what_is_right_and_goes_on(tmp_path, tokenizers):
    questions = tmp_path / "q.jsonl"
    with questions.open("w") as file:
        for n in range(6):
            row = {"id": f"q{n}", "prompt": f"[[task {n}]] ?", "kind": ("a", "[/b]")[n % 2]}
            print(json.dumps(row), file=file)
    async with two_servers(tokenizers) as (servers, options):
        named = ["--model", servers["student"].url, "--tokenizer", options[3]]
        command = ["eval", questions, *named, "--out", tmp_path / "run", "--verify", EVEN]
        command += ["--samples-per-question", "2", "--group", "kind"]
        done = await tessy(*command, PYTHONPATH=PYTHONPATH)
        assert done.code == 0, done.err
        asked = servers["student"].stats.requests
        assert servers["teacher"].stats.requests == 0
        again = await tessy(*command, PYTHONPATH=PYTHONPATH)
        assert again.out == done.out
        assert servers["student"].stats.requests == asked
    found = json.loads((tmp_path / "run" / "evaluation.json").read_text())
    assert found["pass_at"]["1"]["value"] == 0.5
    assert found["outcomes"] == {"right": 6, "wrong": 6}
    assert found["groups"]["a"]["pass_at"]["2"]["value"] == 1.0
    assert found["groups"]["[/b]"]["pass_at"]["2"]["value"] == 0.0
    assert found["right"]["q0"] == [2, 2]
    assert "50.0% (" in done.out
    assert "[/b]" in done.out  # a name, and no markup
    assert "12 of 12 done" in done.err
    assert "teacher" not in done.err


async def test_groups_are_of_the_questions_that_are_not_skipped(tmp_path, tokenizers):
    questions = tmp_path / "q.jsonl"
    rows = [
        {"prompt": "[[task 1]] ?", "answer": 1, "kind": "a"},
        {"prompt": "[[task 2]] ?"},
        {"prompt": "[[task 3]] ?", "answer": []},
    ]
    questions.write_text("".join(json.dumps(row) + "\n" for row in rows))
    async with two_servers(tokenizers) as (servers, options):
        named = ["--model", servers["student"].url, "--tokenizer", options[3]]
        command = ["eval", questions, *named, "--out", tmp_path / "r", "--verify", "number"]
        done = await tessy(*command, "--group", "kind", "--skip-bad")
    assert done.code == 0, done.err
    found = json.loads((tmp_path / "r" / "evaluation.json").read_text())
    assert list(found["groups"]) == ["a"]
    assert "skipped 2 bad questions" in done.err


async def test_eval_counts_truncations_and_says_what_was_not_measured(tmp_path, tokenizers):
    questions = write_questions(tmp_path / "q.jsonl", 3)
    async with two_servers(tokenizers) as (servers, options):
        named = ["--model", servers["student"].url, "--tokenizer", options[3]]
        command = ["eval", questions, *named, "--verify", EVEN, "--out"]
        done = await tessy(*command, tmp_path / "r", "--thinking-tokens", 20, PYTHONPATH=PYTHONPATH)
    assert done.code == 0, done.err
    found = json.loads((tmp_path / "r" / "evaluation.json").read_text())
    assert found["outcomes"] == {"truncated": 3}
    assert found["truncated"] == 1.0
    assert found["pass_at"]["1"]["value"] == 0


async def test_eval_counts_what_a_runaway_answer_wrote(tmp_path, tokenizers):
    """Else a model that never ends looks shorter than one that does."""
    questions = write_questions(tmp_path / "q.jsonl", 3)
    async with two_servers(tokenizers) as (servers, options):
        named = ["--model", servers["student"].url, "--tokenizer", options[3]]
        command = ["eval", questions, *named, "--verify", EVEN, "--answer-tokens", 5, "--out"]
        done = await tessy(*command, tmp_path / "r", PYTHONPATH=PYTHONPATH)
    assert done.code == 0, done.err
    found = json.loads((tmp_path / "r" / "evaluation.json").read_text())
    assert found["outcomes"] == {"truncated": 3}
    assert found["tokens"]["mean"] >= found["thinking_tokens"]["mean"] + 5


async def test_eval_asks_again_where_the_verifier_broke(tmp_path, tokenizers):
    questions = write_questions(tmp_path / "q.jsonl", 4)
    async with two_servers(tokenizers) as (servers, options):
        named = ["--model", servers["student"].url, "--tokenizer", options[3]]
        command = ["eval", questions, *named, "--verify", EVEN, "--out", tmp_path / "r"]
        broken = await tessy(*command, PYTHONPATH=PYTHONPATH, VERIFIER_IS_BROKEN="1")
        assert broken.code == 1
        assert "verifier_error" in broken.err
        found = json.loads((tmp_path / "r" / "evaluation.json").read_text())
        assert (found["samples"], found["outcomes"]) == (0, {"unmeasured": 4})
        failed = lines(tmp_path / "r" / "failures.jsonl")
        assert all("out of order" in one["detail"] for one in failed)
        mended = await tessy(*command, "--retry-failed", PYTHONPATH=PYTHONPATH)
    assert mended.code == 0, mended.err
    found = json.loads((tmp_path / "r" / "evaluation.json").read_text())
    assert found["outcomes"] == {"right": 2, "wrong": 2}


async def test_failures_count_until_they_are_replaced(tmp_path, tokenizers):
    """Else a stopped `--retry-failed` would leave out wrong answers, and no right ones."""
    questions, run = write_questions(tmp_path / "q.jsonl", 6), tmp_path / "run"
    slow = Latency(first_token_s=0.01, token_s=0.002)
    async with two_servers(tokenizers, latency=slow, words=200) as (servers, options):
        command = ["synth", questions, "--out", run, *options, "--verify", EVEN]
        await tessy(*command, PYTHONPATH=PYTHONPATH)
        failed = lines(run / "failures.jsonl")
        asked = servers["teacher"].stats.requests
        process = await start(*command, "--retry-failed", PYTHONPATH=PYTHONPATH)
        await until(lambda: servers["teacher"].stats.requests > asked + 12)
        process.send_signal(signal.SIGINT)
        _, err = await process.communicate()
        said = " ".join(err.decode().split())
        assert "3 of 6 verified: 50.0% (3 rejected)" in said
        assert "samples 6 = 3 finished + 3 failed, 3 of the failed to be written again" in said
        assert lines(run / "failures.jsonl") == failed
        shown = await tessy("show", run)
        assert "right: 3 of 6 verified: 50.0% (3 rejected)\n" in shown.out
        assert "not complete: 3 failed samples still to be written again" in shown.out
        again = await tessy(*command, PYTHONPATH=PYTHONPATH)  # goes on where it was stopped
    said = " ".join(again.err.split())
    assert "3 failed samples are written again" in said
    assert "3 of 6 verified: 50.0% (3 rejected, 3 written again after a failure)" in said
    assert "not complete" not in (await tessy("show", run)).out


async def test_eval_does_not_draw_anew_what_the_model_failed_at(tmp_path, tokenizers):
    """Else each `--retry-failed` would be another chance for wrong answers alone."""
    questions = write_questions(tmp_path / "q.jsonl", 3)
    questions.write_text(questions.read_text() + '{"prompt": 3}\n')
    async with two_servers(tokenizers) as (servers, options):
        named = ["--model", servers["student"].url, "--tokenizer", options[3], "--skip-bad"]
        command = ["eval", questions, *named, "--verify", EVEN, "--out", tmp_path / "r"]
        command += ["--thinking-tokens", 20]
        first = await tessy(*command, PYTHONPATH=PYTHONPATH)
        asked = servers["student"].stats.requests
        again = await tessy(*command, "--retry-failed", PYTHONPATH=PYTHONPATH)
        assert again.out == first.out
        assert "written again" not in again.err, "the bad line stays bad"
        assert servers["student"].stats.requests - asked < 10  # only probed
        assert "skipped 1 bad question" in again.err
        fewer = await tessy(*command, "--limit", 2, PYTHONPATH=PYTHONPATH)
        assert fewer.code == 0, fewer.err
        assert "bad question" not in fewer.err, "it is beyond the limit"
    found = json.loads((tmp_path / "r" / "evaluation.json").read_text())
    assert found["outcomes"] == {"truncated": 2}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--group", "knid", "--verify", EVEN), "no column 'knid' to group by"),
        ((), "can't be verified by auto"),
        ((), "hint: --verify number fits these columns; so do exact, math; "),
        (("--verify", "number:anser"), "hint: did you mean answer? "),
    ],
)
async def test_eval_refuses_what_it_cannot_measure(tmp_path, options, message):
    questions = tmp_path / "q.jsonl"
    rows = [{"prompt": f"1 + {n}?", "answer": n + 1} for n in range(3)]
    questions.write_text("".join(json.dumps(row) + "\n" for row in rows))
    command = ["eval", questions, "--model", DEAD, "--out", tmp_path / "run"]
    done = await tessy(*command, *options, PYTHONPATH=PYTHONPATH)
    assert done.code == 2
    assert message in done.err
    assert "--skip-bad" not in done.err, "it would leave nothing"
    assert not (tmp_path / "run").exists()
