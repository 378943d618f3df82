"""`tessy synth` of what it can't use: it says so before any work is spent."""

from __future__ import annotations

import io
import json

import pytest

from commands import tessy
from scripted import PLAIN, lines, two_servers, write_questions
from tessy.runs.folder import RunFolder
from tessy.testing import build_tokenizer


async def test_a_data_set_that_cannot_be_had_is_named(tmp_path):
    command = ["synth", "nobody/nothing:train", "--student", "lab:student"]
    command += ["--teacher", "lab:teacher", "--out", tmp_path / "run"]
    done = await tessy(*command, HF_HUB_OFFLINE="1")
    assert done.code == 2
    assert "nobody/nothing:train: no such file, and no data set" in done.err
    assert "Traceback" not in done.err


async def test_bad_lines_are_refused_before_any_model_is_called(tmp_path):
    questions = tmp_path / "q.jsonl"
    questions.write_text('{"prompt": "fine"}\n{"prompt": 3}\n{"promt": "typo"}\n')
    options = ["--student", "http://127.0.0.1:9/v1", "--teacher", "http://127.0.0.1:9/v1"]
    done = await tessy("synth", questions, "--out", tmp_path / "run", *options)
    assert done.code == 2
    assert f"{questions}:2: prompt must be text, not int" in done.err
    assert f"{questions}:3: none of prompt, question" in done.err
    assert not (tmp_path / "run").exists()


async def test_bad_lines_are_said_before_what_a_verifier_needs(tmp_path):
    questions = tmp_path / "q.jsonl"
    questions.write_text('{"prompt": "fine"}\n{\n{"promt": "typo"}\n')
    options = ["--student", "lab:student", "--teacher", "lab:teacher", "--verify", "auto"]
    done = await tessy("synth", questions, "--out", tmp_path / "run", *options)
    assert done.code == 2
    assert f"{questions}:2: not JSON" in done.err
    assert f"{questions}:3: none of prompt" in done.err
    done = await tessy("synth", questions, "--out", tmp_path / "run", *options, "--skip-bad")
    assert "no question can be verified" in done.err


async def test_bad_lines_can_be_recorded_as_failures(tmp_path, tokenizers):
    questions = tmp_path / "q.jsonl"
    good = json.dumps({"id": "good", "prompt": "[[t]] What?"})
    questions.write_text(f'{{"prompt": 3}}\n{good}\n{{"promt": "typo"}}\n')
    async with two_servers(tokenizers) as (_, options):
        command = ["synth", questions, "--out", tmp_path / "run", *options, "--skip-bad"]
        for _ in range(2):  # the second time changes nothing
            done = await tessy(*command)
            assert done.code == 0, done.err
            assert "3 = 1 finished + 2 failed" in done.err
    failed = lines(tmp_path / "run" / "failures.jsonl")
    assert [(f["reason"], f["where"]) for f in failed] == [
        ("bad_question", f"{questions}:1"),
        ("bad_question", f"{questions}:3"),
    ]


def references(path):
    rows = [
        {"id": "good", "prompt": "[[t]] What?", "answer": 10**30},
        {"id": "none", "prompt": "[[u]] Why?"},
        {"id": "odd", "prompt": "[[v]] Who?", "answer": {"is": 1}},
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.mark.parametrize("workers", [1, 2])
async def test_references_that_cannot_be_read_are_refused_or_skipped_and_counted(
    tmp_path, tokenizers, workers
):
    questions = references(tmp_path / "q.jsonl")
    async with two_servers(tokenizers) as (_, options):
        command = ["synth", questions, "--out", tmp_path / "run", "--verify", "number", *options]
        command += ["--workers", str(workers), "--concurrency", "2"]
        done = await tessy(*command)
        assert done.code == 2
        assert "not verified" not in done.err
        assert f"{questions}:3: verifier number: column 'answer' must hold" in done.err
        assert not (tmp_path / "run").exists()
        for _ in range(2):  # the second time changes nothing
            done = await tessy(*command, "--skip-bad")
            assert "1 bad_question" in done.err
            assert "1 of 2 questions are written and not verified, such as id 'none'" in done.err
        done = await tessy(*command, "--skip-bad", "--retry-failed")
        assert "1 failed sample is written again" in done.err, "a bad line stays bad"
    failed = lines(tmp_path / "run" / "failures.jsonl")
    assert [(f["id"], f["reason"]) for f in failed] == [
        ("good", "rejected"),
        ("bad-line:3", "bad_question"),
    ]
    assert f"not {10**30}" in failed[0]["detail"]
    bad = failed[1]
    assert bad["where"] == f"{questions}:3"
    assert (bad["content"], bad["spans"], bad["stats"]["drafts"]) == ("", [], 0), "nothing was"
    (written,) = lines(tmp_path / "run" / "dataset.jsonl")
    assert written["id"] == "none"
    assert "verdict" not in written


async def test_an_evaluation_leaves_out_what_it_cannot_judge(tmp_path, tokenizers):
    questions = references(tmp_path / "q.jsonl")
    async with two_servers(None) as (servers, _):
        command = ["eval", questions, "--out", tmp_path / "run", "--verify", "number"]
        command += ["--model", servers["student"].url, "--format", "plain"]
        assert (await tessy(*command)).code == 2
        done = await tessy(*command, "--skip-bad")
    assert done.code == 0, done.err
    assert "skipped 2 bad questions" in done.err
    found = json.loads((tmp_path / "run" / "evaluation.json").read_text())
    assert (found["questions"], found["samples"]) == (1, 1)


async def test_questions_from_standard_input_and_the_same_to_resume(tmp_path, tokenizers):
    asked = b'{"prompt": "[[t]] What?", "n": 123456789012345678901234567890}\n'
    async with two_servers(tokenizers) as (_, options):
        for questions, code, says in (
            (asked, 0, "1 = 1 finished"),
            (asked, 0, "1 = 1 finished"),
            (b'{"prompt": "other"}\n', 2, "the questions: standard input had other rows"),
            (b"", 2, "standard input contains no questions"),
            (b"{", 2, "standard input: "),
        ):
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(questions)))
                done = await tessy("synth", "-", "--out", tmp_path / "run", *options)
            assert (done.code, says in done.err) == (code, True), done.err
    assert b'"n":123456789012345678901234567890,' in (tmp_path / "run/dataset.jsonl").read_bytes()


