"""Run folders of strangers, as a list, and everything that reads a run's folder.

`HOSTILE` is data: each entry makes something hostile of a good run. `READERS` are all ways to open
a run. `read_changed` reads a journal with changed bytes; it is for longer fuzzing, too.
"""

from __future__ import annotations

import asyncio
import html
import os
import shutil
import signal
import sqlite3
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from functools import cache, partial
from io import StringIO
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest
from rich.console import Console

import commands
from tessy.cli.listing import paint_list
from tessy.cli.paint import paint_sample
from tessy.errors import TessyError
from tessy.exporting.sources import find_source
from tessy.report.source import open_runs
from tessy.report.viewer.filters import Filter
from tessy.report.viewer.index import Index
from tessy.report.viewer.sample import read_sample
from tessy.report.viewer.served import ViewedRuns
from tessy.report.viewer.server import serving
from tessy.runs.contents import MOST_INFLATED, pack
from tessy.runs.dataset import write_dataset
from tessy.runs.folder import RunFolder
from tessy.runs.journal import Journal
from tessy.runs.load import load
from tessy.runs.reader import JournalReader, is_begun
from tessy.runs.schema import Mark
from tessy.training.dataset import read_rows
from tessy.verifiers.responses import read_responses
from written import Written, write_run

SAMPLES = [Written("one"), Written("two", failure=None, answer="It is 8."), Written("three")]
UNDER_WAY = [Written("four")]
SETTINGS = 'method = "tessy"\n[run]\ndate = 2026-01-02\nquestions = "q.jsonl"\ndigest = "d"\n'
JOURNAL_FILE = "shards/0000/journal.sqlite"
OUTSIDE = b"what must stay as it is\n"


def good_run(folder: Path) -> RunFolder:
    """A run with three samples, and one under way; its data set is there."""
    run = RunFolder(folder)
    asyncio.run(write_run(run, SAMPLES, UNDER_WAY))
    run.settings.write_text(SETTINGS)
    identify(run)
    write_dataset(run)
    tidy(run)
    return run


def identify(run: RunFolder) -> None:
    """Note in each journal of which run it is."""
    for shard in run.started_shards():
        with closing(sqlite3.connect(shard.journal)) as connection:
            mark = (Mark.IDENTITY, run.run_toml.identity())
            connection.execute("insert or replace into marks values (?, ?)", mark)
            connection.commit()


def tidy(run: RunFolder) -> None:
    """Remove the files that SQLite leaves beside a journal that was read."""
    for shard in run.started_shards():
        for suffix in ("-wal", "-shm"):
            shard.journal.with_name(shard.journal.name + suffix).unlink(missing_ok=True)


# --- Readers ------------------------------------------------------------------------------------


class RefusedError(Exception):
    """A reader refused the run, with a message."""


def _command(*args: str | Path) -> None:
    done = commands.run(*args)
    if done.code:
        assert done.err.startswith("error: "), done.err
        assert "Traceback" not in done.err
        raise RefusedError(done.err)


def _load(folder: Path) -> None:
    run = load(folder)
    assert len([*run.records(), *run.failures()]) == 3
    assert (run.counts().finished, run.counts().under_way) == (3, 1)


def _show(folder: Path) -> None:
    _command("show", folder)
    for name in ("one", "two", "three", "four"):
        _command("show", folder, name, "--discarded")


async def _view(folder: Path) -> None:
    async with (
        serving(ViewedRuns([("run", folder, False)], read_only=False)) as site,
        aiohttp.ClientSession() as client,
    ):
        for path in ("", "?text=so", *(f"sample?sample={n}" for n in ("one", "two", "four"))):
            async with client.get(site.url + path) as answer:
                text = await answer.text()
                if answer.status != 200:
                    assert "That can’t be shown" in text
                    raise RefusedError(html.unescape(text))


def _quick_show(folder: Path) -> None:
    console = Console(file=StringIO())
    paint_list(console, folder, Filter(), 20)
    for name in ("one", "two", "three", "four"):
        paint_sample(console, folder, name, discarded=True, whole=True)


