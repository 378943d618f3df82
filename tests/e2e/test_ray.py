"""A run on a real Ray cluster of three nodes: every question ends once, whatever dies."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import sys
from pathlib import Path

import pytest

from commands import start, tessy
from scripted import faulty, lines, until, write_questions
from several_teachers import asked, by_turns, teachers
from tessy.runs.folder import RunFolder
from tessy.runs.load import load
from tessy.runs.merge import merge
from tessy.runs.reader import JournalReader, is_begun
from tessy.testing import Latency
from tessy.testing.ray_cluster import RayCluster, ray_cluster
from two_replicas import two_replicas

pytest.importorskip("ray")
pytestmark = pytest.mark.xdist_group("ray")

SLOW = Latency(first_token_s=0.005, token_s=0.002)
SMALL = ["--mode", "chunks", "--student-chunk", "6", "--teacher-chunk", "10"]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    with ray_cluster(TESSY_CACHE=str(tmp_path_factory.mktemp("cache"))) as found:
        yield found


def ended(run: Path) -> int:
    """Samples that ended."""
    if not is_begun(RunFolder(run)):
        return 0
    with JournalReader(RunFolder(run)) as reader:
        return reader.reasons().total()


async def test_exactly_once_when_a_node_dies_and_then_the_driver(
    tmp_path, tokenizers, cluster: RayCluster
):
    """A node is killed without grace, then the driver; a fifth of all calls fail."""
    questions = write_questions(tmp_path / "q.jsonl", 24)
    command = ["synth", questions, *SMALL, "--concurrency", "8", "--out"]
    run = tmp_path / "cluster"
    on = [*command, run, "--on", "ray", "--shards", "3"]
    async with two_replicas(tokenizers, latency=SLOW) as options:
        done = await tessy(*command, tmp_path / "one", *options)
        assert done.code == 0, done.err
    async with two_replicas(tokenizers, latency=SLOW, faults=faulty(0.2)) as options:
        driver = await start(*on, *options, **cluster.environment)
        reading = asyncio.create_task(driver.communicate())
        await until(lambda: ended(run) > 2)
        await asyncio.to_thread(cluster.kill_node)
        before = ended(run)
        await until(lambda: ended(run) > before)
        driver.kill()
        await reading
        assert ended(run) < 24
        await asyncio.to_thread(cluster.add_node)
        driver = await start(*on, *options, **cluster.environment)
        _, err = await asyncio.wait_for(driver.communicate(), 100)
        assert driver.returncode == 0, err.decode()
    assert "24 = 24 finished + 0 failed" in err.decode()
    assert merge(run).finished == 24
    one, other = ((path / "dataset.jsonl").read_bytes() for path in (tmp_path / "one", run))
    assert one == other


async def test_replay_shards_have_the_teachers_of_their_questions_and_their_keys(
    tmp_path, cluster: RayCluster
):
    questions = asked(tmp_path / "q.jsonl", by_turns(8))
    toml = tmp_path / "keys.toml"
    toml.write_text("".join(f'[teachers.{n}]\napi_key_env = "KEY"\n' for n in ("big", "old-7b")))
    async with teachers("big", "old-7b", api_key="secret") as (_, options):
        command = ["synth", questions, *options, "--route", "from", "--config", toml, "--out"]
        done = await tessy(*command, tmp_path / "one", KEY="secret")
        assert done.code == 0, done.err
        on = [*command, tmp_path / "cluster", "--on", "ray", "--shards", "2"]
        driver = await start(*on, **cluster.environment, KEY="secret")
        _, err = await asyncio.wait_for(driver.communicate(), 100)
    assert driver.returncode == 0, err.decode()
    assert "finished: 4 with big, 4 with old-7b" in err.decode()
    one, other = ((tmp_path / run / "dataset.jsonl").read_bytes() for run in ("one", "cluster"))
    assert one == other


async def test_failures_are_written_again_on_a_cluster_too(tmp_path, tokenizers, cluster):
    questions, run = write_questions(tmp_path / "q.jsonl", 4), tmp_path / "run"
    on = ["synth", questions, *SMALL, "--out", run, "--on", "ray", "--thinking-tokens", "12"]
    async with two_replicas(tokenizers) as options:
        for again, more in enumerate(([], ["--retry-failed"])):
            driver = await start(*on, *options, *more, **cluster.environment)
            _, err = await asyncio.wait_for(driver.communicate(), 100)
            said = " ".join(err.decode().split())
            assert "samples 4 = 0 finished + 4 failed" in said
            with JournalReader(RunFolder(run)) as reader:
                assert (len(reader.again()), reader.lacking()) == (4 * again, None)
    assert "0 samples ended" not in said, "those that failed did not end before"
    assert len(lines(run / "failures.jsonl")) == 4


async def test_ctrl_c_stops_all_shards_and_the_same_command_goes_on(
    tmp_path, tokenizers, cluster: RayCluster, wandb
):
    """The run is at a URL: nodes share no folder."""
    questions = write_questions(tmp_path / "q.jsonl", 24)
    there, environment = (tmp_path / "there").as_uri(), cluster.environment
    cache = Path(environment["TESSY_CACHE"])
    on = ["synth", questions, *SMALL, "--concurrency", "4", "--out", there, "--on", "ray"]
    on += ["--log-to", "wandb"]

    def ended_there() -> int:
        return sum(map(ended, (cache / "runs").glob("*/*")))

    async with two_replicas(tokenizers, latency=SLOW) as options:
        driver = await start(*on, *options, **environment)
        reading = asyncio.create_task(driver.communicate())
        await until(lambda: ended_there() > 1)
        driver.send_signal(signal.SIGINT)
        _, err = await asyncio.wait_for(reading, 60)
        assert driver.returncode == 130, err.decode()
        assert "stopped: the same command resumes it" in err.decode()
        assert 1 < ended_there() < 24
        shutil.rmtree(cache)  # another machine goes on from what was uploaded
        driver = await start(*on, *options, **environment)
        _, err = await asyncio.wait_for(driver.communicate(), 100)
        assert driver.returncode == 0, err.decode()
    assert "24 = 24 finished + 0 failed" in err.decode()
    assert len(lines(tmp_path / "there" / "dataset.jsonl")) == 24
    stopped, resumed = (each["init"]["id"] for each in wandb() if "init" in each)
    assert stopped == resumed == (tmp_path / "there" / "tracker-id").read_text()
    assert [each["finish"] for each in wandb() if "finish" in each] == [255, 0]
    assert wandb()[-2]["log"]["samples/finished"] == 24


async def test_a_shard_that_no_node_has_cores_for_is_refused(
    tmp_path, tokenizers, cluster: RayCluster
):
    questions = write_questions(tmp_path / "q.jsonl", 2)
    on = ["synth", questions, "--out", tmp_path / "run", "--on", "ray", "--shard-cpus", "7"]
    async with two_replicas(tokenizers) as options:
        driver = await start(*on, *options, **cluster.environment)
        _, err = await asyncio.wait_for(driver.communicate(), 60)
    assert driver.returncode == 2, err.decode()
    assert "--shard-cpus 7: no node of the cluster has so many cores" in err.decode()
    assert not (tmp_path / "run" / "run.toml").exists()


DATASET = """
import json, sys
import ray, tessy.ray
settings, questions, out, result = sys.argv[1:]
ray.init(address="auto", log_to_driver=False)
ray.data.DataContext.get_current().enable_progress_bars = False
asked = ray.data.from_items([json.loads(line) for line in open(questions)] + [{"id": "bad"}])
found = tessy.ray.synthesize(asked, config=settings, out=out, batch_size=3)
rows = sorted(found.take_all(), key=lambda row: row["id"])
json.dump([[row["id"], row["failure"], row["messages"]] for row in rows], open(result, "w"))
"""


async def test_samples_of_a_data_set_of_ray_are_those_of_synth(
    tmp_path, tokenizers, cluster: RayCluster
):
    questions = write_questions(tmp_path / "q.jsonl", 5)
    settings, out = tmp_path / "settings.toml", tmp_path / "batches"
    async with two_replicas(tokenizers, words=20) as options:
        done = await tessy("synth", questions, *SMALL, "--out", tmp_path / "one", *options)
        assert done.code == 0, done.err
        settings.write_text(toml_of(SMALL, options))
        command = [sys.executable, "-c", DATASET, settings, questions, out.as_uri()]
        command.append(tmp_path / "rows.json")
        process = await asyncio.create_subprocess_exec(
            *command, stderr=asyncio.subprocess.PIPE, env={**os.environ, **cluster.environment}
        )
        _, err = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 0, err.decode()
    rows = json.loads((tmp_path / "rows.json").read_text())
    assert [row[1] for row in rows] == ["bad_question", *[None] * 5]
    records = {record["id"]: record["messages"] for record in load(tmp_path / "one").records()}
    assert {name: messages for name, failure, messages in rows if not failure} == records
    assert len(list(out.iterdir())) >= 2, "each batch keeps its run"


def toml_of(*options: list[str]) -> str:
    """Options of the command line as settings."""
    values = [value for each in options for value in each]
    names = {
        "--mode": "mode",
        "--student-chunk": "student.chunk",
        "--teacher-chunk": "teacher.chunk",
        "--student": "student.model",
        "--teacher": "teacher.model",
        "--student-tokenizer": "student.tokenizer",
        "--teacher-tokenizer": "teacher.tokenizer",
        "--predictor": "predictor",
    }
    pairs = zip(values[::2], values[1::2], strict=True)
    return "".join(
        f"{names[name]} = {value if value.isdecimal() else json.dumps(value)}\n"
        for name, value in pairs
    )
