"""Run folders of strangers, for everything that reads one."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from pathlib import Path

from runs.hostile_folders import HOSTILE, OUTSIDE, QUICK, good_run, refusal
from runs.test_hostile_folders import copied
from torture.counts import Table


def folders(table: Table, folder: Path, tokenizers: Mapping[str, Path]) -> None:
    """Each hostile folder, with each reader."""
    good = good_run(folder / "good").path
    with table.row(
        "run folders",
        "links, FIFOs, foreign schemas, wrong types, bombs, lost journals",
        "read or refused, nothing outside touched",
    ) as row:
        for case in HOSTILE:
            for reader in QUICK:
                place = folder / f"{row.tried}"
                place.mkdir()
                run, outside = copied(good, place)
                case.make(run, outside)
                try:
                    said = refusal(reader, run.path, quick=True) or ""
                    held = reader not in case.by or re.search(case.says, said) is not None
                except Exception as error:
                    said, held = repr(error), False
                held = held and outside.read_bytes() == OUTSIDE
                row.count(held, f"{case.name}, {reader}: {said}")
                shutil.rmtree(place, ignore_errors=True)
