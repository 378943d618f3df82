"""From a data set to the tokens that are trained on: checked, counted, and kept in a file.

Every row is read, rendered and put into tokens before any training; bad ones are all named at
once. The tokens go to `tokens.arrow`, from which each process maps what it needs, so a data set
may be larger than memory. `tokens.json` beside it says what was counted.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import orjson
import pyarrow

from tessy.errors import DatasetError
from tessy.runs.folder import write_atomically
from tessy.training.data import Sample, Source
from tessy.training.masks import IGNORED, Loss, labels, token_weights
from tessy.training.render import Rendered, Renderer, Tokens
from tessy.training.settings import OverLength

TOKENS_FILE = "tokens.arrow"
COUNTS_FILE = "tokens.json"
_AT_ONCE = 256
_SHOWN = 10
_SCHEMA = pyarrow.schema(
    [(name, pyarrow.list_(pyarrow.int32())) for name in ("input_ids", "labels")]
)


@dataclass(slots=True)
class Counts:
    """What became of the rows: kept + too_long + nothing_trained = rows (*Kept and dropped*).

    Attributes:
        rows: Rows of the data set.
        kept: Samples that are trained on.
        too_long: Left out, since they are longer than the limit.
        nothing_trained: Left out, since no token of them carries loss.
        cut: Of those kept, how many were cut at the limit.
        tokens: Of the samples kept, questions included.
        trained_tokens: Those that carry loss.
        longest: Tokens of the longest sample kept.
        digest: SHA-256 of the data set.
        tokens_digest: SHA-256 of ids and labels.
        teacher_share: The teacher's share of characters; None without spans.
        methods: How often each method wrote a row.
        models: Names of the models that wrote, by role.
    """

    rows: int = 0
    kept: int = 0
    too_long: int = 0
    nothing_trained: int = 0
    cut: int = 0
    tokens: int = 0
    trained_tokens: int = 0
    longest: int = 0
    digest: str = ""
    tokens_digest: str = ""
    teacher_share: float | None = None
    methods: dict[str, int] | None = None
    models: dict[str, list[str]] | None = None


@dataclass(frozen=True, slots=True)
class Limit:
    """Tokens of the longest sample, and what becomes of longer ones."""

    tokens: int
    over: OverLength


def prepare(
    source: str | Path, folder: Path, renderer: Renderer, loss: frozenset[Loss], limit: Limit
) -> Counts:
    """Write the tokens of a data set.

    Args:
        source: See `Source.samples`.
        folder: Where `tokens.arrow` and `tokens.json` go; it is there.
        renderer: The student's.
        loss: What carries loss.
        limit: Of a sample's length.

    Raises:
        DatasetError: It can't be read, rows of it are bad, or nothing is left to train on.
    """
    read, counts = Source(), Counts()
    digest = hashlib.sha256()
    path = folder / TOKENS_FILE
    temporary = path.with_name(path.name + ".part")
    with pyarrow.OSFile(str(temporary), "wb") as file, pyarrow.ipc.new_stream(file, _SCHEMA) as out:
        for batch in _batches(_rendered(read, source, renderer, loss)):
            made = _labelled(batch, renderer, limit, counts)
            if made:
                table = pyarrow.Table.from_pylist(made, _SCHEMA)
                for column in table.columns:
                    digest.update(column.combine_chunks().flatten().buffers()[1])
                out.write_table(table)
    _refuse(source, read, counts, limit)
    counts.rows, counts.digest, counts.tokens_digest = read.rows, read.digest, digest.hexdigest()
    counts.teacher_share = read.teacher_share
    counts.methods = dict(read.methods)
    counts.models = {role: sorted(names) for role, names in read.models.items()}
    temporary.replace(path)
    write_atomically(folder / COUNTS_FILE, orjson.dumps(asdict(counts), option=orjson.OPT_INDENT_2))
    return counts


def is_prepared(folder: Path) -> bool:
    """Whether `prepare` came to its end here."""
    return (folder / TOKENS_FILE).is_file() and (folder / COUNTS_FILE).is_file()


def read_counts(folder: Path) -> Counts:
    """What `prepare` counted."""
    return Counts(**orjson.loads((folder / COUNTS_FILE).read_bytes()))


def _rendered(
    read: Source, source: str | Path, renderer: Renderer, loss: frozenset[Loss]
) -> Iterator[tuple[Sample, Rendered]]:
    for sample in read.samples(source, loss):
        try:
            yield sample, renderer.render(sample)
        except ValueError as error:
            read.bad.append(f"{sample.where}: {error}")


def _batches(
    found: Iterator[tuple[Sample, Rendered]],
) -> Iterator[list[tuple[Sample, Rendered]]]:
    while batch := list(islice(found, _AT_ONCE)):
        yield batch


def _labelled(
    batch: Sequence[tuple[Sample, Rendered]], renderer: Renderer, limit: Limit, counts: Counts
) -> list[dict[str, Any]]:
    """Ids and labels of the samples that are kept; the others are counted."""
    made = []
    encoded = renderer.encode([rendered for _, rendered in batch])
    for (sample, rendered), tokens in zip(batch, encoded, strict=True):
        is_long = len(tokens.ids) > limit.tokens
        if is_long and limit.over is OverLength.DROP:
            counts.too_long += 1
            continue
        row = _row(sample, rendered, tokens, limit.tokens)
        trained = sum(label != IGNORED for label in row["labels"])
        if not trained:
            counts.nothing_trained += 1
            continue
        counts.kept += 1
        counts.cut += is_long
        counts.tokens += len(row["input_ids"])
        counts.trained_tokens += trained
        counts.longest = max(counts.longest, len(row["input_ids"]))
        made.append(row)
    return made


def _row(sample: Sample, rendered: Rendered, tokens: Tokens, longest: int) -> dict[str, Any]:
    weights = token_weights(
        tokens.offsets, sample.runs, begin=rendered.begin, end=len(rendered.text)
    )
    ids, weights = tokens.ids[:longest], weights[:longest]
    return {"input_ids": ids, "labels": labels(ids, weights)}


def _refuse(source: str | Path, read: Source, counts: Counts, limit: Limit) -> None:
    if read.bad:
        lines = [f"{len(read.bad)} bad rows of {read.rows}; nothing was trained"]
        lines += [f"  {line}" for line in read.bad[:_SHOWN]]
        if len(read.bad) > _SHOWN:
            lines.append(f"  … and {len(read.bad) - _SHOWN} more")
        raise DatasetError("\n".join(lines), hint=_hint(read.bad))
    if not read.rows:
        raise DatasetError(f"{source}: there is no sample in it")
    if not counts.kept:
        raise DatasetError(
            f"{source}: none of {read.rows} samples is left: {counts.too_long} are longer than "
            f"{limit.tokens} tokens, in {counts.nothing_trained} no token carries loss",
            hint="raise --max-tokens, cut them (--over-length cut), or choose another --loss",
        )


def _hint(bad: Sequence[str]) -> str:
    if any("does not keep the response" in line or "is asked with" in line for line in bad):
        return "give a template that keeps the thinking: --chat-template FILE.jinja (docs/sft.md)"
    if any("no `spans`" in line for line in bad):
        return "choose --loss response, or a data set of tessy, whose records have spans"
    return "a row is {messages: [{role, content}, …]}, the assistant's last; docs/record.md"
