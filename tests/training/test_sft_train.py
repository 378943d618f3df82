"""Training small students: what TRL's trainer sees, what comes out, and what can't be."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM

from tessy.errors import ConfigError, DataError, RunLocked, RunMismatch, TrainingError
from tessy.runs.folder import RunFolder
from tessy.runs.schema import Mark
from tessy.training.epochs import keep_epoch
from tessy.training.folder import SFTFolder
from tessy.training.masks import IGNORED
from tessy.training.prepare import prepare
from tessy.training.student import load_student
from tessy.training.train import train
from tessy.training.trainer import make_trainer
from training.made import sample, settings, student, write
from training.test_gguf import gaps
from written import Written, journals_of, write_run

ROWS = [sample(number) for number in range(20)]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return student(tmp_path_factory.mktemp("student") / "base")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write(tmp_path_factory.mktemp("data") / "d.jsonl", ROWS)


@pytest.fixture(scope="module")
def trained(model, data, tmp_path_factory):
    """Three epochs, each as GGUF, too; with what was said and handed over."""
    said, epochs = [], []
    result = train(
        data,
        settings(model, epochs=3, export="gguf", export_dtype="f32"),
        tmp_path_factory.mktemp("trained") / "out",
        on_epoch=lambda epoch: epochs.append((epoch, sorted(epoch.folder.iterdir()))),
        say=said.append,
    )
    return result, said, epochs


def weights(folder):
    return load_file(folder / "model.safetensors")


def same(one, other):
    first, second = weights(one), weights(other)
    return first.keys() == second.keys() and all(torch.equal(first[k], second[k]) for k in first)


# --- What the trainer sees ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("loss", "kept_text"),
    [
        (
            "response",
            r"<think>\nOkay, \d+\+\d+ is \d+, so, wait\n</think>\n\nIt is \d+.<\|im_end\|>",
        ),
        ("capability", r" \d+\+\d+ is \d+,"),
        ("style", r"<think>\nOkay, so, wait\n</think>\n\nIt is \d+.<\|im_end\|>"),
        ("answer", r"It is \d+.<\|im_end\|>"),
    ],
)
def test_the_trainers_own_batches_have_our_labels(model, data, tmp_path, loss, kept_text):
    chosen = settings(model, loss=loss, batch_size=6)
    found = load_student(chosen)
    counts = prepare(data, tmp_path, found.renderer(), chosen.trained, found.limit())
    trainer = make_trainer(found, SFTFolder(tmp_path), longest=counts.longest)
    seen = 0
    for batch in trainer.get_train_dataloader():
        for ids, labels, mask in zip(*(batch[key].tolist() for key in KEYS), strict=True):
            real = sum(mask)
            assert set(labels[real:]) <= {IGNORED}  # padding
            assert all(label in (IGNORED, token) for token, label in zip(ids, labels, strict=True))
            text = found.tokenizer.decode([label for label in labels if label != IGNORED])
            assert re.fullmatch(kept_text, text), text
            seen += 1
    assert seen == counts.kept == len(ROWS)


KEYS = ("input_ids", "labels", "attention_mask")


def test_the_first_loss_is_that_of_the_untrained_model_on_trained_tokens(model, tmp_path):
    """Computed by hand, from logits, for one batch that holds all samples."""
    data = write(tmp_path / "d.jsonl", ROWS[:4])
    result = train(
        data, settings(model, loss="capability", batch_size=4, epochs=1), tmp_path / "out"
    )
    tokenizer = AutoTokenizer.from_pretrained(model)
    base = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32).eval()
    losses = []
    for row in ROWS[:4]:
        text = tokenizer.apply_chat_template(row["messages"], tokenize=False)
        ids, offsets = (
            tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)[key]
            for key in ("input_ids", "offset_mapping")
        )
        begin = text.rindex(row["messages"][1]["content"])
        inside = [(s["start"], s["end"]) for s in row["spans"] if s["role"] == "teacher"]
        with torch.no_grad():
            logs = base(torch.tensor([ids])).logits[0].log_softmax(-1)
        for at, (start, _) in enumerate(offsets):
            if any(a <= start - begin < b for a, b in inside):
                losses.append(-float(logs[at - 1, ids[at]]))
    assert result.losses.first == pytest.approx(sum(losses) / len(losses), rel=1e-4)


# --- What comes out -----------------------------------------------------------------------------


def test_the_loss_falls(trained):
    epochs = trained[0].losses.epochs()
    assert epochs[3] < epochs[2] < epochs[1] < trained[0].losses.first


def test_every_epoch_is_a_whole_model_and_is_handed_over_at_once(trained, model):
    result, said, epochs = trained
    assert [epoch.number for epoch, _ in epochs] == [1, 2, 3]
    assert tuple(epoch for epoch, _ in epochs) == result.epochs
    for epoch, files in epochs:
        names = {path.name for path in files}
        assert {"model.safetensors", "config.json", "tokenizer.json", "model.gguf"} <= names
        assert epoch.gguf == epoch.folder / "model.gguf"
        AutoModelForCausalLM.from_pretrained(epoch.folder)
        assert f"epoch {epoch.number} of 3: loss {epoch.loss:.4f}" in said
    assert not same(result.epochs[0].folder, result.epochs[1].folder)
    tokenizers = [AutoTokenizer.from_pretrained(path) for path in (model, epochs[-1][0].folder)]
    assert tokenizers[0].chat_template == tokenizers[1].chat_template
    assert tokenizers[0].get_vocab() == tokenizers[1].get_vocab()


async def test_the_gguf_of_an_epoch_writes_as_transformers_does(trained):
    last = trained[0].epochs[-1]
    found = await gaps(last.folder, last.gguf)
    assert set(found) == {0.0}


def test_losses_card_and_settings_are_written(trained):
    folder, losses = trained[0].folder, trained[0].losses
    tree = json.loads((folder / "loss.json").read_text())
    assert tree["first_step_loss"] == losses.first
    assert [step["step"] for step in tree["steps"]] == list(range(1, 10))
    assert [epoch["loss"] for epoch in tree["epochs"]] == list(losses.epochs().values())
    assert (folder / "loss.png").read_bytes().startswith(b"\x89PNG")
    card = (folder / "README.md").read_text()
    for part in ("# base, trained on d.jsonl", "license:", "| trained on | 20 |", "tessy (20)"):
        assert part in card
    assert str(folder.parent) not in card
    assert (trained[0].epochs[-1].folder / "README.md").read_text() == card
    assert not list(folder.rglob("*.pt")), "what only a resumption needs goes at the end"


def test_the_same_seed_gives_the_same_and_another_gives_another(trained, model, data, tmp_path):
    again = train(data, settings(model, epochs=3), tmp_path / "again")
    assert again.losses == trained[0].losses
    assert same(again.epochs[-1].folder, trained[0].epochs[-1].folder)
    other = train(data, settings(model, epochs=3, max_steps=2, seed=1), tmp_path / "other")
    assert other.losses.steps[1] != again.losses.steps[1]


def test_a_training_that_is_done_is_not_done_again(trained, model, data):
    said, epochs = [], []
    chosen = settings(model, epochs=3, export="gguf", export_dtype="f32")
    again = train(data, chosen, trained[0].folder, on_epoch=epochs.append, say=said.append)
    assert again == trained[0]
    assert tuple(epochs) == again.epochs
    assert said == ["nothing was left to train"]


class Crash(Exception):
    """Stands for the end of a process."""


def test_an_export_that_is_asked_for_later_is_written(model, data, tmp_path):
    train(data, settings(model, epochs=2), tmp_path / "out")
    said = []
    chosen = settings(model, epochs=2, export="gguf", export_dtype="f32")
    result = train(data, chosen, tmp_path / "out", say=said.append)
    assert [epoch.gguf.is_file() for epoch in result.epochs] == [True, True]
    assert f"wrote {tmp_path / 'out' / 'epoch-1' / 'model.gguf'}" in said
    assert said[-1] == "nothing was left to train"
    again = []
    train(data, chosen, tmp_path / "out", say=again.append)
    assert not any("wrote" in line for line in again)


def crash(*_, **__):
    raise Crash


@pytest.mark.parametrize(
    "where",
    [
        "trainer.keep_epoch",
        "trainer.SFTFolder.seal",
        "losses.Losses.write",
        "on_epoch",
        "train._finish",
    ],
)
def test_resumed_after_a_crash_anywhere_is_as_if_there_was_none(
    trained, model, data, tmp_path, monkeypatch, where
):
    """Between any two actions at the end of an epoch; `on_epoch` gets what the result holds."""
    chosen, seen = settings(model, epochs=3), []
    with monkeypatch.context() as patch:
        if where != "on_epoch":
            patch.setattr(f"tessy.training.{where}", crash)
        with pytest.raises(Crash):
            train(
                data, chosen, tmp_path / "out",
                on_epoch=crash if where == "on_epoch" else seen.append,
            )  # fmt: skip
    again = train(data, chosen, tmp_path / "out", on_epoch=seen.append)
    assert again.losses == trained[0].losses
    assert same(again.epochs[-1].folder, trained[0].epochs[-1].folder)
    assert tuple(seen[-3:]) == again.epochs


def test_stopped_at_the_end_of_an_epoch_it_begins_nothing_more(
    trained, model, data, tmp_path, monkeypatch
):
    """What is done with an epoch may take hours: it waits for the next start."""
    chosen, seen, said = settings(model, epochs=3), [], []

    def stop(*arguments):
        os.kill(os.getpid(), signal.SIGTERM)
        keep_epoch(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr("tessy.training.trainer.keep_epoch", stop)
        with pytest.raises(KeyboardInterrupt):
            train(data, chosen, tmp_path / "out", on_epoch=seen.append, say=said.append)
    assert not seen
    assert said[-1] == "stopping after epoch 1; its state is saved"
    again = train(data, chosen, tmp_path / "out", on_epoch=seen.append)
    assert again.losses == trained[0].losses
    assert tuple(seen) == again.epochs
    assert same(again.epochs[-1].folder, trained[0].epochs[-1].folder)


def test_an_epoch_that_was_removed_is_not_missed(model, data, tmp_path):
    first = train(data, settings(model), tmp_path / "out")
    shutil.rmtree(first.epochs[0].folder)
    seen = []
    train(data, settings(model), tmp_path / "out", on_epoch=seen.append)
    assert seen == [first.epochs[1]]


def test_micro_batches_change_no_more_than_rounding(trained, model, data, tmp_path):
    small = train(
        data, settings(model, epochs=3, max_steps=3, micro_batch_size=2), tmp_path / "small"
    )
    for one, other in zip(small.losses.steps[:2], trained[0].losses.steps, strict=False):
        assert one.loss == pytest.approx(other.loss, rel=1e-3)


def test_steps_may_end_it_within_an_epoch(model, data, tmp_path):
    result = train(data, settings(model, batch_size=4, max_steps=7), tmp_path / "out")
    assert [epoch.number for epoch in result.epochs] == [1, 2]
    assert result.losses.steps[-1].step == 7
    assert train(data, settings(model, batch_size=4, max_steps=7), tmp_path / "out") == result


async def test_a_run_that_is_not_complete_is_said_to_be_so(model, tmp_path):
    run, said = RunFolder(tmp_path / "run"), []
    await write_run(run, [Written(f"q{n}") for n in range(4)])
    async with journals_of(run) as journals:
        await journals.all[0].set_mark(Mark.SAMPLES, "5")
    chosen = settings(model, batch_size=4, max_steps=1)
    train(run.path, chosen, tmp_path / "out", say=said.append)
    lacking = "is not complete: 1 of 5 samples has not ended"
    assert f"warning: {run.path} {lacking}, and short responses end first" in said


def test_steps_beyond_the_epochs_add_none(model, data, tmp_path):
    result = train(data, settings(model, epochs=2, batch_size=20, max_steps=9), tmp_path / "out")
    assert [epoch.number for epoch in result.epochs] == [1, 2]
    assert result.losses.steps[-1].step == 2


def test_lora_trains_adapters_and_keeps_a_whole_model(model, data, tmp_path):
    chosen = settings(model, epochs=1, learning_rate=1e-2, lora={"rank": 4}, dtype="float32")
    result = train(data, chosen, tmp_path / "out")
    folder = result.epochs[0].folder
    base, merged = weights(model), weights(folder)
    changed = {name for name in base if not torch.equal(base[name], merged[name])}
    assert changed == {name for name in base if "_proj" in name}
    adapter = load_file(folder / "adapter" / "adapter_model.safetensors")
    assert {tensor.shape[0] for name, tensor in adapter.items() if "lora_A" in name} == {4}
    assert json.loads((folder / "adapter" / "adapter_config.json").read_text())["lora_alpha"] == 16
    assert "lora.rank | 4" in (result.folder / "README.md").read_text()


# --- What can't be ------------------------------------------------------------------------------


def test_another_training_in_the_folder_is_refused(trained, model, data, tmp_path):
    folder = trained[0].folder
    with pytest.raises(RunMismatch, match=r"learning_rate: 0\.005 then, 0\.1 now"):
        train(data, settings(model, epochs=3, learning_rate=0.1), folder)
    other = write(tmp_path / "other.jsonl", ROWS[1:])
    with pytest.raises(RunMismatch, match=r"the data set: .*d\.jsonl then, .*other\.jsonl now"):
        train(other, settings(model, epochs=3), folder)


def test_a_folder_of_something_else_is_refused(model, data):
    with pytest.raises(RunMismatch, match="is no training, but holds"):
        train(data, settings(model), model)


def test_a_folder_in_which_another_process_works_is_refused(model, data, tmp_path):
    with SFTFolder(tmp_path / "out").locked(), pytest.raises(RunLocked):
        train(data, settings(model), tmp_path / "out")


def test_a_start_that_failed_leaves_the_folder_free_for_another(model, data, tmp_path):
    with pytest.raises(DataError, match="none of 20 samples is left"):
        train(data, settings(model, max_tokens=10), tmp_path / "out")
    assert train(data, settings(model, epochs=1), tmp_path / "out").counts.kept == 20


def test_a_loss_that_is_no_number_ends_it(data, tmp_path):
    folder = student(tmp_path / "base")
    broken = load_file(folder / "model.safetensors")
    broken["model.norm.weight"][0] = float("nan")
    save_file(broken, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(TrainingError, match="the loss of step 1 is nan") as caught:
        train(data, settings(folder), tmp_path / "out")
    assert "--learning-rate" in caught.value.hint
    assert not (tmp_path / "out" / "epoch-1").exists()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"model": "./nowhere"}, "nowhere"),
        ({"model": "lab:student"}, "lab:student is what a server serves"),
        ({"max_tokens": 10_000}, "has a context of 4096"),
        ({"micro_batch_size": 3}, "micro_batch_size = 3 does not divide 8"),
        ({"chat_template": "nothing.jinja"}, "nothing.jinja"),
    ],
)
def test_settings_that_do_not_fit_are_named(model, data, tmp_path, change, said):
    with pytest.raises(ConfigError, match=said) as caught:
        train(data, settings(**{"model": model, **change}), tmp_path / "out")
    assert caught.value.hint


def test_a_tokenizer_larger_than_the_model_is_refused(model, data, tmp_path):
    folder = student(tmp_path / "base")
    LlamaForCausalLM(
        LlamaConfig(vocab_size=100, hidden_size=8, intermediate_size=8, num_hidden_layers=1,
                    num_attention_heads=1, num_key_value_heads=1)
    ).save_pretrained(folder)  # fmt: skip
    with pytest.raises(ConfigError, match="the model only 100"):
        train(data, settings(folder), tmp_path / "out")


def test_what_can_not_be_exported_is_said_before_training(model, data, tmp_path):
    folder = student(tmp_path / "base")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "hidden_act": "gelu"}))
    with pytest.raises(ConfigError, match="no GGUF can be made"):
        train(data, settings(folder, export="gguf"), tmp_path / "out")
    assert not (tmp_path / "out" / "state").exists()


def test_a_folder_that_is_not_there_is_no_id_to_ask_for(model):
    with pytest.raises(ConfigError, match="no such folder") as refused:
        load_student(settings(model.with_name(f"{model.name}s")))
    assert refused.value.hint.startswith(f"did you mean {model.name}?")
