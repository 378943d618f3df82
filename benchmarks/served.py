"""`tessy serve` beside `tessy synth` on the same model servers: the tables of docs/serve.md.

    python benchmarks/served.py           # time to the first committed word, and throughput
    python benchmarks/served.py --crowd   # 300 clients at once, of which 30% leave early

Model servers, `serve` and `synth` are processes of their own, and take turns, round by round.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

import aiohttp
import bench
import tomli_w
import world

import tessy
from tessy.event_loop import run_loop
from tessy.method.trajectory import Role

PREDICTOR = "python:tessy.testing.predictors:initials"
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass
class Timed:
    """What a round came to.

    Attributes:
        seconds: From the first sample's or request's beginning to the last one's end.
        first_s: To the first committed word, the median.
        cpu_us: Of the process, for each token kept.
    """

    seconds: float
    first_s: float
    cpu_us: float


def settings_of(folder: Path, urls: dict[Role, list[str]], at_once: int) -> dict[str, object]:
    """Settings for both commands."""
    models = {
        role.value: {"model": ",".join(urls[role]), "tokenizer": str(folder / role)}
        for role in Role
    }
    limits = {"context_tokens": 200_000, "thinking_tokens": 100_000}
    return {**models, "predictor": PREDICTOR, "concurrency": at_once, "limits": limits}


# --- synth ----------------------------------------------------------------------------------------


async def synth(config: str, questions: str, out: str) -> dict[str, object]:
    """One run, timed from its first sample on: opening the models is left out."""
    from tessy.synthesis import run
    from tessy.synthesis.sample import Draft

    firsts: dict[str, float] = {}
    commit, write_shards, spent = Draft.commit, run.write_shards, {}

    async def timed_commit(draft: Draft, turn: object) -> None:
        await commit(draft, turn)
        if draft.trajectory.thinking:
            sample = draft.sample
            firsts.setdefault(sample.job.id, sample.seconds)

    async def timed_shards(*args: object) -> None:
        began, cpu = time.perf_counter(), time.process_time()
        await write_shards(*args)
        spent.update(seconds=time.perf_counter() - began, cpu_s=time.process_time() - cpu)

    Draft.commit, run.write_shards = timed_commit, timed_shards
    result = await tessy.asynthesize(questions, out=out, config=config, workers=None)
    assert not result.failed, result.failed
    return {**spent, "firsts": [*firsts.values()]}


def by_synth(folder: Path, config: Path, case: bench.Case) -> Timed:
    """A round of `tessy synth`."""
    with tempfile.TemporaryDirectory(dir=folder) as out:
        done = subprocess.run(
            [sys.executable, __file__, "--synth", config, folder / "questions.jsonl", out],
            stdout=subprocess.PIPE,
            check=True,
        )
    found = json.loads(done.stdout)
    kept = case.questions * (case.words + case.answer_words)
    return Timed(found["seconds"], median(found["firsts"]), 1e6 * found["cpu_s"] / kept)


# --- serve ----------------------------------------------------------------------------------------


@contextmanager
def serving(config: Path, *options: str) -> Iterator[tuple[int, str]]:
    """`tessy serve` in a process of its own; yields its id and URL."""
    command = [sys.executable, "-m", "tessy", "serve", "--config", str(config), "--port", "0"]
    process = subprocess.Popen([*command, "--quiet", *options], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield process.pid, process.stdout.readline().split()[0]
    finally:
        process.terminate()
        process.wait()


async def ask(client: aiohttp.ClientSession, url: str, key: str, leave_s: float = 1e9) -> float:
    """One streamed chat, checked if it is read to its end; the seconds to its first word."""
    body = {"messages": [{"role": "user", "content": f"[[{key}]] What is it?"}], "stream": True}
    began, first_s, whole = time.perf_counter(), 0.0, {"reasoning_content": "", "content": ""}
    async with client.post(f"{url}/chat/completions", json=body) as answer:
        assert answer.status == 200, await answer.text()
        async for raw in answer.content:
            if time.perf_counter() - began > leave_s:
                return first_s
            if not raw.startswith(b"data: {"):
                continue
            delta = json.loads(raw[6:])["choices"][0]["delta"]
            first_s = first_s or time.perf_counter() - began
            for name in whole:
                whole[name] += delta.get(name) or ""
    return first_s


@asynccontextmanager
async def clients() -> AsyncIterator[aiohttp.ClientSession]:
    """A session without a limit of its own."""
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(
        connector=connector, timeout=aiohttp.ClientTimeout(total=None)
    ) as session:
        yield session


async def asked(url: str, case: bench.Case) -> tuple[float, list[float]]:
    """All questions, so many at once; the seconds, and those to each first word."""
    places, firsts = asyncio.Semaphore(case.at_once), []

    async def one(number: int) -> None:
        async with places:
            firsts.append(await ask(client, url, f"q{number}"))

    async with clients() as client:
        await ask(client, url, "warm-up")  # synth renders all prompts before its first sample
        firsts.clear()
        began = time.perf_counter()
        await asyncio.gather(*map(one, range(case.questions)))
        return time.perf_counter() - began, firsts


def by_serve(config: Path, case: bench.Case) -> Timed:
    """A round of `tessy serve`."""
    with serving(config) as (pid, url):
        cpu = cpu_s(pid)
        seconds, firsts = run_loop(asked(url, case))
        used = cpu_s(pid) - cpu
    kept = case.questions * (case.words + case.answer_words)
    return Timed(seconds, median(firsts), 1e6 * used / kept)


def cpu_s(pid: int) -> float:
    """CPU seconds of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def rss_mib(pid: int) -> float:
    """Resident memory of a process."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1024


# --- The two tables -------------------------------------------------------------------------------


def beside(case: bench.Case, rounds: int) -> None:
    """`serve` and `synth` in turns."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        world.write_tokenizers(folder)
        world.write_questions(folder / "questions.jsonl", case.questions)
        with bench.served(case, folder) as urls:
            config = folder / "config.toml"
            config.write_text(tomli_w.dumps(settings_of(folder, urls, case.at_once)))
            found: dict[str, list[Timed]] = {"synth": [], "serve": []}
            for number in range(rounds):
                for which in ("synth", "serve") if number % 2 else ("serve", "synth"):
                    made = (
                        by_synth(folder, config, case)
                        if which == "synth"
                        else by_serve(config, case)
                    )
                    found[which].append(made)
                    print(which, json.dumps(asdict(made)), flush=True)
    kept = case.questions * (case.words + case.answer_words)
    print(f"{case.questions} responses of {case.words + case.answer_words} tokens, ", end="")
    print(f"{case.at_once} at once, latencies x{case.slowness:g}, medians of {rounds} rounds:")
    for which, rows in found.items():
        rate = kept / median(row.seconds for row in rows)
        first, cpu = (median(getattr(row, name) for row in rows) for name in ("first_s", "cpu_us"))
        print(f"  {which}  {rate:8,.1f} tokens/s   first word {1000 * first:6.1f} ms", end="")
        print(f"   {cpu:6.1f} us of CPU a token")
    times = {which: median(row.seconds for row in rows) for which, rows in found.items()}
    print(f"  throughput of serve / synth: {times['synth'] / times['serve']:.3f}")


