"""What a dead task means for its shard and for the counts, without a cluster."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from tessy.method.trajectory import Failure
from tessy.ray.recovery import LOCKED_S, MOST_DEATHS, Recovery, add_up, cause
from tessy.runs.counters import Counters


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2)), max_size=40))
def test_a_run_stops_only_when_tasks_die_and_no_sample_ends(deaths):
    recovery, ended, in_a_row = Recovery(ended=0), 0, 0
    for shard, more in deaths:
        ended += more
        in_a_row = 1 if more else in_a_row + 1
        assert recovery.died(shard, ended) == (in_a_row <= MOST_DEATHS)


def test_a_shard_that_is_locked_is_tried_for_a_while():
    recovery = Recovery(ended=0)
    assert recovery.locked(3, now=100.0)
    assert recovery.locked(3, now=100.0 + LOCKED_S)
    assert not recovery.locked(3, now=100.1 + LOCKED_S)
    assert recovery.locked(4, now=100.1 + LOCKED_S), "each shard has its own time"


def test_a_shard_whose_next_task_dies_may_be_locked_as_long_again():
    recovery = Recovery(ended=0)
    recovery.locked(3, now=0.0)
    recovery.died(3, ended=0)
    assert recovery.locked(3, now=2 * LOCKED_S)
    recovery.died(4, ended=0)
    assert not recovery.locked(3, now=4 * LOCKED_S), "another shard's death changes nothing"


def test_the_cause_of_a_death_is_one_line():
    class RayTaskError(Exception):
        pass

    class NodeDiedError(Exception):
        pass

    raised = RayTaskError("Traceback …\n  File …\nValueError: no such column\n")
    assert cause(raised) == "RayTaskError: ValueError: no such column"
    assert cause(NodeDiedError("a page\nof advice")) == "NodeDiedError"
    assert cause(RayTaskError("")) == "RayTaskError"


def report(finished: int, refused: int, requests: int, running: int = 2) -> dict:
    counters = Counters(total=0, finished=finished)
    counters.failed[Failure.REFUSED] = refused
    counters.running, counters.requests = running, requests
    return counters.as_json()


@given(
    st.dictionaries(
        st.tuples(st.integers(0, 3), st.integers(0, 3)),
        st.tuples(st.integers(0, 50), st.integers(0, 5), st.integers(0, 100)),
        min_size=1,
    ),
    st.dictionaries(st.integers(0, 3), st.integers(0, 20)),
    st.randoms(use_true_random=False),
)
def test_samples_are_counted_once_and_requests_of_dead_tasks_too(
    found, before, order: random.Random
):
    """*Exactly once*: a later task of a shard has counted what the earlier ones ended."""
    keys = list(found)
    order.shuffle(keys)
    reports = {key: report(*found[key]) for key in keys}
    counters = Counters(total=0)
    add_up(counters, {n: report(ended, 0, 0, running=0) for n, ended in before.items()}, reports)
    last = {shard: max(a for s, a in found if s == shard) for shard, _ in found}
    assert counters.finished == sum(found[key][0] for key in last.items()) + sum(
        ended for shard, ended in before.items() if shard not in last
    )
    assert counters.failed[Failure.REFUSED] == sum(found[key][1] for key in last.items())
    assert counters.requests == sum(requests for _, _, requests in found.values())
    assert counters.running == 0, "none of them is running any more"
