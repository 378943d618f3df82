"""Training and exporting a predictor, and every way in which that can't be done."""

from __future__ import annotations

import json
import random
import re
import shutil
from types import SimpleNamespace

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper
from tokenizers import Tokenizer
from transformers import BertConfig, BertModel, Qwen2Config, Qwen2Model

from boundary.test_transformers import make
from tessy.boundary.registry import load
from tessy.boundary.settings import TrainSettings
from tessy.boundary.training.fit import (
    IGNORED,
    TokenizedSegment,
    _Examples,
    _WeightedLoss,
    tokenized,
)
from tessy.boundary.training.metrics import FIGURES, LabelCounts
from tessy.boundary.training.segments import Segment, is_style, spans_of, split
from tessy.boundary.training.train import train
from tessy.boundary.training.walk import counted, labellings
from tessy.errors import ConfigError, DataError
from tessy.method.judgement import Passage
from tessy.method.trajectory import Role
from tessy.method.words import units
from tessy.testing import build_tokenizer

STYLE = ["okay,", "wait,", "so", "let", "me", "think"]
CAPABILITY = ["x=3", "seven", "sum", "is", "even", "f(2)"]
TINY = {"epochs": 6, "batch_size": 4, "held_out": 0.2, "learning_rate": 1e-2}


def segments(number=60, seed=0):
    """Segments whose words tell their kind."""
    chance = random.Random(seed)
    made = []
    for n in range(number):
        kinds = [kind for _ in range(6) for kind in [chance.random() < 0.5] * chance.randint(1, 4)]
        words = [chance.choice(STYLE if kind else CAPABILITY) for kind in kinds]
        text = " ".join(words)
        spans = spans_of(units(text), kinds)
        made.append(Segment(id=str(n), text=text, spans=spans, question=f"q{n}", annotator="me"))
    return made


def blurred(found):
    """The same segments with every third word labelled at random: nothing to be sure of."""
    chance, made = random.Random(0), []
    for segment in found:
        words = units(segment.text)
        kinds = is_style(segment, words)
        kinds = [chance.random() < 0.5 if at % 3 == 0 else kind for at, kind in enumerate(kinds)]
        made.append(segment.model_copy(update={"spans": spans_of(words, kinds)}))
    return made


def make_base(folder, model=BertModel, config=BertConfig, **sizes):
    """Save a Hugging Face model of one small layer, without a head; a BERT looks both ways."""
    build_tokenizer(folder, flavour="qwen3", vocabulary=400, seed=1)
    size = Tokenizer.from_file(str(folder / "tokenizer.json")).get_vocab_size()
    sizes |= {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1}
    torch.manual_seed(0)
    made = model(config(vocab_size=size, num_attention_heads=2, pad_token_id=0, **sizes))
    made.save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """Settings of a training from a tiny base."""
    return TINY | {"base": make_base(tmp_path_factory.mktemp("base"))}


@pytest.fixture(scope="module")
def trained(tmp_path_factory, tiny):
    out = tmp_path_factory.mktemp("trained") / "out"
    said = []
    result = train(segments(), out, TrainSettings(**tiny), onnx=True, say=said.append)
    return result, said


def f1(predictor, found):
    counts = counted(found, labellings(predictor, found))
    return FIGURES["word_f1"](LabelCounts.of_row(np.sum([each.flat() for each in counts], axis=0)))


# --- What comes out -----------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["transformers", "onnx"])
def test_what_was_trained_tells_style_from_capability_in_new_segments(trained, scheme):
    assert f1(load(f"{scheme}:{trained[0].folder}"), segments(20, seed=9)) > 0.95


def test_the_exported_network_judges_as_the_trained_one(trained):
    passages = [
        Passage(role, before, segment.text, final)
        for segment in segments(12, seed=5)
        for role in Role
        for before in ("", "so x=3 wait, ")
        for final in (False, True)
    ]
    made = [load(f"{scheme}:{trained[0].folder}") for scheme in ("transformers", "onnx")]
    judged = [each.judge(passages) for each in made]
    for one, other in zip(*judged, strict=True):
        assert one.confidence == pytest.approx(other.confidence, abs=1e-4)
        assert one._replace(confidence=None) == other._replace(confidence=None)
    for one, other in zip(*(p.style(passages) for p in made), strict=True):
        assert one == pytest.approx(other, abs=1e-4, nan_ok=True)


