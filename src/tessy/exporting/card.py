"""The card of a data set: README.md in its folder, as Hugging Face reads it."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from importlib import resources
from typing import Any

import jinja2
import tomli_w

from tessy._version import __version__
from tessy.errors import DataError
from tessy.exporting.counts import Counts
from tessy.exporting.portable import portable
from tessy.exporting.settings import ExportSettings
from tessy.exporting.source import Source

_SIZES = {
    1_000: "n<1K",
    10_000: "1K<n<10K",
    100_000: "10K<n<100K",
    1_000_000: "100K<n<1M",
    10_000_000: "1M<n<10M",
}
_NO_FILTERS = {"to", "licence", "seed", "ngram"}


def card(name: str, settings: ExportSettings, sources: Sequence[Source], counts: Counts) -> str:
    """Write a card in Markdown, with its YAML front matter.

    Args:
        name: The data set's.
        settings: Of the export.
        sources: Where the samples come from; of runs, the settings are shown.
        counts: What was written.

    Raises:
        DataError: The settings of a run can't be read.
    """
    source = resources.files("tessy.exporting").joinpath("card.md.jinja").read_text("utf-8")
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, keep_trailing_newline=True)
    environment.filters["cell"] = _cell
    return environment.from_string(source).render(
        front=_front(name, settings, counts),
        name=name,
        version=__version__,
        counts=counts,
        filters=_filters(settings),
        runs=[(source.name, _settings(source)) for source in sources if source.run],
        licence=settings.licence,
    )


def _cell(value: Any) -> str:
    """A value in a line of Markdown: it must not end its cell, its line, or become markup.

    Nor may it name a folder of this machine: models and predictors may be files.
    """
    text = " ".join(str(portable(value)).split())
    return "".join(f"\\{char}" if char in "\\|`*_[]<>#" else char for char in text)


def _front(name: str, settings: ExportSettings, counts: Counts) -> str:
    from huggingface_hub import DatasetCardData

    kept = counts.kept.total()
    files = [{"split": split, "path": f"data/{split}-*.parquet"} for split in counts.kept]
    data = DatasetCardData(
        pretty_name=name,
        license=settings.licence,
        task_categories=["text-generation"],
        size_categories=[next((size for n, size in _SIZES.items() if kept < n), "n>10M")],
        tags=["tessy", "sft", "reasoning", "synthetic"],
        configs=[{"config_name": "default", "data_files": files}],
    )
    return str(data.to_yaml()).strip()


def _filters(settings: ExportSettings) -> dict[str, str]:
    """The filters that were asked for, by option."""
    given = settings.model_dump(mode="json", exclude_defaults=True, exclude=_NO_FILTERS)
    if settings.decontaminate:
        given["ngram"] = settings.ngram
    return {
        key.replace("_", "-"): ", ".join(value) if isinstance(value, list) else str(value)
        for key, value in portable(given).items()
    }


def _settings(source: Source) -> str:
    """A run's settings as TOML, without what belongs to the machine."""
    assert source.run
    try:
        there = tomllib.loads(source.run.settings.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{source.run.settings} can't be read: {error}") from None
    return tomli_w.dumps(portable(there))
