"""Reading samples to train on: a run, or JSONL, Parquet or a Hugging Face data set.

A sample is a row with `messages`, `{role, content}` each, of which the assistant's is the last;
`spans` say who wrote which characters of it (docs/record.md).
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from tessy.data.rows import rows
from tessy.errors import DataError
from tessy.training.masks import Loss, Run, character_weights, check_spans

_ROLES = ("system", "user", "assistant")
_STABLE = orjson.OPT_SORT_KEYS | orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS


@dataclass(frozen=True, slots=True)
class Sample:
    """One sample.

    Attributes:
        where: File and line.
        messages: The conversation; the last is the response.
        runs: The weight of each character of the response.
    """

    where: str
    messages: tuple[dict[str, str], ...]
    runs: tuple[Run, ...]

    @property
    def content(self) -> str:
        """The response."""
        return self.messages[-1]["content"]


@dataclass(slots=True)
class Source:
    """What is known of a data set once it was read.

    Attributes:
        rows: How many there are.
        bad: What is wrong with those that are no samples, in file order.
        characters: Of responses, by author; empty where spans are not given.
        methods: How often each method wrote a row.
        models: Names of the models that wrote them, by role.
    """

    rows: int = 0
    bad: list[str] = field(default_factory=list)
    characters: Counter[str] = field(default_factory=Counter)
    methods: Counter[str] = field(default_factory=Counter)
    models: dict[str, set[str]] = field(default_factory=dict)
    _digest: Any = field(default_factory=hashlib.sha256)

    @property
    def digest(self) -> str:
        """SHA-256 over all rows."""
        return str(self._digest.hexdigest())

    @property
    def teacher_share(self) -> float | None:
        """The teacher's share of the characters that somebody wrote; None if not known."""
        written = self.characters["teacher"] + self.characters["student"]
        return self.characters["teacher"] / written if written else None

    def samples(self, source: str | Path, loss: frozenset[Loss]) -> Iterator[Sample]:
        """Read the samples; what is wrong with the other rows is kept in `bad`.

        Args:
            source: A run's folder, a `.jsonl` or `.parquet` file, or a data set on Hugging Face.
            loss: What is to carry loss.

        Raises:
            DataError: There is no such source, or it can't be read.
        """
        for where, row in rows(_file(source), what="samples"):
            self.rows += 1
            told = row if isinstance(row, dict) else str(row)
            self._digest.update(orjson.dumps(told, str, _STABLE))
            try:
                sample = _sample(where, row, loss)
            except ValueError as error:
                self.bad.append(f"{where}: {error}")
                continue
            self._note(row)
            yield sample

    def _note(self, row: dict[str, Any]) -> None:
        for span in row.get("spans") or ():
            self.characters[span["role"]] += span["end"] - span["start"]
        if method := row.get("method"):
            self.methods[str(method)] += 1
        models = row.get("models")
        for role in ("student", "teacher"):
            if isinstance(models, dict) and models.get(role):
                self.models.setdefault(role, set()).add(str(models[role]))


def digest_of(source: str | Path) -> str:
    """SHA-256 over all rows of a data set, as `Source.digest`."""
    read = Source()
    for _ in read.samples(source, frozenset({Loss.RESPONSE})):
        pass
    return read.digest


def _file(source: str | Path) -> str | Path:
    path = Path(source)
    if not path.is_dir():
        return source
    if (path / "dataset.jsonl").is_file():
        return path / "dataset.jsonl"
    raise DataError(
        f"{path} is a folder without dataset.jsonl",
        hint="name a file, or a run: tessy synth writes its data set when it ends",
    )


def _sample(where: str, row: Any, loss: frozenset[Loss]) -> Sample:
    """Make a sample of a row; ValueError with the reason if it is none."""
    if isinstance(row, ValueError):
        raise row
    if not isinstance(row, dict):
        raise ValueError(f"a sample is an object, not {type(row).__name__}")
    messages = _messages(row.get("messages"))
    spans = row.get("spans")
    if spans is None:  # blanks at the ends are no text; spans may count them
        messages[-1]["content"] = messages[-1]["content"].strip()
    content = messages[-1]["content"]
    spans = None if spans is None else check_spans(content, spans)
    return Sample(where, messages, tuple(character_weights(content, spans, loss)))


def _messages(value: Any) -> tuple[dict[str, str], ...]:
    if not isinstance(value, list) or not value:
        raise ValueError("`messages` must be a list of {role, content} with something in it")
    found = []
    for index, message in enumerate(value):
        if not isinstance(message, dict) or message.get("role") not in _ROLES:
            raise ValueError(f"messages[{index}].role must be one of {', '.join(_ROLES)}")
        content = message.get("content")
        if not isinstance(content, str) or not content.strip():
            raise ValueError(f"messages[{index}].content must be text, and not empty")
        found.append({"role": message["role"], "content": content})
    if found[-1]["role"] != "assistant":
        raise ValueError(f"`messages` must end with the assistant, not the {found[-1]['role']}")
    if len(found) == 1:
        raise ValueError("`messages` hold a response and no question")
    return tuple(found)