def _quick_view(folder: Path) -> None:
    """What the pages are made of, without a server."""
    run = RunFolder(folder)
    with JournalReader(run):
        pass
    with closing(Index(run)) as index:
        while index.add(2):
            pass
        while index.add_words(10):
            pass
        index.journals.counts()
    for name in ("one", "two", "three", "four"):
        read_sample(run, name)
    with JournalReader(run) as reader:
        reader.unfinished(limit=10)


def _quick_report(folder: Path) -> None:
    for source in open_runs([folder]):
        assert len(list(source.samples())) == 3
        with JournalReader(source.folder) as reader:
            reader.running()


def _quick_export(folder: Path) -> None:
    assert list(find_source(str(folder)).samples())


def _export(folder: Path) -> None:
    out = folder.parent / "exported"
    try:
        _command("export", folder, "--to", "trl", "--out", out, "--quiet")
    finally:
        shutil.rmtree(out, ignore_errors=True)


def _report(folder: Path) -> None:
    _command("report", folder, "--words", "--bootstrap-samples", "0", "--quiet")


async def _resume(folder: Path) -> None:
    """What `tessy synth` does in a folder before it calls a model, and when it ends."""
    run = RunFolder(folder)
    with run.locked():
        assert is_begun(run)
        identity = run.run_toml.identity()
        with JournalReader(run) as reader:
            reader.refuse_others(identity)
            run.refuse_lost_journal(reader.reasons()[None])
        for shard in run.started_shards():
            with shard.locked():
                async with Journal(shard, create=False) as journal:
                    await journal.set_mark(Mark.IDENTITY, identity)
                    await journal.reasons()
                    names = ["one", "two", "three", "four"]
                    assert await journal.ended(names)
                    await journal.failures(names)
                    for name in await journal.begun(names):
                        assert (await journal.resume(name)).drafts
        write_dataset(run)


def _sft(folder: Path) -> None:
    found = [row["id"] for _, row in read_rows(folder)]  # as an export, without failed samples
    assert len(found) >= 2
    assert set(found) <= {"one", "two", "three"}


