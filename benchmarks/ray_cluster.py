"""Runs on a real Ray cluster of this machine (docs/scale.md).

    python benchmarks/ray_cluster.py faults [TIMES]    nodes and drivers are killed; the data stays
    python benchmarks/ray_cluster.py speed [PLACES]    shards on 1, 2 and 4 places, or on so many

`faults`: 400 questions in 8 shards on two nodes, with two replicas for each role that fail a fifth
of all calls; a node is killed without grace, then the driver. The merged data set must be that of
a run of one shard, byte for byte.

`speed`: the servers sleep for each token and take little CPU, so that they are what a shard waits
for, as with real models.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tessy.runs.folder import RunFolder
from tessy.runs.merge import merge
from tessy.runs.reader import JournalReader, is_begun
from tessy.testing import build_tokenizer
from tessy.testing.ray_cluster import RayCluster, ray_cluster

ROLES = {"student": "qwen3", "teacher": "gpt-oss"}
PREDICTOR = "python:tessy.testing.predictors:digits"
CHUNKS = ["--mode", "chunks", "--student-chunk", "16", "--teacher-chunk", "48"]
QUESTIONS, SHARDS = 400, 8
SPEED_SHARDS, SPEED_QUESTIONS = 96, 1152


@contextmanager
def servers(folder: Path, *options: str) -> Iterator[list[str]]:
    """Two replicas for each role; yields tessy's options that name them."""
    with ExitStack() as stack:
        named = []
        for role, flavour in ROLES.items():
            tokenizer = folder / role
            if not tokenizer.exists():
                build_tokenizer(tokenizer, flavour=flavour)
            urls = []
            for seed in range(2):
                command = [sys.executable, "-m", "tessy.testing", "--role", role, *options]
                command += ["--tokenizer", str(tokenizer), "--fault-seed", str(seed)]
                process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
                stack.callback(process.wait)
                stack.callback(process.terminate)
                assert process.stdout is not None
                urls.append(process.stdout.readline().strip())
            named += [f"--{role}", ",".join(urls), f"--{role}-tokenizer", str(tokenizer)]
        yield [*named, "--predictor", PREDICTOR]


def write_questions(path: Path, count: int) -> Path:
    """Questions that the scripted servers answer."""
    rows = ({"id": f"q{n}", "prompt": f"[[task {n}]] What is {n} + {n}?"} for n in range(count))
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def tessy(*arguments: str | Path, **environment: str) -> subprocess.Popen[str]:
    """Start a command."""
    return subprocess.Popen(
        [sys.executable, "-m", "tessy", *map(str, arguments)],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
    )


def ended(process: subprocess.Popen[str]) -> str:
    """What a command said; it must have succeeded."""
    _, said = process.communicate()
    if process.returncode:
        raise SystemExit(said)
    return said


def samples(run: Path) -> int:
    """Samples that ended."""
    if not is_begun(RunFolder(run)):
        return 0
    with JournalReader(RunFolder(run)) as reader:
        return reader.reasons().total()


def until(condition: Callable[[], bool]) -> None:
    """Wait until something is so."""
    while not condition():
        time.sleep(0.1)


def faults(folder: Path, cluster: RayCluster, number: int) -> bool:
    """One run with a dead node and a dead driver; whether its bytes are those of one shard."""
    questions = write_questions(folder / "questions.jsonl", QUESTIONS)
    command = ["synth", questions, *CHUNKS, "--concurrency", "16", "--out"]
    one, run = folder / "one", folder / f"cluster-{number}"
    if not one.exists():
        with servers(folder) as options:
            ended(tessy(*command, one, *options))
    on = [*command, run, "--on", "ray", "--shards", str(SHARDS)]
    began = time.monotonic()
    with servers(folder, "--fault-rate", "0.2") as options:
        driver = tessy(*on, *options, **cluster.environment)
        until(lambda: samples(run) > QUESTIONS // 8)
        at_node = samples(run)
        cluster.kill_node()
        until(lambda: samples(run) > QUESTIONS // 3)
        at_driver = samples(run)
        driver.send_signal(signal.SIGKILL)
        driver.communicate()
        cluster.add_node()
        ended(tessy(*on, *options, **cluster.environment))
    merged = merge(run)
    is_same = (run / "dataset.jsonl").read_bytes() == (one / "dataset.jsonl").read_bytes()
    print(
        f"run {number}: node killed after {at_node}, driver after {at_driver}; "
        f"{merged.finished} samples once each, bytes {'equal' if is_same else 'DIFFER'}, "
        f"{time.monotonic() - began:.0f} s",
        flush=True,
    )
    return is_same and merged.finished == QUESTIONS


def speed(folder: Path, several: tuple[int, ...] = (1, 2, 4)) -> None:
    """Time the same run on 1, 2 and 4 places."""
    questions = write_questions(folder / "questions.jsonl", SPEED_QUESTIONS)
    alone = 0.0
    for places in several:
        run = folder / f"places-{places}"
        with (
            servers(folder, "--token-ms", "15", "--first-token-ms", "30") as options,
            ray_cluster(places) as cluster,
        ):
            command = ["synth", questions, *CHUNKS, "--concurrency", "12", "--out", run]
            command += ["--on", "ray", "--shards", str(SPEED_SHARDS), *options]
            ended(tessy(*command, **cluster.environment))
        first, last = _written(run)
        alone = last - first if places == 1 else alone
        linear = f", {alone / (last - first) / places:.3f} × linear" if alone else ""
        print(f"{places} places: {last - first:.1f} s{linear}", flush=True)


def _written(run: Path) -> tuple[float, float]:
    """When the first shard was locked, and when the last one ended."""
    shards = RunFolder(run).shards()
    begun = [(shard.path / "lock").stat().st_mtime for shard in shards]
    return min(begun), max(shard.dataset.stat().st_mtime for shard in shards)


def main(what: str, number: int | None) -> None:
    """Run one of the two."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if what == "speed":
            speed(folder, (1, 2, 4) if number is None else (number,))
            return
        times = number or 10
        with ray_cluster() as cluster:
            held = sum([faults(folder, cluster, each) for each in range(times)])
        print(f"{held} of {times} runs held")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else None)
