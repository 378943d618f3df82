"""`tessy doctor` before a run, `tessy show` after it."""

from __future__ import annotations

import asyncio
import json
import re
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from commands import tessy
from scripted import PLAIN, PREDICTOR, faulty, lines, two_servers, write_questions
from tessy.cli.paint import visible
from tessy.method.trajectory import Role
from tessy.palette import TERMINAL
from tessy.runs.folder import RunFolder
from tessy.runs.reader import JournalReader
from tessy.testing import EchoScript, Latency, LoopScript, ScriptedServer
from tessy.testing.faults import Fault
from written import Written, write_run

AGREEABLE = "python:tessy.testing.predictors:agreeable"
TIMES = ("time to first token", "time a token")
WIDE = {"COLUMNS": "4000"}
"""So that nothing is wrapped."""


def cells(out: str) -> dict[str, list[str]]:
    """The rows of doctor's table, by label; a row of several lines is joined with blanks."""
    rows: dict[str, list[str]] = {}
    label = ""
    for line in out.splitlines():
        if "│" not in line:
            continue
        first, *rest = (cell.strip() for cell in line.strip("│ ").split("│"))
        label = first or label
        if first:
            rows[label] = rest
        else:
            rows[label] = [f"{a} {b}".strip() for a, b in zip(rows[label], rest, strict=True)]
    return rows


def models(options: list) -> list:
    """The options without the predictor, which doctor has no use for."""
    return options[:-2]


# --- doctor -------------------------------------------------------------------------------------


async def test_doctor_of_two_models_that_work(tokenizers):
    paced = Latency(first_token_s=0.01, token_s=0.02)  # longer than a busy machine waits
    async with two_servers(tokenizers, context_length=4321, latency=paced) as (servers, options):
        done = await tessy("doctor", *models(options), **WIDE)
    assert done.code == 0, done.err
    rows = cells(done.out)
    assert rows["model"] == [servers["student"].url, servers["teacher"].url]
    assert rows["works"] == ["yes", "yes"]
    assert rows["served name"] == ["scripted", "scripted"]
    assert rows["chat format"] == [f"that of {folder}" for folder in tokenizers.values()]
    assert rows["prompts sent as"] == ["token ids", "token ids"]
    assert rows["takes id prompts"] == ["yes", "yes"]
    assert rows["returns ids"] == ["yes", "yes"]
    assert rows["top_k, min_p, stop ids"] == ["yes", "yes"]
    assert rows["streams"] == ["yes", "yes"]
    assert rows["stops when closed"] == ["yes", "yes"]
    assert rows["context"] == ["4,321 tokens", "4,321 tokens"]
    assert rows["notes"] == ["–", "–"]
    for cell in rows["prefix cache hit"]:
        assert int(cell.removesuffix("%")) > 80
    for label in TIMES:
        assert all(re.fullmatch(r"\d+(\.\d)? ms", cell) for cell in rows[label])
    assert rows["KV cache"] == ["–", "–"]
    assert "in 1,000 words: about 110 hand-overs × " in done.out
    assert "% of the wall time of one trajectory)" in done.out
    ready = done.out.splitlines()[-1]
    assert ready.endswith("(lower them, or serve more: vLLM --max-model-len)")
    assert "the context has fewer (student 4,321, teacher 4,321)" in ready


async def test_doctor_of_servers_that_can_do_little(think_tokenizers):
    less = {"accept_ids": False, "accept_extensions": False, "streams": False}
    async with two_servers(think_tokenizers, **less) as (_, options):
        done = await tessy("doctor", *models(options), **WIDE)
    assert done.code == 0, done.err
    rows = cells(done.out)
    assert rows["works"] == ["yes", "yes"]
    assert rows["prompts sent as"] == ["text", "text"]
    for label in ("takes id prompts", "returns ids", "top_k, min_p, stop ids", "streams"):
        assert rows[label] == ["no", "no"], label
    assert [rows[label] for label in TIMES] == [["–", "–"], ["–", "–"]]
    assert "in 1,000 words" not in done.out
    assert done.out.splitlines()[-1].startswith("ready; the student's server does not stream")


