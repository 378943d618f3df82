"""`tessy predictor`: annotate, train, evaluate, and a run with what came out."""

from __future__ import annotations

import asyncio
import json
import random
import re
import signal

import pytest

from boundary.test_train import make_base
from commands import start, tessy
from scripted import lines, two_servers, write_questions
from tessy.boundary.training.report import BEGINS
from tessy.boundary.training.segments import Segment, write_segments
from tessy.data.outputs import check_outputs
from tessy.method.words import units
from tessy.testing import Faults, ScriptedServer
from tessy.testing.faults import Fault
from tessy.testing.stats import Latency

STYLE = ["Okay,", "wait,", "so", "let", "me", "think", "hmm", "maybe"]
CAPABILITY = ["x=3", "seven", "sum", "is", "even", "f(2)", "12", "prime"]


def write_traces(path, count=30, words=90):
    chance = random.Random(4)
    rows = []
    for number in range(count):
        said = []
        while len(said) < words:
            said += [chance.choice(chance.choice((STYLE, CAPABILITY))) for _ in range(3)]
        rows.append({"id": f"t{number}", "question_id": f"q{number}", "thinking": " ".join(said)})
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


class Annotator:
    """Names the style words of the last text in its prompt; some answers it spoils.

    Args:
        spoil: Makes another answer of a text and the right one.
    """

    def __init__(self, spoil=lambda text, answer: answer):
        self.spoil = spoil
        self.prompts = []

    def continue_(self, prompt):
        self.prompts.append(prompt)
        text = re.split(r"<\|im_end\|>", prompt.rpartition("\nText: ")[2])[0].strip()
        spans, begin, last = [], 0, False
        for word in units(text):
            shown = text[word.word_start : word.word_end]
            if shown in STYLE and last:
                spans[-1] = text[begin : word.word_end]
            elif shown in STYLE:
                begin = word.word_start
                spans.append(shown)
            last = shown in STYLE
        yield self.spoil(text, json.dumps(spans, ensure_ascii=False))


def is_right(segment):
    text = segment["text"]
    style = {at for start, end in segment.get("spans", []) for at in range(start, end)}
    return all(
        (word.word_start in style) == (text[word.word_start : word.word_end] in STYLE)
        for word in units(text)
    )


async def annotate(traces, out, url, *options, **more):
    named = ["--annotator", url, "--format", "qwen3", "--segment-words", 30]
    return await tessy("predictor", "annotate", traces, "--out", out, *named, *options, **more)


# --- Annotate -----------------------------------------------------------------------------------


async def test_a_model_annotates_and_every_span_is_located(tmp_path):
    traces, out = write_traces(tmp_path / "t.jsonl"), tmp_path / "s.jsonl"
    script = Annotator()
    async with ScriptedServer(script) as server:
        done = await annotate(traces, out, server.url, "--count", 40)
    assert done.code == 0, done.err
    found = lines(out)
    assert len(found) == 40
    assert all(map(is_right, found))
    assert {segment["annotator"] for segment in found} == {server.url}
    assert "40 of 40 accepted (100.0%)" in done.err
    assert not (tmp_path / "s.rejected.jsonl").exists()
    assert sum("<think>" in prompt for prompt in script.prompts) >= 40


def part(text, first, end):
    return " ".join(text.split()[first:end])


SPOILT = [
    ("prose", lambda text, answer: f"The style is: {answer}"),
    ("broken", lambda text, answer: answer[:-2]),
    ("not_strings", lambda text, answer: "[1]"),
    ("altered", lambda text, answer: '["Not in it"]'),
    (
        "out_of_order",
        lambda text, answer: json.dumps([text.split()[8], " ".join(text.split()[:3])]),
    ),
    ("overlapping", lambda text, answer: json.dumps([" ".join(text.split()[:3])] * 2)),
]