async def test_the_column_of_the_question(tmp_path, tokenizers):
    questions = tmp_path / "q.csv"
    questions.write_text("id,text,prompt,spans\na,[[t]] What?,no,x\n")
    async with two_servers(tokenizers) as (_, options):
        command = ["synth", questions, "--out", tmp_path / "run", *options]
        done = await tessy(*command, "--question-column", "text")
        assert done.code == 0, done.err
        done = await tessy(*command)
        assert done.code == 2
        assert "holds a run of other questions" in done.err
        assert "--question-column" in done.err
    (record,) = lines(tmp_path / "run" / "dataset.jsonl")
    assert record["messages"][0]["content"] == "[[t]] What?"
    assert (record["prompt"], record["question_spans"]) == ("no", "x")


async def test_a_conversation_that_a_template_refuses_is_named_before_any_work(
    tmp_path, tokenizers, tmp_path_factory
):
    folder = tmp_path_factory.mktemp("picky") / "teacher"
    build_tokenizer(folder, flavour="deepseek-r1")
    template = "{% if messages[0].role == 'system' %}{{ raise_exception('no system!') }}{% endif %}"
    path = folder / "chat_template.jinja"
    path.write_text(template + path.read_text(encoding="utf-8"), encoding="utf-8")
    questions = tmp_path / "q.jsonl"
    asked = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Why?"}]
    lines_ = [{"id": "easy", "prompt": "What?"}, {"id": "strict", "messages": asked}]
    questions.write_text("".join(json.dumps(line) + "\n" for line in lines_))
    told = ("--method", "teacher-only", "--teacher-only-system-prompt", "Be brief.")
    async with two_servers({**tokenizers, "teacher": folder}) as (servers, options):
        for more, refused in (((), "strict"), (told, "easy")):
            command = ["synth", questions, "--out", tmp_path / refused, *options, *more]
            done = await tessy(*command)
            assert done.code == 2
            assert f"question {refused}, teacher" in done.err
            assert "no system!" in done.err
        assert servers["teacher"].stats.requests < 20, "only probed"


LONG = "{% for m in messages if m.content|length < 40 %}{{ m.content }}{% endfor %}"
"""A template that drops long messages."""


async def test_every_question_is_rendered_before_any_work(tmp_path, tokenizers, tmp_path_factory):
    """Not only one of each kind; the long ones are refused, or fail with `--skip-bad`."""
    folder = tmp_path_factory.mktemp("dropping") / "teacher"
    build_tokenizer(folder, flavour="deepseek-r1")
    (folder / "chat_template.jinja").write_text(LONG)
    questions = tmp_path / "q.jsonl"
    asked = [
        {"id": f"q{n}", "prompt": f"[[{n}]] What?" + 40 * "!" * (n in (3, 5))} for n in range(8)
    ]
    questions.write_text("".join(json.dumps(line) + "\n" for line in asked))
    async with two_servers({**tokenizers, "teacher": folder}) as (servers, options):
        command = ["synth", questions, "--out", tmp_path / "run", *options]
        done = await tessy(*command)
        assert done.code == 2
        assert "2 of 8 prompts can't be made" in done.err
        for name in ("q3", "q5"):
            assert f"question {name}, teacher: chat template, that of {folder}" in " ".join(
                done.err.split()
            )
        assert "leaves out message 1 (user)" in done.err
        assert servers["teacher"].stats.requests < 20, "only probed"
        done = await tessy(*command, "--skip-bad")
        assert done.code == 0, done.err
    failed = lines(tmp_path / "run" / "failures.jsonl")
    assert [(f["id"], f["reason"]) for f in failed] == [("q3", "bad_prompt"), ("q5", "bad_prompt")]
    assert "leaves out message 1" in failed[0]["detail"]
    assert len(lines(tmp_path / "run" / "dataset.jsonl")) == 6


