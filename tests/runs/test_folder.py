import subprocess
import sys

import pytest

from tessy.config import load
from tessy.errors import RunLocked, RunMismatch
from tessy.runs.folder import RunFolder, differences


def begin(path, digest="d", begun=True, **overrides):
    settings = {key.replace("__", "."): value for key, value in overrides.items()}
    path.mkdir(exist_ok=True)
    begun = begun and (path / "run.toml").exists()
    return RunFolder(path).begin(load(overrides=settings), "q.jsonl", digest, "0.1", begun=begun)


def test_a_resumed_run_has_the_date_of_its_first_start(tmp_path):
    date = begin(tmp_path / "run")
    settings = tmp_path / "run" / "run.toml"
    settings.write_text(settings.read_text().replace(str(date), "2020-02-02"))
    assert str(begin(tmp_path / "run", concurrency=3)) == "2020-02-02"


def test_other_models_at_the_same_urls_are_refused(tmp_path):
    begin(tmp_path / "run", student__model="http://a/v1", teacher__model="http://b/v1")
    begin(tmp_path / "run", student__model="http://c/v1", teacher__model="http://d/v1")
    folder = RunFolder(tmp_path / "run")
    folder.same_models({"student": "qwen", "teacher": "gpt"})
    folder.same_models({"student": "qwen", "teacher": "gpt"})
    with pytest.raises(RunMismatch, match="teacher: 'gpt' then, 'glm' now"):
        folder.same_models({"student": "qwen", "teacher": "glm"})
    begin(tmp_path / "run", student__model="http://c/v1", teacher__model="http://d/v1")


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
    for name in ("lock", f".tessy-{'0' * 16}.part", "journal.sqlite", "journal.sqlite-journal"):
        (tmp_path / name).write_bytes(b"")
    with RunFolder(tmp_path).locked():
        begin(tmp_path)


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
        with pytest.raises(RunLocked, match="is working on this run"), folder.locked():
            pass
    assert subprocess.run(command, check=False).returncode == 0


def test_differences():
    assert differences({"a": 1, "b": {"c": 2}}, {"a": 1, "b": {"c": 3, "d": 4}}) == [
        "b.c: 2 then, 3 now",
        "b.d: not set then, 4 now",
    ]
