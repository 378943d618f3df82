"""From a data set to the tokens that are trained on: checked, counted, and written to a file.

Every row is read, rendered and encoded before any training, and all bad rows are named at once. The
tokens go to `tokens.arrow`, from which each process maps what it needs, so a data set may be larger
than memory. `tokens.json` beside it holds the counts.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import orjson
import pyarrow

from tessy.data.files import replacing, write_atomically
from tessy.data.messages import cut
from tessy.data.rows import row_bytes
from tessy.errors import DataError, bad_rows
from tessy.training.dataset import TrainSample, question_key, read_rows, sample_of
from tessy.training.masks import LossPart, labels, token_weights
from tessy.training.render import RenderedSample, Renderer
from tessy.training.settings import OverLength
from tessy.verifiers.protocol import VerdictOutcome, not_right, outcome_of

TOKENS_FILE = "tokens.arrow"
COUNTS_FILE = "tokens.json"
_BATCH = 256
_SCHEMA = pyarrow.schema(
    [(name, pyarrow.list_(pyarrow.int32())) for name in ("input_ids", "labels")]
)


@dataclass(slots=True)
class DataCounts:
    """What happened to the rows: kept + too_long + nothing_trained = rows (*Kept and dropped*).

    Attributes:
        rows: Rows of the data set.
        kept: Samples that are trained on.
        too_long: Left out, since they are longer than the limit.
        nothing_trained: Left out, since none of their tokens carries loss.
        cut: Samples kept that were cut at the limit.
        tokens: Of the samples kept, questions included.
        trained_tokens: Those that carry loss.
        longest: Tokens of the longest sample kept.
        digest: SHA-256 of the data set.
        tokens_digest: SHA-256 of ids and labels.
        characters: Of responses, by author; empty where spans are not given.
        methods: How often each method wrote a row.
        models: Names of the models that wrote, by role.
        verdicts: How many rows have each verdict of a verifier; none under `""`.
        tested: How many questions of the evaluation are trained on.
        weighted: Rows with `weights` of their own, which say what carries loss.
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
    characters: dict[str, int] = field(default_factory=dict)
    methods: dict[str, int] = field(default_factory=dict)
    models: dict[str, list[str]] = field(default_factory=dict)
    verdicts: dict[str, int] = field(default_factory=dict)
    tested: int = 0
    weighted: int = 0

    @property
    def teacher_share(self) -> float | None:
        """The teacher's share of the characters that a model wrote; None if not known."""
        teacher, student = (self.characters.get(role, 0) for role in ("teacher", "student"))
        return teacher / (teacher + student) if teacher + student else None

    @property
    def not_right(self) -> str | None:
        """What is not known to be right; see `tessy.verifiers.protocol.not_right`."""
        return not_right({VerdictOutcome(k) if k else None: n for k, n in self.verdicts.items()})

    def count_origin(self, row: dict[str, Any]) -> None:
        """Count who and what wrote a row, and whether it is right."""
        self.weighted += isinstance(row.get("weights"), list)
        outcome = str(outcome_of(row) or "")
        self.verdicts[outcome] = self.verdicts.get(outcome, 0) + 1
        for span in row.get("spans") or ():
            length = span["end"] - span["start"]
            self.characters[span["role"]] = self.characters.get(span["role"], 0) + length
        if method := row.get("method"):
            self.methods[str(method)] = self.methods.get(str(method), 0) + 1
        models = row.get("models")
        for role in ("student", "teacher"):
            if isinstance(models, dict) and models.get(role):
                names = {*self.models.get(role, ()), str(models[role])}
                self.models[role] = sorted(names)


@dataclass(frozen=True, slots=True)
class LengthLimit:
    """Tokens of the longest sample, and what happens to longer ones."""

    tokens: int
    over: OverLength