READERS: dict[str, Callable[[Path], None]] = {
    "load": _load,
    "show": _show,
    "view": lambda folder: asyncio.run(_view(folder)),
    "export": _export,
    "report": _report,
    "synth": lambda folder: asyncio.run(_resume(folder)),
    "verify": lambda folder: list(read_responses(folder)) and None,
    "sft": _sft,
}
QUICK: dict[str, Callable[[Path], None]] = {
    **READERS,
    "show": _quick_show,
    "view": _quick_view,
    "report": _quick_report,
    "export": _quick_export,
}
"""The same without commands and servers, for many cases."""
JOURNAL = frozenset({"load", "show", "view", "export", "report", "synth", "verify", "sft"})
"""Those that read the journal."""
RECORDS = frozenset({"export", "verify", "sft"})
"""Those that read only the records of finished samples."""
TRACES = frozenset({"load", "show", "report"})
TURNS = frozenset({"show", "view", "synth"})
SETTINGS_ONLY = frozenset({"report", "synth"})
DATASET = frozenset({"synth"})


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Fail what hangs, such as the opening of a FIFO."""

    def late(*_: Any) -> None:
        raise AssertionError("it hangs")

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def refusal(reader: str, folder: Path, *, quick: bool = False) -> str | None:
    """What a reader says of a run that it refuses; None if it reads it. Other errors are raised.

    Args:
        reader: One of `READERS`.
        folder: The run's folder.
        quick: Without commands and servers.
    """
    with pytest.MonkeyPatch.context() as patch, within(60):
        patch.setenv("TESSY_CACHE", str(folder.parent / "cache"))
        try:
            (QUICK if quick else READERS)[reader](folder)
        except (TessyError, RefusedError) as error:
            return str(error)
    return None


# --- What is hostile ----------------------------------------------------------------------------


@dataclass(frozen=True)
class HostileFolder:
    """A folder that somebody prepared.

    Attributes:
        name: Of the case.
        make: Makes it of a good run; the second argument is a file outside of it.
        says: A pattern of the message of those who refuse it.
        by: Readers that must refuse it; all others must read it or refuse it.
    """

    name: str
    make: Callable[[RunFolder, Path], None]
    says: str
    by: frozenset[str] = JOURNAL


def _in_place(name: str, what: str, run: RunFolder, outside: Path) -> None:
    path = run.path / name
    if path.is_dir():
        path.rename(outside.parent / "run" / "was here")
    path.unlink(missing_ok=True)
    match what:
        case "file":
            path.write_text("of another program")
        case "link to itself":
            path.symlink_to(outside.parent / "run" / "was here")
        case "link":
            path.symlink_to(outside)
        case "fifo":
            os.mkfifo(path)
        case "folder":
            path.mkdir()


def _sql(script: str, run: RunFolder, outside: Path) -> None:
    with closing(sqlite3.connect(run.shard(0).journal)) as connection:
        connection.executescript(script.replace("OUTSIDE", str(outside)))
        connection.commit()
        connection.execute("pragma wal_checkpoint(truncate)")
    tidy(run)


def _set(table: str, column: str, value: Any, run: RunFolder, outside: Path) -> None:
    with closing(sqlite3.connect(run.shard(0).journal)) as connection:
        where = "where id = 'one'" if table == "samples" else ""
        connection.execute(f"update {table} set {column} = ? {where}", (value,))
        connection.commit()
    tidy(run)


def _record(path: str, value: Any, run: RunFolder, outside: Path) -> None:
    """Change one place of a record, named as `stats.turns`; `...` removes it."""
    with closing(sqlite3.connect(run.shard(0).journal)) as connection:
        (blob,) = connection.execute("select record from samples where id = 'one'").fetchone()
        record = orjson.loads(blob)
        _put(record, path, value)
        _set("samples", "record", orjson.dumps(record), run, outside)


def _trace(path: str, value: Any, run: RunFolder, outside: Path) -> None:
    with closing(sqlite3.connect(run.shard(0).journal)) as connection:
        (blob,) = connection.execute("select trace from samples where id = 'one'").fetchone()
        trace = orjson.loads(zlib.decompress(blob))
        _put(trace, path, value)
        _set("samples", "trace", pack(trace), run, outside)


def _put(tree: Any, path: str, value: Any) -> None:
    *names, last = (int(name) if name.isdecimal() else name for name in path.split("."))
    for name in names:
        tree = tree[name]
    if value is ...:
        del tree[last]
    else:
        tree[last] = value


def _file(name: str, content: bytes | int, run: RunFolder, outside: Path) -> None:
    """Give a file other content, or cut it or make it longer."""
    if isinstance(content, bytes):
        (run.path / name).write_bytes(content)
    else:
        os.truncate(run.path / name, content)


def _deep(run: RunFolder, outside: Path) -> None:
    blob = orjson.dumps(SAMPLES[0].ending(0).record)
    nested = b'{"deep":' + b"[" * 900 + b"]" * 900 + b"," + blob[1:]
    _set("samples", "record", nested, run, outside)


def _garbled(text: bytes, run: RunFolder, outside: Path) -> None:
    """The first bytes of a text are no UTF-8."""
    journal = run.shard(0).journal
    blob = journal.read_bytes()
    assert text in blob
    journal.write_bytes(blob.replace(text, b"\xff\xfe" + text[2:], 1))


def _other(column: str, run: RunFolder, outside: Path) -> None:
    """The table of samples with another definition of a column."""
    with closing(sqlite3.connect(run.shard(0).journal)) as connection:
        (sql,) = connection.execute(
            "select sql from sqlite_master where name = 'samples'"
        ).fetchone()
    changed = sql.replace("requests integer not null", column)
    _sql(f"drop table samples; {changed}", run, outside)


@cache
def _bomb() -> bytes:
    return zlib.compress(b'{"discards":[],"x":"' + b" " * MOST_INFLATED + b'"}', 9)


def _inflates(table: str, column: str, run: RunFolder, outside: Path) -> None:
    _set(table, column, _bomb(), run, outside)


def _beside(whose: str, number: int) -> Callable[[RunFolder, Path], None]:
    """A run of two shards, with a copy of a shard: our own, or another run's."""

    def make(run: RunFolder, outside: Path) -> None:
        own, place = run.shard(0), run.shard(number)
        if number:
            run.settings.write_text(SETTINGS + "shards = 2\n")
            identify(run)
        if number:
            shutil.copytree(own.path, place.path)
        if whose == "others":
            with closing(sqlite3.connect(place.journal)) as connection:
                connection.execute("update marks set value = 'x' where name = 'identity'")
                connection.commit()
        tidy(run)

    return make


