"""What a training's folder refuses, and how it says so."""

from __future__ import annotations

import pytest

from tessy.errors import RunMismatch
from tessy.training.folder import SFTFolder


@pytest.fixture
def begun(tmp_path):
    """A training of which a first checkpoint is there."""
    folder = SFTFolder(tmp_path / "training")
    folder.path.mkdir()
    folder.begin({"seed": 0}, "data.jsonl", "digest")
    folder.seal(checkpoint(folder, 1))
    return folder


def checkpoint(folder, step):
    path = folder.state / f"checkpoint-{step}"
    path.mkdir(parents=True)
    return path


def test_the_same_training_goes_on(begun):
    before = begun.settings.read_bytes()
    begun.begin({"seed": 0}, "the same, moved.jsonl", "digest")
    assert begun.settings.read_bytes() == before


@pytest.mark.parametrize(
    ("seed", "digest", "said"),
    [
        (1, "digest", "seed: 0 then, 1 now"),
        (0, "other", "the data set: data.jsonl then, new.jsonl now"),
    ],
)
def test_another_training_is_refused_with_what_differs(begun, seed, digest, said):
    with pytest.raises(RunMismatch, match="holds a training with other settings") as caught:
        begun.begin({"seed": seed}, "new.jsonl", digest)
    assert str(caught.value).splitlines()[1:] == [f"  {said}"]
    assert "the settings of that training" in caught.value.hint


def test_settings_that_are_broken_are_named(begun):
    begun.settings.write_text("= =")
    with pytest.raises(RunMismatch, match=r"sft\.toml can't be read"):
        begun.begin({"seed": 0}, "data.jsonl", "digest")


def test_settings_may_change_before_a_first_checkpoint(tmp_path):
    folder = SFTFolder(tmp_path)
    folder.begin({"seed": 0}, "data.jsonl", "digest")
    folder.begin({"seed": 1}, "other.jsonl", "other")
    assert "seed = 1" in folder.settings.read_text()
