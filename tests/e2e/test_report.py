"""`tessy report`, as its user runs it: on real runs, on broken ones, and with mistakes."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from itertools import chain

import orjson
import pytest

from commands import tessy
from scripted import lines, two_servers, write_questions
from tessy.errors import install_hint
from tessy.report.formats import as_markdown
from tessy.report.job import ReportSettings, make_report
from tessy.runs.folder import RunFolder
from tessy.runs.journal import Journal
from tessy.runs.reader import JournalReader
from tessy.runs.schema import Mark
from written import Written, journals_of, write_run


@pytest.fixture(scope="module")
def runs(tmp_path_factory, tokenizers):
    """Two runs of the same questions, and one of others."""
    folder = tmp_path_factory.mktemp("runs")
    questions = write_questions(folder / "q.jsonl", 5)
    others = folder / "others.jsonl"
    others.write_text('{"prompt": "Something else?", "id": "q0"}\n')

    async def make():
        for name, asked, words in (("a", questions, 60), ("b", questions, 25), ("c", others, 60)):
            async with two_servers(tokenizers, words=words) as (_, options):
                made = await tessy("synth", asked, "--out", folder / name, *options)
            assert made.code == 0, made.err

    asyncio.run(make())
    return folder


async def test_a_run_alone(runs):
    done = await tessy("report", runs / "a", "--json", runs / "a.json")
    assert done.code == 0, done.err
    assert f"wrote {runs / 'a' / 'report.html'}" in done.err
    assert done.out == ""
    records = lines(runs / "a" / "dataset.jsonl")
    tree = orjson.loads((runs / "a.json").read_bytes())
    accounts = tree["runs"][0]["accounts"]
    for name in (
        "student_tokens",
        "teacher_tokens",
        "turns",
        "hand_overs",
        "teacher_discarded_tokens",
    ):
        expected = sum(record["stats"][name] for record in records)
        assert accounts["finished"]["sums"][name] == expected, name
    assert accounts["ended"] == 5
    assert tree["unit"].endswith("student"), "the tokenizer of the run's own settings"
    assert tree["similarity"] is None
    page = (runs / "a" / "report.html").read_text("utf-8")
    assert "--against" in page, "it says what to run"
    assert "--student-weights" in page
    assert not re.findall(r"(?:src|href)=\"(?!#)", page), "nothing is fetched from elsewhere"


async def test_runs_side_by_side_in_all_formats(runs, tmp_path):
    files = {name: tmp_path / f"r.{name}" for name in ("html", "json", "md")}
    command = ["report", runs / "a", "--against", runs / "b", "--words", "--out", files["html"]]
    done = await tessy(*command, "--json", files["json"], "--markdown", files["md"])
    assert done.code == 0, done.err
    assert "5 questions were answered in both runs" in done.err
    tree = orjson.loads(files["json"].read_bytes())
    assert tree["shared"] == 5
    assert tree["unit"] == "words"
    (cosine,) = tree["similarity"]["cosines"].values()
    assert 0 < cosine["low"] <= cosine["value"] <= cosine["high"] < 1
    shown = f"{cosine['value']:.3f} ({cosine['low']:.3f}–{cosine['high']:.3f})"
    for kind in ("html", "md"):
        text = re.sub("</?span[^>]*>", "", files[kind].read_text("utf-8"))
        assert shown in text
        headings = ("Accounts", "Lengths", "Similarity", "Words", "Likelihood", "Style", "Failures")
        assert all(heading in text for heading in headings)
    assert not (runs / "b" / "report.html").exists()


async def test_the_same_command_writes_the_same_bytes(runs, tmp_path):
    files = [tmp_path / name for name in ("report.html", "numbers.json", "report.md")]
    options = zip(("--out", "--json", "--markdown"), files, strict=True)
    command = ["report", runs / "a", "--against", runs / "b", *chain(*options), "--quiet"]
    written = []
    for _ in range(2):  # the second replaces what the first wrote
        done = await tessy(*command)
        assert (done.code, done.err) == (0, "")
        written.append([file.read_bytes() for file in files])
    assert written[0] == written[1]


async def test_questions_of_one_id_and_other_texts_are_not_shared(runs, tmp_path):
    done = await tessy("report", runs / "a", "--against", runs / "c", "--out", tmp_path / "r.html")
    assert done.code == 0, done.err
    assert "warning: no question was answered in both runs" in done.err
    assert "nothing can be compared" in (tmp_path / "r.html").read_text("utf-8")


async def test_a_run_that_goes_on(tmp_path):
    folder = RunFolder(tmp_path / "run")
    await write_run(folder, [Written("q0")], [Written("q1")])
    async with Journal(folder.shard(0)) as journal:
        await journal.end(Written("q2").ending(2))
        await journal.set_mark(Mark.SAMPLES, "5")
        done = await tessy("report", folder.path, "--markdown", tmp_path / "r.md")
    assert done.code == 0, done.err
    text = (tmp_path / "r.md").read_text()
    assert "| ended | 2 |" in text
    assert "| begun, not ended | 1 |" in text
    assert "2 finished + 0 failed; not complete: 3 of 5 samples have not ended." in text


async def test_samples_that_end_while_a_report_reads_count_as_not_ended(tmp_path):
    """Else those that ended and those that did not would be more than the run has."""
    folder = RunFolder(tmp_path / "run")
    await write_run(folder, [Written("q0"), Written("q1")])
    async with journals_of(folder) as journals:
        await journals.all[0].set_mark(Mark.SAMPLES, "5")

    def say(line: str) -> None:
        if line.endswith(": 2 samples"):  # they were read, and nothing else yet
            with ThreadPoolExecutor() as pool:
                pool.submit(asyncio.run, one_more()).result()

    async def one_more() -> None:
        async with journals_of(folder) as journals:
            await journals.all[0].end(Written("q2").ending(2))

    text = as_markdown(make_report(ReportSettings([folder.path]), say))
    assert "2 finished + 0 failed; not complete: 3 of 5 samples have not ended." in text
    with JournalReader(folder) as reader:
        assert reader.lacking() == "2 of 5 samples have not ended"


async def test_a_run_in_which_nothing_ended(tmp_path):
    await write_run(RunFolder(tmp_path), [], [Written("q0")])
    done = await tessy("report", tmp_path)
    assert done.code == 2
    assert "nothing ended yet" in done.err


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["nothing"], 1, "nothing is no run"),
        (["{a}", "--against", "nothing"], 1, "nothing is no run"),
        (["{a}", "--against", "{a}"], 2, "is named twice"),
        (["{a}", "--out", "no/such/folder/r.html"], 2, "there is no folder no/such/folder"),
        (["{a}", "--out", "{a}"], 2, "is a folder"),
        (["{a}", "--out", "{a}/dataset.jsonl"], 2, "is not what this command writes"),
        (["{a}", "--json", "{a}/run.toml"], 2, "is not what this command writes"),
        (["{a}", "--markdown", "{a}/dataset.jsonl"], 2, "is not what this command writes"),
        (["{a}", "--json", "x.json", "--markdown", "x.json"], 2, "two files have the same name"),
        (["{a}", "--student-tokenizer", "./nothing"], 2, "./nothing: no such folder"),
        (["{a}", "--student", "gpt"], 2, "'gpt' is not a model"),
        (["{a}", "--student-weights", "./nothing"], 2, "nothing: no such folder"),
        (["{a}", "--student-weights", ".", "--student", "http://x"], 2, "are both given"),
        (["{a}", "--traces", "-1"], 2, "--traces"),
        (["{a}", "--against"], 2, "--against"),
    ],
)
async def test_mistakes_are_named_before_any_work(runs, arguments, code, said):
    done = await tessy("report", *(each.replace("{a}", str(runs / "a")) for each in arguments))
    assert done.code == code, done.err
    assert said in re.sub(r"[\s│]+", " ", done.err)
    assert "Traceback" not in done.err
    assert "samples" not in done.err, "no run was read"


def test_without_scikit_learn_it_says_what_to_install(runs):
    code = (
        "import sys; sys.modules['sklearn'] = None; sys.argv[1:] = ['report', sys.argv[1]]\n"
        "from tessy.cli.main import main; main()"
    )
    command = [sys.executable, "-c", code, str(runs / "a")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "reports need scikit-learn" in done.stderr
    assert install_hint("report") in done.stderr