def test_the_folder_holds_all_that_was_promised(trained):
    folder = trained[0].folder
    names = {path.name for path in folder.iterdir()}
    assert names >= {
        *("model.safetensors", "config.json", "tokenizer.json", "predictor.json", "model.onnx"),
        *("metrics.json", "training.json", "README.md"),
    }
    assert "checkpoints" not in names
    labels = json.loads((folder / "config.json").read_text())["id2label"]
    assert list(labels.values()) == ["capability", "style"]
    metrics = json.loads((folder / "metrics.json").read_text())
    assert set(metrics) == set(FIGURES)
    assert json.loads((folder / "predictor.json").read_text())["lookahead"] == 3
    card = (folder / "README.md").read_text()
    assert "60" in card
    assert f"{metrics['word_f1'][0]:.3f}" in card


def test_it_says_how_it_goes(trained):
    assert any("epoch 1 of at most 6" in line for line in trained[1])


def test_the_same_seed_trains_the_same(trained, tmp_path, tiny):
    again = train(segments(), tmp_path / "again", TrainSettings(**tiny))
    weights = "model.safetensors"
    assert (again.folder / weights).read_bytes() == (trained[0].folder / weights).read_bytes()


def test_a_finished_folder_is_a_base_of_its_own(trained, tmp_path):
    settings = TrainSettings(**TINY | {"epochs": 1, "base": str(trained[0].folder)})
    result = train(segments(30, seed=3), tmp_path / "further", settings)
    assert result.figures["word_f1"].value > 0.95
    card = (result.folder / "README.md").read_text()
    assert "| base | out |" in card
    assert str(trained[0].folder) not in card


def test_the_best_epoch_is_kept_and_not_the_last(tmp_path, tiny):
    said = []
    settings = TrainSettings(**{**tiny, "learning_rate": 0.02, "epochs": 7})
    unclear = blurred(segments())
    train(unclear, tmp_path / "out", settings, say=said.append)
    scores = [float(found[1]) for line in said if (found := re.search(r"F1 (\d\.\d+)", line))]
    assert scores[-1] < max(scores)  # so that keeping the last one would show
    _, held = split(unclear, settings.held_out, settings.seed)
    tokenizer = Tokenizer.from_file(str(tmp_path / "out" / "tokenizer.json"))
    network = load(f"transformers:{tmp_path / 'out'}")._network
    found = [
        (label, odds > 0)
        for example in tokenized(held, tokenizer, window=200, shift=False)
        for label, odds in zip(example.labels, network([example.ids])[0], strict=True)
        if label != IGNORED
    ]
    hits = sum(label and style for label, style in found)
    f1 = 2 * hits / sum(label + style for label, style in found)
    assert f1 == pytest.approx(max(scores), abs=1e-3)


@pytest.mark.parametrize("shift", [False, True])
def test_a_base_that_looks_one_way(tmp_path, shift):
    base = make_base(tmp_path / "base", Qwen2Model, Qwen2Config, num_key_value_heads=2)
    settings = TrainSettings(**TINY, base=base, shift=shift)
    result = train(segments(), tmp_path / "out", settings)
    predictor = load(f"transformers:{tmp_path / 'out'}")
    assert predictor.settings.shift == shift
    assert predictor.settings.lookahead == 0  # words to come would change nothing
    # with the shift, a word is judged before it is read: no better than chance here
    assert (f1(predictor, segments(20, seed=9)) > 0.95) is not shift
    assert result.epochs <= 6


