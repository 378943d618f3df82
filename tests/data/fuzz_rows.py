"""Changes files at random and reads them with every reader of data sets.

    python tests/data/fuzz_rows.py SECONDS [SEED]

What is read is read; what is not is refused with a `TessyError`. Anything else is a fault, and is
printed with the bytes.
"""

from __future__ import annotations

import gzip
import json
import random
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet

from data.hostile_rows import HOSTILE
from tessy.boundary.training.segments import read_segments
from tessy.boundary.training.traces import read_traces
from tessy.data.exact import dumps, loads
from tessy.data.parquet import from_row, to_row
from tessy.data.questions import read
from tessy.errors import TessyError
from tessy.exporting.formats import Alpaca, ShareGpt, Trl
from tessy.exporting.samples import ExportCounts
from tessy.exporting.settings import Mask
from tessy.exporting.sources import find_source
from tessy.training.dataset import read_rows, sample_of
from tessy.training.masks import LossPart
from tessy.verifiers.registry import load
from tessy.verifiers.responses import read_responses
from tessy.verifiers.verify import check_all

_RECORD = {
    "id": "a",
    "messages": [
        {"role": "user", "content": "What?"},
        {"role": "assistant", "content": "<think>\nhm ok\n</think>\n\n42"},
    ],
    "spans": [
        {"role": "format", "start": 0, "end": 8, "forced": False},
        {"role": "student", "start": 8, "end": 13, "forced": False},
        {"role": "format", "start": 13, "end": 24, "forced": False},
        {"role": "student", "start": 24, "end": 26, "forced": False},
    ],
    "stats": {"student_tokens": 1, "teacher_tokens": 2},
    "models": {"student": "s"},
    "method": "tessy",
    "seed": 0,
    "answer": 42,
}
_SEGMENT = {"id": "x", "text": "Okay so", "spans": [[0, 4]]}
_QUESTION = {"prompt": "a", "answer": 4, "messages": None}
_VALUES = (None, True, 0, -1, 1.5, "", [], {}, "x", [1], {"role": "format"}, 10**30, [[]])
_TOKENS = tuple(b'{ } [ ] " : , null true 1e999 NaN -1 "" "role" "user" "spans" 0.0 {} []'.split())
_TOKENS += (b"9" * 25, b"\xff", b"\\ud800", b"\0", b"\r", b"\n", b"\xef\xbb\xbf")


def fuzz(seconds: float, seed: int) -> tuple[Counter[str], list[str]]:
    """Read changed files for a time; returns counts, and the faults that were found."""
    counts, faults = Counter[str](), list[str]()
    end = time.monotonic() + seconds
    with tempfile.TemporaryDirectory() as folder:
        for name, content in _changed(random.Random(seed), _tables(Path(folder))):
            path = Path(folder) / name
            path.write_bytes(content)
            for reader in _READERS:
                try:
                    reader(path)
                except TessyError:
                    counts["refused"] += 1
                except BaseException:
                    faults.append(f"{traceback.format_exc()}\n{name}: {content!r}")
                else:
                    counts["read"] += 1
            counts["files"] += 1
            if time.monotonic() > end:
                break
    return counts, faults


def _tables(folder: Path) -> list[tuple[str, bytes]]:
    """Parquet and Arrow files."""
    columns = ("messages", "spans", "answer")
    rows = [{"prompt": "a", "n": 1.5, **{name: _RECORD[name] for name in columns}}] * 3
    table, found = pyarrow.Table.from_pylist(rows), []
    for compression in ("zstd", "snappy", "none"):
        pyarrow.parquet.write_table(table, folder / "t.parquet", compression=compression)
        found.append(("t.parquet", (folder / "t.parquet").read_bytes()))
    for make in (pyarrow.ipc.new_stream, pyarrow.ipc.new_file):
        with make(folder / "t.arrow", table.schema) as out:
            out.write_table(table)
        found.append(("t.arrow", (folder / "t.arrow").read_bytes()))
    return found


def _changed(chance: random.Random, tables: list[tuple[str, bytes]]) -> Iterator[tuple[str, bytes]]:
    lines = [line for case in HOSTILE if len(case.content) < 3000 for line in case.content.split()]
    lines += [json.dumps(each).encode() for each in (_RECORD, _SEGMENT, _QUESTION)]
    while True:
        kind = chance.random()
        if kind < 0.15:
            name, whole = chance.choice(tables)
            yield name, _with_other_bytes(whole, chance)
        elif kind < 0.6:
            made = [
                json.dumps(
                    _with_other_values(chance.choice((_RECORD, _SEGMENT, _QUESTION)), chance)
                )
                for _ in range(chance.choice((1, 1, 2)))
            ]
            yield "f.jsonl", "\n".join(made).encode()
        else:
            text = bytearray(b"\n".join(chance.choice(lines) for _ in range(3)))
            for _ in range(chance.randint(1, 6)):
                at = chance.randrange(len(text) + 1)
                text[at : at + chance.choice((0, 0, 1, 4))] = chance.choice(_TOKENS)
            suffix = chance.choice(("jsonl", "json", "csv", "tsv", "jsonl.gz"))
            if suffix.endswith("gz"):
                yield f"f.{suffix}", _with_other_bytes(gzip.compress(bytes(text)), chance)
            else:
                yield f"f.{suffix}", bytes(text)


def _with_other_bytes(whole: bytes, chance: random.Random) -> bytes:
    made = bytearray(whole)
    for _ in range(chance.randint(0, 8)):
        made[chance.randrange(len(made))] = chance.randrange(256)
    return bytes(made[: chance.randrange(len(made))] if chance.random() < 0.2 else made)


def _with_other_values(value: Any, chance: random.Random) -> Any:
    if chance.random() < 0.06:
        return chance.choice(_VALUES)
    if isinstance(value, dict):
        return {
            key: _with_other_values(each, chance)
            for key, each in value.items()
            if chance.random() > 0.03
        }
    if isinstance(value, list):
        return [_with_other_values(each, chance) for each in value if chance.random() > 0.03]
    return value


def _questions(path: Path) -> None:
    found = read(path, skip_bad=True)
    for question in found:
        assert loads(dumps(question.extra)) == question.extra
        for name in ("number", "exact", "choice"):
            try:
                load(name).check(question.row)
            except TessyError:
                continue


def _responses(path: Path) -> None:
    check_all(read_responses(path), load("exact"), skip_bad=True)


def _samples(path: Path) -> None:
    for _, row in read_rows(path):
        for loss in (LossPart.STYLE, LossPart.THINKING):
            try:
                sample_of(row, frozenset({loss}))
            except ValueError:
                continue


def _records(path: Path) -> None:
    counts = ExportCounts()
    for sample in find_source(str(path)).samples():
        counts.keep(sample, "train")
        assert from_row(to_row(sample.record))["id"] == sample.id
        assert 0 <= sample.teacher_share <= 1
        for made in (Trl(Mask.CAPABILITY), ShareGpt(), Alpaca()):
            made.row(sample)


_READERS: tuple[Callable[[Path], Any], ...] = (
    _questions,
    _responses,
    _samples,
    _records,
    read_traces,
    read_segments,
)


if __name__ == "__main__":
    counts_, faults_ = fuzz(float(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0)
    print(*faults_[:5], sep="\n\n")
    print(f"{dict(counts_)}, {len(faults_)} faults")
    sys.exit(bool(faults_))
