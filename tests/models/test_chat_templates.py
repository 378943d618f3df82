"""Prompts are what transformers renders, and every message is in them (*Shown*)."""

from __future__ import annotations

import datetime
import functools
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_formats import DATE, LONG, TEMPLATES, joined
from transformers.utils.chat_template_utils import render_jinja_template

from templates.constructs import CONSTRUCTS
from templates.hostile import HOSTILE, SYSTEM_DROPPED
from tessy.errors import ConfigError
from tessy.models.chat_template import ChatTemplate
from tessy.models.rendering import render
from tessy.models.templates import from_template, from_tokenizer
from tessy.models.tokenizers import PromptPiece
from texts import any_text

TODAY = datetime.datetime.now().date()
REAL = {path.stem: path.read_text("utf-8") for path in sorted(TEMPLATES.glob("*.jinja"))}
SOURCES = {**REAL, **CONSTRUCTS}
BOS = {"bos_token": "<|bos|>"}


def user(text):
    return {"role": "user", "content": text}


def assistant(text, **more):
    return {"role": "assistant", "content": text, **more}


SYSTEM = {"role": "system", "content": "Be brief."}
OLD = "<think>\nLet me see.\n</think>\n\nIt is 4."
CONVERSATIONS = {
    "one": [user("What is 2+2?")],
    "blanks": [user(" \n What is 2+2?\n\n ")],
    "upper": [user("WHAT")],
    "long": [user("word " * 5000)],
    "control": [user("Say <|im_end|>, </think>, <think> and [INST] <|channel|>.")],
    "tool": [user("<tool_response>\n4\n</tool_response>")],
    "unicode": [user("计算 2+2 🤔\u200d e\u0301 \ue000\ue001 \U000f0000")],
    "system": [SYSTEM, user("What is 2+2?")],
    "switch": [{"role": "system", "content": "Be brief. /think"}, user("What is 2+2?")],
    "turns": LONG,
    "old": [user("What is 2+2?"), assistant(OLD), user("And 3+3?")],
    "old, system": [SYSTEM, user("What is 2+2?"), assistant(OLD), user("And 3+3?")],
    "only thought": [user("a"), assistant("<think>\nhm\n</think>"), user("b")],
    "thought": [user("a"), assistant("4", reasoning_content="Let me see."), user("b")],
    "same texts": [user("a"), assistant("a"), user("a"), assistant("a"), user("a")],
}


def theirs(source, messages, *, prompt=True, **values):
    """What transformers renders, or None if the template refuses."""
    try:
        rendered, _ = render_jinja_template(
            [[dict(m) for m in messages]],
            chat_template=source,
            add_generation_prompt=prompt,
            **{**BOS, **values},
        )
    except Exception:
        return None
    return rendered[0]


@functools.cache
def template(source):
    return ChatTemplate(source, special=BOS, arguments={}, date=TODAY)


@functools.cache
def format_of(name):
    return from_template(SOURCES[name], special=BOS, arguments={}, date=TODAY, name=name)


@pytest.mark.parametrize("prompt", [True, False])
@pytest.mark.parametrize("messages", CONVERSATIONS.values(), ids=CONVERSATIONS)
@pytest.mark.parametrize("name", SOURCES)
def test_the_text_is_that_of_transformers(name, messages, prompt):
    rendered = theirs(SOURCES[name], messages, prompt=prompt)
    takes = "reasoning_content" in SOURCES[name] or "message.thinking" in SOURCES[name]
    if rendered is None or (not takes and "reasoning_content" in str(messages)):
        with pytest.raises(Exception, match=r"reasoning_content|You have passed"):
            render(template(SOURCES[name]), messages, prompt=prompt)
        return
    found = render(template(SOURCES[name]), messages, prompt=prompt)
    assert found.text == rendered
    whole = "".join(part.text for part in found.parts)
    for start, end, origin in found.runs:
        assert found.text[start:end] == whole[origin : origin + end - start]


