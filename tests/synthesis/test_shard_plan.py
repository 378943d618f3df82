"""*Exactly once* over shards: the data set is that of one shard, no matter who writes which."""

from __future__ import annotations

import asyncio
import json
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scripted import until
from simulation import context_of
from synthesis.test_methods import PREDICTOR, DrawingClient, settings_of
from tessy.data import questions
from tessy.data.questions import shard_of
from tessy.errors import JournalError, MissingShards, RunMismatch
from tessy.method.trajectory import Failure, Role
from tessy.runs.counters import Counters
from tessy.runs.dataset import write_dataset
from tessy.runs.folder import RunFolder
from tessy.runs.locks import held_if_free
from tessy.runs.merge import merge
from tessy.runs.reader import JournalReader
from tessy.runs.schema import Mark
from tessy.runs.shard_reader import ShardReader
from tessy.synthesis.scheduler import write_shards
from tessy.synthesis.shards import ShardPlan, ShardQueue
from written import Written, write_run

CONFIG = settings_of("tessy", concurrency=3, samples_per_question=2)
ROWS = [{"id": f"q{n}", "prompt": f"What is {n}?"} for n in range(9)]
ROWS[4:4] = [{"id": "bad", "prompt": 5}]
ROWS.append({"no": "question"})


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("questions") / "q.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    return path


class Calls:
    """Counts the calls of some clients, and says when there were enough."""

    def __init__(self, enough: int | None) -> None:
        self.count = 0
        self.enough = enough
        self.reached = asyncio.Event()
        self.more = asyncio.Event()


class CountedClient(DrawingClient):
    """A client that stops answering when there were enough calls."""

    def __init__(self, role: Role, calls: Calls) -> None:
        super().__init__(role, trouble=0.02)
        self.calls = calls

    async def attempt(self, request, *, stream=False):
        self.calls.count += 1
        await asyncio.sleep(0)
        if self.calls.enough is not None and self.calls.count > self.calls.enough:
            self.calls.reached.set()
            await self.calls.more.wait()
        return await super().attempt(request)


def plan_of(run: RunFolder, source: Path, shards: int, limit: int | None = None) -> ShardPlan:
    read = questions.read(source, skip_bad=True, limit=limit)
    return ShardPlan(run, CONFIG, read, tuple(range(shards)), shards, "this run")


def context(calls: Calls):
    clients = {role: CountedClient(role, calls) for role in Role}
    return context_of(clients, PREDICTOR, CONFIG)


