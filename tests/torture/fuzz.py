"""Random bytes for every reader, by time: `python -m torture fuzz MINUTES`.

Streams and answers of model servers, files of data sets, journals, and final answers, each for so
many minutes. Data or a typed error comes of everything; anything else is printed.
"""

from __future__ import annotations

import os
import random
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

from data import fuzz_rows
from runs.hostile_folders import good_run, read_changed
from torture.counts import Table

_EXAMPLES = 1000


def fuzz(table: Table, minutes: float) -> None:
    """Fuzz each reader for some minutes."""
    os.environ["TESSY_FUZZ_EXAMPLES"] = str(_EXAMPLES)  # read when the module is imported
    sys.path.append(str(Path(__file__).parents[1] / "verifiers"))  # as pytest does
    from hypothesis import settings

    from models import test_stream_fuzz as streams
    from verifiers import test_answers as answers

    settings.register_profile("fuzz", max_examples=_EXAMPLES, deadline=None, database=None)
    settings.load_profile("fuzz")
    whole = [
        streams.test_a_stream_is_the_same_however_it_is_cut,
        streams.test_bounds_are_kept_whatever_comes,
    ]
    texts = settings(max_examples=_EXAMPLES, database=None)(answers.test_any_text_has_an_outcome)
    for what, tests in (("streams and answers of servers", whole), ("final answers", [texts])):
        with table.row(
            "readers", f"random {what}, {minutes:g} minutes", "data or a typed error"
        ) as row:
            for test in _until(minutes, tests):
                try:
                    test()
                    row.tried += _EXAMPLES
                except BaseException:
                    row.count(False, traceback.format_exc()[-2000:])
    with table.row(
        "readers", f"changed files of data sets, {minutes:g} minutes", "the same"
    ) as row:
        counts, faults = fuzz_rows.fuzz(60 * minutes, random.randrange(2**32))
        row.tried, row.missed = counts["files"], [fault[-2000:] for fault in faults]
    with table.row("readers", f"changed journals, {minutes:g} minutes", "the same") as row:
        _journals(row.count, minutes)


def _until(minutes: float, tests: list[Callable[[], None]]) -> Iterator[Callable[[], None]]:
    end = time.monotonic() + 60 * minutes
    while time.monotonic() < end:
        yield from tests


def _journals(count: Callable[[bool, str], None], minutes: float) -> None:
    draw = random.Random()
    with tempfile.TemporaryDirectory() as name:
        os.environ["TESSY_CACHE"] = f"{name}/cache"
        original = good_run(Path(name) / "good").shard(0).journal.read_bytes()
        folder = Path(name) / "run"
        folder.mkdir()
        end = time.monotonic() + 60 * minutes
        while time.monotonic() < end:
            start = draw.choice([draw.randrange(200), draw.randrange(len(original))])
            places = [start + n for n in range(draw.choice([1, 1, 2, 60]))]
            places += [draw.randrange(len(original)) for _ in range(draw.randrange(8))]
            changes = [
                (place, draw.choice([0, 1, 127, 255, draw.randrange(256)])) for place in places
            ]
            try:
                read_changed(original, changes, folder)
                count(True, "")
            except BaseException:
                count(False, f"{traceback.format_exc()[-2000:]}\n{changes}")
