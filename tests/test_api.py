"""`tessy` from Python."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import signal
import textwrap
import threading

import pandas
import pytest

import tessy
from scripted import PREDICTOR, lines, two_servers, write_questions
from tessy.config import load
from tessy.errors import ConfigError, DataError, InputError, RunMismatch, Unreachable
from tessy.runs.progress import Progress, Show
from tessy.testing import build_tokenizer

NOWHERE = "http://127.0.0.1:9/v1"


@pytest.fixture(scope="module")
def tokenizers(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tokenizers")
    return {
        "student": build_tokenizer(folder / "student", flavour="qwen3", vocabulary=500, seed=1),
        "teacher": build_tokenizer(folder / "teacher", flavour="gpt-oss", vocabulary=900, seed=2),
    }


@contextlib.contextmanager
def models(tokenizers, **more):
    """Two servers in a thread of their own; yields the settings that name them."""
    ready, done = threading.Event(), threading.Event()
    named = {}

    async def serve():
        async with two_servers(tokenizers, **more) as (servers, _):
            named.update(settings(servers, tokenizers))
            ready.set()
            await asyncio.to_thread(done.wait, 120)

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    try:
        assert ready.wait(60)
        yield named
    finally:
        done.set()
        thread.join(60)


def settings(servers, tokenizers):
    named = {f"{role}__model": server.url for role, server in servers.items()}
    own = {f"{role}__tokenizer": str(folder) for role, folder in tokenizers.items()}
    return {**named, **own, "predictor": PREDICTOR}


def nowhere(**more):
    models = {f"{role}__model": NOWHERE for role in ("student", "teacher")}
    return {**models, "student__format": "plain", "teacher__format": "plain", **more}


# --- What comes out -----------------------------------------------------------------------------


def test_synthesize(tmp_path, tokenizers, capfd):
    questions = write_questions(tmp_path / "q.jsonl", 4)
    with models(tokenizers) as named:
        result = tessy.synthesize(questions, out=tmp_path / "run", **named, seed=3)
        again = tessy.synthesize(str(questions), out=str(tmp_path / "run"), **named, seed=3)
    assert isinstance(result, tessy.RunResult)
    assert (result.total, result.finished, result.failed, result.remaining) == (4, 4, {}, 0)
    assert not result.stopped
    assert result.folder == tmp_path / "run"
    records = lines(result.folder / "dataset.jsonl")
    assert [record["id"] for record in records] == ["q0", "q1", "q2", "q3"]
    assert {record["seed"] for record in records} == {3}
    kept = {role.value: count for role, count in result.counters.kept.items()}
    for role in ("student", "teacher"):
        assert kept[role] == sum(record["stats"][f"{role}_tokens"] for record in records) > 0
    assert again.finished == 4
    assert again.counters.requests == 0
    assert capfd.readouterr() == ("", "")


def test_the_docstring_of_the_package_works_as_it_is(tmp_path, tokenizers, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code = textwrap.dedent("    import" + tessy.__doc__.split("    import", 1)[1].split("\n\n`")[0])
    lines_ = [{"prompt": f"[[{n}]] What is {n}?", "answer": str(n)} for n in range(3)]
    (tmp_path / "questions.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines_))
    with models(tokenizers) as named:
        for role, url in (("student", "8000/v1#Qwen/Qwen3-8B"), ("teacher", "8001/v1#openai/gpt")):
            there = re.search(rf'"http://localhost:{re.escape(url)}[^"]*"', code).group()
            code = code.replace(there, repr(named[f"{role}__model"]))
        exec(code, {})
        assert "student__format" in code
        for role in ("student", "teacher"):
            unknown = re.sub(rf"{role}__format=.*", "", code).replace("runs/first", role)
            with pytest.raises(
                ConfigError, match=f"the {role}'s chat format is not known"
            ) as error:
                exec(unknown, {})
            assert f"--{role}-tokenizer" in error.value.hint
            assert not (tmp_path / role).exists()
    assert len(lines(tmp_path / "runs" / "first" / "dataset.jsonl")) == 3
    assert len(lines(tmp_path / "data" / "first" / "train.jsonl")) == 3


async def test_asynthesize_in_a_loop_that_runs(tmp_path, tokenizers):
    questions = write_questions(tmp_path / "q.jsonl", 3)
    async with two_servers(tokenizers) as (servers, _):
        named = settings(servers, tokenizers)
        first, second = await asyncio.gather(
            tessy.asynthesize(questions, out=tmp_path / "one", **named),
            tessy.asynthesize(questions, out=tmp_path / "two", **named, limit=2),
        )
    assert (first.finished, second.finished) == (3, 2)
    one, two = (lines(tmp_path / name / "dataset.jsonl") for name in ("one", "two"))
    assert one[:2] == two


async def test_synthesize_in_a_loop_that_runs_says_what_to_call(tmp_path):
    questions = write_questions(tmp_path / "q.jsonl", 1)
    with pytest.raises(InputError, match="an event loop is running") as error:
        tessy.synthesize(questions, out=tmp_path / "run", **nowhere())
    assert "await tessy.asynthesize" in error.value.hint


@pytest.mark.parametrize("catch", [False, True])
async def test_asynthesize_leaves_signals_to_its_caller(tmp_path, tokenizers, catch):
    questions = write_questions(tmp_path / "q.jsonl", 3)
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [signal.getsignal(number) for number in numbers]
    seen = []

    async def look():
        while True:
            seen.append([signal.getsignal(number) for number in numbers])
            await asyncio.sleep(0)

    async with two_servers(tokenizers) as (servers, _):
        named = settings(servers, tokenizers)
        looking = asyncio.create_task(look())
        await tessy.asynthesize(questions, out=tmp_path / "run", catch_signals=catch, **named)
        looking.cancel()
    assert any(each != before for each in seen) == catch
    assert [signal.getsignal(number) for number in numbers] == before


async def test_a_task_that_is_cancelled_can_be_gone_on_with(tmp_path, tokenizers):
    questions = write_questions(tmp_path / "q.jsonl", 6)
    async with two_servers(tokenizers) as (servers, _):
        named = {**settings(servers, tokenizers), "concurrency": 1}
        task = asyncio.create_task(tessy.asynthesize(questions, out=tmp_path / "run", **named))
        async with asyncio.timeout(60):
            while not servers["teacher"].stats.generated_tokens:
                await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        result = await tessy.asynthesize(questions, out=tmp_path / "run", **named)
    assert result.finished == 6


async def test_a_config_object_and_a_config_file(tmp_path, tokenizers):
    questions = write_questions(tmp_path / "q.jsonl", 2)
    async with two_servers(tokenizers) as (servers, _):
        named = settings(servers, tokenizers)
        tree = {key.replace("__", "."): value for key, value in named.items()}
        config = load(overrides=tree)
        assert isinstance(config, tessy.Config)
        one = await tessy.asynthesize(questions, out=tmp_path / "one", config=config)
        file = tmp_path / "run.toml"
        file.write_text("".join(f"{key} = {json.dumps(value)}\n" for key, value in tree.items()))
        two = await tessy.asynthesize(questions, out=tmp_path / "two", config=file, seed=5)
        three = await tessy.asynthesize(questions, out=tmp_path / "three", config=str(file))
    assert one.finished == two.finished == three.finished == 2
    data = [lines(result.folder / "dataset.jsonl") for result in (one, two, three)]
    assert [records[0]["seed"] for records in data] == [0, 5, 0]
    assert data[0] == data[2]


async def test_what_goes_on_is_shown_if_asked(tmp_path, tokenizers):
    import io

    from rich.console import Console

    questions = write_questions(tmp_path / "q.jsonl", 1)
    progress = Progress(Show.PLAIN, Console(file=io.StringIO(), width=200))
    async with two_servers(tokenizers) as (servers, _):
        named = settings(servers, tokenizers)
        await tessy.asynthesize(questions, out=tmp_path / "run", progress=progress, **named)
    assert "1 of 1 done" in progress.console.file.getvalue()


def test_evaluate(tmp_path, tokenizers):
    questions = write_questions(tmp_path / "q.jsonl", 4)
    with models(tokenizers) as named:
        chosen = {
            "student__tokenizer": named["student__tokenizer"],
            "verify": "python:e2e.verdicts:EvenVerifier",
            "samples_per_question": 2,
        }
        model = named["student__model"]
        found = tessy.evaluate(questions, model=model, out=tmp_path / "eval", **chosen)
        again = tessy.evaluate(questions, model=model, out=tmp_path / "eval", **chosen)
    assert found.scores.whole.questions == 4
    assert found.scores.whole.pass_at[1].value == 0.5
    assert again.scores == found.scores
    assert tessy.load(tmp_path / "eval").counts().finished == 8


def test_evaluate_needs_a_model(tmp_path):
    with pytest.raises(tessy.ConfigError, match=r"student\.model is not given") as refused:
        tessy.evaluate(write_questions(tmp_path / "q.jsonl", 1), out=tmp_path / "eval")
    assert "--model" in refused.value.hint


def test_a_run_is_verified_exported_and_read(tmp_path, tokenizers):
    questions = tmp_path / "q.jsonl"
    rows = [{"id": f"q{n}", "prompt": f"[[task {n}]] ?", "kind": "ab"[n % 2]} for n in range(4)]
    questions.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with models(tokenizers) as named:
        tessy.synthesize(questions, out=tmp_path / "run", **named)

    run = tessy.load(tmp_path / "run")
    assert [record["id"] for record in run.records()] == ["q0", "q1", "q2", "q3"]
    assert list(run.records()) == lines(tmp_path / "run" / "dataset.jsonl")
    assert list(run.failures()) == []
    counts = run.counts()
    assert (counts.finished, counts.failed, counts.under_way) == (4, {}, 0)

    verdicts = tmp_path / "verdicts.jsonl"
    verified = tessy.verify(
        tmp_path / "run", "python:e2e.verdicts:EvenVerifier", group="kind", out=verdicts
    )
    assert (verified.total.count, verified.total.right_share) == (4, 0.5)
    assert {kind: each.right_share for kind, each in verified.groups.items()} == {"a": 1, "b": 0}
    assert [line["outcome"] for line in lines(verdicts)] == ["right", "wrong"] * 2

    exported = tessy.export(
        tmp_path / "run", to="trl", out=tmp_path / "data", mask="capability", validation=0.5
    )
    assert exported.read == 4
    files = [lines(path) for path in sorted((tmp_path / "data").glob("*.jsonl"))]
    assert {row["id"] for rows in files for row in rows if "weights" in row} == {
        *("q0", "q1", "q2", "q3"),
    }


def test_a_run_is_samples_with_spans_and_a_table(tmp_path, tokenizers):
    rows = [{"id": f"q{n}", "prompt": f"[[task {n}]] ?", "answer": n} for n in range(3)]
    with models(tokenizers) as named:
        tessy.synthesize(rows, out=tmp_path / "run", **named)
    run = tessy.load(tmp_path / "run")
    assert [sample.id for sample in run] == ["q0", "q1", "q2"]
    assert len(run) == 3
    sample = run["q1"]
    assert sample.prompt == "[[task 1]] ?"
    assert sample.messages == [{"role": "user", "content": "[[task 1]] ?"}]
    thinking, answer = sample.content.removeprefix("<think>\n").split("\n</think>\n\n")
    assert (sample.thinking, sample.answer) == (thinking, answer)
    assert "".join(span.text for span in sample.spans) == thinking + answer
    assert {span.role for span in sample.spans} == set(tessy.Role)
    assert sample.verdict is None
    with pytest.raises(KeyError, match="q7"):
        run["q7"]
    assert [run[place].id for place in (0, 2, -1, -3)] == ["q0", "q2", "q2", "q0"]
    for place in (3, -4):
        with pytest.raises(IndexError, match="there are 3 finished samples"):
            run[place]
    assert repr(run) == f"<LoadedRun {tmp_path / 'run'}: 3 finished, 0 failed>"
    table = run.to_pandas()
    assert list(table["answer"]) == [0, 1, 2], "the questions' own column"
    assert list(table["answer_text"]) == [each.answer for each in run]
    assert list(table["teacher_tokens"]) == [each.stats["teacher_tokens"] for each in run]
    data = run.to_datasets()
    assert data["id"] == ["q0", "q1", "q2"]
    assert data[1]["messages"] == sample.record["messages"]


def test_questions_may_be_in_memory(tmp_path, tokenizers, monkeypatch):
    import datasets
    import pandas

    monkeypatch.setenv("TESSY_CACHE", str(tmp_path / "cache"))
    prompts = [f"[[task {n}]] ?" for n in range(3)]
    rows = [{"prompt": prompt, "kind": None} for prompt in prompts]
    given = {
        "prompts": prompts,
        "rows": rows,
        "generator": (row for row in rows),
        "table": pandas.DataFrame(rows),
        "data": datasets.Dataset.from_list(rows),
    }
    with models(tokenizers) as named:
        student, teacher = named.pop("student__model"), named.pop("teacher__model")
        for name, questions in given.items():
            made = {"student": student, "teacher": teacher, **named}
            result = tessy.synthesize(questions, out=tmp_path / name, **made)
            assert result.finished == 3, name
        again = tessy.synthesize(prompts, out=tmp_path / "prompts", **made)
        assert (again.finished, again.counters.requests) == (3, 0)
    texts = {name: [sample.content for sample in tessy.load(tmp_path / name)] for name in given}
    assert len({tuple(each) for each in texts.values()}) == 1


@pytest.mark.parametrize(
    ("questions", "said"),
    [
        ({"prompt": "?"}, "can't be given as dict"),
        (7, "can't be given as int"),
        ([["?"]], r"questions\[0\] must be a text or a mapping, not list"),
        ([{"prompt": "?", "when": object()}], r"questions\[0\] can't be written as JSON"),
        ([], "^the questions given contains no"),
        ([{"prompt": "?"}, {"prompt": 3}], r"\n  the questions given:2: "),
        (pandas.DataFrame([{"prompt": "?"}, {"prompt": ""}]), "\n  the questions given: row 2: "),
    ],
)
def test_what_is_no_questions_is_named(tmp_path, questions, said):
    with pytest.raises(DataError, match=said):
        tessy.synthesize(questions, out=tmp_path / "run", **nowhere())
    assert not (tmp_path / "run").exists()


def test_names_are_those_that_users_need():
    assert dir(tessy) == sorted(tessy.__all__)
    for name in dir(tessy):
        assert getattr(tessy, name) is not None


def test_failed_samples_are_read_with_their_reasons(tmp_path, tokenizers):
    questions = write_questions(tmp_path / "q.jsonl", 2)
    with models(tokenizers) as named:
        tessy.synthesize(questions, out=tmp_path / "run", **named, limits__thinking_tokens=8)
    run = tessy.load(tmp_path / "run")
    assert list(run.records()) == []
    assert {failure["reason"] for failure in run.failures()} == {"thinking_limit"}
    assert run.counts().failed == {tessy.Failure.THINKING_LIMIT: 2}


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda folder: tessy.load(folder), "is no run"),
        (lambda folder: tessy.verify(folder / "no.jsonl", "number"), "no such"),
        (lambda folder: tessy.verify(folder / "r.jsonl", "numbr"), "numbr"),
        (lambda folder: tessy.export("r", to="csv", out=folder / "x"), "to = 'csv'"),
        (lambda folder: tessy.export("r", to="trl", out=folder / "x", msk=1), "no such setting"),
    ],
)
def test_what_cannot_be_opened_verified_or_exported(tmp_path, call, said):
    (tmp_path / "r.jsonl").write_text('{"messages": [{"role": "assistant", "content": "1"}]}\n')
    with pytest.raises(tessy.TessyError, match=said):
        call(tmp_path)


# --- What cannot be done ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "said", "hint"),
    [
        ({"config": load(), "seed": 3}, "both a Config and single settings", "model_copy"),
        ({"sed": 3}, "sed: there is no such setting", "did you mean seed?"),
        ({"student__chunks": 3}, "student.chunks: there is no such", "did you mean student.chunk?"),
        ({"student__chunk__size": 3}, "student.chunk = {'size': 3}", None),
        ({"seed": "many"}, "seed = 'many'", None),
        ({"student__chunk": 1}, "student.chunk = 1", None),
        ({"student": 7}, "student = 7", None),
        ({"student": NOWHERE, "student__chunk": 9}, "no teacher is given", "--teacher"),
        ({"student": NOWHERE, "student__model": NOWHERE, "teacher": NOWHERE}, "twice", None),
        ({"student__tokenizer": "./nothere"}, "./nothere: no such folder", "Hugging Face"),
        ({"student__tokenizer": "tests/nothere"}, "tests/nothere: no such folder", None),
        ({"method": "guess"}, "method = 'guess'", "one of tessy"),
        ({"config": "nothing.toml"}, "nothing.toml: no such configuration file", None),
    ],
)
def test_settings_that_cannot_be_used(tmp_path, given, said, hint):
    questions = write_questions(tmp_path / "q.jsonl", 1)
    more = {} if "config" in given or "student" in given else nowhere()
    with pytest.raises(ConfigError) as error:
        tessy.synthesize(questions, out=tmp_path / "run", **more, **given)
    assert said in str(error.value)
    assert hint is None or hint in error.value.hint
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "call",
    [
        lambda path, wrong: tessy.synthesize(
            path, out=path.parent / "run", limit=wrong, **nowhere()
        ),
        lambda path, wrong: tessy.evaluate(
            path, out=path.parent / "run", limit=wrong, model=NOWHERE
        ),
        lambda path, wrong: tessy.select(path, out=path.parent / "s.jsonl", limit=wrong),
        lambda path, wrong: tessy.verify(path, "number", limit=wrong),
        lambda path, wrong: tessy.verify(path, "number", concurrency=wrong),
        lambda path, wrong: tessy.merge(path.parent, rows_per_file=wrong),
    ],
)
@pytest.mark.parametrize(
    ("wrong", "should"), [(0, "at least 1"), (-3, "at least 1"), ("3", "a whole number")]
)
def test_numbers_of_things_below_one_are_refused(tmp_path, call, wrong, should):
    questions = write_questions(tmp_path / "q.jsonl", 1)
    with pytest.raises(ConfigError, match=rf"= {wrong!r}: should be {should}"):
        call(questions, wrong)
    assert [*tmp_path.iterdir()] == [questions]


@pytest.mark.parametrize("given", [{"student__model": "gpt"}, {"predictor": "guess"}])
def test_names_that_mean_nothing(tmp_path, given):
    questions = write_questions(tmp_path / "q.jsonl", 1)
    with pytest.raises(ConfigError, match=next(iter(given.values()))):
        tessy.synthesize(questions, out=tmp_path / "run", **{**nowhere(), **given})
    assert not (tmp_path / "run").exists()


def test_questions_that_are_not_there(tmp_path):
    with pytest.raises(DataError, match="no such file"):
        tessy.synthesize(tmp_path / "q.jsonl", out=tmp_path / "run", **nowhere())
    assert not (tmp_path / "run").exists()


def test_a_server_that_is_not_there(tmp_path):
    questions = write_questions(tmp_path / "q.jsonl", 1)
    with pytest.raises(Unreachable, match="the student can't be used") as error:
        tessy.synthesize(
            *(questions,), out=tmp_path / "run", **nowhere(student__retries=0, teacher__retries=0)
        )
    assert isinstance(error.value, tessy.TessyError | ConnectionError)


async def test_other_settings_for_the_same_run(tmp_path, tokenizers):
    questions = write_questions(tmp_path / "q.jsonl", 1)
    async with two_servers(tokenizers) as (servers, _):
        named = settings(servers, tokenizers)
        await tessy.asynthesize(questions, out=tmp_path / "run", **named)
        with pytest.raises(RunMismatch, match="seed: 0 then, 1 now"):
            await tessy.asynthesize(questions, out=tmp_path / "run", **named, seed=1)
        given = "the questions given"
        await tessy.asynthesize(["[[a]] ?"], out=tmp_path / "given", **named)
        write_questions(questions, 2)
        for asked, out, said, hint in (
            (
                questions,
                "run",
                f"{questions} had other rows then",
                "put its questions back as they",
            ),
            (
                ["[[b]] ?"],
                "given",
                f"{given} had other rows then",
                "put its questions back as they",
            ),
            (questions, "given", f"{given} then, {questions} now", "give its questions"),
        ):
            with pytest.raises(RunMismatch, match="holds a run of other questions") as refused:
                await tessy.asynthesize(asked, out=tmp_path / out, **named)
            assert said in str(refused.value)
            assert hint in refused.value.hint
            assert "settings of that run" not in refused.value.hint


@pytest.mark.parametrize("rows", [{"prompt": "a?"}, None, 3])
def test_what_is_no_questions_is_refused_by_all(tmp_path, rows):
    for call in (tessy.synthesize, tessy.evaluate):
        with pytest.raises(DataError, match="can't be given as ") as error:
            call(rows, out=tmp_path / "run")
        assert "a list of prompts" in error.value.hint


@pytest.mark.parametrize("rows", [[{"prompt": "a?"}], {"prompt": "a?"}, None, 3])
def test_responses_are_read_from_a_path(tmp_path, rows):
    with pytest.raises(DataError, match="must be a path"):
        tessy.verify(rows, "number")
    with pytest.raises(DataError, match="must be a path"):
        tessy.export([rows], out=tmp_path / "export", to="trl")
