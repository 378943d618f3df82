"""The samples of a run: each question's, in order, and each in the shard of its question."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tessy.config import load
from tessy.data.questions import BadLine, Question, Questions
from tessy.runs.folder import RunFolder
from tessy.runs.plan import jobs
from tessy.synthesis.shards import ShardPlan

ASKED = ({"role": "user", "content": "?"},)


@given(
    st.lists(st.booleans(), max_size=9),
    st.integers(1, 3),
    st.integers(1, 5),
    st.none() | st.integers(1, 12),
)
def test_exactly_once_the_shards_of_a_run_hold_all_its_samples(
    tmp_path_factory, rows, several, shards, limit
):
    good = tuple(Question(n, f"q{n}", ASKED) for n, fine in enumerate(rows) if fine)
    bad = tuple(BadLine(n, f"bad-line:{n}", "f:1", "") for n, fine in enumerate(rows) if not fine)
    read = Questions(good, bad, "digest", limit)
    config = load(overrides={"samples_per_question": several})
    every = list(jobs(read, config))
    ids = [f"q{q.number}#{k}" if several > 1 else q.id for q in good for k in range(several)]
    assert [job.id for job in every] == ids
    assert [job.position for job in every] == [
        question.number * several + index for question in good for index in range(several)
    ]
    apart = [list(jobs(read.of_shard(number, shards), config)) for number in range(shards)]
    assert sorted((job for part in apart for job in part), key=lambda job: job.position) == every
    for part in apart:
        assert [job.position for job in part] == sorted(job.position for job in part)
    plan = ShardPlan(RunFolder(tmp_path_factory.getbasetemp()), config, read, tuple(range(shards)), shards, "")
    assert sum(plan.samples.values()) == len(ids) + len(bad)
    assert all(plan.samples[n] >= len(part) for n, part in enumerate(apart))
    assert plan.end == (None if limit is None else limit * several)
