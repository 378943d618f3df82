"""`transformers:FOLDER`, with a real, tiny model whose weights are set by hand.

Hidden units of the model: 0 is always 1; 1 says that the token is of the kind that is looked
for; 2 is the mean of unit 1 over the tokens so far (attention with no preference). So a token's
label is known, by the token alone or (`remembers`) by all of the window up to it.
"""

from __future__ import annotations

import re
import shutil

import pytest
import torch
from transformers import (
    AutoTokenizer,
    CanineConfig,
    CanineForTokenClassification,
    CanineTokenizer,
    Qwen2Config,
    Qwen2ForTokenClassification,
)

from commands import tessy
from scripted import lines, two_servers, write_questions
from tessy.boundary.protocol import Predictor
from tessy.boundary.registry import load
from tessy.boundary.settings import ClassifierSettings
from tessy.errors import ConfigError
from tessy.method.judgement import Passage
from tessy.method.trajectory import Role
from tessy.testing import build_tokenizer

WINDOW_TOKENS = ClassifierSettings().window
CAPABILITY_STYLE = ("capability", "style")


def has_digit(token: str) -> bool:
    return any(character.isdigit() for character in token)


def is_no_prose(token: str) -> bool:
    """Of `CooperativeScript`'s capability words, only `mod` has letters that stand together."""
    return not re.search("[a-z]{2}", re.sub("mod?|od", "", token))


def make(
    folder,
    *,
    capability=has_digit,
    labels=CAPABILITY_STYLE,
    remembers=False,
    style=1,
    decides="capability",
):
    """Save a classifier that calls those tokens capability of which `capability` says so.

    Of a word with tokens of both kinds, the kind that `decides` is surer of itself.
    """
    build_tokenizer(folder, flavour="qwen3", vocabulary=500, seed=4)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    config = Qwen2Config(
        vocab_size=len(tokenizer),
        hidden_size=4,
        intermediate_size=4,
        num_hidden_layers=1,
        num_attention_heads=1,
        num_key_value_heads=1,
        pad_token_id=tokenizer.pad_token_id,
        id2label=dict(enumerate(labels)),
        label2id={label: index for index, label in enumerate(labels)},
    )
    model = Qwen2ForTokenClassification(config)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            weight.fill_(1.0 if "norm" in name else 0.0)
        model.model.embed_tokens.weight[:, 0] = 1.0
        for index in range(len(tokenizer)):
            model.model.embed_tokens.weight[index, 1] = float(capability(tokenizer.decode([index])))
        attention = model.model.layers[0].self_attn
        attention.v_proj.weight[1, 1] = 1.0
        attention.o_proj.weight[2, 1] = 1.0
        sure, slight = 1.0, 1e-4
        model.score.weight[1 - style, 2 if remembers else 1] = sure + slight
        model.score.weight[style, 0] = slight if decides == "capability" else sure
    model.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    return make(tmp_path_factory.mktemp("digits"))


@pytest.fixture(scope="module")
def memory(tmp_path_factory):
    """Its label at a token tells whether a digit stood anywhere in the window up to it."""
    return make(tmp_path_factory.mktemp("memory"), remembers=True)


def judge(folder, text, *, role=Role.STUDENT, context="", final=False, options=""):
    predictor = load(f"transformers:{folder}{options}")
    return predictor.judge([Passage(role, context, text, final)])[0]


def test_it_is_a_batched_predictor_that_says_its_name(digits):
    predictor = load(f"transformers:{digits}?shift=1")
    assert isinstance(predictor, Predictor)
    assert predictor.batched
    assert predictor.name == f"transformers:{digits}?shift=1"
    assert load(f"transformers:{digits}?shift=0").name == f"transformers:{digits}"


# --- Where the boundary is ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("role", "text", "boundary"),
    [
        (Role.STUDENT, "wait, so 42 is it ", 9),
        (Role.STUDENT, "42 wait ", 0),
        (Role.STUDENT, "  \n\n 42 wait ", 5),
        (Role.STUDENT, "wait, so hmm ", None),
        (Role.TEACHER, "42 17 wait 3 ", 6),
        (Role.TEACHER, "1\n\n\n2\n wait ", 7),
        (Role.TEACHER, "42 17 3 ", None),
        (Role.STUDENT, "嗯，让我想想 🤔 7 ", 9),
        (Role.STUDENT, "e\u0301 7 ", 3),
        (Role.STUDENT, "", None),
        (Role.STUDENT, " \n ", None),
    ],
)
@pytest.mark.parametrize("context", ["", "Some words 12 before", "🤔🤔 "])
def test_the_first_word_of_the_other_kind(digits, role, text, boundary, context):
    found = judge(digits, text, role=role, context=context, final=False)
    assert found.boundary == boundary
    if boundary is None:
        assert found.settled == len(text.rstrip())


