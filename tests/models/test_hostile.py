"""Hostile servers: one call fails with an error that says why, and little is read."""

from __future__ import annotations

import pytest

from models.hostile_servers import HOSTILE, MOST_READ, Hostile, hostile
from tessy.config import ModelSettings, Sampling
from tessy.errors import TimedOut
from tessy.models.client import Client
from tessy.models.wire import Request

ASK = Request("One,", max_tokens=8, sampling=Sampling(temperature=0), seed=0)
TIMEOUTS = {"first_token_s": 0.3, "next_token_s": 0.15, "total_s": 0.3}
LONG = dict.fromkeys(TIMEOUTS, 20.0)
"""For servers that are not silent, so that a busy machine is no failure."""
CASES = [
    pytest.param(one, stream, id=f"{one.name}, {'streamed' if stream else 'whole'}")
    for one in HOSTILE
    for stream in ((one.stream,) if one.stream is not None else (True, False))
]


def client_of(url: str, **timeouts: float) -> Client:
    settings = {"model": url, "retries": 0, "timeouts": timeouts}
    return Client(url, "m", ModelSettings.model_validate(settings))


@pytest.mark.parametrize(("one", "stream"), CASES)
async def test_a_call_fails_with_an_error_of_its_own(one: Hostile, stream: bool):
    timeouts = TIMEOUTS if one.error is TimedOut else LONG
    async with hostile(one) as traffic:
        with pytest.raises(one.error, match=one.says) as failed:
            await client_of(traffic.url, **timeouts).complete(ASK, stream=stream)
    assert type(failed.value) is one.error
    assert len(str(failed.value)) < 1000
    assert sum(traffic.sent) < MOST_READ
    assert len(traffic.heads) == 1, "no redirect is followed"
