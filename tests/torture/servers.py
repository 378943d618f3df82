"""Model servers that answer what no server should: one call, and one sample of a whole run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from e2e.test_synth_hostile import HARM, harmed
from models.hostile_servers import HOSTILE, MOST_READ, hostile
from models.test_hostile import ASK, LONG, TIMEOUTS, client_of
from scripted import lines
from tessy.errors import ModelError, TimedOut
from tessy.models import client as client_module
from torture.counts import Table

_MODES = ("stream", "chunks")


async def servers(table: Table, folder: Path, tokenizers: Mapping[str, Path]) -> None:
    """Every hostile server, against a call and against a run."""
    with table.row(
        "a call",
        "answers cut, endless, silent, garbled, redirected",
        "a typed error within the time-out; at most 24 MiB are read",
    ) as row:
        for one in HOSTILE:
            for stream in (True, False) if one.stream is None else (one.stream,):
                timeouts = TIMEOUTS if one.error is TimedOut else LONG
                async with hostile(one) as traffic:
                    try:
                        await client_of(traffic.url, **timeouts).complete(ASK, stream=stream)
                        held = False
                    except ModelError as error:
                        held = type(error) is one.error
                row.count(held and sum(traffic.sent) < MOST_READ, f"{one.name}, {stream=}")
    client_module._LONGEST_WAIT_S = 0.01
    with table.row(
        "a run",
        "the same for one question of three, streamed and in chunks",
        "that sample fails with its reason, the others finish",
    ) as row:
        for one in HARM:
            for mode in _MODES:
                place = folder / f"{row.tried}"
                place.mkdir()
                async with harmed(place, one, "--mode", mode) as (done, _, run):
                    finished = [record["id"] for record in lines(run / "dataset.jsonl")]
                    failed = [record["reason"] for record in lines(run / "failures.jsonl")]
                expected = "refused" if one.error.__name__ == "Refused" else "model_error"
                held = finished == ["q0", "q2"] and failed == [expected]
                held = held and done.code == 0 and "Traceback" not in done.err
                row.count(held, f"{one.name}, {mode}: {done.code} {finished} {failed}")