def test_only_complete_words_are_judged_unless_nothing_follows(digits):
    assert judge(digits, "well then 4").boundary is None
    assert judge(digits, "well then 4").settled == len("well then")
    assert judge(digits, "well then 4", final=True).boundary == len("well then ")
    assert judge(digits, "well then 4 ").boundary == len("well then ")
    assert judge(digits, "well then", final=True).settled == len("well then")


def test_only_the_text_is_judged_and_not_what_is_before_it(digits):
    assert judge(digits, " so it is ", context="1 2 3 4").boundary is None
    assert judge(digits, " 1 2 ", context="so it is", role=Role.TEACHER).boundary is None


@pytest.mark.parametrize(("style", "labels"), [(0, ("style", "capability")), (1, ("0", "1"))])
def test_which_label_is_style(tmp_path, style, labels):
    folder = make(tmp_path / "model", labels=labels, style=style)
    assert judge(folder, "so 42 is ").boundary == 3
    assert judge(folder, "42 so is ", role=Role.TEACHER).boundary == 3


@pytest.mark.parametrize(
    ("labels", "style"),
    [
        (("non_style", "style"), 1),
        (("STYLE", "NON-STYLE"), 0),
        (("style", "not_style"), 0),
        (("style", "no style"), 0),
        (("capability", "non_capability"), 1),
        (("non-capability", "capability"), 0),
        (("non-style", "other"), 1),
        (("other", "capability"), 0),
        (("LABEL_0", "LABEL_1"), 1),
    ],
)
def test_which_label_is_style_by_its_name(tmp_path, labels, style):
    folder = make(tmp_path / "model", labels=labels, style=style)
    assert judge(folder, "so 42 is ").boundary == 3


@pytest.mark.parametrize("labels", [("style", "style_too"), ("non_style", "capability")])
def test_labels_that_do_not_tell_which_is_style_are_refused(tmp_path, labels):
    folder = make(tmp_path / "model", labels=labels)
    with pytest.raises(ConfigError, match=f"{labels[0]}.*{labels[1]}"):
        load(f"transformers:{folder}")


# --- Shifted labels -----------------------------------------------------------------------------


def test_a_shifted_label_speaks_of_the_next_token(digits):
    """So the word after the digit is capability."""
    assert judge(digits, "so 4 is it ").boundary == 3
    assert judge(digits, "so 4 is it ", options="?shift=1").boundary == 5
    assert judge(digits, "4 ", role=Role.STUDENT, options="?shift=1").boundary is None


def test_a_shifted_label_at_the_end_of_the_context_speaks_of_the_first_word(digits):
    assert judge(digits, " so it is ", context="7", options="?shift=1").boundary == 1
    assert judge(digits, " so it is ", context="7 x", options="?shift=1").boundary is None


@pytest.mark.parametrize("options", ["?shift=2", "?shift", "?SHIFT=1", "?shift=1&shift=1", "?"])
def test_options_that_are_none(digits, options):
    if options == "?":
        assert load(f"transformers:{digits}?").name == f"transformers:{digits}"
        return
    with pytest.raises(ConfigError, match="is no option") as error:
        load(f"transformers:{digits}{options}")
    assert error.value.hint == "?shift=1"


# --- Batches and windows ------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["digits", "memory"])
def test_a_batch_is_judged_as_its_passages_are_one_by_one(request, name):
    predictor = load(f"transformers:{request.getfixturevalue(name)}")
    texts = ["so 42 is ", "hm", "", "x" * 90 + " 1 ", "wait, " * 60 + "7 ", "3", "🤔 , 8 "]
    contexts = ["", "before 12", "word " * 300, "1 " + "word " * 300]
    passages = [
        Passage(role, context, text, final)
        for text in texts
        for context in contexts
        for role in Role
        for final in (False, True)
    ]
    together = predictor.judge(passages)
    assert together == [predictor.judge([passage])[0] for passage in passages]
    assert len({judgement.boundary for judgement in together}) > 3
    assert predictor.judge(passages[::-1]) == together[::-1]


def test_the_model_sees_200_tokens_and_no_more(memory):
    """One token a word: how far back a digit still makes the text capability."""
    tokenizer = AutoTokenizer.from_pretrained(memory)
    text, filler = " so it is ", " the"
    assert len(tokenizer(filler)["input_ids"]) == 1
    room = WINDOW_TOKENS - len(tokenizer(text.rstrip())["input_ids"])
    assert judge(memory, text, context=" 7" + filler * (room - 1)).boundary == 1
    assert judge(memory, text, context=" 7" + filler * room).boundary is None
    assert judge(memory, text, context=" 7" + filler * (room + 5000)).boundary is None


def test_a_long_context_changes_nothing_but_what_is_in_the_window(memory):
    tail = "so we see that the sum is what it is, " * 30
    alone = judge(memory, "and so on ", context=tail)
    assert judge(memory, "and so on ", context="1 2 3 " * 2000 + tail) == alone
    near = judge(memory, "and so on ", context=tail + "5 ")
    assert near != alone