_ROLLBACK = bytes.fromhex("d9d505f920a163d7")
_SUPER = b"\0" * 512 + b"/etc/passwd" + (11).to_bytes(4, "big") + b"\0" * 4 + _ROLLBACK
_AS_VIEW = """
alter table samples rename to s;
create view samples as select position, id, reason, record, trace, seconds, requests, change from s;
"""
_STARTS = "drop table turns; create table turns (id text not null, batch integer);"

HOSTILE = [
    *(
        HostileFolder(
            f"{Path(name).name} is a {what}",
            partial(_in_place, name, what),
            f"it is a {what}|a FIFO",
        )
        for name in (
            JOURNAL_FILE,
            *(f"{JOURNAL_FILE}-{end}" for end in ("wal", "shm", "journal")),
        )
        for what in ("link", "fifo", "folder")
    ),
    *(
        HostileFolder(
            f"{name} is a {what}", partial(_in_place, name, what), f"it is a {what}|FIFO", by
        )
        for name, by in (("run.toml", SETTINGS_ONLY), ("dataset.jsonl", DATASET))
        for what in ("link", "fifo")
    ),
    HostileFolder(
        "lock is a link", partial(_in_place, "lock", "link"), "a link", frozenset({"synth"})
    ),
    HostileFolder(
        "lock is a FIFO", partial(_in_place, "lock", "fifo"), "a FIFO", frozenset({"synth"})
    ),
    # --- Schema
    HostileFolder(
        "a view for a table",
        partial(_sql, _AS_VIEW),
        "holds a table 's'|view 'samples'|not as ours",
    ),
    HostileFolder(
        "a trigger",
        partial(_sql, "create trigger t after insert on samples begin delete from turns; end"),
        "trigger 't'",
    ),
    HostileFolder(
        "a trigger on turns",
        partial(_sql, "create trigger t before delete on turns begin select raise(ignore); end"),
        "trigger 't'",
    ),
    HostileFolder("another table", partial(_sql, "create table more (a)"), "table 'more'"),
    HostileFolder(
        "a virtual table", partial(_sql, "create virtual table more using fts5 (a)"), "table 'more"
    ),
    HostileFolder(
        "an index on an expression",
        partial(_sql, "create index i on samples (hex(record))"),
        "index 'i'",
    ),
    HostileFolder(
        "a generated column",
        partial(_other, "requests integer as (length(record))"),
        "table 'samples' is not as ours",
    ),
    HostileFolder(
        "a column of another type",
        partial(_other, "requests text not null"),
        "table 'samples' is not as ours",
    ),
    HostileFolder(
        "a default",
        partial(_other, "requests integer not null default (random())"),
        "table 'samples' is not as ours",
    ),
    HostileFolder("other columns", partial(_sql, _STARTS), "table 'turns' is not as ours"),
    HostileFolder("a name that is no UTF-8", partial(_garbled, b"sqlite_autoindex"), "decode"),
    HostileFolder("a comment that is no UTF-8", partial(_garbled, b"in the order"), "decode"),
    HostileFolder("no turns", partial(_sql, "drop table turns"), "no table 'turns'"),
    HostileFolder("another version", partial(_sql, "pragma user_version = 2"), "another version"),
    HostileFolder(
        "a journal of changes that names a file",
        partial(_file, f"{JOURNAL_FILE}-journal", _SUPER),
        "names a file",
    ),
    # --- File
    HostileFolder("no database", partial(_file, JOURNAL_FILE, b"hello " * 500), "not a database"),
    HostileFolder(
        "an empty journal", partial(_file, JOURNAL_FILE, b""), "empty|but no journal is there"
    ),
    HostileFolder(
        "a journal cut short", partial(_file, JOURNAL_FILE, 8192), "malformed|disk image"
    ),
    # --- Rows
    HostileFolder(
        "an unknown reason",
        partial(_set, "samples", "reason", "bored"),
        "bored",
        JOURNAL - RECORDS,
    ),
    HostileFolder(
        "a reason that is a blob",
        partial(_set, "samples", "reason", b"repetition"),
        "bytes, not str",
        JOURNAL - RECORDS,
    ),
    HostileFolder("an id that is a blob", partial(_set, "samples", "id", b"one"), "bytes"),
    HostileFolder(
        "an id of another record",
        partial(_set, "samples", "id", "other"),
        "its id is 'one'|no sample 'one'|no sample &#39;one",
    ),
    HostileFolder(
        "seconds as text",
        partial(_set, "samples", "seconds", "soon"),
        "seconds is",
        JOURNAL - RECORDS - {"synth"},
    ),
    HostileFolder(
        "seconds without end",
        partial(_set, "samples", "seconds", 9e999),
        "seconds is",
        JOURNAL - RECORDS - {"synth"},
    ),
    HostileFolder(
        "requests as text", partial(_set, "samples", "requests", "many"), "requests is", TRACES
    ),
    HostileFolder(
        "a position below 0",
        partial(_set, "samples", "position", -7),
        "not in order",
        JOURNAL - {"show", "view"},
    ),
    # --- Records
    HostileFolder(
        "a record that is text", partial(_set, "samples", "record", "{}"), "str, not bytes"
    ),
    HostileFolder(
        "a record that is no JSON",
        partial(_set, "samples", "record", b"{"),
        "can't be read|malformed JSON",
    ),
    HostileFolder(
        "a record that is a list", partial(_set, "samples", "record", b"[]"), "list, not dict"
    ),
    HostileFolder(
        "a record on two lines",
        partial(
            _set,
            "samples",
            "record",
            orjson.dumps(SAMPLES[0].ending(0).record, option=orjson.OPT_INDENT_2),
        ),
        "line",
        frozenset({"synth"}),
    ),
    *(
        HostileFolder(
            f"{path} is {str(value)[:20]}", partial(_record, path, value), "can't be read"
        )
        for path, value in (
            ("id", ...),
            ("id", 7),
            ("messages", ...),
            ("messages", {}),
            ("messages", []),
            ("messages", None),
            ("messages.0", "hello"),
            ("messages.0.role", 1),
            ("messages.0.content", ["a"]),
            ("messages.1.content", None),
            ("spans", ...),
            ("spans", {}),
            ("spans", []),
            ("spans", [[]]),
            ("spans.1.start", 0),
            ("spans.1.start", "8"),
            ("spans.1.end", 10**15),
            ("spans.1.end", -1),
            ("spans.1.end", 9.5),
            ("spans.1.role", "god"),
            ("spans.1.role", []),
            ("spans.1.forced", ...),
            ("spans.1.forced", "no"),
            ("spans.1.tolerated", "no"),
            ("stats", ...),
            ("stats", []),
            ("stats.turns", "1"),
            ("stats.turns", 1e300),
            ("stats.student_tokens", -5),
            ("stats.hand_overs", None),
            ("stats.thinking_cut_off", ...),
            ("method", ...),
            ("method", ["x"]),
            ("models", ...),
            ("models", ["a"]),
            ("models.student", 5),
            ("seed", "0"),
            ("verdict", "right"),
            ("verdict", {"outcome": "right"}),
            ("verdict", {"outcome": ["right"], "score": 1.0}),
            ("verdict", {"outcome": "right", "score": "1"}),
        )
    ),
    HostileFolder("a column that is nested deeply", _deep, "", frozenset()),
    # --- Traces and turns
    HostileFolder(
        "a trace that inflates", partial(_inflates, "samples", "trace"), "too large", TRACES
    ),
    HostileFolder(
        "a trace cut short",
        partial(_set, "samples", "trace", pack({"discards": []})[:-5]),
        "cut short",
        TRACES,
    ),
    HostileFolder(
        "a trace that is garbled",
        partial(_set, "samples", "trace", b"x" * 99),
        "can't be read",
        TRACES,
    ),
    HostileFolder(
        "a trace that is text", partial(_set, "samples", "trace", "x"), "str, not bytes", TRACES
    ),
    *(
        HostileFolder(
            f"{path} of a trace is {str(value)[:20]}",
            partial(_trace, path, value),
            "can't be read",
            TRACES,
        )
        for path, value in (
            ("discards", 5),
            ("discards", ["a"]),
            ("discards.0.role", "god"),
            ("discards.0.part", "end"),
            ("discards.0.at", "0"),
            ("discards.0.at", -1),
            ("discards.0.text", None),
            ("asked", ["a"]),
            ("confidence", [[1]]),
            ("confidence", [["a", 0.5]]),
            ("drafts", ["a"]),
            ("drafts", [{"why": 5}]),
            ("drafts", [{"why": "x", "content": "abc", "spans": []}]),
            ("drafts", [{"why": "x", "reason": "bored", "content": "", "spans": []}]),
        )
    ),
    HostileFolder("turns that inflate", partial(_inflates, "turns", "turns"), "too large", TURNS),
    *(
        HostileFolder(
            f"turns are {str(value)[:30]}",
            partial(_set, "turns", "turns", pack(value)),
            "can't be read",
            TURNS,
        )
        for value in (
            {},
            [[]],
            [[0]],
            [5],
            [["a", 0, "student", "thinking", "closed"]],
            [[0, 0, "god", "thinking", "closed", "a"]],
            [[0, 0, "student", "thinking", "closed", 5]],
            [[0, 0, "student", "thinking", "closed", *["a"] * 20]],
            [[0, 0, "why", "bored"]],
        )
    ),
    HostileFolder(
        "a batch that is text",
        partial(_set, "turns", "batch", "x"),
        "batch is",
        frozenset({"synth"}),
    ),
    HostileFolder(
        "attempts as text",
        partial(_sql, "insert into attempts values ('one', 'x', 1)"),
        "failed is",
        frozenset({"synth"}),
    ),
    # --- Shards
    *(
        HostileFolder(
            f"{name} is a {what}",
            partial(_in_place, name, what),
            "it is a .*, not a folder",
        )
        for name in ("shards", "shards/0000")
        for what in ("link", "link to itself", "fifo", "file")
    ),
    HostileFolder(
        "another run's shard beside ours", _beside("others", 1), "other settings or other questions"
    ),
    HostileFolder(
        "another run's shard in the place of ours",
        _beside("others", 0),
        "other settings or other questions",
        frozenset({"synth"}),
    ),
    HostileFolder("a shard beyond the number", _beside("ours", 7), "the run has 2 shards"),
    HostileFolder(
        "the same shard twice",
        _beside("ours", 1),
        "two shards hold",
        JOURNAL - {"show"},
    ),
    HostileFolder(
        "a run of an older version",
        partial(_file, "journal.sqlite", b"of an older version"),
        "a run of an older version",
    ),
    HostileFolder(
        "a mark that is a blob",
        partial(_set, "marks", "value", b"x"),
        "the mark .* can't be read",
    ),
    HostileFolder(
        "a mark of no name",
        partial(_sql, "update marks set name = cast(x'ff' as text) where name = 'identity'"),
        "other settings or other questions",
        frozenset({"synth"}),
    ),
    *(
        HostileFolder(
            f"{table}.change is {str(value)[:20]}",
            partial(_set, table, "change", value),
            "change",
            by,
        )
        for table, by in (
            ("samples", frozenset({"view", "synth"})),
            ("turns", frozenset({"synth"})),
        )
        for value in ("x", b"5", 1e300, (1 << 63) - 1)
        if not (table == "samples" and value == (1 << 63) - 1)
    ),
    HostileFolder(
        "a change without a next one",
        partial(_set, "samples", "change", (1 << 63) - 1),
        "change",
        frozenset({"synth"}),
    ),
    HostileFolder(
        "attempts whose change is text",
        partial(_sql, "insert into attempts values ('one', 1, 'x')"),
        "attempts|change",
        frozenset({"view", "synth"}),
    ),
    # --- Settings
    *(
        HostileFolder(
            f"run.toml: {content[:30]!r}",
            partial(_file, "run.toml", content),
            r"run\.toml can't be read",
            SETTINGS_ONLY,
        )
        for content in (
            b"= =",
            b"\xff\xfe",
            b"run = 5",
            b"run = []",
            b"[run]\nmodels = 5",
            b"[run.models]\nstudent = 5",
            b'[run]\ndate = "today"',
            b"[run]\ndigest = 5",
            b"[run]\nquestions = {}",
            b"[run]\nshards = '4'",
            b"[run]\nshards = 0",
            b"[run]\nshards = true",
            b"[run]\nshards = 99999999999999999999",
            b"a = " + b"[" * 9000 + b"]" * 9000,
        )
    ),
    HostileFolder(
        "a huge run.toml", partial(_file, "run.toml", 1 << 40), "larger than", SETTINGS_ONLY
    ),
]