def test_training_goes_on_where_it_was_stopped(tmp_path, tiny):
    out, said = tmp_path / "out", []

    def stop(line):
        if "epoch 2" in line:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(segments(), out, TrainSettings(**tiny), say=stop)
    (out / "checkpoints" / "checkpoint-999").mkdir()  # as one that was being written
    train(segments(), out, TrainSettings(**tiny), say=said.append)
    assert any(line.startswith("continuing from checkpoint-") for line in said)
    assert not any("epoch 1 of" in line or "999" in line for line in said)
    assert (out / "predictor.json").is_file()


# --- Labels in tokens ---------------------------------------------------------------------------


@pytest.mark.parametrize("shift", [False, True])
def test_tokens_have_the_labels_of_their_words(trained, shift):
    tokenizer = Tokenizer.from_file(str(trained[0].folder / "tokenizer.json"))
    segment = Segment(id="x", before="is the ", text="so x=3 — let", spans=((0, 2), (9, 12)))
    (example,) = tokenized([segment], tokenizer, window=200, shift=shift)
    whole = segment.before + segment.text
    kinds = {}
    for (start, end), label in zip(tokenizer.encode(whole).offsets, example.labels, strict=True):
        kinds.setdefault(whole[start:end].strip(), []).append(label)
    if not shift:
        assert {*kinds["is"], *kinds["the"]} == {IGNORED}
        assert kinds["so"] == [1]
        assert kinds["3"] == [0]
        assert kinds["let"] == [1]
    else:
        assert kinds["the"] == [1]
        assert kinds["let"] == [IGNORED]


def test_examples_are_cut_behind_whole_words(trained):
    """So that the network learns to judge a chunk's end, where nothing follows."""
    tokenizer = Tokenizer.from_file(str(trained[0].folder / "tokenizer.json"))
    segment = Segment(id="x", before="is even ", text="so x=3 let me", spans=((0, 2), (7, 13)))
    (example,) = tokenized([segment], tokenizer, window=200, shift=False)
    chance, seen = random.Random(0), set()
    for _ in range(60):
        cut = example.cut(chance)
        assert cut.labels == example.labels[: len(cut.labels)]
        assert len(cut.ids) == len(cut.labels)
        seen.add(tokenizer.decode(cut.ids).removeprefix(segment.before))
    assert seen == {"so", "so x=3", "so x=3 let", "so x=3 let me"}


def test_which_examples_are_cut_depends_on_the_epoch_and_the_share(trained):
    tokenizer = Tokenizer.from_file(str(trained[0].folder / "tokenizer.json"))
    made = list(tokenized(segments(60), tokenizer, window=200, shift=False))

    def lengths(share, epoch):
        seen = _Examples(made, share, seed=0)
        seen.epoch = epoch
        return [len(seen[number].ids) for number in range(len(seen))]

    whole = [len(example.ids) for example in made]
    assert lengths(0.0, 0) == whole
    assert lengths(0.5, 0) == lengths(0.5, 0) != lengths(0.5, 1)
    shorter = sum(a < b for a, b in zip(lengths(0.5, 0), whole, strict=True))
    assert 15 <= shorter <= 40


@pytest.mark.parametrize(("balance", "ratio"), [(0.0, 1.0), (1.0, 4.0), (0.5, 2.0)])
def test_the_rarer_kind_is_weighted_up(balance, ratio):
    labels = torch.tensor([[0, 0, 0, 0, 1, IGNORED]])
    loss = _WeightedLoss([TokenizedSegment(list(range(6)), labels[0].tolist(), ())], balance)

    def share(kind):
        """How much of the loss the tokens of one kind make, each as wrong as the other."""
        logits = torch.zeros(1, 6, 2, requires_grad=True)
        loss(SimpleNamespace(logits=logits), labels).backward()
        return logits.grad[0][labels[0] == kind].abs().mean()

    assert share(1) / share(0) == pytest.approx(ratio)


# --- What can't be trained ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("made", "said"),
    [
        ([], "of 0 segments, none is left to learn from"),
        (segments(1), "of 1 segment, none is left"),
        ([s.model_copy(update={"spans": ()}) for s in segments(9)], "are all capability"),
        ([s.model_copy(update={"spans": ((0, len(s.text)),)}) for s in segments(9)], "all style"),
    ],
)
def test_segments_that_teach_nothing(tmp_path, made, said, tiny):
    with pytest.raises(DataError, match=said):
        train(made, tmp_path / "out", TrainSettings(**tiny))
    assert not (tmp_path / "out").exists()


