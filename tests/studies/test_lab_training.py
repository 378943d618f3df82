"""The corpus in tokens, and a training of some seconds."""

from __future__ import annotations

import asyncio
import itertools
import json
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tessy.errors import ConfigError
from tessy.lab import train as training
from studies.lab.batches import IGNORED, batches
from studies.lab.corpus import example
from studies.lab.encode import Encoder
from studies.lab.members import Member
from studies.lab.network import network, optimizers, rate, set_rate
from studies.lab.questions import Split, questions
from studies.lab.settings import LabSettings, settings_for
from studies.lab.train import train
from studies.lab.vocabulary import CONTROL, write_vocabulary
from tessy.method.trajectory import Role
from tessy.models.tokenizers import LocalCodec, Piece
from tessy.models.weights import lab_folder
from texts import any_text, model_text

pytest.importorskip("reasoning_gym", reason="it needs a C compiler to install")

SMALL = LabSettings(
    **{"steps": 6, "batch": 4, "warmup": 2, "hidden": 32, "middle": 64, "layers": 1, "heads": 1},
    **{"examined": 1, "examine_every": 3, "save_every": 2},
)


@pytest.fixture(scope="module")
def encoders(tmp_path_factory):
    folder = tmp_path_factory.mktemp("vocabularies")
    made = {role: Encoder(write_vocabulary(role, folder / role, seed=0), role) for role in Role}
    return {member: made[member.role] for member in Member}


# --- Vocabularies -------------------------------------------------------------------------------


@given(st.sampled_from(Role), st.one_of(any_text, model_text))
def test_any_text_survives(encoders, role, text):
    encoder = encoders[role]
    assert encoder.tokenizer.decode(encoder.ids(text), skip_special_tokens=False) == text


@pytest.mark.parametrize("role", Role)
def test_a_digit_is_a_token_of_its_own(encoders, role):
    encoder = encoders[role]
    assert encoder.tokenizer.get_vocab_size() == CONTROL[role].size
    shown = [encoder.tokenizer.decode([token]) for token in range(CONTROL[role].size)]
    assert [text for text in shown if any(char.isdigit() for char in text)] == sorted("0123456789")


def test_the_vocabularies_differ(encoders):
    student, teacher = (encoders[role].tokenizer.get_vocab() for role in Role)
    words = {word for word in student if len(word) > 2} ^ {
        word for word in teacher if len(word) > 2
    }
    assert len(words) > 200
    text = "Okay, let's see. We need to compute."
    assert encoders[Member.STUDENT].ids(text) != encoders[Member.TEACHER].ids(text)


def test_the_same_corpus_gives_the_same_vocabulary(encoders, tmp_path):
    folder = write_vocabulary(Role.STUDENT, tmp_path / "again", seed=0)
    assert Encoder(folder, Role.STUDENT).tokenizer.to_str() == (
        encoders[Member.STUDENT].tokenizer.to_str()
    )


# --- Examples in tokens -------------------------------------------------------------------------


@given(st.sampled_from(Member), st.integers(0, 10**6))
def test_seams_between_pieces_do_not_show_in_the_tokens(encoders, member, number):
    one = example(member, number, 0)
    encoder = encoders[member]
    whole = encoder.ids("".join(piece.text for piece in one.thinking))
    assert whole == [token for piece in one.thinking for token in encoder.ids(piece.text)]


@given(st.sampled_from(Member), st.integers(0, 10**6))
def test_an_example_is_prompt_and_response_as_synthesis_lays_them_out(encoders, member, number):
    one = example(member, number, 0)
    encoder = encoders[member]
    ids, learned = encoder.example(one)
    prompt = encoder.prompt(one.prompt)
    assert ids[: len(prompt)] == prompt
    assert not any(learned[: len(prompt)])
    assert ids[-1] == encoder.end
    assert learned[-1]
    thinking, answer = encoder.split(ids[len(prompt) : -1])
    assert thinking == "".join(piece.text for piece in one.thinking)
    assert answer == one.answer
    unlearned = len(ids) - len(prompt) - sum(learned)
    foreign = [piece for piece, own in zip(one.thinking, one.learned, strict=True) if not own]
    assert unlearned == sum(len(encoder.ids(piece.text)) for piece in foreign)


