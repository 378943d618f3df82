"""From rows to tokens: what is refused, what is left out, what the student sees."""

from __future__ import annotations

import gzip
import json

import pyarrow
import pyarrow.parquet
import pytest
from datasets import Dataset
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from transformers import AutoTokenizer

from export_samples import record
from tessy.errors import ConfigError, DataError
from tessy.exporting.job import export
from tessy.testing import build_tokenizer
from tessy.training.dataset import digest_of, read_rows, sample_of
from tessy.training.masks import IGNORED, LossPart, parse_loss
from tessy.training.prepare import TOKENS_FILE, LengthLimit, prepare, read_counts
from tessy.training.render import Renderer
from tessy.training.settings import OverLength
from training.made import CLOSE, OPEN, TEMPLATES, sample, write


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    folder = build_tokenizer(tmp_path_factory.mktemp("t") / "qwen3", flavour="qwen3")
    (folder / "chat_template.jinja").write_text((TEMPLATES / "qwen3.jinja").read_text("utf-8"))
    return AutoTokenizer.from_pretrained(folder)


def renderer(tokenizer, **more):
    return Renderer(tokenizer, **{"arguments": {}, **more})


def prepared(tokenizer, folder, rows, *, loss="response", longest=512, over="drop", **more):
    """The counts, and ids and labels of each sample."""
    source = rows if not isinstance(rows, list) else write(folder / "d.jsonl", rows)
    limit = LengthLimit(longest, OverLength(over))
    counts = prepare(source, folder, renderer(tokenizer, **more), parse_loss(loss), limit)
    assert read_counts(folder) == counts
    return counts, Dataset.from_file(str(folder / TOKENS_FILE)).to_list()


def trained_text(tokenizer, row):
    return tokenizer.decode([label for label in row["labels"] if label != IGNORED])


# --- What is trained ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("loss", "text"),
    [
        ("response", f"{OPEN}Okay, 4+4 is 8, so, wait{CLOSE}It is 8.<|im_end|>"),
        ("capability", " 4+4 is 8,"),
        ("style", f"{OPEN}Okay, so, wait{CLOSE}It is 8.<|im_end|>"),
        ("thinking", f"{OPEN}Okay, 4+4 is 8, so, wait{CLOSE}"),
        ("answer", "It is 8.<|im_end|>"),
        ("capability+answer", " 4+4 is 8,It is 8.<|im_end|>"),
    ],
)
def test_labels_are_what_a_loss_names(tokenizer, tmp_path, loss, text):
    _, (row,) = prepared(tokenizer, tmp_path, [sample(4)], loss=loss)
    assert trained_text(tokenizer, row) == text
    assert all(label in (IGNORED, token) for token, label in zip(*row.values(), strict=True))


def test_the_sample_is_the_templates_own_rendering(tokenizer, tmp_path):
    row = sample(3)
    _, (made,) = prepared(tokenizer, tmp_path, [row])
    whole = tokenizer.apply_chat_template(row["messages"], tokenize=True, return_dict=False)
    assert made["input_ids"] == whole[: len(made["input_ids"])]
    assert tokenizer.decode(whole[len(made["input_ids"]) :]) == "\n"  # after the turn's end


def test_only_the_last_turn_is_trained_and_earlier_thinking_may_go(tokenizer, tmp_path):
    first, last = sample(1), sample(2)
    both = {**last, "messages": [*first["messages"], *last["messages"]]}
    _, (row,) = prepared(tokenizer, tmp_path, [both])
    assert trained_text(tokenizer, row).endswith("It is 4.<|im_end|>")
    text = tokenizer.decode(row["input_ids"])
    assert text.count("<think>") == 1
    assert "It is 2." in text


def ids_of(tokenizer, *texts):
    return {tokenizer.convert_tokens_to_ids(text) for text in texts}


CONTROL = ("<|im_end|>", "<|im_start|>", "</think>", "<think>")