async def test_doctor_without_a_tokenizer_says_that_the_format_is_not_known():
    async with two_servers(None) as (servers, _):
        named = [part for role in servers for part in (f"--{role}", servers[role].url)]
        done = await tessy("doctor", *named, **WIDE)
    assert done.code == 1, "synth would refuse them, too"
    rows = cells(done.out)
    assert rows["works"] == ["yes", "yes"]
    assert rows["chat format"] == ["not known", "not known"]
    assert "error: synthesis would not start: the student's chat format is not known" in done.err
    for role, note in zip(Role, rows["notes"], strict=True):
        assert f"the {role}'s chat format is not known" in note
        assert f"--{role}-tokenizer" in done.err.partition("hint: ")[2]


async def test_doctor_of_a_dead_server_without_a_format_says_first_that_it_is_dead():
    dead = ["--student", "http://127.0.0.1:9/v1", "--student-format", "plain"]
    named = [*dead[:2], "--teacher", "http://127.0.0.1:9/v1", "--teacher-format", "plain"]
    done = await tessy("doctor", *named, **WIDE)
    assert done.code == 1
    refusal, hint = done.err.rpartition("error: ")[2].split("hint: ")
    assert refusal.startswith(
        "synthesis would not start: the student does not work, as said above; the student's chat "
        "format is not known"
    )
    assert hint.startswith("is it running, and its URL right?\n")
    assert "--student-tokenizer" in hint
    assert "tessy doctor" not in done.err, "this is it"


async def test_doctor_says_what_the_example_in_the_docs_says():
    page = Path(__file__).parents[2] / "docs" / "commands.md"
    _, _, shown = page.read_text("utf-8").partition("$ tessy doctor ")
    options, shown = shown.split("\n", 1)
    done = await tessy("doctor", *options.split(), **WIDE)
    assert done.code == 0, done.err
    found, expected = cells(done.out), cells(shown.partition("```")[0])
    for label in TIMES:
        assert found.pop(label)
        assert expected.pop(label)
    assert found == expected


@pytest.mark.parametrize("dead", ["student", "teacher"])
async def test_doctor_says_which_server_is_dead_and_examines_the_other(tokenizers, dead):
    async with two_servers(tokenizers) as (servers, options):
        options[options.index(f"--{dead}") + 1] = "http://127.0.0.1:9/v1"
        done = await tessy("doctor", *models(options), **WIDE)
        alive = "teacher" if dead == "student" else "student"
        assert servers[alive].stats.requests
    assert done.code == 1
    works = dict(zip(("student", "teacher"), cells(done.out)["works"], strict=True))
    assert works[alive] == "yes"
    assert f"synthesis would not start: the {dead} does not work, as said above\n" in done.err
    assert f"the {dead} can't be used" in works[dead]
    assert "127.0.0.1:9" in works[dead]
    assert "Traceback" not in done.err


async def test_doctor_of_a_name_that_is_not_served(tokenizers):
    async with two_servers(tokenizers) as (servers, options):
        options[options.index("--teacher") + 1] = servers["teacher"].url + "#gpt-5"
        done = await tessy("doctor", *models(options), **WIDE)
    assert done.code == 1
    student, teacher = cells(done.out)["works"]
    assert student == "yes"
    assert "the server has no model 'gpt-5' (only scripted)" in teacher


async def test_doctor_of_a_server_that_hides_the_end_of_thinking(tokenizers):
    async with two_servers(tokenizers, accept_extensions=False) as (_, options):
        done = await tessy("doctor", *models(options), **WIDE)
    assert done.code == 1
    student, teacher = cells(done.out)["works"]
    assert student == "yes"
    assert "nobody could tell where the thinking ends" in teacher


async def test_doctor_of_a_server_that_speaks_nonsense(tokenizers):
    garbage = faulty(1.0, kinds=(Fault.GARBAGE,))
    async with two_servers(tokenizers, faults=garbage) as (_, options):
        done = await tessy("doctor", *models(options), **WIDE)
    assert done.code == 1
    assert all("can't be used" in cell for cell in cells(done.out)["works"])


