"""The samples of a run: each question's, in order, and each in the shard of its question."""

from __future__ import annotations

import functools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tessy.config import load
from tessy.data.questions import Questions, read
from tessy.runs.folder import RunFolder
from tessy.runs.plan import jobs
from tessy.synthesis.shards import ShardPlan


@pytest.fixture(scope="module")
def questions(tmp_path_factory):
    folder = tmp_path_factory.mktemp("questions")

    @functools.cache
    def made(rows: tuple[bool, ...], limit: int | None) -> Questions:
        """Questions q0, q1, …, of which some are bad lines."""
        path = folder / f"{''.join(str(int(fine)) for fine in rows)}.jsonl"
        lines = [
            f'{{"id": "q{n}", "prompt": "?"}}' if fine else '{"id": 1}'
            for n, fine in enumerate(rows)
        ]
        path.write_text("\n".join(lines))
        return read(path, skip_bad=True, limit=limit)

    return made


@given(
    st.lists(st.booleans(), min_size=1, max_size=9),
    st.integers(1, 3),
    st.integers(1, 5),
    st.none() | st.integers(1, 12),
)
def test_exactly_once_the_shards_of_a_run_hold_all_its_samples(
    tmp_path_factory, questions, rows, several, shards, limit
):
    read = questions(tuple(rows), limit)
    used = rows[:limit]
    config = load(overrides={"samples_per_question": several})
    every = list(jobs(read, config))
    good = [number for number, fine in enumerate(used) if fine]
    positions = [number * several + index for number in good for index in range(several)]
    assert [job.position for job in every] == positions
    ids = [f"q{n}#{k}" if several > 1 else f"q{n}" for n in good for k in range(several)]
    assert [job.id for job in every] == ids
    numbers = tuple(range(shards))
    plan = ShardPlan(
        RunFolder(tmp_path_factory.getbasetemp()), config, read, numbers, shards, "identity"
    )
    nothing = np.array([], np.int64)
    apart = [list(jobs(read.take(plan.left(n, nothing)), config)) for n in numbers]
    assert sorted((job for part in apart for job in part), key=lambda job: job.position) == every
    for part in apart:
        assert [job.position for job in part] == sorted(job.position for job in part)
    assert sum(plan.samples.values()) == len(ids) + used.count(False)
    assert all(plan.samples[n] >= len(part) for n, part in enumerate(apart))
    assert plan.end == len(used) * several


@given(st.integers(1, 6), st.integers(1, 3), st.sets(st.integers(0, 17)))
def test_exactly_once_a_question_is_left_as_long_as_a_sample_of_it_is(
    tmp_path_factory, questions, count, several, over
):
    read = questions((True,) * count, None)
    config = load(overrides={"samples_per_question": several})
    plan = ShardPlan(RunFolder(tmp_path_factory.getbasetemp()), config, read, (0,), 1, "identity")
    ended = np.array(sorted(at for at in over if at < count * several), np.int64)
    left = {at // several for at in range(count * several) if at not in over}
    assert plan.left(0, ended).tolist() == sorted(left)
