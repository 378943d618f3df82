"""The corpus in tokens, and a training of some seconds."""

from __future__ import annotations

import asyncio
import itertools
import json
import shutil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from studies.lab import train as training
from studies.lab.batches import IGNORED, batches
from studies.lab.corpus import example
from studies.lab.encode import Encoder
from studies.lab.families import FAMILIES, TARGET
from studies.lab.members import Member
from studies.lab.network import new_network, optimizers, rate, set_rates
from studies.lab.questions import Split, questions
from studies.lab.score import right_by_family
from studies.lab.settings import LabSettings, settings_for
from studies.lab.train import LabTraining, train
from studies.lab.vocabulary import CONTROL, TOKENIZER_FILES, write_vocabulary
from studies.lab.voices import voice
from tessy import lab
from tessy.errors import ConfigError
from tessy.method.trajectory import Role
from tessy.models.tokenizers import LocalTokenizer, PromptPiece
from texts import any_text, model_text

pytest.importorskip("reasoning_gym", reason="it needs a C compiler to install")

SMALL = LabSettings(
    **{
        "steps": 6,
        "batch_size": 4,
        "warmup": 2,
        "hidden": 32,
        "middle": 64,
        "layers": 1,
        "heads": 1,
    },
    **{"examined": 1, "examine_every": 3, "save_every": 2},
)


@pytest.fixture(scope="module")
def encoders():
    """Of the tokenizers that ship; a test below checks that they are what would be made now."""
    return {member: Encoder(lab.folder(member), member.role) for member in Member}


@pytest.fixture(scope="module", autouse=True)
def vocabulary_that_ships():
    """Trainings copy the vocabulary that ships instead of making it again, which takes seconds."""

    def copy(role, folder, *, seed):
        assert seed == 0
        for name in TOKENIZER_FILES:
            shutil.copyfile(lab.folder(role.value) / name, folder / name)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "write_vocabulary", copy)
        yield


# --- Vocabularies -------------------------------------------------------------------------------


@pytest.mark.parametrize("role", Role)
def test_the_vocabulary_that_ships_is_the_one_that_is_made(role, tmp_path):
    write_vocabulary(role, tmp_path, seed=0)
    for name in TOKENIZER_FILES:
        assert (tmp_path / name).read_bytes() == (lab.folder(role.value) / name).read_bytes(), name


@given(st.sampled_from(Member), st.one_of(any_text, model_text))
def test_any_text_survives(encoders, member, text):
    encoder = encoders[member]
    assert encoder.tokenizer.decode(encoder.ids(text), skip_special_tokens=False) == text


@pytest.mark.parametrize("member", Member)
def test_a_digit_is_a_token_of_its_own(encoders, member):
    tokenizer, size = encoders[member].tokenizer, CONTROL[member.role].size
    assert tokenizer.get_vocab_size() == size
    shown = [tokenizer.decode([token]) for token in range(size)]
    assert [text for text in shown if any(char.isdigit() for char in text)] == sorted("0123456789")


def test_the_vocabularies_differ(encoders):
    student, teacher = (
        {word for word in encoders[member].tokenizer.get_vocab() if len(word) > 2}
        for member in (Member.STUDENT, Member.TEACHER)
    )
    assert len(student ^ teacher) > 200
    text = "Okay, let's see. We need to compute."
    assert encoders[Member.STUDENT].ids(text) != encoders[Member.TEACHER].ids(text)


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


@pytest.mark.parametrize("member", Member)
def test_a_question_is_encoded_as_the_client_encodes_it(encoders, member):
    codec = LocalTokenizer(lab.folder(member))
    encoder = encoders[member]
    pieces = encoder._format.opening([{"role": "user", "content": "Spell: cat"}])

    async def encoded() -> list[int]:
        return list(itertools.chain(*[await codec.encode(piece) for piece in pieces]))

    assert asyncio.run(encoded()) == encoder.prompt("Spell: cat")
    end = asyncio.run(codec.encode(PromptPiece(CONTROL[member.role].end, control=True)))
    assert end == [encoder.end]


# --- Batches ------------------------------------------------------------------------------------


def test_batches_are_the_same_wherever_a_training_resumes(encoders):
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
    wanted = sorted(encoder.example(example(Member.TEACHER, at, 0)) for at in range(48))
    found = []
    for batch in batches(Member.TEACHER, encoder, size=3, seed=0, first=0, end=16):
        for ids, labels in zip(batch.ids.tolist(), batch.labels.tolist(), strict=True):
            end = ids.index(encoder.end) + 1
            assert set(ids[end:]) <= {encoder.pad}
            assert set(labels[end:]) <= {IGNORED}
            assert all(label in (token, IGNORED) for token, label in zip(ids, labels, strict=True))
            found.append((ids[:end], [label != IGNORED for label in labels[:end]]))
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
    train(Member.STUDENT, out, SMALL)
    return out


def test_the_result_is_a_whole_model(trained):
    from transformers import AutoTokenizer, LlamaForCausalLM

    assert {path.name for path in trained.iterdir()} == {
        *("training.json", "log.jsonl", "config.json", "generation_config.json", "model.gguf"),
        *("model.safetensors", "tokenizer.json", "tokenizer_config.json", "chat_template.jinja"),
        "README.md",
    }
    model = LlamaForCausalLM.from_pretrained(trained)
    tokenizer = AutoTokenizer.from_pretrained(trained)
    assert model.config.eos_token_id == tokenizer.eos_token_id
    prompt = tokenizer.apply_chat_template(
        [{"role": "user", "content": "hi"}], tokenize=False, add_generation_prompt=True
    )
    assert prompt == "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n"
    log = [json.loads(line) for line in (trained / "log.jsonl").read_text().splitlines()]
    assert log[-1]["step"] == SMALL.steps
    assert {tuple(sorted(line)) for line in log} == {
        ("loss", "seconds", "step", "tokens"),
        ("right", "seconds", "step"),
    }
    said = []
    train(Member.STUDENT, trained, SMALL, say=said.append)
    assert said == [f"{trained} is trained already"]


