"""Files at URLs: as inputs they are read as local ones, and every error names the URL."""

from __future__ import annotations

import json
import os
import threading
from contextlib import suppress
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import fsspec
import pytest

from remote_files import failing
from tessy.boundary.registry import load as load_predictor
from tessy.data.fetched import local_folder
from tessy.data.outputs import written_to
from tessy.data.remote import RemotePath, absolute, check_writable, is_url, persistently, shown_url
from tessy.data.rows import rows
from tessy.errors import ConfigError, DataError, RemoteError
from tessy.models.tokenizers import fetch_tokenizer
from tessy.runs.remote import reading, writing


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("TESSY_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def memory():
    system = fsspec.filesystem("memory")
    system.store.clear()
    yield system
    system.store.clear()


def line(number: int) -> bytes:
    return json.dumps({"id": f"q{number}", "prompt": "Why?"}).encode() + b"\n"


def ids(source: str) -> list[str]:
    return [row["id"] for _, row in rows(source, what="questions")]


def test_what_is_a_url():
    assert is_url("s3://b/x")
    assert is_url("hf://datasets/a/b")
    for text in ("runs/x", "C:/x", "owner/name:split", "/s3://x", Path("s3://b/x"), None):
        assert not is_url(text)
    assert shown_url("ftp://me:secret@host/x") == "ftp://host/x"
    assert shown_url("https://host/x.jsonl?X-Amz-Signature=secret") == "https://host/x.jsonl"


def test_files_folders_and_globs_are_read(memory):
    for number in range(3):
        memory.pipe_file(f"/b/set/data-{number:05}-of-00003.jsonl", line(number))
    memory.pipe_file("/b/set/README.md", b"about")
    assert ids("memory://b/set/data-00001-of-00003.jsonl") == ["q1"]
    assert ids("memory://b/set") == ids("memory://b/set/") == ["q0", "q1", "q2"]
    assert ids("memory://b/set/*.jsonl") == ["q0", "q1", "q2"]


def test_a_file_is_fetched_once_and_again_when_it_has_changed(memory, cache):
    memory.pipe_file("/b/q.jsonl", line(1))
    assert ids("memory://b/q.jsonl") == ["q1"]
    first = sorted(cache.rglob("q.jsonl"))
    assert ids("memory://b/q.jsonl") == ["q1"]
    assert sorted(cache.rglob("q.jsonl")) == first
    memory.pipe_file("/b/q.jsonl", line(2))
    assert ids("memory://b/q.jsonl") == ["q2"]


def test_messages_name_the_url_and_not_the_copy(memory):
    memory.pipe_file("/b/q.jsonl", line(1) + b"no json\n")
    found = list(rows("memory://b/q.jsonl", what="questions"))
    assert found[1][0] == "memory://b/q.jsonl:2"
    memory.pipe_file("/b/two/a.jsonl", line(1))
    memory.pipe_file("/b/two/b.csv", b"id,prompt\n1,x\n")
    with pytest.raises(DataError, match=r"^memory://b/two is a folder with several data sets"):
        ids("memory://b/two")
    assert not list(Path(os.environ["TESSY_CACHE"]).rglob("a.jsonl")), "nothing was fetched for it"


def test_what_is_not_there_is_named(memory):
    with pytest.raises(RemoteError, match=r"memory://b/gone\.jsonl: there is no such file"):
        ids("memory://b/gone.jsonl")
    for name in ("memory://b/gone", "memory://b/*.jsonl"):
        with pytest.raises(DataError, match="no data file"):
            ids(name)
    with pytest.raises(RemoteError, match="there is no such folder"):
        local_folder("memory://b/gone")


def test_an_unknown_protocol_and_a_missing_package_are_named():
    with pytest.raises(RemoteError) as caught:
        RemotePath("s33://b/x").info()
    assert "there is no protocol 's33'" in str(caught.value)
    assert "s3" in str(caught.value.hint)
    with pytest.raises(RemoteError) as caught:
        RemotePath("oss://b/x").info()
    assert caught.value.lasting
    assert caught.value.hint == "pip install ossfs"


def test_a_tokenizer_and_a_predictor_at_a_url(memory, tmp_path):
    import tessy.boundary

    shipped = Path(tessy.boundary.__file__).parent / "english_2"
    for path in shipped.iterdir():
        if path.is_file():
            memory.pipe_file(f"/b/predictor/{path.name}", path.read_bytes())
    assert load_predictor("window:memory://b/predictor").name
    memory.pipe_file("/b/tokenizer/tokenizer.json", b"{}")
    memory.pipe_file("/b/tokenizer/sub/chat_template.jinja", b"x")
    folder = fetch_tokenizer("memory://b/tokenizer")
    assert (folder / "sub/chat_template.jinja").read_bytes() == b"x"


def test_a_cache_folder_that_cant_be_made_is_named(memory, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("x")
    monkeypatch.setenv("TESSY_CACHE", str(tmp_path / "file"))
    memory.pipe_file("/b/q.jsonl", line(1))
    with pytest.raises(ConfigError) as caught:
        ids("memory://b/q.jsonl")
    assert "TESSY_CACHE" in (caught.value.hint or "")


def test_a_temporary_failure_is_tried_again_with_longer_waits():
    waits, said = [], []
    with failing(file=3) as system:
        there = RemotePath("failing://b/file")
        persistently(lambda: there.write(b"x"), say=said.append, sleep=waits.append)
        assert there.read(9) == b"x"
        assert system.writes == ["/b/file"]
    assert waits == [1, 2, 4]
    assert all("failing://b/file can't be reached: OSError: the network is gone" in s for s in said)


def test_rights_are_not_asked_for_again():
    waits = []
    with failing(PermissionError("Access Denied"), probe=-1), pytest.raises(RemoteError) as caught:
        check_writable(RemotePath("failing://b/run"))
    assert "failing://b/run/.tessy-probe: no rights: Access Denied" in str(caught.value)
    assert "docs/remote.md" in str(caught.value.hint)
    assert waits == []


def test_an_output_is_uploaded_whole_or_kept_here(memory, tmp_path):
    with written_to("memory://b/out/report.html") as path:
        path.write_text("page")
        assert not memory.exists("/b/out/report.html")
    assert memory.cat_file("/b/out/report.html") == b"page"
    assert not path.exists()
    with written_to("memory://b/model", resumed=True) as folder:
        (folder / "epoch-1").mkdir(parents=True)
        (folder / "epoch-1/weights").write_text("w")
    assert memory.cat_file("/b/model/epoch-1/weights") == b"w"
    with written_to("memory://b/model", resumed=True) as again:
        assert (again / "epoch-1/weights").exists()
    with suppress(ZeroDivisionError), written_to("memory://b/never.json") as path:
        path.write_text("half")
        raise ZeroDivisionError
    assert not memory.exists("/b/never.json")
    with written_to(tmp_path / "here.txt") as path:
        assert path == tmp_path / "here.txt"


def test_an_output_at_a_url_replaces_only_what_the_command_wrote(memory):
    memory.pipe_file("/b/mine.html", b"my page " * 9000)
    with (
        pytest.raises(ConfigError, match=r"memory://b/mine\.html is there, and is not what"),
        written_to("memory://b/mine.html", begins=b"<!doctype html>"),
    ):
        raise AssertionError("nothing is written")
    assert memory.cat_file("/b/mine.html") == b"my page " * 9000
    for old in (b"", b"<!doctype html> old"):
        memory.pipe_file("/b/report.html", old)
        with written_to("memory://b/report.html", begins=b"<!doctype html>") as path:
            path.write_text("<!doctype html> new")
        assert memory.cat_file("/b/report.html") == b"<!doctype html> new"


def test_an_upload_that_fails_for_good_says_where_the_files_are():
    error = PermissionError("Access Denied")
    with (
        failing(error, result=-1),
        pytest.raises(RemoteError) as caught,
        written_to("failing://b/result.json") as path,
    ):
        path.write_text("all my work")
    assert f"nothing is lost: it is in {path}" == caught.value.hint
    assert path.read_text() == "all my work"


@pytest.mark.parametrize("place", [Path("s3://bucket/run"), "s3:/bucket/run", "s3:"])
def test_a_url_without_its_slashes_is_no_folder(place, tmp_path, monkeypatch):
    """A `Path` makes `s3:/bucket` of `s3://bucket`, and a run would go to a folder of that name."""
    monkeypatch.chdir(tmp_path)
    for use in (writing, reading):
        with pytest.raises(ConfigError, match="is meant as a URL, and is none") as error:
            use(place)
        assert "two slashes" in (error.value.hint or "")
    assert not any(tmp_path.iterdir())


def test_a_server_that_only_serves_files_is_no_place_to_write(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    handler = type("Quiet", (SimpleHTTPRequestHandler,), {"log_message": lambda *_: None})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with pytest.raises(RemoteError, match="its server takes no files") as error:
            check_writable(RemotePath(f"http://127.0.0.1:{server.server_port}/run"))
        server.shutdown()
    assert "can be written to" in (error.value.hint or "")


def test_a_place_that_is_named_to_another_machine_stays_a_url(tmp_path, monkeypatch):
    """A `Path` of it would be a folder of that machine."""
    monkeypatch.chdir(tmp_path)
    assert absolute("s3://bucket/run") == "s3://bucket/run"
    assert absolute("runs/one") == absolute(Path("runs/one")) == str(tmp_path / "runs" / "one")
    with pytest.raises(ConfigError, match="is meant as a URL"):
        absolute(Path("s3://bucket/run"))