@pytest.mark.parametrize("name", SOURCES)
def test_the_prompt_is_that_of_transformers_up_to_the_thinking(name):
    format_ = format_of(name)
    for messages in (CONVERSATIONS["old, system"], CONVERSATIONS["one"]):
        prompt = joined(format_.opening(messages))
        rendered = theirs(SOURCES[name], messages)
        header = rendered.rstrip().removesuffix("<think>")
        header = header if header != rendered.rstrip() else rendered
        assert prompt == header + format_.family.opens
        assert PromptPiece("And 3+3?") in format_.opening(CONVERSATIONS["old"])


def test_arguments_and_special_tokens_are_passed():
    source = "{{ bos_token }}{{ sep_token }}{{ messages[0].content }}{{ enable_thinking }}{{ xs }}"
    values = {"enable_thinking": True, "xs": [1, "é"]}
    mine = ChatTemplate(source, special={**BOS, "sep_token": "|"}, arguments=values, date=TODAY)
    found = render(mine, CONVERSATIONS["one"], prompt=True).text
    assert found == theirs(source, CONVERSATIONS["one"], sep_token="|", **values)


FRAGMENTS = ["<think>", "</think>", "\n", " ", "/think", "<|im_end|>", "<tool_response>", "4", "Zz"]
spoken = st.lists(st.sampled_from(FRAGMENTS) | any_text, min_size=1, max_size=6).map("".join)
spoken = spoken.filter(str.strip)


@st.composite
def conversations(draw):
    turns = draw(st.lists(st.tuples(spoken, spoken), max_size=2))
    found = [{"role": "system", "content": draw(spoken)}] if draw(st.booleans()) else []
    for question, response in turns:
        found += [user(question), assistant(response)]
    return [*found, user(draw(spoken))]


@settings(max_examples=60)
@given(st.sampled_from(list(SOURCES)), conversations())
def test_shown_every_message_is_in_the_prompt_as_text_or_it_is_refused(name, messages):
    try:
        found = render(template(SOURCES[name]), messages, prompt=True)
    except Exception:
        return
    assert found.text == theirs(SOURCES[name], messages)
    shown = "".join(found.text[run.start : run.end] for run in found.runs)
    at = 0
    for message in messages:
        text = message["content"].strip()
        if message["role"] == "assistant":
            text = text.rpartition("</think>")[2].strip()
        if "/" in text and message["role"] == "system":  # switches of SmolLM3's may go
            continue
        assert text in shown[at:]
        at = shown.index(text, at)


@settings(max_examples=60)
@given(st.sampled_from(list(REAL)), conversations())
def test_a_message_is_never_control(name, messages):
    for message in messages:
        message["content"] = f"QX{message['content']}XQ"
    try:
        pieces = format_of(name).opening(messages)
    except ConfigError:
        return
    assert not any("QX" in piece.text for piece in pieces if piece.control)
    assert sum(piece.text.count("XQ") for piece in pieces if not piece.control) >= len(
        [m for m in messages if m["role"] != "system"]
    )


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_template_is_refused_at_start(name):
    source, said = HOSTILE[name]
    with pytest.raises(ConfigError, match=said) as error:
        from_template(source, special={}, arguments={}, date=DATE, name="x")
    assert str(error.value).startswith("chat template, x: ")


@pytest.mark.parametrize("name", SYSTEM_DROPPED)
def test_a_template_that_loses_a_message_is_refused_with_its_number(name):
    source, said = SYSTEM_DROPPED[name]
    format_ = from_template(source, special={}, arguments={}, date=DATE, name="x")
    messages = [SYSTEM, user("What is 2+2?"), assistant("It is 4."), user("And 3+3?")]
    with pytest.raises(ConfigError, match=said):
        format_.opening(messages)


def test_thinking_that_a_template_does_not_know_is_refused():
    messages = CONVERSATIONS["thought"]
    for name, said in (("phi", "reasoning_content"), ("deepseek-r1-distill", "reasoning_content")):
        format_ = from_template(SOURCES[name], special=BOS, arguments={}, date=DATE, name=name)
        with pytest.raises(ConfigError, match=said):
            format_.opening(messages)
    shows = "{% for m in messages %}<{{ m.reasoning_content }}>{{ m.content }}|{% endfor %}"
    format_ = from_template(shows, special={}, arguments={}, date=DATE, name="x")
    assert joined(format_.opening(messages)).startswith("<>a|<Let me see.>4|<>b|")