# --- Changed bytes ------------------------------------------------------------------------------


def read_changed(original: bytes, changes: list[tuple[int, int]], folder: Path) -> None:
    """Read a journal with changed bytes in every way that does not need a process or a server.

    Args:
        original: The bytes of a good journal.
        changes: Places, counted round the file, and the bytes there.
        folder: An existing folder, where it is written.

    Raises:
        Exception: A reader fails with anything but a `TessyError`.
    """
    changed = bytearray(original)
    for place, value in changes:
        changed[place % len(changed)] = value
    run = RunFolder(folder)
    resumed = RunFolder(folder / "resumed")
    resumed.path.mkdir(exist_ok=True)
    for each in (run, resumed):
        tidy(each)
        journal = each.shard(0).journal
        journal.parent.mkdir(parents=True, exist_ok=True)
        # A new file: an exception may still hold an earlier one open, and SQLite's lock on it.
        journal.unlink(missing_ok=True)
        journal.write_bytes(changed)
    console = Console(file=StringIO())
    shown = partial(paint_sample, discarded=True, whole=True)

    def all_of_load() -> None:
        made = load(folder)
        list(made.records())
        list(made.failures())
        made.counts()

    async def written() -> None:
        async with Journal(resumed.shard(0)) as journal:
            names = ["one", "two", "three", "four"]
            await journal.ended(names)
            await journal.failures(names)
            for name in await journal.begun(names):
                assert (await journal.resume(name)).drafts is not None
            await journal.reasons()

    ways: list[Callable[[], Any]] = [
        all_of_load,
        lambda: paint_list(console, folder, Filter(), 20),
        *(partial(shown, console, folder, name) for name in ("one", "four")),
        lambda: list(find_source(str(folder)).samples()),
        lambda: _quick_view(folder),
        lambda: asyncio.run(written()),
        lambda: write_dataset(run),
    ]
    with within(60):
        for way in ways:
            with suppress(TessyError):
                way()