@pytest.mark.parametrize("role", Role)
def test_a_question_is_encoded_as_the_client_encodes_it(encoders, role, tmp_path):
    folder = write_vocabulary(role, tmp_path / role, seed=0)
    codec = LocalCodec(folder)
    encoder = encoders[role]
    pieces = encoder.format.opening([{"role": "user", "content": "Spell: cat"}])

    async def encoded() -> list[int]:
        return list(itertools.chain(*[await codec.encode(piece) for piece in pieces]))

    assert asyncio.run(encoded()) == encoder.prompt("Spell: cat")
    end = asyncio.run(codec.encode(Piece(CONTROL[role].end, control=True)))
    assert end == [encoder.end]


# --- Batches ------------------------------------------------------------------------------------


def test_batches_are_the_same_wherever_a_training_goes_on(encoders):
    def numbered(first, end):
        made = batches(
            Member.STUDENT, encoders[Member.STUDENT], size=2, seed=1, first=first, end=end
        )
        return [(batch.ids.tolist(), batch.labels.tolist()) for batch in made]

    whole = numbered(0, 20)
    assert len(whole) == 20
    for first, end in ((0, 3), (3, 17), (16, 20), (19, 20), (5, 5)):
        assert numbered(first, end) == whole[first:end]


def test_a_batch_has_each_example_once_and_learns_nothing_of_the_padding(encoders):
    encoder = encoders[Member.TEACHER]
    made = list(batches(Member.TEACHER, encoder, size=3, seed=0, first=0, end=16))
    rows = [row for batch in made for row in zip(batch.ids.tolist(), batch.labels.tolist(),
                                                  strict=True)]  # fmt: skip
    wanted = sorted(encoder.example(example(Member.TEACHER, at, 0)).ids for at in range(48))
    found = []
    for ids, labels in rows:
        end = ids.index(encoder.end) + 1
        found.append(ids[:end])
        assert set(ids[end:]) <= {encoder.pad}
        assert set(labels[end:]) <= {IGNORED}
    assert sorted(found) == wanted


# --- Training -----------------------------------------------------------------------------------


def test_the_rate_rises_and_falls():
    settings = LabSettings(steps=100, warmup=10)
    rates = [rate(step, settings) for step in range(101)]
    assert rates[:10] == sorted(rates[:10])
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[10] == pytest.approx(1.0)
    assert rates[100] == pytest.approx(0.05)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    out = tmp_path_factory.mktemp("trained") / "student"
    said = []
    train(Member.STUDENT, out, SMALL, say=said.append)
    return out, said


def test_what_comes_out_is_a_whole_model(trained):
    from transformers import AutoTokenizer, LlamaForCausalLM

    out, said = trained
    assert {path.name for path in out.iterdir()} == {
        *("training.json", "log.jsonl", "config.json", "generation_config.json", "model.gguf"),
        *("model.safetensors", "tokenizer.json", "tokenizer_config.json", "chat_template.jinja"),
        "README.md",
    }
    model = LlamaForCausalLM.from_pretrained(out)
    tokenizer = AutoTokenizer.from_pretrained(out)
    assert model.config.eos_token_id == tokenizer.eos_token_id
    prompt = tokenizer.apply_chat_template(
        [{"role": "user", "content": "hi"}], tokenize=False, add_generation_prompt=True
    )
    assert prompt == "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n"
    log = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    assert log[-1]["step"] == SMALL.steps
    assert {tuple(sorted(line)) for line in log} == {
        ("loss", "seconds", "step", "tokens"),
        ("right", "seconds", "step"),
    }
    assert train(Member.STUDENT, out, SMALL, say=said.append) == out
    assert "is trained already" in said[-1]


@pytest.mark.parametrize("stop", [1, 2, 3, 5])
def test_a_training_that_was_stopped_ends_as_one_that_was_not(trained, tmp_path, monkeypatch, stop):
    """Whether it had saved what it did last, or not."""
    learn = training._Training._learn
    done = []

    def learn_and_stop(self, batch):
        if len(done) == stop:
            raise KeyboardInterrupt
        done.append(1)
        return learn(self, batch)

    out = tmp_path / "student"
    with monkeypatch.context() as patch:
        patch.setattr(training._Training, "_learn", learn_and_stop)
        with pytest.raises(KeyboardInterrupt):
            train(Member.STUDENT, out, SMALL)
    train(Member.STUDENT, out, SMALL)
    for name in ("model.safetensors", "model.gguf", "tokenizer.json"):
        assert (out / name).read_bytes() == (trained[0] / name).read_bytes(), name