def prepare(
    source: str | Path,
    folder: Path,
    renderer: Renderer,
    loss: frozenset[LossPart],
    limit: LengthLimit,
    test: frozenset[bytes] = frozenset(),
) -> DataCounts:
    """Write the tokens of a data set.

    Args:
        source: A run's folder, a `.jsonl` or `.parquet` file, or a data set on Hugging Face.
        folder: An existing folder, where `tokens.arrow` and `tokens.json` go.
        renderer: The student's.
        loss: The parts that carry loss.
        limit: Of a sample's length.
        test: The keys of the questions with which epochs are evaluated; see `question_key`.

    Raises:
        DataError: It can't be read, rows of it are bad, or nothing is left to train on.
    """
    counts, bad = DataCounts(), list[tuple[str, str]]()
    digest, tokens_digest, tested = hashlib.sha256(), hashlib.sha256(), set[bytes]()

    def rendered() -> Iterator[tuple[str, TrainSample, RenderedSample]]:
        for where, row in read_rows(source):
            counts.rows += 1
            digest.update(row_bytes(row))
            try:
                sample = sample_of(row, loss)
                text = renderer.render(sample)
            except ValueError as error:
                bad.append((where, cut(str(error))))
            else:
                counts.count_origin(row)
                if (key := question_key(sample.messages[:-1])) in test:
                    tested.add(key)
                yield where, sample, text

    path = folder / TOKENS_FILE
    with replacing(path) as file:
        with pyarrow.ipc.new_stream(file, _SCHEMA) as out:
            samples = rendered()
            while batch := list(islice(samples, _BATCH)):
                if made := _labelled(batch, renderer, limit, counts, bad):
                    table = pyarrow.Table.from_pylist(made, _SCHEMA)
                    for column in table.columns:
                        tokens_digest.update(column.combine_chunks().flatten().buffers()[1])
                    out.write_table(table)
        _refuse(source, bad, counts, limit)
    counts.digest, counts.tokens_digest = digest.hexdigest(), tokens_digest.hexdigest()
    counts.tested = len(tested)
    write_atomically(folder / COUNTS_FILE, orjson.dumps(counts, option=orjson.OPT_INDENT_2))
    return counts


def is_prepared(folder: Path) -> bool:
    """Whether `prepare` finished here."""
    return (folder / TOKENS_FILE).is_file() and (folder / COUNTS_FILE).is_file()


def read_counts(folder: Path) -> DataCounts:
    """The counts of `prepare`."""
    return DataCounts(**orjson.loads((folder / COUNTS_FILE).read_bytes()))


def _labelled(
    batch: Sequence[tuple[str, TrainSample, RenderedSample]],
    renderer: Renderer,
    limit: LengthLimit,
    counts: DataCounts,
    bad: list[tuple[str, str]],
) -> list[dict[str, Any]]:
    """Ids and labels of the samples that are kept; the others are counted, or named as bad."""
    made = []
    encoded = renderer.encode([rendered for _, _, rendered in batch])
    for (where, sample, rendered), found in zip(batch, encoded, strict=True):
        if found is None:
            bad.append((where, "text in it becomes a control token of this tokenizer"))
            continue
        ids, offsets = found
        is_long = len(ids) > limit.tokens
        if is_long and limit.over is OverLength.DROP:
            counts.too_long += 1
            continue
        begin, end = rendered.begin, len(rendered.text)
        weights = token_weights(offsets, sample.runs, begin=begin, end=end)[: limit.tokens]
        if not any(weights):
            counts.nothing_trained += 1
            continue
        ids = ids[: limit.tokens]
        counts.kept += 1
        counts.cut += is_long
        counts.tokens += len(ids)
        counts.trained_tokens += sum(weights)
        counts.longest = max(counts.longest, len(ids))
        made.append({"input_ids": ids, "labels": labels(ids, weights)})
    return made


def _refuse(
    source: str | Path, bad: list[tuple[str, str]], counts: DataCounts, limit: LengthLimit
) -> None:
    if bad:
        head = f"{len(bad)} bad rows of {counts.rows}; nothing was trained"
        hint = _hint([reason for _, reason in bad])
        raise DataError("\n".join([head, *bad_rows(bad)]), hint=hint)
    if not counts.rows:
        raise DataError(f"{source}: there is no sample in it")
    if not counts.kept:
        raise DataError(
            f"{source}: none of {counts.rows} samples is left: {counts.too_long} are longer "
            f"than {limit.tokens} tokens, in {counts.nothing_trained} no token carries loss",
            hint="raise --max-tokens, cut them (--over-length cut), or choose another --loss",
        )


def _hint(reasons: Sequence[str]) -> str:
    if any("does not keep the response" in why or "is asked with" in why for why in reasons):
        return "give a template that keeps the thinking: --chat-template FILE.jinja (docs/sft.md)"
    if any("no `spans`" in why for why in reasons):
        return "choose --loss response, or a data set of tessy, whose records have spans"
    return "a row is {messages: [{role, content}, …]}, the assistant's last; docs/record.md"