async def test_answers_that_cannot_be_used_are_counted_by_reason_and_kept(tmp_path):
    traces, out = write_traces(tmp_path / "t.jsonl"), tmp_path / "s.jsonl"
    reasons = {}

    def spoil(text, answer):
        reason, how = SPOILT[len(reasons) % len(SPOILT)]
        if text not in reasons and len(reasons) < 12:
            reasons[text] = reason
            return how(text, answer)
        return answer

    async with ScriptedServer(Annotator(spoil)) as server:
        done = await annotate(traces, out, server.url, "--count", 30, "--concurrency", 1)
    assert done.code == 0, done.err
    rejected = lines(tmp_path / "s.rejected.jsonl")
    probe = sum(row["reason"] == reasons[row["text"]] for row in rejected)
    assert probe == len(rejected) >= 10
    assert len(lines(out)) + len(rejected) == 30
    assert f"{len(rejected)} rejected" not in done.err  # each reason has its own line
    for reason in {row["reason"] for row in rejected}:
        assert f"rejected: {reason}" in done.err
    assert all(row["detail"] and row["answer"] for row in rejected)


async def test_an_array_in_a_code_fence_is_taken(tmp_path):
    traces, out = write_traces(tmp_path / "t.jsonl"), tmp_path / "s.jsonl"
    script = Annotator(lambda text, answer: f"```json\n{answer}\n```")
    async with ScriptedServer(script) as server:
        done = await annotate(traces, out, server.url, "--count", 5)
    assert done.code == 0, done.err
    assert all(map(is_right, lines(out)))


async def test_annotations_without_any_style_are_counted(tmp_path):
    """A model that does nothing answers [], which is always accepted: it has to show."""
    traces, out = write_traces(tmp_path / "t.jsonl"), tmp_path / "s.jsonl"
    async with ScriptedServer(Annotator(lambda *_: "[]")) as server:
        for _ in range(2):  # and it shows again when there is nothing left to do
            done = await annotate(traces, out, server.url, "--count", 5)
            assert done.code == 0, done.err
            assert "5 of 5 accepted (100.0%)" in done.err
            assert "5 of them contain no style" in done.err


async def test_a_model_that_answers_prose_only_is_told(tmp_path):
    traces, out = write_traces(tmp_path / "t.jsonl"), tmp_path / "s.jsonl"
    async with ScriptedServer(Annotator(lambda *_: "Certainly!")) as server:
        done = await annotate(traces, out, server.url, "--count", 5)
    assert done.code == 2
    assert "5 rejected: prose" in done.err
    assert "no annotation was accepted" in done.err


