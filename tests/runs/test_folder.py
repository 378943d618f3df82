import asyncio
import errno
import fcntl
import os
import subprocess
import sys
import time

import pytest

from tessy.config import load
from tessy.data.files import write_atomically
from tessy.errors import ConfigError, JournalError, RunLocked, RunMismatch
from tessy.runs import folder as folder_module
from tessy.runs.dataset import write_dataset
from tessy.runs.folder import RunFolder
from tessy.runs.identity import differences
from tessy.runs.reader import JournalReader, is_begun
from written import Written, write_run


def begin(path, digest="d", begun=True, **overrides):
    settings = {key.replace("__", "."): value for key, value in overrides.items()}
    path.mkdir(exist_ok=True)
    folder, config = RunFolder(path), load(overrides=settings)
    if begun and folder.settings.exists():
        return folder.run_toml.refuse_other_run(config, "q.jsonl", digest)
    return folder.run_toml.begin(config, "q.jsonl", digest, "0.1", shards=1)


def test_a_resumed_run_has_the_date_of_its_first_start(tmp_path):
    date = begin(tmp_path / "run")
    settings = tmp_path / "run" / "run.toml"
    settings.write_text(settings.read_text().replace(str(date), "2020-02-02"))
    assert str(begin(tmp_path / "run", concurrency=3)) == "2020-02-02"


@pytest.mark.parametrize(
    "overrides",
    [
        {},
        {"method": "judge", "seed": 3, "student__model": "lab:student", "handover": {}},
        {"handover__min_style_words": 2, "handover__shared_words": ["so"], "verify": "number"},
        {
            "student__model": "http://a/v1",
            "student__chunk": 9,
            "prompts__score": "{question}{answer}",
        },
        {
            "teachers": {"a": {"model": "http://a/v1"}, "b": {"model": "lab:teacher"}},
            "route": "vote",
        },
    ],
)
def test_the_settings_of_a_run_are_those_of_another_one(tmp_path, overrides):
    begin(tmp_path / "run", **overrides)
    models = {k: v for k, v in overrides.items() if k.endswith("model") or k == "teachers"}
    begin(tmp_path / "again", **overrides)
    again = load(
        tmp_path / "run" / "run.toml", {k.replace("__", "."): v for k, v in models.items()}
    )
    RunFolder(tmp_path / "again").run_toml.refuse_other_run(again, "q.jsonl", "d")


def test_the_settings_of_a_run_name_no_server(tmp_path):
    begin(tmp_path / "run", student__model="http://a/v1", teacher__model="lab:teacher")
    found = load(tmp_path / "run" / "run.toml")
    assert (found.student.model, found.teacher.model) == (None, "lab:teacher")


def test_other_models_at_the_same_urls_are_refused(tmp_path):
    begin(tmp_path / "run", student__model="http://a/v1", teacher__model="http://b/v1")
    begin(tmp_path / "run", student__model="http://c/v1", teacher__model="http://d/v1")
    folder = RunFolder(tmp_path / "run")
    folder.run_toml.same_models({"student": "qwen", "teacher": "gpt"})
    folder.run_toml.same_models({"student": "qwen", "teacher": "gpt"})
    with pytest.raises(RunMismatch, match="teacher: 'gpt' then, 'glm' now"):
        folder.run_toml.same_models({"student": "qwen", "teacher": "glm"})
    begin(tmp_path / "run", student__model="http://c/v1", teacher__model="http://d/v1")


EVALUATION = {
    **{"method": "student-only", "on_wrong": "keep_judged", "verify": "exact"},
    "student__model": "lab:teacher",
}


@pytest.mark.parametrize(
    ("first", "then", "said"),
    [
        ({}, EVALUATION, "run holds a run of tessy synth"),
        (EVALUATION, {}, "run holds an evaluation of lab:teacher"),
    ],
)
def test_an_evaluation_in_the_folder_of_a_run_is_named(tmp_path, first, then, said):
    begin(tmp_path / "run", **first)
    with pytest.raises(RunMismatch) as refused:
        begin(tmp_path / "run", **then)
    assert str(refused.value).endswith(said)
    assert refused.value.hint == "give another --out"


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"student__chunk": 5}, "student.chunk: not set then, 5 now"),
        ({"seed": 3}, "seed: 0 then, 3 now"),
        ({"student__model": "gguf:x"}, "student.model: not set then, 'gguf:x' now"),
        ({"student__system_prompt": "Hi"}, "student.system_prompt: not set then, 'Hi' now"),
        ({"digest": "e"}, "the questions"),
    ],
)
def test_changed_settings_are_refused_by_name(tmp_path, changed, message):
    begin(tmp_path / "run")
    with pytest.raises(RunMismatch) as error:
        begin(tmp_path / "run", **changed)
    assert message in str(error.value)
    assert "--out" in error.value.hint


