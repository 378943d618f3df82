"""Runs in folders whose names contain characters that are special in URIs."""

from __future__ import annotations

import asyncio
from contextlib import closing
from io import StringIO
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rich.console import Console

from tessy.cli.listing import paint_list
from tessy.exporting.sources import find_source
from tessy.report.scoring.store import FILE, open_scores
from tessy.report.source import open_runs
from tessy.report.viewer.filters import Filter
from tessy.report.viewer.index import Index, index_path
from tessy.report.viewer.search import Search
from tessy.runs.dataset import write_dataset
from tessy.runs.folder import RunFolder
from tessy.runs.reader import JournalReader
from tessy.verifiers.responses import read_responses
from written import Written, write_run

HOSTILE = [
    "a b",
    " ",
    "what?mode=memory",
    "run#1",
    "100%",
    "%41",
    "%00",
    "a%2Fb",
    "it's",
    'a"b',
    "a;b&c=d",
    "file:x",
    "a\\b",
    "a\nb",
    "[red]é☃",
]
names = st.text(st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1, max_size=20)


def check(folder: RunFolder) -> None:
    """Everything that opens runs finds the one sample of this run."""
    asyncio.run(write_run(folder, [Written("only")]))
    with JournalReader(folder) as reader:
        assert [entry.id for entry in reader.ended()] == ["only"]
    write_dataset(folder)
    console = Console(file=StringIO(), record=True)
    paint_list(console, folder.path, Filter(), 5)
    assert console.export_text().split() == ["only", "finished"]
    (source,) = open_runs([folder.path])
    assert len(list(source.samples())) == 1
    assert [sample.id for sample in find_source(str(folder.path)).samples()] == ["only"]
    assert [response.id for response in read_responses(folder.path)] == ["only"]
    with open_scores(folder.path, "scorer") as store:
        assert store.get(next(source.samples())) is None
    assert (folder.path / FILE).exists()
    with closing(Index(folder)) as index:
        while index.add(3):
            pass
        while index.add_words(3):
            pass
    assert [row.id for row in Search(index_path(folder)).page(Filter(), 1).rows] == ["only"]


@pytest.mark.parametrize("name", HOSTILE)
def test_a_run_is_opened_whatever_its_folder_is_called(name, tmp_path, monkeypatch):
    monkeypatch.setenv("TESSY_CACHE", str(tmp_path / name / "cache"))
    check(RunFolder(tmp_path / name))


@pytest.mark.parametrize("name", HOSTILE)
def test_a_relative_path_works_too(name, tmp_path, monkeypatch):
    monkeypatch.setenv("TESSY_CACHE", f"{name}-cache")
    monkeypatch.chdir(tmp_path)
    check(RunFolder(Path(name)))


def test_any_name(tmp_path_factory):
    @settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow])
    @given(names.filter(lambda name: name not in (".", "..")))
    def opened(name):
        folder = tmp_path_factory.mktemp("any")
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("TESSY_CACHE", str(folder / "cache"))
            check(RunFolder(folder / name))

    opened()
