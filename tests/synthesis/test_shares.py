"""How workers share the limits of a run."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tessy.config import Config, ModelSettings
from tessy.synthesis.shares import default_shards, share_of, worker_count

counts = st.integers(1, 200)


def config_of(samples: int, calls: int | None, others: int | None, workers: int | None) -> Config:
    return Config(
        student=ModelSettings(model="http://s/v1", concurrency=calls),
        teacher=ModelSettings(model="http://t/v1", concurrency=others),
        concurrency=samples,
        workers=workers,
    )


@given(counts, st.none() | counts, st.none() | counts, st.integers(1, 64), counts)
def test_all_workers_together_use_the_limits_and_do_not_exceed_them(
    samples, calls, others, workers, shards
):
    config = config_of(samples, calls, others, workers)
    count = worker_count(config, shards)
    assert 1 <= count <= min(workers, shards)
    shares = [share_of(config, place, count) for place in range(count)]
    assert all(each.concurrency > 0 for each in shares)  # each has something to do
    assert sum(each.concurrency for each in shares) == samples
    for bound, own in (
        (calls, [each.student.concurrency for each in shares]),
        (others, [each.teacher.concurrency for each in shares]),
    ):
        assert set(own) == {None} if bound is None else sum(own) == bound and min(own) > 0


@given(counts, st.dictionaries(st.sampled_from("abc"), counts, min_size=1), st.integers(1, 64))
def test_all_workers_together_use_the_limits_of_each_of_several_teachers(samples, calls, workers):
    teachers = {
        name: ModelSettings(model="http://t/v1", concurrency=most) for name, most in calls.items()
    }
    config = Config(teachers=teachers, concurrency=samples, workers=workers)
    count = worker_count(config, 100)
    assert count <= min(calls.values())
    shares = [share_of(config, place, count) for place in range(count)]
    for name, most in calls.items():
        assert sum(each.teachers[name].concurrency for each in shares) == most


def test_one_process_is_enough_for_a_few_hundred_samples_at_once(monkeypatch):
    monkeypatch.setattr("os.cpu_count", lambda: 8)
    for samples, workers, shards in ((64, 1, 1), (399, 1, 1), (400, 2, 8), (9000, 8, 32)):
        config = config_of(samples, None, None, None)
        assert (worker_count(config, 10_000), default_shards(config)) == (workers, shards)
    assert default_shards(config_of(64, None, None, 3)) == 12