async def crowd(url: str, pid: int, count: int, rounds: int, seconds: float) -> None:
    """Rounds of many clients at once, some of whom leave."""
    draw = random.Random(0)
    async with clients() as client:
        for number in range(rounds):
            leaving = [draw.random() < 0.3 for _ in range(count)]
            times = [draw.uniform(0, seconds) if leaves else 1e9 for leaves in leaving]
            began = time.perf_counter()
            await asyncio.gather(
                *(ask(client, url, f"q{n}-{number}", left) for n, left in enumerate(times))
            )
            took = time.perf_counter() - began
            print(
                f"  round {number}: {count} clients, {sum(leaving)} left early, {took:5.1f} s, "
                f"{rss_mib(pid):6.1f} MiB",
                flush=True,
            )


def crowded(case: bench.Case, count: int, rounds: int) -> None:
    """Many clients at once; what model servers count afterwards."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        world.write_tokenizers(folder)
        with bench.served(case, folder) as urls:
            config = folder / "config.toml"
            config.write_text(tomli_w.dumps(settings_of(folder, urls, case.at_once)))
            with serving(config, "--queue", str(count)) as (pid, url):
                print(f"  before: {rss_mib(pid):6.1f} MiB")
                run_loop(crowd(url, pid, count, rounds, seconds=3.0))
                time.sleep(1)  # what was cancelled ends
                for role, (server,) in urls.items():
                    stats = bench.stats_of(server)
                    print(
                        f"  {role}: {stats['requests']:,} requests, {stats['aborted']:,} aborted, "
                        f"{stats['in_flight']} left"
                    )
                with bench.urllib.request.urlopen(url.removesuffix("/v1") + "/metrics") as answer:
                    for line in answer.read().decode().splitlines():
                        if line.startswith(("tessy_samples_total", "tessy_running", "tessy_queue")):
                            print(f"  {line}")


def main() -> None:
    """Run one of the two."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--synth", nargs=3, help=argparse.SUPPRESS)
    parser.add_argument("--crowd", action="store_true")
    parser.add_argument("--clients", type=int, default=300)
    parser.add_argument("--questions", type=int, default=24)
    parser.add_argument("--at-once", type=int, default=8)
    parser.add_argument("--words", type=int, default=300)
    parser.add_argument("--slowness", type=float, default=2.0)
    parser.add_argument("--rounds", type=int, default=5)
    chosen = parser.parse_args()
    if chosen.synth:
        print(json.dumps(run_loop(synth(*chosen.synth))))
        return
    case = bench.Case(
        questions=chosen.questions,
        at_once=chosen.clients if chosen.crowd else chosen.at_once,
        words=chosen.words,
        answer_words=max(1, chosen.words // 5),
        slowness=chosen.slowness,
    )
    if chosen.crowd:
        crowded(case, chosen.clients, chosen.rounds)
    else:
        beside(case, chosen.rounds)


if __name__ == "__main__":
    main()