@pytest.mark.parametrize("at", [0, 1, 2])
def test_control_text_of_any_turn_is_text_even_if_the_template_shortens_it(tokenizer, tmp_path, at):
    """An earlier response loses its thinking; what is left of it is still text."""
    first, last = sample(1, spans=False), sample(2)
    messages = [*first["messages"], *last["messages"]]
    messages[at]["content"] += " <|im_end|>\n<|im_start|>user\nx"
    _, (row,) = prepared(tokenizer, tmp_path, [{**last, "messages": messages}])
    ids, (end, start) = row["input_ids"], map(tokenizer.convert_tokens_to_ids, CONTROL[:2])
    assert ids.count(end) == ids.count(start) == 4
    whole = tokenizer.apply_chat_template(messages, tokenize=False)
    assert tokenizer.decode(ids) == whole.removesuffix("\n")
    assert trained_text(tokenizer, row).startswith(OPEN)
    assert trained_text(tokenizer, row).endswith("It is 4.<|im_end|>")


def test_markers_in_a_question_are_text(tokenizer, tmp_path):
    row = sample(5)
    row["messages"][0]["content"] = "What do <think> and </think> mean?"
    _, (made,) = prepared(tokenizer, tmp_path, [row])
    think, unthink = map(tokenizer.convert_tokens_to_ids, ("<think>", "</think>"))
    assert made["input_ids"].count(think) == made["input_ids"].count(unthink) == 1
    assert row["messages"][0]["content"] in tokenizer.decode(made["input_ids"])


@pytest.mark.parametrize("same", ["a", "It is 4."])
def test_the_response_is_found_where_it_is_not_where_its_text_is(tokenizer, tmp_path, same):
    """The same text in the question and in an earlier response."""
    last = sample(2)
    content = last["messages"][1]["content"]
    asked = [{"role": "user", "content": f"{content}{same}"}]
    said = [{"role": "assistant", "content": same}, {"role": "user", "content": content}]
    row = {**last, "messages": [*asked, *said, last["messages"][1]]}
    _, (made,) = prepared(tokenizer, tmp_path, [row])
    assert trained_text(tokenizer, made) == f"{content}<|im_end|>"
    kept = [label != IGNORED for label in made["labels"]]
    assert kept == sorted(kept), "the trained tokens are the last ones"


@given(st.lists(st.sampled_from([*CONTROL, "a", " ", "\n", "＜｜im_end｜＞"]), max_size=6))
@hypothesis_settings(max_examples=40)
def test_no_control_token_comes_from_a_question(tokenizer, tmp_path_factory, parts):
    row = sample(5)
    row["messages"][0]["content"] = f"x{''.join(parts)}x"
    _, (made,) = prepared(tokenizer, tmp_path_factory.mktemp("d"), [row])
    found = [token for token in made["input_ids"] if token in ids_of(tokenizer, *CONTROL)]
    names = ["<|im_start|>", "<|im_end|>", "<|im_start|>", "<think>", "</think>", "<|im_end|>"]
    assert tokenizer.convert_ids_to_tokens(found) == names
    assert row["messages"][0]["content"] in tokenizer.decode(made["input_ids"])


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("{% for m in messages[-2:] %}<|im_start|>{{ m.content }}<|im_end|>{% endfor %}", "1"),
        (
            "{% for m in messages %}{% if m.role == 'user' %}{{ m.content }}{% else %}"
            "{{ m.content.split('It')[0] }}{% endif %}{% endfor %}",
            "2",
        ),
    ],
)
def test_a_template_that_loses_a_turn_is_refused(tokenizer, tmp_path, template, said):
    messages = [*sample(1)["messages"], *sample(2)["messages"]]
    with pytest.raises(DataError, match=rf"leaves out .*message {said}"):
        prepared(tokenizer, tmp_path, [{**sample(2), "messages": messages}], template=template)


def test_thinking_beside_the_content_is_trained_on(tokenizer):
    from tessy.training.dataset import TrainSample

    old = {"role": "assistant", "content": "b", "reasoning_content": "hm"}
    messages = ({"role": "user", "content": "a"}, old, *sample(2)["messages"])
    shown = renderer(tokenizer).render(TrainSample(messages, ()))
    assert "hm" not in shown.text  # Qwen3's template leaves old thinking out, and knows of it
    drops = "{% for m in messages %}<|im_start|>{{ m.content }}<|im_end|>{% endfor %}"
    with pytest.raises(ValueError, match=r"message 2 \(assistant, reasoning_content\)"):
        renderer(tokenizer, template=drops).render(TrainSample(messages, ()))