@pytest.fixture
def interruptible():
    """Processes start with Ctrl-C as in a terminal, not ignored as after a `&`."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize(("how", "code"), [(signal.SIGINT, 130), (signal.SIGKILL, -9)])
async def test_annotating_goes_on_where_it_was_stopped(tmp_path, how, code):
    """Stopped in the middle, then called again: the same segments, each asked for once."""
    traces, out = write_traces(tmp_path / "t.jsonl"), tmp_path / "s.jsonl"
    enough, stopped = asyncio.Event(), asyncio.Event()
    asked, slow = [], Latency(token_s=0.01)

    def count(text, answer):
        asked.append(text)
        if len(asked) < 12 or stopped.is_set():
            return answer
        enough.set()
        return "and so on " * 5000  # it would take longer than the test

    async with ScriptedServer(Annotator(count), max_sequences=2, latency=slow) as server:
        named = [
            "--annotator",
            server.url,
            "--format",
            "qwen3",
            "--segment-words",
            30,
            "--count",
            24,
        ]
        process = await start("predictor", "annotate", traces, "--out", out, *named)
        async with asyncio.timeout(60):
            await enough.wait()
        process.send_signal(how)
        await process.communicate()
        stopped.set()
        before = lines(out) if out.exists() else []
        first = len(asked)
        done = await annotate(traces, out, server.url, "--count", 24)
    assert process.returncode == code
    assert done.code == 0, done.err
    found = lines(out)
    assert found[: len(before)] == before
    assert len({segment["id"] for segment in found}) == len(found) == 24
    assert 0 < len(before) < 24
    assert not {segment["text"] for segment in before} & set(asked[first:])


async def test_another_annotator_or_other_segments_do_not_mix(tmp_path):
    traces, out = write_traces(tmp_path / "t.jsonl"), tmp_path / "s.jsonl"
    args = [
        "predictor",
        "annotate",
        traces,
        "--annotator",
        "lexicon",
        "--out",
        out,
        "--segment-words",
        30,
    ]
    assert (await tessy(*args, "--count", 5)).code == 0
    before = out.read_bytes()
    again = await tessy(*args, "--count", 5)
    assert again.code == 0
    assert "5 of them are already done" in again.err
    other = await tessy(*args, "--count", 5, "--seed", 3)
    assert other.code == 2
    assert "holds other segments" in other.err
    assert out.read_bytes() == before


async def test_a_server_that_dies_stops_it_and_loses_nothing(tmp_path):
    traces, out = write_traces(tmp_path / "t.jsonl"), tmp_path / "s.jsonl"
    done = await annotate(traces, out, "http://127.0.0.1:9/v1", "--count", 5)
    assert done.code in (1, 3)
    assert "the annotator can't be used: http://127.0.0.1:9" in done.err
    assert "Traceback" not in done.err


async def test_hiccups_of_the_server_are_overcome(tmp_path):
    traces, out = write_traces(tmp_path / "t.jsonl"), tmp_path / "s.jsonl"
    faults = Faults(0.2, seed=1, kinds=(Fault.SERVER_ERROR, Fault.DISCONNECT))
    async with ScriptedServer(Annotator(), faults=faults) as server:
        done = await annotate(traces, out, server.url, "--count", 12)
    assert done.code == 0, done.err
    assert len(lines(out)) == 12


# --- The whole way ------------------------------------------------------------------------------


async def test_a_predictor_that_learned_nothing_is_not_recommended(tmp_path):
    chance, path = random.Random(0), tmp_path / "s.jsonl"
    made = []
    for n in range(40):
        words = [chance.choice(["add", "the", "sum", "so"]) for _ in range(20)]
        start = sum(len(word) + 1 for word in words[: chance.randrange(20)])
        spans = ((start, start + 2),)
        text = " ".join(words)
        made.append(Segment(id=str(n), text=text, spans=spans, question=f"q{n}", annotator="me"))
    write_segments(path, made)
    options = ["--hidden", 8, "--epochs", 1]
    done = await tessy("predictor", "train", path, "--out", tmp_path / "mine", *options)
    assert done.code == 0, done.err
    assert "it finds too little style in text that it has not seen" in done.err
    assert "use it" not in done.err


@pytest.mark.parametrize("scheme", ["window", "onnx"])
async def test_from_traces_to_a_run_with_ones_own_predictor(tmp_path, tokenizers, scheme):
    traces = write_traces(tmp_path / "t.jsonl")
    segments, out = tmp_path / "s.jsonl", tmp_path / "mine"
    async with ScriptedServer(Annotator()) as server:
        done = await annotate(traces, segments, server.url, "--count", 60)
    assert done.code == 0, done.err

    options = ["--epochs", 6, "--batch-size", 4, "--learning-rate", 0.01]
    if scheme == "onnx":
        options += ["--base", make_base(tmp_path / "base"), "--onnx"]
    else:
        options += ["--hidden", 16]
    done = await tessy("predictor", "train", segments, "--out", out, *options)
    assert done.code == 0, done.err
    assert "epoch 1 of at most 6" in done.err
    assert f"--predictor {scheme}:{out}" in done.err

    figures, page = tmp_path / "figures.json", tmp_path / "page.html"
    done = await tessy(
        *("predictor", "evaluate", f"{scheme}:{out}", "--gold", segments, "--against", "lexicon"),
        *("--json", figures, "--html", page, "--bootstrap-samples", 100),
    )
    assert done.code == 0, done.err
    assert "style F1, words" in done.out
    mine, lexicon = json.loads(figures.read_text())
    assert mine["figures"]["word_f1"]["value"] > 0.9 > lexicon["figures"]["word_f1"]["value"]
    assert f"{scheme}:{out}" in page.read_text()
    check_outputs({"--json": figures, "--html": page}, begins=BEGINS)  # may be replaced

    questions = write_questions(tmp_path / "q.jsonl", 3)
    async with two_servers(tokenizers, words=30) as (_, named):
        named[-1] = f"{scheme}:{out}"
        done = await tessy("synth", questions, "--out", tmp_path / "run", *named)
    assert done.code == 0, done.err
    records = lines(tmp_path / "run" / "dataset.jsonl")
    assert len(records) == 3
    assert {record["models"]["student_predictor"] for record in records} == {f"{scheme}:{out}"}


async def test_annotators_are_measured_as_predictors_are(tmp_path):
    traces = write_traces(tmp_path / "t.jsonl")
    gold, said = tmp_path / "gold.jsonl", tmp_path / "said.jsonl"
    async with ScriptedServer(Annotator()) as server:
        assert (await annotate(traces, gold, server.url, "--count", 20)).code == 0
    args = ["predictor", "annotate", gold, "--annotator", "lexicon", "--out", said]
    assert (await tessy(*args)).code == 0
    assert [row["id"] for row in lines(said)] == [row["id"] for row in lines(gold)]
    done = await tessy("predictor", "evaluate", said, "--gold", gold, "--bootstrap-samples", 20)
    assert done.code == 0, done.err
    assert "said.jsonl" in done.out


# --- What is wrong is named ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["annotate", "nothing.jsonl", "--annotator", "lexicon", "--out", "s"], "no such file"),
        (["annotate", "t.jsonl", "--annotator", "lexikon", "--out", "s"], "'lexikon'"),
        (
            ["annotate", "t.jsonl", "--annotator", "http://127.0.0.1:9", "--out", "s2"],
            "the annotator's chat format is not known",
        ),
        (["annotate", "t.jsonl", "--annotator", "lexicon", "--out", "no/s"], "there is no folder"),
        (["annotate", "bare.jsonl", "--annotator", "lexicon", "--out", "s"], "holds any thinking"),
        (["train", "nothing.jsonl", "--out", "o"], "no such file"),
        (["train", "t.jsonl", "--out", "o"], "bad lines"),
        (["train", "s.jsonl", "--out", "o", "--window", "3"], "--window"),
        (["train", "s.jsonl", "--out", "o", "--held-out", "1"], "--held-out"),
        (["train", "s.jsonl", "--out", "o", "--base", "no/such/base"], "no/such/base"),
        (["train", "s.jsonl", "--out", "o", "--base", "small"], "leave --base out for window"),
        (["evaluate", "lexikon"], "'lexikon' is no predictor"),
        (["evaluate", "onnx:nowhere"], "onnx:nowhere: no such folder"),
        (["evaluate", "lexicon", "--gold", "nothing.jsonl"], "no such file"),
        (["evaluate", "lexicon", "--json", "no/f.json"], "there is no folder"),
        (["evaluate", "lexicon", "--json", "s.jsonl"], "is not what this command writes"),
        (["evaluate", "lexicon", "--html", "t.jsonl"], "is not what this command writes"),
        (["evaluate", "s.jsonl"], "no labels of segment"),
    ],
)
async def test_bad_input_is_named(tmp_path, monkeypatch, args, said):
    monkeypatch.chdir(tmp_path)
    write_traces(tmp_path / "t.jsonl")
    (tmp_path / "bare.jsonl").write_text('{"response": "3"}\n')
    segments = [
        {"id": f"a{n}", "text": "so x=3", "spans": [[0, 2]], "question": f"q{n}"} for n in "12"
    ]
    (tmp_path / "s.jsonl").write_text("".join(json.dumps(segment) + "\n" for segment in segments))
    done = await tessy("predictor", *args)
    assert done.code == 2, done.err
    assert said in done.err
    assert "Traceback" not in done.err
    if "--base" not in args:
        assert not (tmp_path / "o").exists()
