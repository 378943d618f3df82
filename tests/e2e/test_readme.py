"""The README's commands and code are run, so that they stay true."""

from __future__ import annotations

import asyncio
import json
import re
import runpy
import shlex
import sys
from pathlib import Path

import pytest

from commands import tessy
from scripted import PREDICTOR, lines, two_servers, write_questions
from tessy.config import load
from tessy.models.checks import check

ROOT = Path(__file__).parent.parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")


def blocks(language: str, page: str = "README.md") -> list[str]:
    text = (ROOT / page).read_text(encoding="utf-8")
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def commands() -> list[list[str]]:
    """The `tessy` commands of the README, with their continuation lines."""
    joined = README.replace("\\\n", " ")
    found = re.findall(r"^    (tessy .*)$", joined, re.MULTILINE)
    return [shlex.split(line, comments=True) for line in found]


def on_a_cluster() -> list[list[str]]:
    """The commands for a cluster."""
    (block,) = blocks("sh", "docs/cluster.md")
    return [shlex.split(line, comments=True) for line in block.splitlines()]


def with_servers(command: list[str], servers, tokenizers) -> list[str]:
    """The command with the test's servers and tokenizers in place of the named ones."""
    roles = {"--student": "student", "--teacher": "teacher"}
    changed = list(command)
    for at, word in enumerate(command):
        if word in roles:
            changed[at + 1] = servers[roles[word]].url
        elif word.removesuffix("-tokenizer") in roles:
            changed[at + 1] = str(tokenizers[roles[word.removesuffix("-tokenizer")]])
    return changed[1:]


async def test_every_tessy_command_of_the_readme_runs(tmp_path, tokenizers, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_questions(tmp_path / "questions.jsonl", 2)
    found, cluster = commands()[:2], commands()[2:]
    assert [command[1] for command in found] == ["doctor", "synth"]
    assert cluster == on_a_cluster(), "those run in the next test"
    async with two_servers(tokenizers) as (servers, _):
        for command in found:
            done = await tessy(*with_servers(command, servers, tokenizers))
            assert done.code == 0, (command, done.err, done.out)
    assert len(lines(tmp_path / "runs" / "first" / "dataset.jsonl")) == 2


async def test_the_commands_for_a_cluster_run(tmp_path, tokenizers, monkeypatch):
    """With a URL of this machine, and without the cluster: test_ray.py has one."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TESSY_CACHE", str(tmp_path / "cache"))
    write_questions(tmp_path / "questions.jsonl", 2)
    found = [command[1:] for command in on_a_cluster()]
    assert found[0][-2:] == ["--on", "ray"]
    async with two_servers(tokenizers) as (servers, _):
        (tmp_path / "run.toml").write_text(settings_of(servers, tokenizers))
        for command in found[1:]:
            here = [word.replace("s3://lab", tmp_path.as_uri()) for word in command]
            done = await tessy(*("0/1" if word == "3/64" else word for word in here))
            assert done.code == 0, (command, done.err, done.out)
    assert len(lines(tmp_path / "runs" / "first" / "dataset.jsonl")) == 2


def settings_of(servers, tokenizers) -> str:
    sections = [f'predictor = "{PREDICTOR}"']
    for role, server in servers.items():
        sections.append(f'[{role}]\nmodel = "{server.url}"\ntokenizer = "{tokenizers[role]}"')
    return "\n".join(sections)


async def test_the_python_of_the_readme_runs(tmp_path, tokenizers, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_questions(tmp_path / "questions.jsonl", 2)
    (block,) = blocks("python")
    async with two_servers(tokenizers) as (servers, _):
        (tmp_path / "examples").mkdir()
        settings = settings_of(servers, tokenizers)
        (tmp_path / "examples" / "cluster.toml").write_text(settings)
        await asyncio.to_thread(exec, block, {})
    assert capsys.readouterr().out.split()[0] == "2"


async def test_the_python_of_the_docs_runs(tmp_path, tokenizers, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_questions(tmp_path / "questions.jsonl", 2)
    block = blocks("python", "docs/api.md")[0]
    async with two_servers(tokenizers) as (servers, _):
        for role, port, name in (
            ("student", 8000, "Qwen/Qwen3-8B"),
            ("teacher", 8001, "openai/gpt-oss-120b"),
        ):
            block = block.replace(f"http://localhost:{port}/v1", servers[role].url)
            block = block.replace(name, str(tokenizers[role]))
        await asyncio.to_thread(exec, block, {})
    assert capsys.readouterr().out.startswith("2 of 2 finished; failed: {}\n")


@pytest.mark.parametrize("page", [README, CONTRIBUTING], ids=["README", "CONTRIBUTING"])
def test_every_make_target_exists(page):
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"^    make ([\w-]+)", page, re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


async def test_the_record_of_the_docs_has_the_fields_of_a_record(tmp_path, tokenizers):
    shown = json.loads(blocks("json", "docs/record.md")[0])
    questions = write_questions(tmp_path / "q.jsonl", 1)
    async with two_servers(tokenizers) as (_, options):
        await tessy("synth", questions, "--out", tmp_path / "run", *options)
    (record,) = lines(tmp_path / "run" / "dataset.jsonl")
    assert set(shown) <= set(record)
    assert set(shown["stats"]) == set(record["stats"])
    assert set(shown["spans"][0]) == set(record["spans"][0])


def test_the_file_tree_is_the_real_one():
    tree = CONTRIBUTING.split("## The files")[1].split("\nRead first")[0]
    listed = set(re.findall(r"^      (\S+)  ", tree, re.MULTILINE))
    there = {
        entry.name + ("/" if entry.is_dir() else "")
        for entry in (ROOT / "src" / "tessy").iterdir()
        if not entry.name.startswith("_") and entry.name != "py.typed"
    }
    assert listed == there
    for path in re.findall(r"`((?:examples|models|runs)/[\w/.]+)`", CONTRIBUTING):
        assert (ROOT / path).exists() or (ROOT / "src" / "tessy" / path).exists(), path


def test_links_of_the_readme_and_docs_lead_somewhere():
    pages = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("examples/*.md")]
    for page in pages:
        for link in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            if "://" not in link:
                assert (page.parent / link).exists(), f"{page.name}: {link}"


@pytest.mark.parametrize("path", sorted(ROOT.glob("examples/*.toml")), ids=lambda path: path.name)
def test_the_settings_of_the_examples_are_valid_as_they_are(path, monkeypatch):
    """And ask for nothing that a reader of the README does not have, such as a key."""
    monkeypatch.delenv("TEACHER_API_KEY", raising=False)
    check(load(path, {}))


async def test_the_flat_script_runs(monkeypatch, capsys):
    script = str(ROOT / "examples" / "flat.py")
    async with two_servers(None) as (servers, _):
        urls = [servers["student"].url, servers["teacher"].url]
        monkeypatch.setattr(sys, "argv", [script, *urls, "What is 2 + 2?"])
        await asyncio.to_thread(runpy.run_path, script, run_name="__main__")
    text = capsys.readouterr().out
    assert "</think>" in text
    assert "\033[33m" in text
    assert "\033[36m" in text