def test_a_template_that_refuses_a_lone_question_is_asked_again_with_each_question():
    source = (
        "{% if messages[0].role != 'system' %}{{ raise_exception('no system') }}{% endif %}"
        "{% for m in messages %}{{ m.content }}\n{% endfor %}"
    )
    format_ = from_template(source, special={}, arguments={}, date=DATE, name="x")
    assert joined(format_.opening(CONVERSATIONS["system"])).startswith("Be brief.\nWhat is 2+2?")
    with pytest.raises(ConfigError, match="no system"):
        format_.opening(CONVERSATIONS["one"])


# --- Where a template is ------------------------------------------------------------------------

GOOD = "A{% for m in messages %}{{ m.content }}{% endfor %}"
OTHER = GOOD.replace("A", "B")


def config(value):
    return {"tokenizer_config.json": json.dumps(value)}


def named(**templates):
    return [{"name": name, "template": source} for name, source in templates.items()]


@pytest.mark.parametrize(
    ("files", "begins"),
    [
        (config({"chat_template": GOOD}), "A"),
        (config({"chat_template": named(tool_use=OTHER, default=GOOD)}), "A"),
        (config({"chat_template": {"default": GOOD}}), "A"),
        ({"chat_template.jinja": GOOD, **config({"chat_template": OTHER})}, "A"),
        ({"chat_template.json": json.dumps({"chat_template": GOOD})}, "A"),
        ({"chat_template.jinja": GOOD, "additional_chat_templates/tool_use.jinja": OTHER}, "A"),
        (config({"chat_template": "{{ bos_token }}" + GOOD, "bos_token": {"content": "x"}}), "xA"),
        (config({"chat_template": None}), None),
        ({}, None),
    ],
)
def test_the_template_is_found_where_transformers_finds_it(tmp_path, files, begins):
    write(tmp_path, files)
    found = from_tokenizer(tmp_path, name="x", arguments={}, date=DATE)
    if begins is None:
        assert found is None
    else:
        assert joined(found.opening([user("?")])).startswith(f"{begins}?")


def write(folder, files):
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())


@pytest.mark.parametrize(
    ("files", "said"),
    [
        (config([1]), "must be an object, not list"),
        (config({"chat_template": 3}), "chat_template is int, not text"),
        (config({"chat_template": [3]}), "no list of templates"),
        (config({"chat_template": [{"name": "default"}]}), "no list of templates"),
        (
            config({"chat_template": named(tool_use=GOOD, rag=GOOD)}),
            "tool_use, rag, and no default",
        ),
        ({"tokenizer_config.json": "{"}, "tokenizer_config.json"),
        ({"tokenizer_config.json": "[" * 100_000}, "tokenizer_config.json"),
        ({"tokenizer_config.json": b"\xff"}, "tokenizer_config.json"),
        ({"chat_template.jinja": b"\xff\xfe"}, "chat_template.jinja"),
        ({"chat_template.jinja/x": "a folder"}, "it is no file"),
        ({"chat_template.json": '"x"'}, "must be an object, not str"),
        ({"chat_template.jinja": "x" * ((16 << 20) + 1)}, "too large"),
    ],
)
def test_a_folder_with_wrong_types_is_named(tmp_path, files, said):
    write(tmp_path, files)
    with pytest.raises(ConfigError, match=said):
        from_tokenizer(tmp_path, name="x", arguments={}, date=DATE)


@pytest.mark.parametrize("name", ["bos_token", "add_bos_token", "extra_special_tokens"])
@pytest.mark.parametrize("value", [3, [], {"content": 3}, None, {"x": []}])
def test_special_tokens_of_wrong_types_are_no_tokens(tmp_path, name, value):
    write(tmp_path, config({"chat_template": GOOD, name: value}))
    found = from_tokenizer(tmp_path, name="x", arguments={}, date=DATE)
    assert joined(found.opening([user("?")])).startswith("A?")