def test_a_template_without_an_end_gets_the_end_of_text(tmp_path):
    plain = AutoTokenizer.from_pretrained(build_tokenizer(tmp_path / "plain", flavour="plain"))
    template = (
        "{% for m in messages %}{{ m.role }}: {{ m.content }}\n\n{% endfor %}"
        "{% if add_generation_prompt %}assistant: {% endif %}"
    )
    _, (row,) = prepared(plain, tmp_path, [sample(5)], template=template)
    assert trained_text(plain, row).endswith("It is 10.<|endoftext|>")


@pytest.mark.parametrize("role", [0, 1])
def test_what_looks_like_a_special_token_is_text(tokenizer, tmp_path, role):
    row = sample(5, spans=False)
    row["messages"][role]["content"] += " <|im_end|> and <|im_start|>user"
    _, (made,) = prepared(tokenizer, tmp_path, [row])
    (end,) = [tokenizer.convert_tokens_to_ids("<|im_end|>")]
    assert made["input_ids"].count(end) == 2  # the question's turn and the answer's
    assert made["input_ids"][-1] == end
    shown = tokenizer.decode(made["input_ids"])
    assert row["messages"][role]["content"] in shown


def test_blanks_at_the_ends_are_no_text_where_no_spans_count_them(tokenizer, tmp_path):
    row = sample(5, spans=False)
    row["messages"][1]["content"] = f"\n{row['messages'][1]['content']} \n"
    _, (made,) = prepared(tokenizer, tmp_path, [row])
    assert trained_text(tokenizer, made).startswith(OPEN)


# --- Kept and dropped ---------------------------------------------------------------------------


@given(
    numbers=st.lists(st.integers(0, 10**12), min_size=1, max_size=12),
    longest=st.integers(20, 80),
    over=st.sampled_from(["drop", "cut"]),
    loss=st.sampled_from(["response", "capability", "answer"]),
)
@hypothesis_settings(max_examples=30)
def test_kept_and_dropped_are_all_rows(tokenizer, tmp_path_factory, numbers, longest, over, loss):
    folder = tmp_path_factory.mktemp("counts")
    rows = [sample(number) for number in numbers]
    try:
        counts, made = prepared(tokenizer, folder, rows, loss=loss, longest=longest, over=over)
    except DataError as error:
        assert "none of" in str(error)  # noqa: PT017
        return
    assert counts.kept + counts.too_long + counts.nothing_trained == counts.rows == len(rows)
    assert counts.kept == len(made)
    assert counts.tokens == sum(len(row["input_ids"]) for row in made)
    assert counts.longest == max(len(row["input_ids"]) for row in made) <= longest
    labels = [label for row in made for label in row["labels"]]
    assert counts.trained_tokens == sum(label != IGNORED for label in labels)
    assert counts.cut == 0 or over == "cut"
    assert counts.too_long == 0 or over == "drop"


def test_more_rows_than_one_batch_keep_their_order(tokenizer, tmp_path):
    _, made = prepared(tokenizer, tmp_path, [sample(number) for number in range(600)])
    found = [tokenizer.decode(row["input_ids"]).split("?")[0].split()[-1] for row in made]
    assert found == [f"{number}+{number}" for number in range(600)]


def test_who_wrote_is_counted(tokenizer, tmp_path):
    counts, _ = prepared(tokenizer, tmp_path, [sample(4), sample(5)])
    assert counts.methods == {"tessy": 2}
    assert counts.models == {"student": ["small"], "teacher": ["large"]}
    texts = {"teacher": len(" 4+4 is 8, 5+5 is 10,"), "student": len("Okay, so, wait") * 2}
    texts["student"] += len("It is 8.It is 10.")
    assert counts.teacher_share == texts["teacher"] / sum(texts.values())
    assert counts.not_right is None


@pytest.mark.parametrize("mask", ["capability", "style"])
def test_an_exported_mask_says_what_carries_loss(tokenizer, tmp_path, mask):
    rows = [record("q0"), record("q1", question="What is y?", answer="It is 8, I think.")]
    source = write(tmp_path / "dataset.jsonl", rows)
    (tmp_path / "wanted").mkdir()
    _, wanted = prepared(tokenizer, tmp_path / "wanted", source, loss=mask)
    export(str(source), to="trl", out=tmp_path / "out", mask=mask)
    assert all("weights" in row and "spans" not in row for _, row in read_rows(tmp_path / "out"))
    (tmp_path / "found").mkdir()
    counts, found = prepared(tokenizer, tmp_path / "found", tmp_path / "out")
    assert counts.weighted == 2
    assert [row["labels"] for row in found] == [row["labels"] for row in wanted]


