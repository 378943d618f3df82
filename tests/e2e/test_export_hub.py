"""`tessy export --push`, against a hub that speaks as much of the protocol as an upload needs."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from huggingface_hub import constants

from commands import Done, tessy
from export_samples import record, write_records

TOKEN = "hf_of_a_test"
LICENCE = ["--licence", "cc-by-4.0"]


@dataclass
class FakeHub:
    """Takes commits; every file is a regular one, sent within them."""

    refuse: str = ""
    there: list[str] = field(default_factory=list)
    made: list[dict] = field(default_factory=list)
    files: dict[str, bytes] = field(default_factory=dict)
    deleted: list[str] = field(default_factory=list)
    commits: int = 0
    url: str = ""

    async def answer(self, request: web.Request) -> web.Response:
        if request.headers.get("Authorization") != f"Bearer {TOKEN}":
            return web.json_response({"error": "who are you?"}, status=401)
        name = request.path.removeprefix("/api/").removeprefix("datasets/me/data/").split("/")[0]
        if name == self.refuse:
            return web.json_response({"error": "over quota"}, status=403)
        answer = getattr(self, f"_{name.replace('-', '_')}")
        return web.json_response(await answer(request))

    async def _whoami_v2(self, request):
        return {"type": "user", "name": "me"}

    async def _repos(self, request):
        self.made.append(await request.json())
        return {"url": f"{self.url}/datasets/me/data"}

    async def _validate_yaml(self, request):
        return {"errors": [], "warnings": []}

    async def _tree(self, request):
        return [{"type": "file", "path": path, "oid": "0", "size": 1} for path in self.there]

    async def _revision(self, request):
        return {"id": "me/data", "sha": "0" * 40, "siblings": [], "private": True}

    async def _preupload(self, request):
        asked = (await request.json())["files"]
        same = {"uploadMode": "regular", "shouldIgnore": False}
        return {"files": [{"path": file["path"], **same} for file in asked]}

    async def _commit(self, request):
        for line in (await request.text()).splitlines():
            item = json.loads(line)
            if item["key"] == "file":
                value = item["value"]
                self.files[value["path"]] = base64.b64decode(value["content"])
            elif item["key"] == "deletedFile":
                self.deleted.append(item["value"]["path"])
        self.commits += 1
        return {"commitUrl": f"{self.url}/datasets/me/data/commit/1", "commitOid": "1" * 40}


@pytest.fixture
async def hub():
    fake = FakeHub()
    application = web.Application(client_max_size=2**26)
    application.router.add_route("*", "/{path:.*}", fake.answer)
    async with TestServer(application) as server:
        fake.url = str(server.make_url("")).rstrip("/")
        yield fake


@pytest.fixture
def records(tmp_path):
    return write_records(tmp_path / "dataset.jsonl", [record("q0"), record("q1")])


async def push(hub, records, out, *more, token=TOKEN, to="hf", name="me/data") -> Done:
    options = ["--to", to, "--out", out, "--push", name, *more]
    with pytest.MonkeyPatch.context() as patch:  # the library reads its environment only once
        patch.setattr(constants, "HF_HUB_OFFLINE", False)
        patch.setattr(constants, "ENDPOINT", hub.url)
        patch.setattr(constants, "HF_TOKEN_PATH", str(out.parent / "no-token"))
        return await tessy("export", records, *options, HF_TOKEN=token)


async def test_what_is_uploaded_is_data_and_card_and_nothing_else(hub, records, tmp_path):
    hub.there = ["README.md", "data/train-00000-of-00002.parquet", "notes.txt"]
    out = tmp_path / "out"
    done = await push(hub, records, out, *LICENCE, "--near-duplicates", "0.9")
    assert done.code == 0, done.err
    assert f"uploaded: {hub.url}/datasets/me/data/commit/1" in done.err
    names = ["README.md", "data/train-00000-of-00001.parquet"]
    assert hub.files == {name: (out / name).read_bytes() for name in names}
    assert hub.deleted == ["data/train-00000-of-00002.parquet"], "the data of an earlier upload"
    assert hub.commits == 1
    (asked,) = hub.made
    assert asked["type"] == "dataset"
    assert asked["visibility"] == "private"
    assert (out / "dropped.jsonl").read_text().count("\n") == 1


async def test_public_only_if_asked(hub, records, tmp_path):
    done = await push(hub, records, tmp_path / "out", *LICENCE, "--public")
    assert done.code == 0, done.err
    assert hub.made[0]["visibility"] == "public"


@pytest.mark.parametrize("what", ["repos", "commit"])
async def test_an_upload_that_is_refused_loses_nothing(hub, records, tmp_path, what):
    hub.refuse = what
    done = await push(hub, records, tmp_path / "out", *LICENCE)
    assert done.code == 1
    assert "Hugging Face refused" in done.err
    assert "over quota" in done.err
    assert f"hf upload me/data {tmp_path / 'out'}" in " ".join(done.err.split())
    assert TOKEN not in done.err
    assert (tmp_path / "out" / "README.md").exists()


async def test_what_can_not_be_uploaded_is_said_before_any_work(hub, records, tmp_path):
    out = tmp_path / "out"
    for code, said, done in (
        (2, "needs a licence", await push(hub, records, out)),
        (2, "what --to hf writes", await push(hub, records, out, to="parquet")),
        (2, "is no name", await push(hub, records, out, *LICENCE, name="data")),
        (2, "there is no token", await push(hub, records, out, *LICENCE, token="")),
        (1, "refused (whoami)", await push(hub, records, out, *LICENCE, token="wrong")),
        (2, "--public", await tessy("export", records, "--to", "hf", "--out", out, "--public")),
    ):
        assert done.code == code, done.err
        assert said in done.err
        assert "Traceback" not in done.err
    assert not out.exists()
    assert not hub.made


async def test_a_hub_that_can_not_be_reached_is_said_before_any_work(records, tmp_path):
    done = await push(FakeHub(url="http://127.0.0.1:9"), records, tmp_path / "out", *LICENCE)
    assert done.code == 1
    assert "Hugging Face can't be used (whoami)" in done.err
    assert "Traceback" not in done.err
    assert not (tmp_path / "out").exists()
