"""A run's folder, opened for reading, even while the run is active."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tessy.data.pieces import AuthoredText, authored
from tessy.data.remote import is_url
from tessy.errors import MissingExtra, TessyError, install_hint
from tessy.method.trajectory import Failure, Part
from tessy.runs.folder import RunFolder
from tessy.runs.reader import JournalReader
from tessy.runs.remote import reading

if TYPE_CHECKING:
    import datasets
    import pandas


@dataclass(frozen=True, slots=True)
class SampleCounts:
    """How many samples of a run have ended, and how.

    Attributes:
        finished: Samples that have an answer.
        failed: Failed samples by reason.
        under_way: Samples that are being written, or were when the run stopped.
    """

    finished: int
    failed: dict[Failure, int]
    under_way: int


@dataclass(frozen=True, slots=True)
class LoadedSample:
    """A finished sample.

    Attributes:
        record: Its line in `dataset.jsonl` (docs/record.md).
    """

    record: dict[str, Any]

    @property
    def id(self) -> str:
        """Its id, unique in the run."""
        return str(self.record["id"])

    @property
    def messages(self) -> list[dict[str, str]]:
        """The messages of its question."""
        return list(self.record["messages"][:-1])

    @property
    def prompt(self) -> str:
        """The last message of its question."""
        return self.messages[-1]["content"]

    @property
    def content(self) -> str:
        """The whole response: the thinking between its markers, and the answer."""
        return str(self.record["messages"][-1]["content"])

    @property
    def spans(self) -> list[AuthoredText]:
        """Who wrote what, in order."""
        return list(authored(self.content, self.record["spans"]))

    @property
    def thinking(self) -> str:
        """The thinking."""
        return "".join(span.text for span in self.spans if span.part is Part.THINKING)

    @property
    def answer(self) -> str:
        """The answer."""
        return "".join(span.text for span in self.spans if span.part is Part.ANSWER)

    @property
    def verdict(self) -> str | None:
        """The verifier's verdict, such as `right`; None if it was not verified."""
        found = self.record.get("verdict")
        return None if found is None else str(found["outcome"])

    @property
    def stats(self) -> dict[str, Any]:
        """Its counts of tokens, turns and hand-overs."""
        return dict(self.record["stats"])


@dataclass(frozen=True, slots=True, repr=False)
class LoadedRun:
    """A run; each call reads the current state of its folder.

    Iterating gives the finished samples in the order of the questions, `run["q7"]` the one of that
    id, `run[0]` the first and `run[-1]` the last, and `len(run)` how many there are.

    Attributes:
        path: The folder; of a run at a URL, that of its copy on this machine.
        url: Of a run at a URL: what was uploaded since is fetched at each call.
    """

    path: Path
    url: str | None = None

    def __iter__(self) -> Iterator[LoadedSample]:
        return map(LoadedSample, self.records())

    def __getitem__(self, which: str | int) -> LoadedSample:
        if isinstance(which, int):
            place = which if which >= 0 else len(self) + which
            record = next(islice(self.records(), place, None), None) if place >= 0 else None
            if record is None:
                raise IndexError(f"there are {len(self):,} finished samples, and no [{which}]")
            return LoadedSample(record)
        with JournalReader(self._folder()) as reader:
            found = reader.ended_sample(which)
        if found is None or found.failure is not None:
            raise KeyError(f"no finished sample {which!r}")
        return LoadedSample(found.record)

    def __repr__(self) -> str:
        try:
            counts = self.counts()
        except TessyError as error:
            return f"<LoadedRun {self.url or self.path}: {error.message}>"
        said = f"{counts.finished:,} finished, {sum(counts.failed.values()):,} failed"
        said += f", {counts.under_way:,} under way" if counts.under_way else ""
        return f"<LoadedRun {self.url or self.path}: {said}>"

    def __len__(self) -> int:
        return self.counts().finished

    def to_pandas(self) -> pandas.DataFrame:
        """The finished samples as a table: their records, with verdict and counts in columns.

        The texts are in `prompt_text`, `thinking_text` and `answer_text`, beside columns of the
        questions that may be called `answer`.

        Raises:
            MissingExtra: pandas is not installed.
        """
        try:
            import pandas
        except ImportError:
            raise MissingExtra("a table needs pandas", hint="pip install pandas") from None
        return pandas.DataFrame([_row(sample) for sample in self])

    def to_datasets(self) -> datasets.Dataset:
        """The records of the finished samples as a data set of Hugging Face.

        Raises:
            MissingExtra: `datasets` is not installed.
        """
        try:
            import datasets
        except ImportError:
            raise MissingExtra("a data set needs `datasets`", hint=install_hint("hub")) from None
        return datasets.Dataset.from_list(list(self.records()))

    def records(self) -> Iterator[dict[str, Any]]:
        """The records of finished samples, in the order of the questions (docs/record.md)."""
        yield from self._ended(failed=False)

    def failures(self) -> Iterator[dict[str, Any]]:
        """The records of failed samples, in the order of the questions (docs/failures.md)."""
        yield from self._ended(failed=True)

    def counts(self) -> SampleCounts:
        """How many samples have ended, and how."""
        with JournalReader(self._folder()) as reader:
            reasons = reader.reasons()
            under_way = len(reader.running())
        finished = reasons.pop(None, 0)
        failed = {reason: count for reason, count in reasons.items() if reason is not None}
        return SampleCounts(finished, failed, under_way)

    def _folder(self) -> RunFolder:
        return RunFolder(reading(self.url) if self.url is not None else self.path)

    def _ended(self, *, failed: bool) -> Iterator[dict[str, Any]]:
        with JournalReader(self._folder()) as reader:
            for entry in reader.ended(failed=failed):
                yield entry.record


def _row(sample: LoadedSample) -> dict[str, Any]:
    own = {name: value for name, value in sample.record.items() if name not in ("stats", "verdict")}
    texts = {f"{name}_text": getattr(sample, name) for name in ("prompt", "thinking", "answer")}
    return {**own, **texts, "verdict": sample.verdict, **sample.stats}


def load(run: str | Path) -> LoadedRun:
    """Open a run's folder for reading, even while the run is active.

    Args:
        run: The folder, or its URL.

    Raises:
        RemoteError: The URL can't be read.
        JournalError: It is not a run's folder, or its journal can't be read.
    """
    path = reading(run)
    with JournalReader(RunFolder(path)):
        return LoadedRun(path, str(run) if is_url(run) else None)
