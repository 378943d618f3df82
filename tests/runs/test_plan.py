"""What a run has to do: every sample once, and failed samples only on request."""

from __future__ import annotations

import functools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tessy.config import load
from tessy.data.questions import Questions, read
from tessy.method.trajectory import Failure
from tessy.runs.plan import plan

ENDS = st.sampled_from([None, Failure.REPETITION, Failure.MODEL_ERROR])


@pytest.fixture(scope="module")
def questions(tmp_path_factory):
    folder = tmp_path_factory.mktemp("questions")

    @functools.cache
    def made(count: int, bad: int) -> Questions:
        path = folder / f"{count}-{bad}.jsonl"
        lines = [f'{{"id": "q{n}", "prompt": "?"}}' for n in range(count)] + ["{"] * bad
        path.write_text("\n".join(lines))
        return read(path, skip_bad=True)

    return made


@given(
    st.integers(1, 6),
    st.integers(0, 3),
    st.integers(1, 3),
    st.dictionaries(st.integers(0, 20), ENDS),
    st.sampled_from([(), tuple(Failure), (Failure.MODEL_ERROR,)]),
)
def test_exactly_once_jobs_and_ended_samples_add_up(questions, count, bad, several, over, retry):
    read = questions(count, bad)
    config = load(overrides={"samples_per_question": several})
    ids = [f"q{n}#{k}" if several > 1 else f"q{n}" for n in range(count) for k in range(several)]
    ended = {ids[n % len(ids)]: end for n, end in over.items()}
    ended |= {line.id: Failure.BAD_QUESTION for line in read.bad[:1]}
    todo = plan(read, config, ended, {"q0": 2}, retry=retry)
    written = [job.id for job in todo.jobs]
    assert len(set(written)) == len(written)
    finished = {sample_id for sample_id, end in ended.items() if end is None}
    failed = {sample_id for sample_id, end in ended.items() if end is not None} & set(ids)
    again = {sample_id for sample_id in failed if ended[sample_id] in retry}
    assert set(written) == set(ids) - finished - (failed - again)
    assert set(todo.again) == again
    assert [line.id for line in todo.bad] == [line.id for line in read.bad[1:]]
    assert todo.counters.total == len(ids) + bad
    assert todo.counters.ended + len(written) + len(todo.bad) == todo.counters.total
    assert [job.position for job in todo.jobs] == sorted(job.position for job in todo.jobs)
    for job in todo.jobs:
        assert job.failures == (2 if job.id == "q0" else 0) + (job.id in failed)


def test_samples_of_an_earlier_start_with_a_larger_limit_stay(questions):
    todo = plan(questions(1, 0), load(), {"q0": None, "q7": None}, {}, retry=tuple(Failure))
    assert not todo.jobs
    assert todo.counters.finished == todo.counters.total == 2
