"""How workers share the limits of a run, and its samples."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tessy.config import Config, ModelSettings
from tessy.synthesis.workers import belongs_to, share_count, share_of

counts = st.integers(1, 200)


@given(counts, st.none() | counts, st.none() | counts, st.integers(1, 64))
def test_all_workers_together_use_the_limits_and_do_not_exceed_them(
    samples, calls, others, workers
):
    config = Config(
        student=ModelSettings(model="http://s/v1", concurrency=calls),
        teacher=ModelSettings(model="http://t/v1", concurrency=others),
        concurrency=samples,
        workers=workers,
    )
    count = share_count(config)
    assert 1 <= count <= workers
    shares = [share_of(config, place, count) for place in range(count)]
    assert all(each.concurrency > 0 for each in shares)  # each has something to do
    assert sum(each.concurrency for each in shares) == samples
    for bound, own in (
        (calls, [each.student.concurrency for each in shares]),
        (others, [each.teacher.concurrency for each in shares]),
    ):
        assert set(own) == {None} if bound is None else sum(own) == bound and min(own) > 0


@given(st.text(max_size=20), st.integers(1, 64))
def test_exactly_once_a_sample_belongs_to_one_share(sample_id, shares):
    assert sum(belongs_to(sample_id, share, shares) for share in range(shares)) == 1