async def test_doctor_shows_names_as_they_are(tokenizers):
    name = "[red]my[/red]/[/bold]model"
    async with two_servers(tokenizers, served_name=name) as (_, options):
        done = await tessy("doctor", *models(options), **WIDE)
    assert done.code == 0, done.err
    assert cells(done.out)["served name"] == [name, name]


@pytest.mark.parametrize("option", ["--predictor", "--student-predictor", "--teacher-predictor"])
async def test_doctor_of_a_predictor_that_is_not_there(option, tmp_path, tokenizers):
    """Also if the file of settings names it: a run would not start."""
    async with two_servers(tokenizers) as (_, options):
        done = await tessy("doctor", *models(options), option, "englsh-2")
        settings = tmp_path / "pair.toml"
        settings.write_text(f'{option[2:].replace("-", "_")} = "window:nowhere"\n')
        of_file = await tessy("doctor", *models(options), "--config", settings)
    assert (done.code, done.out) == (2, "")
    assert "error: 'englsh-2' is no predictor\nhint: did you mean english-2?" in done.err
    assert (of_file.code, of_file.out) == (2, "")
    assert "nowhere: no such folder" in of_file.err


async def test_doctor_of_a_model_that_means_nothing():
    done = await tessy("doctor", "--student", "gpt", "--teacher", "gpt")
    assert done.code == 2
    assert done.err.startswith("error: ")
    assert "'gpt'" in done.err
    assert "hint: " in done.err


# --- show ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def made(tmp_path_factory, tokenizers):
    """A run of four samples, made once."""
    folder = tmp_path_factory.mktemp("made")
    questions = write_questions(folder / "q.jsonl", 4)

    async def make():
        async with two_servers(tokenizers) as (_, options):
            return await tessy("synth", questions, "--out", folder / "run", *options)

    done = asyncio.run(make())
    assert done.code == 0, done.err
    return folder / "run"


def squeezed(text: str) -> str:
    """Without blanks at the ends of lines, which nobody sees."""
    return re.sub(r"[ \t]+(\n|$)", r"\1", text)


TAG = re.compile(r"⟨(student|teacher)(, forced)?⟩")
"""What says who wrote a span where there are no colours."""


def untagged(out: str) -> str:
    return squeezed(TAG.sub("", out))


def ansi(style: str) -> str:
    colour = style.split()[-1]
    red, green, blue = (int(colour[at : at + 2], 16) for at in (1, 3, 5))
    return f"38;2;{red};{green};{blue}"


async def test_show_lists_a_run(made):
    done = await tessy("show", made)
    assert done.code == 0, done.err
    assert done.out.splitlines() == [f"q{n}  finished" for n in range(4)]
    done = await tessy("show", made, "--limit", "2")
    assert done.out.splitlines() == ["q0  finished", "q1  finished", "… and 2 more: --limit"]


async def test_show_prints_a_sample_as_it_is_in_the_data_set(made):
    for record in lines(made / "dataset.jsonl"):
        done = await tessy("show", made, record["id"], **WIDE)
        assert done.code == 0, done.err
        assert "\x1b" not in done.out
        assert record["messages"][0]["content"] in done.out
        assert squeezed(record["messages"][-1]["content"]) in untagged(done.out)
        stats = record["stats"]
        assert f"{stats['student_tokens']} student + {stats['teacher_tokens']} teacher" in done.out
        shifts, turns = stats["hand_overs"], stats["turns"]
        assert re.search(rf" {shifts} hand-overs? in {turns} turns?, ", done.out)


async def test_show_tags_each_span_with_who_wrote_it_where_there_are_no_colours(made):
    record = lines(made / "dataset.jsonl")[0]
    content = record["messages"][-1]["content"]
    expected = ""
    for span in record["spans"]:
        forced = ", forced" if span["forced"] else ""
        expected += "" if span["role"] == "format" else f"⟨{span['role']}{forced}⟩"
        expected += content[span["start"] : span["end"]]
    done = await tessy("show", made, record["id"], **WIDE)
    assert {match[1] for match in TAG.finditer(expected)} == {"student", "teacher"}
    assert squeezed(expected) in squeezed(done.out)


