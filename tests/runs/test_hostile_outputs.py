"""What is written goes into the folder that was named, whatever is in the way there."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from runs.hostile_folders import OUTSIDE, good_run
from tessy.errors import ConfigError, JournalError, RunLocked, RunMismatch
from tessy.exporting.staging import staged
from tessy.report.job import ReportSettings, make_report, write_report
from tessy.report.scoring.store import FILE, open_scores
from tessy.runs.dataset import write_dataset
from tessy.runs.folder import RunFolder
from tessy.training.folder import SFTFolder


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    return good_run(tmp_path_factory.mktemp("good") / "run").path


@pytest.fixture
def run(good, tmp_path):
    return RunFolder(shutil.copytree(good, tmp_path / "run"))


@pytest.fixture
def outside(tmp_path):
    path = tmp_path / "outside"
    path.write_bytes(OUTSIDE)
    yield path
    assert path.read_bytes() == OUTSIDE


def in_the_way(path: Path, outside: Path, what: str) -> None:
    path.unlink(missing_ok=True)
    if what == "link":
        path.symlink_to(outside)
    else:
        os.mkfifo(path)


@pytest.mark.parametrize("what", ["link", "fifo"])
def test_a_report_replaces_what_is_in_the_way(run, outside, what):
    page = run.path / "report.html"
    in_the_way(page, outside, what)
    for name in ("report.html.part", ".report.html.part"):  # names that others could guess
        in_the_way(run.path / name, outside, what)
    write_report(make_report(ReportSettings([run.path])), {"html": page})
    assert not page.is_symlink()
    assert page.read_text().startswith("<!doctype html>")


@pytest.mark.parametrize("what", ["link", "fifo"])
def test_a_data_set_replaces_what_is_in_the_way(run, outside, what):
    before = run.dataset.read_bytes()
    for path in (run.dataset, run.failures, run.path / "dataset.jsonl.part"):
        in_the_way(path, outside, what)
    write_dataset(run)
    assert run.dataset.read_bytes() == before
    assert run.failures.read_bytes() == b""


@pytest.mark.parametrize("suffix", ["", "-wal", "-journal"])
@pytest.mark.parametrize("what", ["link", "fifo"])
def test_scores_are_kept_in_files_of_the_folder(run, outside, what, suffix):
    in_the_way(run.path / (FILE + suffix), outside, what)
    with pytest.raises(JournalError, match="it is a"), open_scores(run.path, "scorer"):
        pass


def test_scores_with_foreign_tables_are_refused(run):
    import sqlite3

    with sqlite3.connect(run.path / FILE) as connection:
        connection.execute("create table scores (text, scorer, id, sums)")
    with pytest.raises(JournalError, match="not as ours"), open_scores(run.path, "scorer"):
        pass


# --- Exports --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [".out.part", ".out.old"])
@pytest.mark.parametrize("what", ["link", "link to a folder", "fifo", "folder"])
def test_an_export_empties_no_folder_of_others(tmp_path, outside, name, what):
    own = tmp_path / "own"
    own.mkdir()
    (own / "thesis.tex").write_text("years of work")
    match what:
        case "link to a folder":
            (tmp_path / name).symlink_to(own)
        case "folder":
            shutil.copytree(own, tmp_path / name)
        case _:
            in_the_way(tmp_path / name, outside, what)
    with pytest.raises(ConfigError, match="is in the way"), staged(tmp_path / "out"):
        pass
    assert (own / "thesis.tex").exists()
    assert os.path.lexists(tmp_path / name)
    assert what != "folder" or (tmp_path / name / "thesis.tex").exists()


@pytest.mark.parametrize("what", ["link", "fifo"])
def test_the_lock_of_an_export_is_a_file(tmp_path, outside, what):
    (tmp_path / ".out.part").mkdir()
    in_the_way(tmp_path / ".out.part" / "lock", outside, what)
    with pytest.raises((ConfigError, RunLocked)), staged(tmp_path / "out"):
        pass


# --- Trainings ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["state", "eval", "epoch-1", "state/checkpoint-5", "eval/epoch-1"])
def test_a_training_removes_nothing_through_a_link(tmp_path, name):
    own = tmp_path / "own"
    (own / "checkpoint-1").mkdir(parents=True)
    folder = SFTFolder(tmp_path / "training")
    (folder.path / name).parent.mkdir(parents=True)
    folder.settings.touch()
    (folder.path / name).symlink_to(own)
    with pytest.raises(RunMismatch, match="is a link"), folder.locked():
        folder.tidy()
    assert (own / "checkpoint-1").is_dir()
