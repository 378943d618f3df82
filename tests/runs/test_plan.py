"""The samples of a run: each question's, in order, and each in the shard of its question."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tessy.config import load
from tessy.data.questions import read
from tessy.runs.folder import RunFolder
from tessy.runs.plan import jobs
from tessy.synthesis.shards import ShardPlan


@given(
    st.lists(st.booleans(), min_size=1, max_size=9),
    st.integers(1, 3),
    st.integers(1, 5),
    st.none() | st.integers(1, 12),
    st.sets(st.integers(0, 26)),
)
def test_exactly_once_the_shards_of_a_run_hold_all_its_samples(
    tmp_path_factory, rows, several, shards, limit, over
):
    source = Path(tmp_path_factory.getbasetemp()) / "q.jsonl"
    source.write_text(
        "".join(
            f'{{"id": "q{n}", "prompt": "?"}}\n' if fine else "{}\n" for n, fine in enumerate(rows)
        )
    )
    used = rows[:limit]
    good = [n for n, fine in enumerate(used) if fine]
    asked = read(source, skip_bad=True, limit=limit)
    config = load(overrides={"samples_per_question": several})
    every = list(jobs(asked, config))
    ids = [f"q{n}#{k}" if several > 1 else f"q{n}" for n in good for k in range(several)]
    assert [job.id for job in every] == ids
    assert [job.position for job in every] == [
        n * several + k for n in good for k in range(several)
    ]
    plan = ShardPlan(RunFolder(source.parent), config, asked, tuple(range(shards)), shards, "")
    assert sum(plan.samples.values()) == len(ids) + len(used) - len(good)
    assert plan.end == len(used) * several
    apart = [list(jobs(asked.take(asked.numbers(n, shards)), config)) for n in range(shards)]
    assert sorted((job for part in apart for job in part), key=lambda job: job.position) == every
    for number, part in enumerate(apart):
        positions = [job.position for job in part]
        assert positions == sorted(positions)
        ended = sorted(over & set(positions))
        left = {int(n) for n in plan.left(number, np.array(ended, np.int64))}
        assert left == {position // several for position in positions if position not in over}