async def test_show_paints_each_word_in_the_colour_of_who_wrote_it(made):
    record = lines(made / "dataset.jsonl")[0]
    colours = {"FORCE_COLOR": "1", "COLORTERM": "truecolor", "TERM": "xterm-256color"}
    done = await tessy("show", made, "q0", **WIDE, **colours)
    assert done.code == 0, done.err
    content = record["messages"][-1]["content"]
    painted = re.findall(r"\x1b\[([\d;]*)m([^\x1b]*)", done.out)
    for role in Role:
        code = ansi(TERMINAL[role])
        text = "".join(t for codes, t in painted if code in codes and "7" not in codes.split(";"))
        spans = [s for s in record["spans"] if s["role"] == role.value]
        written = "".join(content[span["start"] : span["end"]] for span in spans)
        assert written.strip()
        assert "".join(text.split()) == "".join(written.split())
    plain = re.sub(r"\x1b\[[\d;]*m", "", done.out)
    assert squeezed(content) in squeezed(plain)


async def test_show_adds_what_was_discarded_where_it_fell(made):
    colours = {"FORCE_COLOR": "1", "COLORTERM": "truecolor", "TERM": "xterm-256color"}
    with JournalReader(RunFolder(made)) as reader:
        entry = reader.ended_sample("q0")
    discards = entry.trace["discards"]
    assert len(discards) > 1
    without = await tessy("show", made, "q0", **WIDE, **colours)
    with_ = await tessy("show", made, "q0", "--discarded", **WIDE, **colours)
    struck = r"\x1b\[2;(?:3;)?9;38[\d;]*m([^\x1b]*)\x1b\[0m"
    assert not re.search(struck, without.out)
    discarded = "".join(re.findall(struck, with_.out))
    bracketed = "".join(f"⟦{discard['text']}⟧" for discard in discards)
    assert "".join(discarded.split()) == "".join(bracketed.split())
    rest = re.sub(r"\x1b\[[\d;]*m", "", re.sub(struck, "", with_.out))
    content = lines(made / "dataset.jsonl")[0]["messages"][-1]["content"]
    assert "".join(content.split()) in "".join(rest.split())


@asynccontextmanager
async def failed_run(folder, *limits):
    questions = write_questions(folder / "q.jsonl", 2)
    async with ScriptedServer(LoopScript(" okay wait hmm so")) as server:
        options = ["--student", server.url, "--teacher", server.url, "--predictor", PREDICTOR]
        options += PLAIN
        done = await tessy("synth", questions, "--out", folder / "run", *options, *limits)
    assert done.code == 1
    yield folder / "run"


async def test_show_says_why_a_sample_failed(tmp_path):
    async with failed_run(tmp_path) as run:
        listed = await tessy("show", run)
        done = await tessy("show", run, "q1", **WIDE)
    assert listed.out.splitlines() == ["q0  repetition", "q1  repetition"]
    assert done.code == 0, done.err
    assert "failed: repetition: again and again: 'okay wait hmm so'" in done.out
    content = lines(run / "failures.jsonl")[1]["content"]
    assert content.startswith("<think>\n okay wait hmm so")
    assert "</think>" not in content, "its thinking was still open"
    assert squeezed(content) in untagged(done.out)


async def test_show_of_a_bad_line(tmp_path, tokenizers):
    questions = tmp_path / "q.jsonl"
    questions.write_text('{"prompt": 3}\n{"id": "good", "prompt": "[[t]] What?"}\n')
    async with two_servers(tokenizers) as (_, options):
        command = ["synth", questions, "--out", tmp_path / "run", *options, "--skip-bad"]
        assert (await tessy(*command)).code == 0
    listed = await tessy("show", tmp_path / "run")
    assert listed.out.splitlines() == ["bad-line:1  bad_question", "good  finished"]
    done = await tessy("show", tmp_path / "run", "bad-line:1")
    assert done.code == 0, done.err
    assert "failed: bad_question: prompt must be text, not int" in done.out