def test_another_training_is_not_gone_on_with(trained, tmp_path):
    with pytest.raises(ConfigError, match="with other settings"):
        train(Member.TEACHER, trained[0], SMALL)
    with pytest.raises(ConfigError, match="with other settings"):
        train(Member.STUDENT, trained[0], SMALL.model_copy(update={"seed": 1}))
    (tmp_path / "something").write_text("mine")
    with pytest.raises(ConfigError, match="and no training"):
        train(Member.STUDENT, tmp_path, SMALL)


BEGUN = settings_for(Member.RELATIVE, steps=1, batch=2, warmup=1, examined=0)


def test_the_relative_begins_with_the_teachers_vocabulary_and_weights(tmp_path):
    from transformers import LlamaForCausalLM

    out = train(Member.RELATIVE, tmp_path / "relative", BEGUN)
    teacher = lab_folder("teacher")
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        assert (out / name).read_bytes() == (teacher / name).read_bytes()
    ours, theirs = (LlamaForCausalLM.from_pretrained(each).state_dict() for each in (out, teacher))
    assert ours.keys() == theirs.keys()
    moved = [float((ours[name].float() - theirs[name].float()).abs().max()) for name in ours]
    assert 0 < max(moved) < 0.1  # one step of a training from there
    card = (out / "README.md").read_text()
    assert "Trained from the weights of `lab:teacher` by `tessy lab train relative`" in card


@pytest.mark.parametrize("sizes", [{"hidden": 64}, {"layers": 2}, {"heads": 2}, {"middle": 64}])
def test_sizes_that_are_not_those_of_the_weights_it_begins_with_are_refused(tmp_path, sizes):
    out = tmp_path / "relative"
    with pytest.raises(ConfigError, match="begins with the weights of lab:teacher") as error:
        train(Member.RELATIVE, out, BEGUN.model_copy(update=sizes))
    assert "--hidden" in error.value.hint
    assert not out.exists()


def test_a_model_learns_what_it_is_shown(encoders):
    """A few steps on one batch: the loss of what is learned falls."""
    import torch

    encoder = encoders[Member.STUDENT]
    model = network(SMALL, encoder)
    both = optimizers(model, SMALL)
    counted = sum(w.numel() for o in both for group in o.param_groups for w in group["params"])
    assert counted == sum(weight.numel() for weight in model.parameters())
    (batch,) = batches(Member.STUDENT, encoder, size=4, seed=0, first=0, end=1)
    losses = []
    for _ in range(30):
        loss = model(input_ids=batch.ids, labels=batch.labels).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer in both:
            set_rate(optimizer, 10, SMALL)
            optimizer.step()
            optimizer.zero_grad()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0] - 1


def test_accuracy_counts_answers_that_the_scorer_gives_full_marks(encoders):
    from studies.lab.score import accuracy
    from studies.lab.voices import voice

    encoder = encoders[Member.STUDENT]
    family = training.FAMILIES["chain_sum"]
    rows = list(questions(family, Split.SFT, 6, 0))
    chance = random.Random(0)

    class Knowing:
        """Answers every other question rightly."""

        def generate(self, *, input_ids, **_):
            import torch

            replies = []
            for ids in input_ids.tolist():
                text = encoder.tokenizer.decode(ids, skip_special_tokens=False)
                (number,) = [at for at, row in enumerate(rows) if row["prompt"] in text]
                said = rows[number]["answer"] if number % 2 else "-1"
                thinking = "".join(chance.choice("ab") for _ in range(3))
                answer = voice(Member.STUDENT).answers(said)
                text = thinking + encoder.format.closing().text + answer
                replies.append([*encoder.ids(text), encoder.end])
            width = max(map(len, replies))
            padded = [[*reply, *[encoder.pad] * (width - len(reply))] for reply in replies]
            return torch.cat([input_ids, torch.tensor(padded)], dim=1)

    assert accuracy(Knowing(), encoder, Member.STUDENT, rows) == {"chain_sum": 0.5}