def test_a_folder_that_holds_something_else(tmp_path, trained, tiny):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ConfigError, match="exists and is no training"):
        train(segments(), tmp_path, TrainSettings(**tiny))
    with pytest.raises(ConfigError, match="trained with other settings or segments"):
        train(segments(61), trained[0].folder, TrainSettings(**tiny))
    assert {path.name for path in tmp_path.iterdir()} == {"notes.txt"}


@pytest.mark.parametrize(
    ("build", "said"),
    [
        (lambda folder: None, "base"),
        (lambda folder: make(folder, labels=("a", "b", "c")), "3 labels, not of 2"),
        (lambda folder: build_tokenizer(folder), "base"),
    ],
)
def test_bases_that_cannot_be_used(tmp_path, build, said):
    build(tmp_path / "base")
    settings = TrainSettings(**TINY | {"base": str(tmp_path / "base")})
    with pytest.raises(ConfigError, match=said):
        train(segments(), tmp_path / "out", settings)


def test_the_base_of_earlier_versions_is_refused_before_any_work(tmp_path):
    with pytest.raises(ConfigError, match="no base small any more") as error:
        train(segments(), tmp_path / "out", TrainSettings(**TINY, base="small"))
    assert "leave --base out for window" in error.value.hint
    assert not (tmp_path / "out").exists()


def test_a_base_without_a_fast_tokenizer(tmp_path, monkeypatch):
    settings = TrainSettings(**TINY | {"base": str(make(tmp_path / "base"))})
    slow = SimpleNamespace(is_fast=False)
    monkeypatch.setattr("tessy.boundary.training.fit.AutoTokenizer.from_pretrained", lambda _: slow)
    with pytest.raises(ConfigError, match="no fast tokenizer"):
        train(segments(), tmp_path / "out", settings)


# --- ONNX files ---------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path, trained):
    shutil.copytree(trained[0].folder, tmp_path / "copy")
    return tmp_path / "copy"


@pytest.mark.parametrize("name", ["model.onnx", "tokenizer.json", "predictor.json"])
def test_a_file_that_is_missing(folder, name):
    (folder / name).unlink()
    with pytest.raises(ConfigError, match=f"there is no {name}"):
        load(f"onnx:{folder}")


@pytest.mark.parametrize("name", ["model.onnx", "tokenizer.json", "predictor.json"])
def test_a_file_that_is_broken(folder, name):
    (folder / name).write_bytes((folder / name).read_bytes()[:40])
    with pytest.raises(ConfigError, match=name):
        load(f"onnx:{folder}")


def test_a_tokenizer_of_another_network(folder):
    build_tokenizer(folder, vocabulary=500, seed=3)
    with pytest.raises(ConfigError, match=r"they don't belong together"):
        load(f"onnx:{folder}")


def test_a_network_that_is_no_token_classifier(folder):
    ids = helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3])
    out = helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, 3])
    node = helper.make_node("Identity", ["image"], ["logits"])
    graph = helper.make_graph([node], "g", [ids], [out])
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(made, folder / "model.onnx")
    with pytest.raises(ConfigError, match=r"takes image and gives .*takes input_ids"):
        load(f"onnx:{folder}")


@pytest.mark.parametrize(
    ("change", "said"),
    [({"window": 3}, "window"), ({"shift": 2}, "shift"), ({"colour": 1}, "colour")],
)
def test_settings_that_are_wrong(folder, change, said):
    path = folder / "predictor.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(ConfigError, match=rf"predictor\.json: {said}"):
        load(f"onnx:{folder}")


def test_settings_of_an_earlier_version_are_read(folder):
    path = folder / "predictor.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "reach": None}))
    assert f1(load(f"onnx:{folder}"), segments(20, seed=9)) > 0.95