async def test_a_template_that_drops_every_question_is_refused(tmp_path, tokenizers):
    folder = tmp_path / "teacher"
    build_tokenizer(folder, flavour="deepseek-r1")
    (folder / "chat_template.jinja").write_text("Hello.")
    questions = write_questions(tmp_path / "q.jsonl", 2)
    async with two_servers({**tokenizers, "teacher": folder}) as (_, options):
        command = ["synth", questions, "--out", tmp_path / "run", *options, "--skip-bad"]
        done = await tessy(*command)
    assert done.code == 2
    assert "leaves out message 1 (user)" in done.err


async def test_an_out_that_can_be_no_folder(tmp_path, tokenizers):
    questions = write_questions(tmp_path / "q.jsonl", 1)
    options = ["--student", "http://127.0.0.1:9/v1", "--teacher", "http://127.0.0.1:9/v1"]
    for out in (questions, questions / "run"):
        done = await tessy("synth", questions, "--out", out, *options, *PLAIN)
        assert done.code == 2
        assert f"{out} can't be a run's folder" in done.err


async def test_the_key_is_written_nowhere(tmp_path, tokenizers):
    questions = write_questions(tmp_path / "q.jsonl", 1)
    settings = tmp_path / "run.toml"
    keys = 'api_key_env = "TESSY_TEST_KEY"'
    settings.write_text(f'[student]\nmodel="x"\n{keys}\n[teacher]\nmodel="x"\n{keys}\n')
    async with two_servers(tokenizers, api_key="s3cret-k3y") as (_, options):
        command = ["synth", questions, "--out", tmp_path / "run", *options, "--config", settings]
        done = await tessy(*command, TESSY_TEST_KEY="s3cret-k3y")
        assert done.code == 0, done.err
        files = [path for path in (tmp_path / "run").rglob("*") if path.is_file()]
        assert len(files) > 4
        for file in files:
            assert b"s3cret-k3y" not in file.read_bytes(), file
        done = await tessy(*command[:3], tmp_path / "other", *command[4:])
    assert done.code == 2
    assert "TESSY_TEST_KEY is not set" in done.err


@pytest.mark.parametrize("left", ["nothing", "an empty file", "an older copy"])
async def test_a_data_set_whose_journal_was_lost_is_not_overwritten(tmp_path, tokenizers, left):
    questions, run = write_questions(tmp_path / "q.jsonl", 3), tmp_path / "run"
    async with two_servers(tokenizers) as (servers, options):
        command = ["synth", questions, "--out", run, *options]
        assert (await tessy(*command, "--limit", "1")).code == 0
        journal = RunFolder(run).shard(0).journal
        older = journal.read_bytes()
        assert (await tessy(*command)).code == 0
        before = {path.name: path.read_bytes() for path in run.iterdir() if path.suffix == ".jsonl"}
        requests = servers["teacher"].stats.requests
        journal.unlink()
        if left != "nothing":
            journal.write_bytes(older if left == "an older copy" else b"")
        done = await tessy(*command)
        assert servers["teacher"].stats.requests == requests
    assert done.code == 2, done.err
    held = "the journals hold 1:" if left == "an older copy" else "no journal is there:"
    assert f"dataset.jsonl has 3 samples, but {held}" in done.err
    assert "put the folder shards back" in done.err
    after = {path.name: path.read_bytes() for path in run.iterdir() if path.suffix == ".jsonl"}
    assert after == before


async def test_tokenizers_that_were_swapped_are_named_before_any_work(tmp_path, tokenizers):
    questions = write_questions(tmp_path / "q.jsonl", 2)
    swapped = {"student": tokenizers["teacher"], "teacher": tokenizers["student"]}
    async with two_servers(tokenizers) as (servers, options):
        for role, folder in swapped.items():
            options[options.index(f"--{role}-tokenizer") + 1] = str(folder)
        done = await tessy("synth", questions, "--out", tmp_path / "run", *options)
        checked = await tessy("doctor", *options[:-2])
    assert done.code == 2
    assert "tokenizer" in done.err
    assert "is not that of the model at" in done.err
    assert checked.code == 1
    assert servers["teacher"].stats.generated_tokens < 100
