"""`--log-to` of whole runs and trainings: what is logged, and that they are the same with it."""

from __future__ import annotations

import json
import signal

import pytest

from commands import start, tessy
from scripted import FIXED, lines, two_servers, until, write_questions
from tessy.testing import Latency


def starts(told):
    """What the library was told at each start of a tracker."""
    found = []
    for each in told:
        if "init" in each:
            found.append([])
        found[-1].append(each)
    return found


async def test_a_run_is_the_same_with_a_tracker_and_with_one_that_fails(
    tmp_path, wandb, monkeypatch
):
    questions = write_questions(tmp_path / "q.jsonl", 5)
    async with two_servers(None) as (_, options):
        command = ["synth", questions, *options, *FIXED, "--workers", "1", "--out"]
        for out, trouble, log in (
            ("plain", "", ()),
            ("logged", "", ("--log-to", "wandb:words")),
            ("failing", "fails", ("--log-to", "wandb")),
        ):
            done = await tessy(*command, tmp_path / out, *log, TROUBLE=trouble)
            assert done.code == 0, done.err
    assert "wandb: an error, and the run goes on: not taken" in done.err
    for name in ("dataset.jsonl", "run.toml"):
        assert len({(tmp_path / out / name).read_bytes() for out in ("plain", "logged")}) == 1
        assert len({(tmp_path / out / name).read_bytes() for out in ("plain", "failing")}) == 1
    logged, _ = starts(wandb())
    assert logged[0]["init"]["name"] == "logged"
    assert logged[0]["config"]["run"]["questions"] == str(questions)
    last = [each["log"] for each in logged if "log" in each][-1]
    rows = lines(tmp_path / "logged" / "dataset.jsonl")
    assert last["samples/finished"] == last["step"] == len(rows) == 5
    assert last["tokens/teacher"] > last["tokens/student"] > 0
    assert logged[-1] == {"finish": 0, "summary": {"state": "finished"}}


async def test_a_run_that_is_stopped_goes_on_in_the_same_run_of_the_tracker(tmp_path, wandb):
    questions = write_questions(tmp_path / "q.jsonl", 8)
    slow = Latency(first_token_s=0.02, token_s=0.002)
    async with two_servers(None, latency=slow, words=150) as (servers, options):
        command = ["synth", questions, *options, "--concurrency", "2", "--workers", "1"]
        command += ["--out", tmp_path / "run", "--log-to", "wandb", "--quiet"]
        process = await start(*command)
        await until(lambda: servers["teacher"].stats.requests > 20)
        process.send_signal(signal.SIGINT)
        await process.communicate()
        assert process.returncode == 130
        done = await tessy(*command)
        assert done.code == 0, done.err
    stopped, resumed = starts(wandb())
    assert stopped[-1] == {"finish": 255, "summary": {"state": "stopped"}}
    assert resumed[-1] == {"finish": 0, "summary": {"state": "finished"}}
    assert stopped[0]["init"]["id"] == resumed[0]["init"]["id"]
    assert resumed[-2]["log"]["samples/finished"] == 8


async def test_an_outage_is_logged_as_failed(tmp_path, wandb):
    questions = write_questions(tmp_path / "q.jsonl", 20)
    slow = Latency(first_token_s=0.02, token_s=0.002)
    retries = tmp_path / "run.toml"
    retries.write_text("[student]\nretries = 0\n[teacher]\nretries = 0\n")
    async with two_servers(None, latency=slow) as (servers, options):
        command = ["synth", questions, *options, "--config", retries, "--workers", "1"]
        process = await start(*command, "--out", tmp_path / "run", "--log-to", "wandb")
        await until(lambda: servers["teacher"].stats.requests > 20)
    _, err = await process.communicate()
    assert process.returncode == 3, err
    assert wandb()[-1] == {"finish": 1, "summary": {"state": "failed"}}


async def test_workers_are_logged_by_the_runs_process_and_shards_each(tmp_path, wandb):
    questions = write_questions(tmp_path / "q.jsonl", 6)
    async with two_servers(None) as (_, options):
        command = ["synth", questions, *options, "--log-to", "wandb", "--out"]
        done = await tessy(*command, tmp_path / "workers", "--workers", "2")
        assert done.code == 0, done.err
        for number in range(2):
            done = await tessy(*command, tmp_path / "shards", "--shard", f"{number}/2")
            assert done.code == 0, done.err
    workers, *shards = starts(wandb())
    assert workers[-2]["log"]["samples/finished"] == 6
    assert [each[0]["init"]["name"] for each in shards] == ["shards 0/2", "shards 1/2"]
    assert sum(each[-2]["log"]["samples/finished"] for each in shards) == 6


async def test_the_last_figures_have_the_accuracy(tmp_path, wandb):
    questions = tmp_path / "q.jsonl"
    rows = [{"prompt": f"[[task {n}]] What is {n} + {n}?", "answer": str(n)} for n in range(4)]
    questions.write_text("".join(json.dumps(row) + "\n" for row in rows))
    async with two_servers(None) as (_, options):
        command = ["synth", questions, *options, "--verify", "number", "--workers", "1"]
        await tessy(*command, "--out", tmp_path / "run", "--log-to", "wandb")
    last = wandb()[-2]["log"]
    right = len(lines(tmp_path / "run" / "dataset.jsonl"))
    assert last["accuracy"] == right / 4
    assert last.get("failed/rejected", 0) == 4 - right


# --- tessy sft ----------------------------------------------------------------------------------


def test_a_training_logs_each_step_and_goes_on_in_the_same_run(tmp_path, wandb):
    pytest.importorskip("trl")
    from tessy.training.train import train
    from training.made import sample, settings, student, write

    data = write(tmp_path / "d.jsonl", [sample(number) for number in range(8)])
    chosen = settings(student(tmp_path / "base"), epochs=2)

    def stop(epoch):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(data, chosen, tmp_path / "out", on_epoch=stop, log_to="wandb")
    trained = train(data, chosen, tmp_path / "out", log_to="wandb")
    stopped, resumed = starts(wandb())
    assert stopped[-1]["summary"] == {"state": "stopped"}
    assert resumed[-1]["summary"] == {"state": "finished"}
    assert stopped[0]["init"]["id"] == resumed[0]["init"]["id"]
    assert stopped[0]["config"]["learning_rate"] == chosen.learning_rate
    logged = [each["log"] for each in wandb() if "log" in each]
    assert [each["step"] for each in logged] == [each.step for each in trained.losses.steps]
    assert [each["train/loss"] for each in logged] == [each.loss for each in trained.losses.steps]
    assert all({"train/learning_rate", "train/grad_norm"} <= each.keys() for each in logged)