async def test_show_of_an_unknown_sample(made):
    done = await tessy("show", made, "q17")
    assert done.code == 2
    assert "has no sample 'q17'" in done.err
    assert "hint: it has q0, q1, q2, q3\n" in done.err, "and no more"


async def test_show_where_there_is_no_run(tmp_path):
    lost = "it has no shards with a journal"
    for *arguments, what in ([tmp_path, lost], [tmp_path, "q0", lost], [tmp_path / "no", "there"]):
        done = await tessy("show", *arguments, **WIDE)
        assert done.code == 1
        assert f"is no run: {what}" in done.err
        assert "Traceback" not in done.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [b"", b"this is no database at all, " * 100])
async def test_show_of_a_journal_that_is_broken(tmp_path, content):
    journal = RunFolder(tmp_path).shard(0).journal
    journal.parent.mkdir(parents=True)
    journal.write_bytes(content)
    done = await tessy("show", tmp_path, **WIDE)
    assert done.code == 1
    assert done.err.startswith(f"error: {tmp_path}")
    assert "Traceback" not in done.err


@pytest.mark.parametrize("arguments", [[], ["q0"]])
async def test_show_of_a_journal_that_was_overwritten(tmp_path, made, arguments):
    """Its first page is fine, so it opens."""
    whole = RunFolder(made).shard(0).journal.read_bytes()
    journal = RunFolder(tmp_path).shard(0).journal
    journal.parent.mkdir(parents=True)
    journal.write_bytes(whole[:4096] + b"\xff" * (len(whole) - 4096))
    done = await tessy("show", tmp_path, *arguments, **WIDE)
    assert done.code == 1
    assert done.err.startswith(f"error: {tmp_path}")
    assert "Traceback" not in done.err


async def test_show_of_samples_under_way(tmp_path):
    """As a run that goes on, was stopped or was killed leaves them."""
    samples = [Written(f"q{n}", student=f"okay {n}", discarded="") for n in range(2)]
    await write_run(RunFolder(tmp_path), [], samples)
    with RunFolder(tmp_path).locked():
        listed = await tessy("show", tmp_path)
        sample = await tessy("show", tmp_path, "q0", **WIDE)
    assert "(under way)" in sample.out
    assert listed.out.splitlines() == ["q0  under way", "q1  under way"]
    done = await tessy("show", tmp_path, "--limit", "1")
    assert done.out.splitlines() == ["q0  stopped", "… and 1 more: --limit"]
    done = await tessy("show", tmp_path, "q1", **WIDE)
    assert done.code == 0, done.err
    assert "(stopped)" in done.out
    assert "okay 1" in untagged(done.out)
    done = await tessy("show", tmp_path, "q2")
    assert done.code == 2
    assert "hint: it has q0, q1\n" in done.err


async def test_show_of_a_run_in_which_nothing_has_happened(tmp_path, tokenizers):
    """It was begun, and its journal made; then a server was missing."""
    questions = write_questions(tmp_path / "q.jsonl", 1)
    nowhere = ["--student", "http://127.0.0.1:9/v1", "--teacher", "http://127.0.0.1:9/v1"]
    settings = tmp_path / "run.toml"
    settings.write_text('[student]\nmodel="x"\nretries = 0\n')
    run = tmp_path / "run"
    await tessy("synth", questions, "--out", run, *nowhere, *PLAIN, "--config", settings)
    listed = await tessy("show", run)
    lacking = "not complete: 1 of 1 sample has not ended"
    assert (listed.code, listed.out) == (0, f"{lacking}\nno sample has ended yet\n")
    done = await tessy("show", run, "q0")
    assert done.code == 2
    assert "has no sample 'q0'" in done.err
    assert "it has ," not in done.err


# --- Hostile text -------------------------------------------------------------------------------