@pytest.mark.parametrize(
    ("weights", "said"),
    [
        ([[0, 3, 1]], "`weights` end at 3"),
        ([[1, 3, 1]], "can't follow at 0"),
        ([[0, 3, 2]], "can't follow at 0"),
        ([[0, 3]], "no runs"),
        ([0.5], "no runs"),
        ([[0, 3, "1"]], "no runs"),
    ],
)
def test_other_weights_are_named(weights, said):
    with pytest.raises(ValueError, match=said):
        sample_of({**sample(4), "weights": weights}, frozenset({LossPart.RESPONSE}))


def test_weights_and_another_loss_exclude_each_other():
    row = {**sample(4), "weights": [[0, len(sample(4)["messages"][-1]["content"]), 1]]}
    assert sample_of(row, frozenset({LossPart.RESPONSE})).runs[0].weight == 1
    with pytest.raises(ValueError, match="leave --loss out"):
        sample_of(row, frozenset({LossPart.CAPABILITY}))


def test_what_is_not_known_to_be_right_is_counted(tokenizer, tmp_path):
    outcomes = ["right", "wrong", None, "no_answer", "wrong", "strange"]
    rows = [
        sample(number) | ({"verdict": {"outcome": outcome}} if outcome else {})
        for number, outcome in enumerate(outcomes)
    ]
    counts, _ = prepared(tokenizer, tmp_path, rows)
    assert counts.not_right == "2 wrong, 1 no answer, 2 not verified"


# --- Sources ------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["run", "jsonl.gz", "parquet"])
def test_a_run_and_files_of_all_kinds_are_read_alike(tmp_path, kind):
    rows = [sample(1), sample(2)]
    plain = write(tmp_path / "plain.jsonl", rows)
    if kind == "run":
        source = tmp_path / "run"
        source.mkdir()
        write(source / "dataset.jsonl", rows)
    elif kind == "parquet":
        source = tmp_path / "d.parquet"
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), source)
    else:
        source = tmp_path / "d.jsonl.gz"
        source.write_bytes(gzip.compress(plain.read_bytes()))
    assert digest_of(source) == digest_of(plain)
    loss = parse_loss("capability")
    one, other = ([sample_of(row, loss) for _, row in read_rows(path)] for path in (source, plain))
    assert one == other
    assert len(one) == 2


def changed(**more):
    return {**sample(1), **more}


def said(content, **more):
    return [{"role": "user", "content": "a"}, {"role": "assistant", "content": content, **more}]


def test_thinking_beside_the_content_is_trained_on_and_earlier_one_is_passed_on():
    earlier = said("b", reasoning_content="early", tool_calls=None)
    rows = {"messages": [*earlier, *said("\n\n4.", reasoning_content="hm\n")]}
    made = sample_of(rows, parse_loss("thinking"))
    assert made.content == "<think>\nhm\n</think>\n\n4."
    assert made.messages[1] == {"role": "assistant", "content": "b", "reasoning_content": "early"}
    assert [tuple(run) for run in made.runs] == [(0, 21, 1), (21, 23, 0)]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("{", "not JSON"),
        ("[1]", "a sample is an object, not list"),
        ({"id": "1"}, "messages must be a list"),
        (changed(messages=[]), "messages must be a list"),
        (changed(messages=[{"role": "assistant", "content": "a"}], spans=None), "no question"),
        (changed(messages=[{"role": "me", "content": "a"}]), r"messages\[0\].role"),
        (changed(messages=[{"role": "user", "content": " "}]), r"messages\[0\].content"),
        (changed(messages=[{"role": "user", "content": 3}]), r"messages\[0\].content"),
        (changed(messages=sample(1)["messages"][:1]), "must end with the assistant"),
        (changed(spans=[{"role": "student", "start": 0, "end": 4}]), "`spans` end at 4"),
        (changed(spans="all"), "must be a list"),
        (changed(spans=[{"start": 0, "end": 4, "label": "PER"}]), "that is not tessy's"),
        (changed(spans=[{"role": "student", "start": 0.0, "end": 4}]), r"spans\[0\] is 0.0 to 4"),
        (changed(messages=said("b", tool_calls=[{}])), "tool_calls of the assistant is not read"),
        (changed(messages=said("b", thinking="hm")), "write it as reasoning_content"),
        (changed(messages=said("b", reasoning_content="hm")), "`spans` that don't count it"),
        (changed(messages=said("<think>", reasoning_content="hm"), spans=None), "keep one"),
        (changed(spans=None, messages=said("no thinking")), "does not keep the response"),
    ],
)
def test_a_bad_row_is_named_with_its_line(tokenizer, tmp_path, row, reason):
    if "no thinking" in str(row):  # Qwen3's template puts an empty one before it
        template = "{% for m in messages %}{{ m.content | upper }}{% endfor %}"
        more = {"template": template}
    else:
        more = {}
    with pytest.raises(DataError, match=reason) as caught:
        prepared(tokenizer, tmp_path, [sample(0), row, sample(2)] if not more else [row], **more)
    assert f"d.jsonl:{1 if more else 2}: " in str(caught.value)
    assert caught.value.hint
    assert not (tmp_path / TOKENS_FILE).exists()


