"""`tessy export` of real runs: finished, going on, killed, stopped."""

from __future__ import annotations

import asyncio
import json
import signal

import pytest

from commands import start, tessy
from scripted import lines, two_servers, until, write_questions
from tessy.errors import JournalError
from tessy.runs.folder import RunFolder
from tessy.runs.reader import JournalReader
from tessy.testing import Latency

FORMATS = {
    "trl": "train.jsonl",
    "sharegpt": "train.jsonl",
    "alpaca": "train.jsonl",
    "parquet": "train-00000-of-00001.parquet",
    "hf": "data/train-00000-of-00001.parquet",
}


@pytest.fixture(scope="module")
def run(tmp_path_factory, tokenizers):
    """A finished run, which no test changes."""
    folder = tmp_path_factory.mktemp("finished")

    async def synth():
        questions = write_questions(folder / "q.jsonl", 6)
        async with two_servers(tokenizers) as (_, options):
            done = await tessy("synth", questions, "--out", folder / "run", *options)
        assert done.code == 0, done.err

    asyncio.run(synth())
    return folder / "run"


def loaded(path, tmp_path):
    import datasets

    kind = {".jsonl": "json", ".parquet": "parquet"}[path.suffix]
    return datasets.load_dataset(
        kind, data_files=str(path), split="train", cache_dir=str(tmp_path / "cache")
    )


def response(row):
    """The assistant's last words, in any format."""
    if "output" in row:
        return row["output"]
    if "conversations" in row:
        return row["conversations"][-1]["value"]
    return row["messages"][-1]["content"]


async def test_every_format_holds_every_response_whole(run, tmp_path):
    responses = [response(record) for record in lines(run / "dataset.jsonl")]
    for to, name in FORMATS.items():
        out = tmp_path / to
        done = await tessy("export", run, "--to", to, "--out", out)
        assert done.code == 0, done.err
        assert "6 read = 6 kept + 0 dropped" in done.err
        assert f"written: {out}" in " ".join(done.err.split())
        rows = loaded(out / name, tmp_path)
        assert [response(row) for row in rows] == responses
        assert rows["id"] == [f"q{n}" for n in range(6)]


async def test_a_run_and_its_data_set_are_exported_alike(run, tmp_path):
    for source, out in ((run, "one"), (run / "dataset.jsonl", "other")):
        command = ["export", source, "--to", "trl", "--mask", "style", "--out", tmp_path / out]
        done = await tessy(*command, "--quiet")
        assert (done.code, done.err) == (0, ""), done.err
    one, other = ((tmp_path / name / "train.jsonl").read_bytes() for name in ("one", "other"))
    assert one == other


async def test_filters_on_a_real_run(run, tmp_path):
    shares = {}
    for record in lines(run / "dataset.jsonl"):
        stats = record["stats"]
        whole = stats["teacher_tokens"] + stats["student_tokens"]
        shares[record["id"]] = stats["teacher_tokens"] / whole
    bound = sorted(shares.values())[3]
    out = tmp_path / "out"
    filters = ["--min-teacher-share", str(bound), "--decontaminate", run.parent / "q.jsonl"]
    done = await tessy("export", run, "--to", "trl", "--out", out, *filters)
    assert done.code == 2
    assert "no sample is kept" in done.err, "they were made of these very questions"
    done = await tessy("export", run, "--to", "trl", "--out", out, *filters[:2])
    assert done.code == 0, done.err
    kept = {row["id"] for row in lines(out / "train.jsonl")}
    assert kept == {one for one, share in shares.items() if share >= bound}
    assert "dropped: 3 teacher_share_low" in done.err
    assert {drop["id"] for drop in lines(out / "dropped.jsonl")} == shares.keys() - kept


async def test_a_run_that_goes_on_is_exported_as_far_as_it_is(tmp_path, tokenizers):
    questions = write_questions(tmp_path / "q.jsonl", 40)
    folder, out = RunFolder(tmp_path / "run"), tmp_path / "out"
    latency = Latency(first_token_s=0.01, token_s=0.001)

    def ended():
        try:
            with JournalReader(folder) as reader:
                return len(reader.ids(99))
        except JournalError:  # it is only just being made
            return 0

    async with two_servers(tokenizers, latency=latency) as (_, options):
        more = [*options, "--concurrency", "2"]
        process = await start("synth", questions, "--out", folder.path, *more)
        try:
            await until(lambda: ended() >= 3)
            done = await tessy("export", folder.path, "--to", "parquet", "--out", out)
        finally:
            process.send_signal(signal.SIGINT)
            await process.communicate()
    assert done.code == 0, done.err
    rows = loaded(out / FORMATS["parquet"], tmp_path)
    whole = {record["id"]: record for record in lines(folder.dataset)}
    assert 3 <= rows.num_rows <= len(whole)
    assert all(response(row) == response(whole[row["id"]]) for row in rows)


def big(run, path, copies):
    """A data set that takes a while."""
    records = lines(run / "dataset.jsonl")
    with path.open("w") as file:
        for number in range(copies):
            for record in records:
                file.write(json.dumps({**record, "id": f"{record['id']}-{number}"}) + "\n")
    return path


@pytest.fixture
def interruptible():
    """A shell's background jobs ignore Ctrl-C, and so would what the tests start in one."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize(("how", "code"), [(signal.SIGKILL, -9), (signal.SIGINT, 130)])
async def test_a_stopped_export_leaves_nothing_under_its_name(run, tmp_path, how, code):
    data, out = big(run, tmp_path / "big.jsonl", 2000), tmp_path / "out"
    command = ["export", data, "--to", "parquet", "--near-duplicates", "0.9", "--out", out]
    process = await start(*command)
    hidden = tmp_path / ".out.part"
    await until(lambda: (hidden / "dropped.jsonl").exists())
    process.send_signal(how)
    _, said = await process.communicate()
    assert process.returncode == code, said.decode()
    assert "Traceback" not in said.decode()
    assert not out.exists()
    assert hidden.exists() == (how is signal.SIGKILL)
    done = await tessy("export", run, "--to", "parquet", "--out", out)
    assert done.code == 0, done.err
    assert loaded(out / FORMATS["parquet"], tmp_path).num_rows == 6
    assert not hidden.exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["run", "--to", "jsonl"], "--to jsonl"),
        (["run", "--to", "trl", "--tokenizer", "x", "--max-tokens", "9"], "no tokenizer"),
        (["run", "--to", "axolotl"], "hint: sharegpt is for axolotl"),
        (["run", "--to", "LLaMAFactory"], "hint: sharegpt is for llama-factory"),
        (["run", "--to", "share_gpt"], "hint: did you mean sharegpt?"),
        (["run", "--to", "trl", "--mask", "capabilty"], "hint: did you mean capability?"),
        (["nothing", "--to", "trl"], "nothing: no such file"),
        ([".", "--to", "trl"], "is no run"),
        (["run", "--to", "trl", "--min-teacher-share", "70"], "--min-teacher-share 70"),
        (["run", "--to", "trl", "--decontaminate", "no.jsonl"], "no.jsonl: no such file"),
    ],
)
async def test_bad_input_is_named_and_nothing_is_written(run, tmp_path, arguments, said):
    source, *more = arguments
    done = await tessy("export", run.parent / source, *more, "--out", tmp_path / "out")
    assert done.code == 2, done.err
    assert said in " ".join(done.err.split())
    assert "Traceback" not in done.err
    assert not (tmp_path / "out").exists()