@pytest.mark.parametrize("stop", [1, 3])
def test_a_training_that_was_stopped_ends_as_one_that_was_not(trained, tmp_path, monkeypatch, stop):
    """It stops before its first checkpoint, and after one with a step that is lost."""
    learn = LabTraining.learn

    def learn_and_stop(self, batch):
        if self.step == stop:
            raise KeyboardInterrupt
        return learn(self, batch)

    out = tmp_path / "student"
    with monkeypatch.context() as patch:
        patch.setattr(LabTraining, "learn", learn_and_stop)
        with pytest.raises(KeyboardInterrupt):
            train(Member.STUDENT, out, SMALL)
    assert (out / "checkpoint.pt").is_file() == (stop >= SMALL.save_every)
    said = []
    train(Member.STUDENT, out, SMALL, say=said.append)
    assert ("resuming at step 2" in said) == (stop >= SMALL.save_every)
    for name in ("model.safetensors", "model.gguf", "tokenizer.json"):
        assert (out / name).read_bytes() == (trained / name).read_bytes(), name
    assert not (out / "checkpoint.pt").exists()


def test_another_training_is_not_resumed(trained, tmp_path):
    with pytest.raises(ConfigError, match="with other settings"):
        train(Member.TEACHER, trained, SMALL)
    with pytest.raises(ConfigError, match="with other settings"):
        train(Member.STUDENT, trained, SMALL.model_copy(update={"seed": 1}))
    (tmp_path / "something").write_text("mine")
    with pytest.raises(ConfigError, match="and is no training"):
        train(Member.STUDENT, tmp_path, SMALL)


BEGUN = settings_for(Member.RELATIVE, steps=1, batch_size=2, warmup=1, examined=0)


def test_the_relative_begins_with_the_teachers_vocabulary_and_weights(tmp_path):
    from transformers import LlamaForCausalLM

    out, teacher = tmp_path / "relative", lab.folder("teacher")
    train(Member.RELATIVE, out, BEGUN)
    for name in TOKENIZER_FILES:
        assert (out / name).read_bytes() == (teacher / name).read_bytes()
    ours, theirs = (LlamaForCausalLM.from_pretrained(each).state_dict() for each in (out, teacher))
    assert ours.keys() == theirs.keys()
    moved = [float((ours[name].float() - theirs[name].float()).abs().max()) for name in ours]
    assert 0 < max(moved) < 0.1  # one step of a training from there
    assert "Trained from the weights of `lab:teacher` by" in (out / "README.md").read_text()


@pytest.mark.parametrize("sizes", [{"hidden": 64}, {"layers": 2}, {"heads": 2}, {"middle": 64}])
def test_sizes_that_differ_from_the_weights_it_begins_with_are_refused(tmp_path, sizes):
    out = tmp_path / "relative"
    with pytest.raises(ConfigError, match="begins with the weights of lab:teacher") as error:
        train(Member.RELATIVE, out, BEGUN.model_copy(update=sizes))
    assert "--hidden" in error.value.hint
    assert not out.exists()


def test_a_model_learns_what_it_is_shown(encoders):
    """In a few steps on one batch the loss of what is learned falls."""
    import torch

    encoder = encoders[Member.STUDENT]
    model = new_network(SMALL, encoder)
    both = optimizers(model, SMALL)
    counted = sum(w.numel() for o in both for group in o.param_groups for w in group["params"])
    assert counted == sum(weight.numel() for weight in model.parameters())
    (batch,) = batches(Member.STUDENT, encoder, size=4, seed=0, first=0, end=1)
    losses = []
    for _ in range(30):
        loss = model(input_ids=batch.ids, labels=batch.labels).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        set_rates(both, 10, SMALL)
        for optimizer in both:
            optimizer.step()
            optimizer.zero_grad()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0] - 1


def test_accuracy_counts_answers_that_the_scorer_gives_full_marks(encoders):
    import torch

    encoder = encoders[Member.STUDENT]
    rows = list(questions(FAMILIES[TARGET], Split.SFT, 6, 0))

    class Knowing:
        """Answers every other question right, some without an end, and some in no voice."""

        def generate(self, *, input_ids, **_):
            replies = []
            for ids in input_ids.tolist():
                text = encoder.tokenizer.decode(ids, skip_special_tokens=False)
                (number,) = [at for at, row in enumerate(rows) if row["prompt"] in text]
                answer = voice(Role.STUDENT).answers(rows[number]["answer"] if number % 2 else "-1")
                reply = encoder.ids(f"So{encoder.closing}{answer}")
                if number != 3:
                    reply.append(encoder.end)
                replies.append(reply)
            width = max(map(len, replies))
            padded = [[*reply, *[encoder.pad] * (width - len(reply))] for reply in replies]
            return torch.cat([input_ids, torch.tensor(padded)], dim=1)

    found = right_by_family(Knowing(), encoder, Member.STUDENT, rows)
    assert found == {TARGET: pytest.approx(2 / 6)}