def test_many_bad_rows_are_counted(tokenizer, tmp_path):
    with pytest.raises(DataError, match=r"30 bad rows of 31(.|\n)*and 27 more"):
        prepared(tokenizer, tmp_path, [sample(0), *[{"id": "x"}] * 30])


def test_a_mask_by_author_needs_spans(tokenizer, tmp_path):
    rows = [sample(0, spans=False)]
    with pytest.raises(DataError, match="no `spans`") as caught:
        prepared(tokenizer, tmp_path, rows, loss="style")
    assert "--loss response" in caught.value.hint
    assert prepared(tokenizer, tmp_path, rows, loss="thinking")[0].kept == 1


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("nothing.jsonl", "no such file"),
        ("empty.jsonl", "there is no sample"),
        ("folder", "without dataset.jsonl"),
        ("text.txt", ".txt is not known"),
    ],
)
def test_a_source_that_is_none_is_named(tokenizer, tmp_path, name, reason):
    (tmp_path / "empty.jsonl").write_text("")
    (tmp_path / "text.txt").write_text("hello")
    (tmp_path / "folder").mkdir()
    with pytest.raises(DataError, match=reason):
        prepared(tokenizer, tmp_path, tmp_path / name)


# --- Templates ----------------------------------------------------------------------------------


def test_a_template_that_drops_the_thinking_is_found_out(tokenizer, tmp_path):
    dropping = (TEMPLATES / "deepseek-r1-distill.jinja").read_text("utf-8")
    with pytest.raises(DataError, match="does not keep the response") as caught:
        prepared(tokenizer, tmp_path, [sample(1)], template=dropping)
    assert "--chat-template" in caught.value.hint


def test_a_prompt_that_the_sample_does_not_go_on_from_is_found_out(tokenizer, tmp_path):
    """Qwen3, told not to think, is asked with an empty thinking; the sample has a full one."""
    with pytest.raises(DataError, match="the model is asked with …"):
        prepared(tokenizer, tmp_path, [sample(1)], arguments={"enable_thinking": False})


def test_a_template_may_refuse(tokenizer, tmp_path):
    template = "{{ raise_exception('no such thing') }}"
    with pytest.raises(DataError, match="refuses it: no such thing"):
        prepared(tokenizer, tmp_path, [sample(1)], template=template)


def test_a_template_of_channels_is_refused(tokenizer):
    with pytest.raises(ConfigError, match="channels"):
        renderer(tokenizer, template=(TEMPLATES / "gpt-oss.jinja").read_text("utf-8"))


def test_a_tokenizer_without_a_template_is_refused(tmp_path):
    folder = build_tokenizer(tmp_path / "t", flavour="plain")
    (folder / "chat_template.jinja").unlink()
    with pytest.raises(ConfigError, match="no chat template") as caught:
        renderer(AutoTokenizer.from_pretrained(folder))
    assert "--chat-template" in caught.value.hint


def test_a_tokenizer_without_an_end_is_refused(tmp_path):
    folder = build_tokenizer(tmp_path / "t", flavour="plain")
    path = folder / "tokenizer_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "eos_token": None}))
    with pytest.raises(ConfigError, match="end-of-text"):
        renderer(AutoTokenizer.from_pretrained(folder))
