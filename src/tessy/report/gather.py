"""Reading a run once, sample by sample, into what the analyses need; no text is kept."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tessy.errors import ConfigError, InputError, JournalError
from tessy.report.figures.accounts import Ledger
from tessy.report.figures.bags import Bags, Tokenize, Vocabulary
from tessy.report.figures.lengths import Lengths
from tessy.report.figures.sample import Sample, sample
from tessy.report.figures.style import StyleCounts
from tessy.report.traces import Chosen
from tessy.runs.folder import RunFolder
from tessy.runs.reader import JournalReader


@dataclass(frozen=True, slots=True)
class Source:
    """A run that is to be read.

    Attributes:
        folder: Where it lies.
        label: What the report calls it; unlike every other run's.
        settings: Its `run.toml`.
    """

    folder: RunFolder
    label: str
    settings: Mapping[str, Any]

    @property
    def method(self) -> str:
        """How its samples were written."""
        return str(self.settings.get("method", "?"))

    def samples(self, *, failed: bool | None = None) -> Iterator[Sample]:
        """Samples that ended, in the order of the questions.

        Raises:
            JournalError: The journal can't be read, or a record in it.
        """
        several = self.settings.get("samples_per_question", 1) > 1
        with JournalReader(self.folder) as reader:
            for entry in reader.ended(failed=failed):
                try:
                    yield sample(
                        entry.id,
                        entry.failure,
                        entry.record,
                        entry.trace,
                        seconds=entry.seconds,
                        requests=entry.requests,
                        several=several,
                    )
                except (KeyError, TypeError, ValueError) as error:
                    raise JournalError(
                        f"{self.folder.journal}: the record of {entry.id!r} makes no sense: "
                        f"{error!r}"
                    ) from None


@dataclass(slots=True)
class Gathered:
    """What was read of a run."""

    source: Source
    models: Mapping[str, str]
    under_way: int
    ledger: Ledger
    lengths: Lengths
    bags: Bags
    style: StyleCounts
    chosen: Chosen

    @property
    def label(self) -> str:
        """What the report calls the run."""
        return self.source.label


def sources(paths: Sequence[Path]) -> list[Source]:
    """The runs in some folders, each with a label of its own.

    Raises:
        InputError: A run is named twice.
        ConfigError: A `run.toml` can't be read.
        JournalError: There is no run in a folder.
    """
    places = [path.resolve() for path in paths]
    for place, path in zip(places, paths, strict=True):
        if places.count(place) > 1:
            raise InputError(f"{path} is named twice", hint="name each run once")
        with JournalReader(RunFolder(path)):
            pass
    settings = [_settings(RunFolder(path)) for path in paths]
    short = [f"{each.get('method', '?')} ({place.name})" for each, place in zip(settings, places)]  # noqa: B905
    return [
        Source(
            RunFolder(path),
            label if short.count(label) == 1 else f"{each.get('method', '?')} ({path})",
            each,
        )
        for path, label, each in zip(paths, short, settings, strict=True)
    ]


def _settings(folder: RunFolder) -> dict[str, Any]:
    try:
        return tomllib.loads(folder.settings.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise ConfigError(f"{folder.settings} can't be read: {error}") from None


def gather(
    source: Source,
    vocabulary: Vocabulary,
    tokenize: Tokenize | None,
    *,
    traces: int,
    progress: Callable[[int], None] = lambda _: None,
) -> Gathered:
    """Read a run.

    Args:
        source: The run.
        vocabulary: Of all runs of the report.
        tokenize: The student's tokenizer, if similarity is to be that of tokens.
        traces: Finished samples to be shown.
        progress: Told how many samples are read.

    Raises:
        JournalError: The journal can't be read.
    """
    with JournalReader(source.folder) as reader:
        under_way = len(reader.running())
    gathered = Gathered(
        source, {}, under_way, Ledger(), Lengths(), Bags(vocabulary, tokenize), StyleCounts(),
        Chosen(traces),
    )  # fmt: skip
    for number, each in enumerate(source.samples(), 1):
        gathered.ledger.add(each)
        gathered.style.add(each)
        gathered.chosen.add(each)
        if each.failure is None:
            gathered.lengths.add(each)
            gathered.bags.add(each)
            gathered.models = gathered.models or each.models
        progress(number)
    return gathered
