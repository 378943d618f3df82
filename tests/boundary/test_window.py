"""The predictor over a window of words: what it judges by, its files, and its training."""

from __future__ import annotations

import shutil
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from boundary.test_train import segments
from tessy.boundary.registry import load
from tessy.boundary.settings import Thresholds, TrainSettings
from tessy.boundary.training.calibrate import margins
from tessy.boundary.training.metrics import FIGURES, LabelCounts
from tessy.boundary.training.train import train
from tessy.boundary.training.walk import counted, labellings
from tessy.boundary.window import (
    LEFT,
    RIGHT,
    WindowNetwork,
    WindowPredictor,
    WindowSettings,
    words_before,
)
from tessy.errors import ConfigError
from tessy.method.judgement import Judgement, Passage
from tessy.method.trajectory import Role
from tessy.method.words import units

DIMENSIONS, VECTORS = 4, 50


def network(seed=0, scale=1.0):
    """A network of random weights."""
    chance = np.random.default_rng(seed)
    sizes = [(LEFT + 1 + RIGHT) * DIMENSIONS, 6, 5, 1]
    layers = [
        (scale * chance.normal(size=(b, a)), chance.normal(size=b)) for a, b in pairwise(sizes)
    ]
    return WindowNetwork(chance.normal(size=(VECTORS, DIMENSIONS)), layers)


def predictor(unsure=(0.3, 0.2, 0.1), seed=0):
    return WindowPredictor("random", network(seed), WindowSettings(unsure=unsure))


words = st.sampled_from(
    ["so", "Wait,", "x=3", "a" * 130, "—", "\n\n", "\n", "  ", "值", "let", "me", "see.", "\0", "é"]
)
texts = st.lists(words, max_size=30).map(" ".join)


@given(texts, texts, st.lists(st.integers(0, 200), max_size=5), st.sampled_from(Role))
def test_replay_a_word_is_judged_by_text_and_not_by_where_the_context_ends(a, b, cuts, role):
    """The same words get the same bits as text that comes and as text that came before."""
    made, text = predictor(), a + " " + b
    whole = made.style([Passage(role, "", text, final=True)])[0]
    found = units(text)
    for cut in cuts:
        at = next((n for n, word in enumerate(found) if word.start >= cut), len(found))
        start = found[at].start if at < len(found) else len(text)
        rest = made.style([Passage(role, text[:start], text[start:], final=True)])[0]
        ours = [score for score in whole[at:] if not np.isnan(score)]
        assert [score for score in rest if not np.isnan(score)] == ours


@given(texts, texts, texts)
def test_only_the_last_characters_count(one, other, text):
    tail = (text + " " + "word " * 30)[:120]
    assert words_before("a" + one + tail) == words_before("b" + other + tail)
    assert len(words_before(text)[0]) <= LEFT


def test_the_end_of_a_word_that_begins_too_far_back_is_no_word():
    assert words_before("x" * 200 + " so\n")[0] == ["so"]


def test_a_word_waits_for_as_many_words_as_it_needs():
    made = predictor(unsure=(1.0, 1.0))
    text = "one two three four "
    assert made.judge([Passage(Role.TEACHER, "", text[:4])]) == [Judgement(None, 0)]
    assert made.judge([Passage(Role.TEACHER, "", text[:8])]) == [Judgement(None, 0)]
    found = made.judge([Passage(Role.TEACHER, "", text[:14])])[0]
    assert found.boundary == 0 or found.settled >= len("one")
    final = made.judge([Passage(Role.TEACHER, "", text[:4], final=True)])[0]
    assert final.boundary == 0 or final.settled == len("one")


