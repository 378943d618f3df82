"""For Hugging Face: Parquet with a card, and its upload."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from typing import Any

import jinja2
import tomli_w

from tessy._version import __version__
from tessy.errors import ConfigError, DataError, HubError
from tessy.exporting.parquet import Parquet
from tessy.exporting.portable import portable
from tessy.exporting.samples import Drop, ExportCounts, ExportSample
from tessy.exporting.settings import ExportSettings
from tessy.exporting.sources import ExportSource

DATA = "data"
"""The folder of the Parquet files."""
_SIZES = {
    1_000: "n<1K",
    10_000: "1K<n<10K",
    100_000: "10K<n<100K",
    1_000_000: "100K<n<1M",
    10_000_000: "1M<n<10M",
}
_NO_FILTERS = {"to", "licence", "seed", "ngram", "push", "public"}


class HuggingFace(Parquet):
    """`data/*.parquet`, with the columns of `Parquet`, and README.md, the card.

    Args:
        settings: Of the export, for the card.
        sources: Where the samples come from, for the card.
    """

    folder = DATA

    def __init__(self, settings: ExportSettings, sources: Sequence[ExportSource]) -> None:
        self._settings, self._sources = settings, sources

    def row(self, sample: ExportSample) -> dict[str, Any] | Drop:
        """A row; models and predictors that are files are named without their folders."""
        models = portable(sample.record.get("models"))
        return super().row(ExportSample({**sample.record, "models": models}))

    def finish(self, folder: Path, name: str, counts: ExportCounts) -> None:
        """Write the card."""
        text = card(name, self._settings, self._sources, counts)
        (folder / "README.md").write_text(text, "utf-8")


def card(
    name: str, settings: ExportSettings, sources: Sequence[ExportSource], counts: ExportCounts
) -> str:
    """Make a data set's card: Markdown with YAML front matter.

    Args:
        name: The data set's.
        settings: Of the export.
        sources: Where the samples come from; the card shows the settings of runs.
        counts: What was written.

    Raises:
        DataError: The settings of a run can't be read.
    """
    template = resources.files("tessy.exporting").joinpath("card.md.jinja").read_text("utf-8")
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, keep_trailing_newline=True)
    environment.filters["cell"] = _cell
    return environment.from_string(template).render(
        front=_front_matter(name, settings, counts),
        name=name,
        version=__version__,
        counts=counts,
        filters=_filters(settings),
        runs=[(source.name, _run_settings(source)) for source in sources if source.run],
        licence=settings.licence,
    )


def _cell(value: Any) -> str:
    """A value for a line of Markdown: it can't end its cell or its line, or become markup.

    It names no folder of this machine either: models and predictors may be files.
    """
    text = " ".join(str(portable(value)).split())
    return "".join(f"\\{char}" if char in "\\|`*_[]<>#" else char for char in text)


def _front_matter(name: str, settings: ExportSettings, counts: ExportCounts) -> str:
    from huggingface_hub import DatasetCardData

    kept = counts.kept.total()
    files = [{"split": split, "path": f"{DATA}/{split}-*.parquet"} for split in counts.kept]
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


def _run_settings(source: ExportSource) -> str:
    """A run's settings as TOML, without anything of this machine."""
    assert source.run
    try:
        settings = tomllib.loads(source.run.settings.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{source.run.settings} can't be read: {error}") from None
    return tomli_w.dumps(portable(settings))


def check_access() -> None:
    """Make sure, before any work, that an upload can succeed.

    Raises:
        ConfigError: There is no token.
        HubError: The hub can't be reached, or does not accept the token.
    """
    from huggingface_hub import HfApi, get_token

    if get_token() is None:
        raise ConfigError(
            "there is no token for Hugging Face", hint="hf auth login, or set HF_TOKEN"
        )
    with _hub_errors("whoami"):
        HfApi().whoami()


def upload(folder: Path, name: str, *, public: bool = False) -> str:
    """Create a data set on the hub if it does not exist, and upload an export in one commit.

    The card and the data are uploaded, and neither counts nor the list of what was dropped.

    Args:
        folder: An export for `hf`.
        name: The data set's name, `owner/name`.
        public: Anyone may see the data set, if this creates it; an existing one stays as it is.

    Returns:
        The commit's address.

    Raises:
        HubError: The hub did not accept it; the folder stays.
    """
    from huggingface_hub import HfApi

    api = HfApi()
    hint = (
        f"{folder} is there; to upload it: hf upload {name} {folder} "
        f"--repo-type dataset --include README.md --include '{DATA}/*'"
    )
    with _hub_errors("create_repo", hint):
        api.create_repo(name, repo_type="dataset", private=not public, exist_ok=True)
    with _hub_errors("upload_folder", hint):
        commit = api.upload_folder(
            repo_id=name,
            repo_type="dataset",
            folder_path=folder,
            allow_patterns=["README.md", f"{DATA}/*.parquet"],
            delete_patterns=[f"{DATA}/*.parquet"],
            commit_message="Data and card, exported with tessy",
        )
    return str(commit.commit_url)


@contextmanager
def _hub_errors(call: str, hint: str | None = None) -> Iterator[None]:
    from huggingface_hub.errors import HfHubHTTPError

    try:
        yield
    except HfHubHTTPError as error:
        said = error.server_message or str(error).splitlines()[0]
        raise HubError(f"Hugging Face refused ({call}): {said}", hint=hint) from None
    except Exception as error:  # its HTTP library's, which is another from version to version
        raise HubError(f"Hugging Face can't be used ({call}): {error}", hint=hint) from error
