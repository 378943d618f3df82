"""What each of several workers may do at once."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from tessy.config import Config, ModelSettings
from tessy.runs.crew import share


@given(st.integers(1, 500), st.none() | st.integers(1, 500), st.integers(1, 64))
def test_bounds_of_calls_and_samples_are_those_of_all_workers_together(samples, calls, workers):
    model = ModelSettings(model="http://s/v1", concurrency=calls)
    config = Config(student=model, teacher=model, concurrency=samples)
    own = share(config, workers)
    assert own.concurrency == math.ceil(samples / workers)
    for role in (own.student, own.teacher):
        assert role.concurrency == (None if calls is None else math.ceil(calls / workers))
