"""A run of a million questions, of which 20,000 ended: `python benchmarks/million.py`.

The figures are in docs/scale.md.

Questions are made as by `benchmarks/questions.py`. The samples go straight to the journals of 64
shards, so that what is measured is tessy's own work: how long a start takes and how much memory,
how fast samples end, how large a journal gets, and how long readers take.

    python benchmarks/million.py [QUESTIONS [ENDED [FOLDER]]]

With FOLDER, questions and run are kept there, and the same command measures the readers again.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import questions as made

SHARDS = 64
WORDS = 700
AT_ONCE = 64
READERS = ("start", "report", "export", "view")


def parts(folder: Path) -> tuple[Path, Path]:
    """The questions, and the run."""
    return folder / "questions.parquet", folder / "run"


def plan_of(folder: Path):
    """Read the questions, and begin the run or resume it, as `tessy synth` does."""
    from tessy.config import load
    from tessy.data.questions import read
    from tessy.runs.folder import RunFolder
    from tessy.synthesis.begin import begin
    from tessy.synthesis.shards import ShardPlan

    source, out = parts(folder)
    config = load(overrides={"shards": SHARDS, "student.model": "lab:student"})
    found, run = read(source), RunFolder(out)
    with run.locked(), ExitStack() as stack:
        begin(stack, run, config, source, found, None)
        return ShardPlan(run, config, found, tuple(range(SHARDS)), SHARDS, run.run_toml.identity())


async def start(folder: Path) -> None:
    """What a start does before the first request: to the first samples of the first shard."""
    from tessy.synthesis.shards import ShardQueue

    began = time.monotonic()
    plan = plan_of(folder)
    read = time.monotonic()
    counters, _ = await plan.prepare(())
    prepared = time.monotonic()
    queue = ShardQueue(plan)
    taken = await queue.take()
    assert taken is not None or counters.ended == counters.total
    await queue.close()
    print(
        f"start: {read - began:.1f} s to read, {prepared - read:.1f} s for {SHARDS} journals, "
        f"{time.monotonic() - prepared:.2f} s to the first sample; "
        f"{counters.total:,} samples, {counters.ended:,} ended"
    )


async def end(folder: Path, count: int) -> None:
    """End samples, as many at once as a run writes."""
    from tessy.synthesis.shards import ShardQueue
    from written import Written

    plan = plan_of(folder)
    await plan.prepare(())
    queue = ShardQueue(plan)
    text = " word" * (WORDS // 2)
    waits: list[float] = []

    async def work() -> None:
        while len(waits) < count and (taken := await queue.take()) is not None:
            shard, job, _ = taken
            sample = Written(job.id, student="okay" + text, teacher=text, discarded=" no" * 60)
            began = time.monotonic()
            await shard.journal.end(sample.ending(job.position))
            waits.append(time.monotonic() - began)
            await queue.leave(shard)

    began = time.monotonic()
    await asyncio.gather(*(work() for _ in range(AT_ONCE)))
    seconds = time.monotonic() - began
    await queue.close()
    size = sum(each.stat().st_size for each in parts(folder)[1].rglob("journal.sqlite*"))
    first, last = (sorted(part)[len(part) // 2] for part in (waits[:1000], waits[-1000:]))
    print(
        f"end: {len(waits):,} samples in {seconds:.1f} s, {len(waits) / seconds:,.0f} a second; "
        f"{size / len(waits):,.0f} bytes each; the median waits {1000 * first:.1f} ms among the "
        f"first 1,000, {1000 * last:.1f} ms among the last"
    )


def report(folder: Path) -> None:
    """Make the report."""
    _tessy(folder, "report", "--words", "--out", str(folder / "report.html"))


def export(folder: Path) -> None:
    """Export all samples as Parquet."""
    shutil.rmtree(folder / "export", ignore_errors=True)
    _tessy(folder, "export", "--to", "parquet", "--out", str(folder / "export"))


def view(folder: Path) -> None:
    """Index the run for its pages."""
    from tessy.report.viewer.index import Index
    from tessy.runs.folder import RunFolder

    os.environ["TESSY_CACHE"] = str(folder / "cache")
    shutil.rmtree(folder / "cache", ignore_errors=True)
    index = Index(RunFolder(parts(folder)[1]))
    began = time.monotonic()
    while index.add(250):
        pass
    listed = time.monotonic()
    while index.add_words(100):
        pass
    print(f"view: lists after {listed - began:.1f} s, words after {time.monotonic() - began:.1f} s")
    index.close()


def _tessy(folder: Path, command: str, *options: str) -> None:
    from tessy.cli.main import main

    began = time.monotonic()
    try:
        main([command, str(parts(folder)[1]), *options])
    except SystemExit as error:
        if error.code:
            raise
    print(f"{command}: {time.monotonic() - began:.1f} s")


def do(what: str, folder: Path, count: int) -> None:
    """Do one part in this process, and print its peak memory."""
    sys.path.append(str(Path(__file__).parents[1] / "tests"))
    match what:
        case "start":
            asyncio.run(start(folder))
        case "end":
            asyncio.run(end(folder, count))
        case _:
            globals()[what](folder)
    print(f"{what}: peak {peak_mib():,.0f} MiB", flush=True)


def peak_mib() -> float:
    """The most memory that this process had; what `getrusage` says includes its parent's."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def main(questions: int = 1_000_000, ended: int = 20_000, folder: str | None = None) -> None:
    """Measure all parts, each in a process of its own."""
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(folder or temporary)
        place.mkdir(parents=True, exist_ok=True)
        made_before = parts(place)[1].exists()
        if not made_before:
            made.write(parts(place)[0], made.questions(questions, 2000))
        for what in READERS if made_before else ("start", "end", *READERS):
            command = [sys.executable, __file__, "--do", what, str(place), str(ended)]
            subprocess.run(command, check=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--do"]:
        do(sys.argv[2], Path(sys.argv[3]), int(sys.argv[4]))
    else:
        main(*map(int, sys.argv[1:3]), *sys.argv[3:4])