HOSTILE = (
    "[bold]x[/bold] [/red] [link=http://x]y[/link] :smile: \\[ [@click=a]b \x1b[2J\x1b]0;gone\x07"
    " \x9b31m \x7f \x00 \x08\x0b\x0c\r end"
)
SHOWN = (
    "[bold]x[/bold] [/red] [link=http://x]y[/link] :smile: \\[ [@click=a]b ␛[2J␛]0;gone␇"
    " \ufffd31m ␡ ␀ ␈␋␌␍ end"
)


def test_control_characters_are_pictures_one_for_one():
    every = "".join(map(chr, range(0x100)))
    seen = visible(every)
    assert len(seen) == len(every)
    assert [c for c in seen if ord(c) < 0x20 or 0x7F <= ord(c) < 0xA0] == ["\t", "\n"]
    assert visible("añ🤔\u200d計") == "añ🤔\u200d計"
    assert visible(HOSTILE) == SHOWN


@pytest.mark.parametrize("failing", [False, True])
@pytest.mark.parametrize("colour", [{}, {"FORCE_COLOR": "1", "TERM": "xterm-256color"}])
async def test_hostile_text_is_shown_and_not_obeyed(tmp_path, colour, failing):
    """In the question, its id, the thinking, the answer and what was discarded."""
    questions = tmp_path / "q.jsonl"
    sample = "[/red] [bold]"  # an id with control characters is refused
    questions.write_text(json.dumps({"id": sample, "prompt": HOSTILE}) + "\n")
    run = tmp_path / "run"
    text = f" okay {HOSTILE} 7 "
    script = LoopScript(text) if failing else EchoScript(text)
    async with ScriptedServer(script) as server:
        models = ["--student", server.url, "--teacher", server.url, *PLAIN]
        more = ["--thinking-tokens", "600" if failing else "40"]
        more += ["--student-chunk", "200", "--teacher-chunk", "200"]
        more += ["--on-thinking-limit", "fail" if failing else "answer"]
        predictor = ["--predictor", AGREEABLE if failing else PREDICTOR]
        made = await tessy("synth", questions, "--out", run, *models, *more, *predictor)
    ended = lines(run / ("failures.jsonl" if failing else "dataset.jsonl"))
    assert len(ended) == 1, made.err
    thinking = ended[0]["content"] if failing else ended[0]["messages"][-1]["content"]
    assert "[/red]" in thinking
    assert "\x1b[2J" in thinking
    listed = await tessy("show", run, **WIDE, **colour)
    done = await tessy("show", run, sample, "--discarded", **WIDE, **colour)
    assert done.code == listed.code == 0, done.err + listed.err
    for out in (done.out, listed.out):
        bare = re.sub(r"\x1b\[[\d;]*m", "", out)  # what tessy paints with
        assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", bare)
        assert sample in bare
    bare = re.sub(r"\x1b\[[\d;]*m", "", done.out)
    assert SHOWN in bare.splitlines()[1]
    assert "[bold]x[/bold]" in bare.split("\n\n", 1)[1]
    unknown = await tessy("show", run, "\x1b[2J", **WIDE)
    assert unknown.code == 2
    assert "\x1b" not in unknown.err


async def test_the_scripts_words_are_shown_on_a_narrow_terminal(made):
    """Wrapping changes white space and nothing else."""
    record = lines(made / "dataset.jsonl")[0]
    done = await tessy("show", made, "q0", COLUMNS="30")
    assert done.code == 0, done.err
    content = record["messages"][-1]["content"]
    assert "".join(content.split()) in TAG.sub("", "".join(done.out.split()).replace(",f", ", f"))


async def test_a_list_says_how_many_more_there_are(tmp_path):
    run_folder = tmp_path / "run"
    await write_run(RunFolder(run_folder), [Written(f"q{n}") for n in range(5)], [Written("late")])
    done = await tessy("show", run_folder, "--limit", "3")
    assert done.code == 0, done.err
    assert done.out.splitlines()[-1] == "… and 3 more: --limit"
    done = await tessy("show", run_folder, "--limit", "6")
    assert "more" not in done.out