def test_a_text_longer_than_the_window_is_judged_whole(digits):
    text = "wait, so " * 150
    assert judge(digits, text + "42 ").boundary == len(text)
    assert judge(digits, "42 " + text).boundary == 0


# --- What cannot be used ------------------------------------------------------------------------


def test_a_folder_that_is_missing(tmp_path):
    with pytest.raises(ConfigError, match=f"transformers:{tmp_path}/nothing"):
        load(f"transformers:{tmp_path}/nothing")


def test_a_folder_without_a_model(tmp_path):
    build_tokenizer(tmp_path / "model")
    with pytest.raises(ConfigError, match=f"transformers:{tmp_path}/model"):
        load(f"transformers:{tmp_path}/model")


def test_weights_that_are_broken(tmp_path, digits):
    folder = tmp_path / "model"
    shutil.copytree(digits, folder)
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:200])
    with pytest.raises(ConfigError, match=f"transformers:{folder}"):
        load(f"transformers:{folder}")


def test_a_model_of_three_labels(tmp_path):
    make(tmp_path / "model", labels=("style", "capability", "neither"))
    with pytest.raises(ConfigError, match="has 3 labels, not two"):
        load(f"transformers:{tmp_path}/model")


def test_a_tokenizer_that_is_not_fast(tmp_path):
    """CANINE reads characters: transformers has only a Python tokenizer for it."""
    small = {"hidden_size": 4, "intermediate_size": 4, "num_attention_heads": 1}
    sizes = {"num_hidden_layers": 1, "num_hash_buckets": 16, "max_position_embeddings": 64}
    model = CanineForTokenClassification(CanineConfig(**small, **sizes, num_labels=2))
    model.save_pretrained(tmp_path / "model")
    CanineTokenizer().save_pretrained(tmp_path / "model")
    with pytest.raises(ConfigError, match="it has no fast tokenizer"):
        load(f"transformers:{tmp_path}/model")


@pytest.mark.parametrize("keys", [("pad_token",), ("pad_token", "eos_token")])
def test_a_tokenizer_without_a_padding_token(tmp_path, digits, keys):
    folder = tmp_path / "model"
    shutil.copytree(digits, folder)
    path = folder / "tokenizer_config.json"
    text = path.read_text()
    for key in keys:
        text = re.sub(rf'"{key}": "[^"]*"', f'"{key}": null', text)
    path.write_text(text)
    predictor = load(f"transformers:{folder}")
    passages = [Passage(Role.STUDENT, "", text) for text in ("so 42 is ", "well, well, well, 7 ")]
    assert [j.boundary for j in predictor.judge(passages)] == [3, 18]


# --- In a run -----------------------------------------------------------------------------------


async def test_a_run_with_a_classifier_for_each_role(tmp_path, digits):
    prose = make(tmp_path / "prose", capability=is_no_prose, decides="style")
    settings = tmp_path / "run.toml"
    settings.write_text(f'teacher_predictor = "transformers:{prose}"\n')
    tokenizers = {
        "student": build_tokenizer(tmp_path / "s", flavour="qwen3", vocabulary=500, seed=1),
        "teacher": build_tokenizer(tmp_path / "t", flavour="deepseek-r1", vocabulary=900, seed=2),
    }
    questions = write_questions(tmp_path / "q.jsonl", 6)
    out = tmp_path / "run"
    async with two_servers(tokenizers) as (_, options):
        options[-1] = f"transformers:{digits}"
        done = await tessy("synth", questions, "--out", out, "--config", settings, *options)
    assert done.code == 0, done.err
    records = lines(out / "dataset.jsonl")
    assert len(records) == 6
    written = {"student": "", "teacher": ""}
    for record in records:
        assert record["models"]["student_predictor"] == f"transformers:{digits}"
        content = record["messages"][-1]["content"]
        for span in record["spans"]:
            if span["role"] != "format" and not span["forced"]:
                thinking = content[: content.index("\n</think>")]
                written[span["role"]] += thinking[span["start"] : span["end"]]
    assert written["student"].strip()
    assert not any(character.isdigit() for character in written["student"])
    assert sum(has_digit(word) for word in written["teacher"].split()) > 50
    assert not re.search("thus|note|hence|observe|recall", written["teacher"])


async def test_a_run_with_a_classifier_that_is_missing(tmp_path):
    questions = write_questions(tmp_path / "q.jsonl", 1)
    async with two_servers(None) as (servers, options):
        options[-1] = f"transformers:{tmp_path}/nothing"
        done = await tessy("synth", questions, "--out", tmp_path / "run", *options)
        assert servers["student"].stats.requests == 0
    assert done.code == 2
    assert f"error: transformers:{tmp_path}/nothing" in done.err
    assert "Traceback" not in done.err
    assert not (tmp_path / "run").exists()
