"""Run folders of strangers are opened safely: see `hostile_folders.py` for what is tried."""

from __future__ import annotations

import os
import re
import shutil

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import commands
from runs.hostile_folders import (
    HOSTILE,
    OUTSIDE,
    READERS,
    HostileFolder,
    good_run,
    read_changed,
    refusal,
)
from tessy.errors import JournalError
from tessy.runs.folder import RunFolder
from tessy.runs.reader import JournalReader


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    return good_run(tmp_path_factory.mktemp("good") / "run").path


def copied(good, tmp_path):
    shutil.copytree(good, tmp_path / "run")
    (tmp_path / "outside").write_bytes(OUTSIDE)
    return RunFolder(tmp_path / "run"), tmp_path / "outside"


@pytest.mark.parametrize("reader", READERS)
def test_a_good_run_is_read(reader, good, tmp_path):
    run, _ = copied(good, tmp_path)
    assert refusal(reader, run.path) is None


def check(hostile: HostileFolder, readers, good, tmp_path, *, quick: bool) -> None:
    run, outside = copied(good, tmp_path)
    hostile.make(run, outside)
    for reader in readers:
        said = refusal(reader, run.path, quick=quick)
        assert outside.read_bytes() == OUTSIDE
        assert {path.name for path in tmp_path.iterdir()} <= {"run", "outside", "cache"}
        if reader in hostile.by:
            assert said is not None, reader
            assert re.search(hostile.says, said), (reader, said)


@pytest.mark.parametrize("hostile", HOSTILE, ids=lambda hostile: hostile.name)
def test_a_hostile_folder_is_read_or_refused_and_nothing_outside_changes(hostile, good, tmp_path):
    """The one that writes to the folder comes last."""
    check(hostile, sorted(READERS, key=lambda name: name == "synth"), good, tmp_path, quick=True)


ONE_OF_EACH = [
    "journal.sqlite is a link",
    "run.toml is a fifo",
    "a view for a table",
    "a journal cut short",
    "spans.1.end is -1",
    "a trace that is garbled",
    "turns are [5]",
    "shards is a link",
    "a shard beyond the number",
    "a run of an older version",
]


@pytest.mark.parametrize("reader", ["show", "view", "report", "export"])
@pytest.mark.parametrize("name", ONE_OF_EACH)
def test_the_commands_refuse_it_with_a_message(name, reader, good, tmp_path):
    (hostile,) = (each for each in HOSTILE if each.name == name)
    check(hostile, [reader], good, tmp_path, quick=False)


@pytest.mark.parametrize(
    "settings",
    ["student = 5", "[student]\ntokenizer = 5", "samples_per_question = 'x'", "method = []"],
)
def test_settings_of_wrong_types_are_not_used(settings, good, tmp_path):
    run, _ = copied(good, tmp_path)
    run.settings.write_text(settings)
    done = commands.run("report", run.path, "--bootstrap-samples", "0")
    assert done.code == 0, done.err


@pytest.fixture(scope="module")
def journal(good):
    return RunFolder(good).shard(0).journal.read_bytes()


def test_a_journal_with_changed_bytes_is_read_or_refused(journal, tmp_path, monkeypatch):
    monkeypatch.setenv("TESSY_CACHE", str(tmp_path / "cache"))
    (tmp_path / "run").mkdir()
    places = st.one_of(st.integers(0, 200), st.integers(0, len(journal) - 1))
    changes = st.lists(st.tuples(places, st.integers(0, 255)), min_size=1, max_size=8)

    @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
    @given(changes)
    def read(changed):
        read_changed(journal, changed, tmp_path / "run")

    read()


def test_a_damaged_journal_is_named_as_such(good, tmp_path):
    run, _ = copied(good, tmp_path)
    (journal,) = run.path.glob("shards/*/journal.sqlite")
    os.truncate(journal, 8192)
    with pytest.raises(JournalError) as refused:
        list(JournalReader(run).ended())
    assert str(journal) in str(refused.value)
    assert "damaged" in refused.value.hint