async def go_on(
    plan: ShardPlan, workers: int, *, stop: int | None = None, retry=()
) -> tuple[Counters, int]:
    """One start of a run, with some workers; after so many calls it is stopped."""
    counters, again = await plan.prepare(retry)
    calls = Calls(stop)
    tasks = []
    for worker in range(workers):
        first = worker * plan.count // workers
        own = replace(plan, numbers=plan.numbers[first:] + plan.numbers[:first])
        tasks.append(asyncio.create_task(write_shards(context(calls), ShardQueue(own))))
    done = asyncio.gather(*tasks, return_exceptions=True)
    waiting = asyncio.create_task(calls.reached.wait())
    await asyncio.wait([done, waiting], return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()
    for ended in await done:
        if isinstance(ended, BaseException) and not isinstance(ended, asyncio.CancelledError):
            raise ended
    waiting.cancel()
    return counters, again


def data_set(run: RunFolder) -> tuple[bytes, bytes]:
    write_dataset(run)
    return run.dataset.read_bytes(), run.failures.read_bytes()


def run_in(folder: Path) -> RunFolder:
    (folder / "shards").mkdir(parents=True)
    for number in range(8):
        (folder / "shards" / f"{number:04}").mkdir()
    return RunFolder(folder)


@pytest.fixture(scope="module")
def whole(source, tmp_path_factory) -> tuple[tuple[bytes, bytes], tuple[bytes, bytes]]:
    """The data set of one shard and one process; and when its failures were written again."""

    async def write():
        plan = plan_of(run_in(tmp_path_factory.mktemp("whole")), source, 1)
        counters, _ = await go_on(plan, 1)
        assert (counters.total, counters.ended) == (20, 2), "two lines are bad"
        first = data_set(plan.folder)
        await go_on(plan, 1, retry=(Failure.REPETITION, Failure.CONTEXT_LIMIT))
        return first, data_set(plan.folder)

    first, again = asyncio.run(write())
    assert first[0].count(b"\n") > 8
    assert first[1].count(b"\n") > 2, "some failed, too"
    assert again[0].count(b"\n") > first[0].count(b"\n")
    return first, again


starts = st.lists(st.tuples(st.integers(1, 4), st.integers(1, 120)), max_size=4)


@settings(max_examples=12)
@given(st.integers(1, 8), starts, st.integers(1, 4))
def test_exactly_once_with_any_shards_workers_stops_and_resumes(
    source, whole, tmp_path_factory, shards, stopped, workers
):
    async def write():
        plan = plan_of(run_in(tmp_path_factory.mktemp("run")), source, shards)
        for several, calls in stopped:
            await go_on(plan, several, stop=calls)
        await go_on(plan, workers)
        counters, _ = await go_on(plan, 1)
        assert counters.ended == counters.total == 20
        assert data_set(plan.folder) == whole[0]
        _, again = await go_on(plan, workers, retry=(Failure.REPETITION, Failure.CONTEXT_LIMIT))
        assert again > 0
        assert data_set(plan.folder) == whole[1]
        for number in range(shards):
            with ShardReader(plan.folder.shard(number)) as reader:
                for _, sample in reader.ended(None):
                    assert shard_of(sample.id.split("#")[0], shards) == number

    asyncio.run(write())


@pytest.mark.parametrize("limits", [(3, 7, None), (7, 3, None), (None, 2)])
async def test_exactly_once_with_a_limit_that_changes(source, whole, tmp_path, limits):
    run = run_in(tmp_path)
    for limit in limits:
        plan = plan_of(run, source, 3, limit)
        await go_on(plan, 2, stop=40)
        await go_on(plan, 2)
        counters, _ = await plan.prepare(())
        assert counters.ended == counters.total
        made = merge(run.path)
        assert made.finished + sum(made.failed.values()) == counters.total
        lines = whole[0][0].splitlines() + whole[0][1].splitlines()
        assert set(run.dataset.read_bytes().splitlines()) <= set(lines)
    assert counters.total == 20, "what was written before is kept"


async def test_a_limit_that_became_smaller_leaves_a_shard_incomplete(source, tmp_path):
    """Samples beyond the limit do not count for those within it."""
    run = run_in(tmp_path)
    await go_on(plan_of(run, source, 1), 1)
    with JournalReader(run) as reader:
        failed = [sample for sample in reader.ended(failed=True) if sample.id[0] == "q"]
    first = int(failed[0].id[1])
    smaller = plan_of(run, source, 1, first + 2)
    _, again = await smaller.prepare((failed[0].failure,))
    assert again > 0
    assert smaller.questions.beyond > 0
    with JournalReader(run) as reader:
        assert reader.left_out() == 0, "all lines were written before"
    with pytest.raises(MissingShards, match="shard 0: 1 failed sample still to be written"):
        merge(run.path)


@pytest.mark.parametrize(
    ("shards", "stop", "limit"), [(1, 9, 1), (1, 20, 1), (3, 14, 1), (3, 25, 4), (8, 12, 3)]
)
async def test_what_was_begun_is_still_to_do_whatever_the_limit(
    source, tmp_path, shards, stop, limit
):
    run = run_in(tmp_path)
    whole = plan_of(run, source, shards)
    await go_on(whole, 1, stop=stop)
    with JournalReader(run) as reader:
        before = reader.totals().ended, reader.running()
    await plan_of(run, source, shards, limit).prepare(())
    several = CONFIG.samples_per_question
    with JournalReader(run) as reader:
        assert (reader.totals().ended, reader.running()) == before
        assert reader.total() + several * reader.left_out() == sum(whole.samples.values())
        assert reader.total() >= before[0] + len(before[1])
        assert reader.lacking() is not None


async def test_the_next_shard_is_opened_while_the_last_samples_of_one_are_written(source, tmp_path):
    """One sample never ends: all others are written, in all shards, as many at once as before."""
    held, most, active = asyncio.Event(), 0, 0

    class Slow(DrawingClient):
        async def attempt(self, request, *, stream=False):
            nonlocal most, active
            active += 1
            most = max(most, active)
            try:
                if self.role is Role.STUDENT and not self.prompts:
                    self.prompts.append("the first")
                    await held.wait()
                for _ in range(5):
                    await asyncio.sleep(0)
                return await super().attempt(request)
            finally:
                active -= 1

    run, shards = run_in(tmp_path), 6
    plan = plan_of(run, source, shards)
    await plan.prepare(())
    queue = ShardQueue(plan)
    made = context_of({role: Slow(role) for role in Role}, PREDICTOR, CONFIG)
    writing = asyncio.create_task(write_shards(made, queue))
    await until(lambda: made.counters.ended == 17 or writing.done())
    assert not writing.done()
    assert most == CONFIG.concurrency

    def free_ones() -> int:
        with ExitStack() as stack:
            locks = [held_if_free(run.shard(number).path) for number in range(shards)]
            return sum(map(stack.enter_context, locks))

    await until(lambda: free_ones() == shards - 1)  # a shard that is over is free
    assert len(queue.open) == 1
    held.set()
    await writing
    assert made.counters.ended == 18
    assert queue.open == []


async def test_a_shard_that_another_process_writes_is_left_to_it(source, tmp_path):
    run = run_in(tmp_path)
    plan = plan_of(run, source, 3)
    await plan.prepare(())
    with ExitStack() as stack:
        assert stack.enter_context(held_if_free(run.shard(1).path))
        made = context(Calls(None))
        await write_shards(made, ShardQueue(plan))
    for number in range(3):
        with ShardReader(run.shard(number)) as reader:
            ended, running = reader.counts()
            bad = sum(shard_of(name, 3) == number for name in ("bad-line:5", "bad-line:11"))
            assert (ended == bad) == (number == 1)
            assert not running


@pytest.mark.parametrize("how", ["moved", "replaced", "emptied"])
async def test_a_shard_is_not_begun_where_the_folder_was(source, tmp_path, how):
    """A worker that opens its next shard must not make a folder where the run was."""
    run = run_in(tmp_path / "run")
    plan = plan_of(run, source, 2)
    await plan.prepare(())
    if how == "emptied":
        run.shard(0).journal.unlink()
    else:
        run.path.rename(tmp_path / "moved")
    if how == "replaced":
        await write_run(run, [Written("of another run")], shards=2)
    with pytest.raises(JournalError, match="was moved, replaced or deleted"):
        await write_shards(context(Calls(None)), ShardQueue(plan))
    assert run.path.exists() == (how != "moved")
    assert run.shard(0).journal.exists() == (how == "replaced")
    if how == "replaced":
        with JournalReader(run) as reader:
            assert [sample.id for sample in reader.ended()] == ["of another run"]


async def test_a_shard_that_can_not_be_written_frees_all_shards(source, tmp_path):
    """In a notebook, the same process goes on."""
    run = run_in(tmp_path)
    plan = plan_of(run, source, 6)
    await plan.prepare(())
    calls = Calls(20)
    queue = ShardQueue(plan)
    writing = asyncio.create_task(write_shards(context(calls), queue))
    await calls.reached.wait()
    for shard in list(queue.open):
        await shard.journal._ask("pragma query_only = on")
    calls.more.set()
    with pytest.raises(JournalError, match="readonly"):
        await writing
    await go_on(plan, 1)
    counters, _ = await plan.prepare(())
    assert counters.ended == counters.total


async def test_a_part_is_not_overwritten_by_a_journal_that_lost_it(source, tmp_path):
    plan = plan_of(run_in(tmp_path), source, 2)
    shard = plan.folder.shard(1)
    shard.dataset.write_bytes(b"{}\n{}\n")
    alone = replace(plan, numbers=(1,), locked=True)
    with pytest.raises(RunMismatch, match=r"0001/dataset\.jsonl has 2 samples, but the journals"):
        await alone.prepare(())
    assert shard.dataset.read_bytes() == b"{}\n{}\n"


async def test_what_a_shard_says_of_itself(source, tmp_path):
    plan = plan_of(run_in(tmp_path), source, 2)
    await plan.prepare(())
    for number, samples in plan.samples.items():
        with ShardReader(plan.folder.shard(number)) as reader:
            assert reader.mark(Mark.IDENTITY) == "this run"
            assert reader.mark(Mark.SAMPLES) == str(samples)
    assert sum(plan.samples.values()) == 20