def test_margins_let_few_words_be_decided_otherwise_than_with_all_words_after_them():
    chance = np.random.default_rng(1)
    last = chance.uniform(size=5000)
    early = np.clip(last + chance.normal(scale=0.2, size=5000), 0, 1)
    margin, none = margins([early, last, last], Thresholds())
    decided = np.abs(early - 0.5) >= margin
    assert np.mean(decided & ((early > 0.5) != (last > 0.5))) <= 0.0015
    nearer = np.abs(early - 0.5) >= margin - 0.03
    assert np.mean(nearer & ((early > 0.5) != (last > 0.5))) > 0.0015
    assert none == 0


# --- Training -----------------------------------------------------------------------------------

QUICK = TrainSettings(epochs=30, patience=8, batch_size=1, held_out=0.2, hidden=16)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    return train(segments(), tmp_path_factory.mktemp("trained") / "out", QUICK)


def test_what_was_trained_tells_style_from_capability_in_new_segments(trained):
    found = segments(20, seed=9)
    counts = counted(found, labellings(load(f"window:{trained.folder}"), found))
    whole = LabelCounts.of_row(np.sum([each.flat() for each in counts], axis=0))
    assert FIGURES["word_f1"](whole) > 0.95


def test_the_same_seed_trains_the_same(trained, tmp_path):
    again = train(segments(), tmp_path / "again", QUICK)
    for name in ("window.npz", "predictor.json"):
        assert (again.folder / name).read_bytes() == (trained.folder / name).read_bytes()


@pytest.mark.parametrize("option", [{"onnx": True}, {"shift": True}])
def test_options_of_token_classifiers_are_refused_before_any_work(tmp_path, option):
    settings = QUICK.model_copy(update={"shift": option.pop("shift", False)})
    with pytest.raises(ConfigError, match="neither --onnx nor --shift"):
        train(segments(), tmp_path / "new", settings, **option)
    assert not (tmp_path / "new").exists()


# --- Files that are missing or broken -----------------------------------------------------------


def copied(trained, tmp_path):
    return shutil.copytree(trained.folder, tmp_path / "copy")


@pytest.mark.parametrize("name", ["window.npz", "predictor.json"])
def test_a_missing_file_is_named(trained, tmp_path, name):
    folder = copied(trained, tmp_path)
    (folder / name).unlink()
    with pytest.raises(ConfigError, match=f"there is no {name} in it"):
        load(f"window:{folder}")


@pytest.mark.parametrize("name", ["window.npz", "predictor.json"])
def test_a_broken_file_is_named(trained, tmp_path, name):
    folder = copied(trained, tmp_path)
    content = bytearray((folder / name).read_bytes())
    (folder / name).write_bytes(content[: len(content) // 2])
    with pytest.raises(ConfigError, match=name):
        load(f"window:{folder}")


def broken_arrays():
    """Arrays that do not fit together, by what is wrong with them."""
    fine = {
        "vectors": np.zeros((9, 2)),
        "weights0": np.zeros((3, 24)),
        "bias0": np.zeros(3),
        "weights1": np.zeros((1, 3)),
        "bias1": np.zeros(1),
    }
    yield "without vectors", {k: v for k, v in fine.items() if k != "vectors"}
    yield "another window", fine | {"weights0": np.zeros((3, 26))}
    yield "two outputs", fine | {"weights1": np.zeros((2, 3)), "bias1": np.zeros(2)}
    yield "a bias too long", fine | {"bias0": np.zeros(4)}
    yield "no number", fine | {"bias1": np.array([np.nan])}
    yield "objects", fine | {"vectors": np.array([[{}]], dtype=object)}
    yield "too few vectors", fine | {"vectors": np.zeros((2, 2))}


@pytest.mark.parametrize("arrays", dict(broken_arrays()).values(), ids=dict(broken_arrays()))
def test_arrays_that_do_not_fit_are_refused(trained, tmp_path, arrays):
    folder = copied(trained, tmp_path)
    np.savez(folder / "window.npz", **arrays)
    with pytest.raises(ConfigError, match=r"window\.npz"):
        load(f"window:{folder}")


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ConfigError, match="no such folder"):
        load(f"window:{tmp_path / 'nowhere'}")
