"""Reading samples to train on: a run, or JSONL, Parquet or a Hugging Face data set.

A sample is a row with `messages`, `{role, content}` each, of which the last is the assistant's;
`spans` say who wrote which characters of it (docs/record.md).
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tessy.data.rows import conversation, row_bytes, rows
from tessy.errors import DatasetError
from tessy.training.masks import LossPart, WeightRun, character_weights, check_spans


@dataclass(frozen=True, slots=True)
class TrainSample:
    """One sample.

    Attributes:
        where: File and line.
        messages: The conversation; the last message is the response.
        runs: The weight of each character of the response.
    """

    where: str
    messages: tuple[dict[str, str], ...]
    runs: tuple[WeightRun, ...]

    @property
    def content(self) -> str:
        """The response."""
        return self.messages[-1]["content"]


@dataclass(slots=True)
class TrainRows:
    """The rows of a data set; the attributes are filled while it is read.

    Attributes:
        source: A run's folder, a `.jsonl` or `.parquet` file, or a data set on Hugging Face.
        count: Rows so far.
        bad: What is wrong with rows that are no samples, in file order.
        characters: Of responses, by author; empty where spans are not given.
        methods: How often each method wrote a row.
        models: Names of the models that wrote them, by role.
    """

    source: str | Path
    count: int = 0
    bad: list[str] = field(default_factory=list)
    characters: Counter[str] = field(default_factory=Counter)
    methods: Counter[str] = field(default_factory=Counter)
    models: dict[str, set[str]] = field(default_factory=dict)
    _hash: Any = field(default_factory=hashlib.sha256)

    @property
    def digest(self) -> str:
        """SHA-256 of all rows."""
        return str(self._hash.hexdigest())

    @property
    def teacher_share(self) -> float | None:
        """The teacher's share of the characters that a model wrote; None if not known."""
        written = self.characters["teacher"] + self.characters["student"]
        return self.characters["teacher"] / written if written else None

    def samples(self, loss: frozenset[LossPart]) -> Iterator[TrainSample]:
        """Read the samples; what is wrong with other rows goes to `bad`.

        Args:
            loss: The parts that carry loss.

        Raises:
            DatasetError: There is no such source, or it can't be read.
        """
        for where, row in rows(_file(self.source), DatasetError, what="samples"):
            self.count += 1
            self._hash.update(row_bytes(row))
            try:
                sample = _sample(where, row, loss)
            except ValueError as error:
                self.bad.append(f"{where}: {error}")
                continue
            self._count_authors(row)
            yield sample

    def _count_authors(self, row: dict[str, Any]) -> None:
        for span in row.get("spans") or ():
            self.characters[span["role"]] += span["end"] - span["start"]
        if method := row.get("method"):
            self.methods[str(method)] += 1
        models = row.get("models")
        for role in ("student", "teacher"):
            if isinstance(models, dict) and models.get(role):
                self.models.setdefault(role, set()).add(str(models[role]))


def digest_of(source: str | Path) -> str:
    """SHA-256 of all rows of a data set, as `TrainRows.digest`."""
    digest = hashlib.sha256()
    for _, row in rows(_file(source), DatasetError, what="samples"):
        digest.update(row_bytes(row))
    return digest.hexdigest()


def _file(source: str | Path) -> str | Path:
    path = Path(source)
    if not path.is_dir():
        return source
    if (path / "dataset.jsonl").is_file():
        return path / "dataset.jsonl"
    raise DatasetError(
        f"{path} is a folder without dataset.jsonl",
        hint="name a file, or a run: tessy synth writes its data set when it ends",
    )


def _sample(where: str, row: Any, loss: frozenset[LossPart]) -> TrainSample:
    """Make a sample of a row; a ValueError says why it is none."""
    if isinstance(row, ValueError):
        raise row
    if not isinstance(row, dict):
        raise ValueError(f"a sample is an object, not {type(row).__name__}")
    messages = conversation(row.get("messages"), "messages", last="assistant")
    if len(messages) == 1:
        raise ValueError("`messages` hold a response and no question")
    spans = row.get("spans")
    if spans is None:  # without spans to count them, blanks at the ends are no text
        messages[-1]["content"] = messages[-1]["content"].strip()
    content = messages[-1]["content"]
    spans = None if spans is None else check_spans(content, spans)
    return TrainSample(where, messages, tuple(character_weights(content, spans, loss)))
