"""Fixtures of training."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="module")
def one_thread():
    """Computes on one core: two test processes share two, and sums do not depend on how many."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