def test_a_folder_that_holds_something_else_is_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(RunMismatch, match=r"is no run, but holds thesis\.tex"):
        RunFolder(tmp_path).locked().__enter__()
    assert [entry.name for entry in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_first_start_that_was_killed_does_not_prevent_the_next(tmp_path):
    """It was killed while it wrote its settings or created its journal."""
    (tmp_path / "shards" / "0000").mkdir(parents=True)
    beside = [
        f"shards/0000/{name}" for name in ("lock", "journal.sqlite", "journal.sqlite-journal")
    ]
    for name in ("lock", "settings.lock", f".tessy-{'0' * 16}.part", *beside):
        (tmp_path / name).write_bytes(b"")
    folder = RunFolder(tmp_path)
    with folder.locked():
        assert not is_begun(folder)
        folder.remove_journals()
        begin(tmp_path)


def test_a_folder_of_shards_that_are_not_ours_is_left_alone(tmp_path):
    (tmp_path / "shards").mkdir()
    (tmp_path / "shards" / "train-0001.parquet").touch()
    with pytest.raises(RunMismatch, match="is no run, but holds shards"):
        RunFolder(tmp_path).locked().__enter__()
    assert [entry.name for entry in tmp_path.iterdir()] == ["shards"]


def test_a_run_of_an_older_version_is_refused(tmp_path):
    begin(tmp_path)
    (tmp_path / "journal.sqlite").write_bytes(b"whatever it holds")
    with pytest.raises(JournalError, match=r"journal\.sqlite: a run of an older version") as error:
        RunFolder(tmp_path).locked().__enter__()
    assert "read it with that version" in error.value.hint
    with pytest.raises(JournalError, match="a run of an older version"):
        JournalReader(RunFolder(tmp_path))


def test_settings_may_change_until_something_is_written(tmp_path):
    begin(tmp_path / "run", student__format="plain")
    begin(tmp_path / "run", begun=False, student__format="qwen3")
    assert 'format = "qwen3"' in (tmp_path / "run" / "run.toml").read_text()


def test_a_run_file_that_is_broken_is_named(tmp_path):
    begin(tmp_path / "run")
    (tmp_path / "run" / "run.toml").write_text("= =")
    with pytest.raises(RunMismatch, match=r"run\.toml can't be read"):
        begin(tmp_path / "run")


def test_only_one_process_works_in_a_folder(tmp_path):
    folder = RunFolder(tmp_path / "run")
    code = (
        "import sys; from pathlib import Path; from tessy.runs.folder import RunFolder\n"
        "with RunFolder(Path(sys.argv[1])).locked(): pass"
    )
    command = [sys.executable, "-c", code, str(folder.path)]
    with folder.locked():
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert "RunLocked" in done.stderr
        for shared in (False, True):
            who = f"process {os.getpid()} is working on this run"
            with pytest.raises(RunLocked, match=who), folder.locked(shared=shared):
                pass
    assert subprocess.run(command, check=False).returncode == 0


def test_processes_that_write_shards_share_the_folder(tmp_path):
    """The number of the process that had it alone before is not named."""
    folder = RunFolder(tmp_path / "run")
    with folder.locked():
        pass
    with folder.locked(shared=True), folder.locked(shared=True):
        with pytest.raises(RunLocked, match="other processes are working"), folder.locked():
            pass
        with folder.shard(0).locked():
            with pytest.raises(RunLocked, match="shards/0000: process"), folder.shard(0).locked():
                pass
            with folder.shard(1).locked():
                pass


def test_differences():
    assert differences({"a": 1, "b": {"c": 2}}, {"a": 1, "b": {"c": 3, "d": 4}}) == [
        "b.c: 2 then, 3 now",
        "b.d: not set then, 4 now",
    ]


# --- A journal that was lost --------------------------------------------------------------------


def lost(folder: RunFolder, how: str) -> None:
    """Take away what a data set was written from."""
    journal = folder.shard(0).journal
    for suffix in ("-wal", "-shm"):
        journal.with_name(journal.name + suffix).unlink(missing_ok=True)
    journal.unlink()
    if how == "empty":
        journal.touch()


@pytest.mark.parametrize("how", ["missing", "empty"])
def test_a_data_set_without_its_journal_is_refused_and_stays(tmp_path, how):
    folder = RunFolder(tmp_path / "run")
    asyncio.run(write_run(folder, [Written("a"), Written("b")]))
    write_dataset(folder)
    before = folder.dataset.read_bytes()
    lost(folder, how)
    (folder.path / "run.toml").write_text("")
    with pytest.raises(RunMismatch, match="has 2 samples, but no journal is there") as error:
        folder.locked().__enter__()
    assert "put the folder shards back" in error.value.hint
    assert folder.dataset.read_bytes() == before
    assert folder.shard(0).journal.exists() == (how == "empty")


def test_a_journal_with_fewer_samples_than_the_data_set_is_refused(tmp_path):
    folder = RunFolder(tmp_path / "run")
    asyncio.run(write_run(folder, [Written("a"), Written("b")]))
    write_dataset(folder)
    folder.refuse_lost_journal(2)
    folder.refuse_lost_journal(3)  # of a start that was killed before it wrote them
    with pytest.raises(RunMismatch, match="has 2 samples, but the journals hold 1:"):
        folder.refuse_lost_journal(1)


# --- Files ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["link", "dangling link", "fifo"])
def test_what_is_in_the_way_is_replaced_and_not_followed(tmp_path, what):
    outside, path = tmp_path / "outside", tmp_path / "run.toml"
    if what == "fifo":
        os.mkfifo(path)
    else:
        path.symlink_to(outside)
    if what == "link":
        outside.write_text("stays")
    write_atomically(path, [b"new ", b"content"])
    assert path.read_bytes() == b"new content"
    assert not path.is_symlink()
    assert outside.exists() == (what == "link")
    assert not outside.exists() or outside.read_text() == "stays"


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "file"
    path.write_text("old")

    def parts():
        yield b"half"
        raise RuntimeError

    with pytest.raises(RuntimeError):
        write_atomically(path, parts())
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_what_a_killed_process_left_is_removed_and_what_is_being_written_stays(tmp_path):
    begin(tmp_path)
    old, new, other = (
        tmp_path / name
        for name in (f".tessy-{7:016}.part", f".tessy-{8:016}.part", ".tessy-x.part")
    )
    for path in (old, new, other):
        path.touch()
    os.utime(old, (time.time() - 7200,) * 2)
    begin(tmp_path, begun=False)
    assert not old.exists()
    assert new.exists()
    assert other.exists()


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL])
def test_a_file_system_without_locks_is_named(tmp_path, monkeypatch, number):
    def refuse(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(ConfigError, match="file system without locks") as error:
        RunFolder(tmp_path / "run").locked().__enter__()
    assert "on a local disk" in error.value.hint


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES, errno.ENOSPC, errno.ENAMETOOLONG])
def test_settings_that_can_not_be_written_are_named(tmp_path, monkeypatch, number):
    """The numbers come from file systems that a test can't make; the rest is real."""
    real = os.open

    def refuse(path, flags, *more):
        if str(path).endswith(".part"):
            raise OSError(number, os.strerror(number), str(path))
        return real(path, flags, *more)

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(ConfigError, match=r"run\.toml can't be written: "):
        begin(tmp_path / "run")


def test_a_folder_whose_name_is_too_long_is_named(tmp_path):
    with pytest.raises(ConfigError, match="File name too long"):
        RunFolder(tmp_path / ("x" * 300)).locked().__enter__()


def test_a_journal_that_another_start_removes_is_not_missed(tmp_path, monkeypatch):
    """Shards that start at once remove the empty journals of a start that wrote nothing."""
    run = RunFolder(tmp_path)
    run.shard(0).path.mkdir(parents=True)
    run.shard(0).journal.touch()

    def seen(path):
        path.unlink()
        return True

    monkeypatch.setattr(folder_module, "is_there", seen)
    monkeypatch.setattr(folder_module, "refuse_lost", lambda *_: None)
    run.refuse_lost_journal()
