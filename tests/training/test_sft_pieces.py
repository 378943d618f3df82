"""Parts of a training that need no model: batches, checkpoints, losses, settings."""

from __future__ import annotations

import re
import signal
from concurrent.futures import ThreadPoolExecutor

import pytest

from tessy.errors import ConfigError
from tessy.settings.loading import load_settings
from tessy.training.card import card
from tessy.training.epochs import Epoch
from tessy.training.folder import SFTFolder
from tessy.training.losses import Losses, LossStep, from_log
from tessy.training.prepare import DataCounts
from tessy.training.settings import SFTSettings
from tessy.training.signals import on_signal
from tessy.training.trainer import split_batch
from training.made import settings

# --- Pieces -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("batch", "micro", "processes", "longest", "shared"),
    [
        (128, None, 1, 40_000, (1, 128)),
        (128, None, 8, 2_000, (16, 1)),
        (128, None, 1, 1_000, (32, 4)),
        (7, None, 1, 10_000, (1, 7)),
        (8, 2, 2, 100, (2, 2)),
    ],
)
def test_a_batch_is_shared_out(batch, micro, processes, longest, shared):
    chosen = settings("m", batch_size=batch, micro_batch_size=micro)
    assert split_batch(chosen, processes, longest) == shared


def test_a_batch_that_processes_can_not_share_is_refused():
    with pytest.raises(ConfigError, match="split between 3 processes") as caught:
        split_batch(settings("m", batch_size=128), 3, 100)
    assert caught.value.hint == "--batch-size 129"


def test_a_checkpoint_that_a_crash_left_unfinished_does_not_count(tmp_path):
    folder = SFTFolder(tmp_path)
    for step in (9, 10, 11):
        (folder.state / f"checkpoint-{step}").mkdir(parents=True)
    assert folder.checkpoint() is None
    folder.seal(folder.state / "checkpoint-10")
    assert folder.checkpoint() == folder.state / "checkpoint-10"
    assert [path.name for path in folder.state.iterdir()] == ["checkpoint-10"]


def test_the_newest_checkpoint_counts_by_number_and_not_by_name(tmp_path):
    folder = SFTFolder(tmp_path)
    for step in (9, 10):
        (folder.state / f"checkpoint-{step}").mkdir(parents=True)
        (folder.state / f"checkpoint-{step}" / "complete").touch()
    assert folder.checkpoint() == folder.state / "checkpoint-10"


def test_losses_of_an_epoch_are_those_of_its_steps():
    logs = [
        {"step": n, "epoch": n / 3, "loss": float(n), "learning_rate": 0.1, "grad_norm": 1.0}
        for n in range(1, 8)
    ]
    losses = from_log([*logs, {"step": 7, "epoch": 7 / 3, "train_runtime": 1.0}])
    assert losses.first == 1.0
    assert losses.epochs() == {1: 2.0, 2: 5.0, 3: 7.0}
    assert losses.steps[0] == LossStep(1, 1 / 3, 1.0, 0.1, 1.0)
    assert Losses(()).epochs() == {}


def test_an_epoch_without_gguf_has_none(tmp_path):
    assert Epoch(1, tmp_path, 0.5).gguf is None


def test_handlers_of_signals_come_back_and_are_those_of_the_main_thread():
    before = signal.getsignal(signal.SIGTERM)
    caught = []
    with on_signal(lambda number, _: caught.append(number)):
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGHUP)
    assert caught == [signal.SIGTERM, signal.SIGINT, signal.SIGHUP]
    assert signal.getsignal(signal.SIGTERM) is before
    with ThreadPoolExecutor(1) as pool, on_signal(print):
        assert pool.submit(lambda: on_signal(repr).__enter__()).exception() is None
        assert signal.getsignal(signal.SIGTERM) is print


# --- Settings -----------------------------------------------------------------------------------


def test_a_file_and_what_is_put_over_it(tmp_path):
    path = tmp_path / "sft.toml"
    path.write_text('model = "m"\nepochs = 3\n[lora]\nrank = 4\nalpha = 2\n')
    found = load_settings(
        SFTSettings, path, {"epochs": 5, "lora": {"rank": 16}, "batch_size": None}
    )
    assert (found.epochs, found.batch_size, found.lora.rank, found.lora.alpha) == (5, 128, 16, 2)
    assert load_settings(SFTSettings, path, {"lora": {}}).lora.rank == 4
    assert load_settings(SFTSettings, None, {"model": "m", "lora": {}}).lora.rank == 8


def test_defaults_are_the_papers():
    found = load_settings(SFTSettings, None, {"model": "m"})
    assert (found.epochs, found.batch_size, found.learning_rate, found.lora) == (9, 128, 5e-5, None)


@pytest.mark.parametrize(
    ("text", "said", "hint"),
    [
        ('model = "m"\nepoch = 3', "epoch: there is no such setting", "did you mean epochs?"),
        ('model = "m"\nepochs = 0', "epochs = 0", None),
        ('model = "m"\nloss = "teacher"', "no part of a response", None),
        ('model = "m"\n[lora]\nrnk = 3', "lora.rnk", None),
        ("epochs = 3", "model is not given", "--model TEXT, or model in a TOML file"),
        ("epochs = ", "sft.toml", None),
    ],
)
def test_a_bad_setting_is_named(tmp_path, text, said, hint):
    path = tmp_path / "sft.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=re.escape(said)) as caught:
        load_settings(SFTSettings, path, {})
    assert hint is None or caught.value.hint == hint


@pytest.mark.parametrize(
    ("weighted", "said"),
    [(0, "loss on `response`."), (3, "loss on what the `weights` of 3 of 4 rows say.")],
)
def test_the_card_says_what_carried_loss(tmp_path, weighted, said):
    written = card(
        settings(tmp_path),
        "data.jsonl",
        DataCounts(rows=4, kept=4, weighted=weighted),
        Losses(()),
        (),
    )
    assert said in written
