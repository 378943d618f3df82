"""Runs and files on S3, as a server of this machine speaks it (moto)."""

from __future__ import annotations

import json

import pytest
import s3fs
from moto import server

from commands import tessy
from scripted import two_servers, write_questions
from tessy.data.remote import RemotePath
from tessy.errors import RemoteError


@pytest.fixture
def s3(tmp_path, monkeypatch):
    """A client of an S3 with the bucket `data`."""
    import boto3

    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("TESSY_CACHE", str(tmp_path / "cache"))
    started = server.ThreadedMotoServer(port=0)
    started.start()
    host, port = started.get_host_and_port()
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"http://{host}:{port}")
    client = boto3.client("s3", endpoint_url=f"http://{host}:{port}")
    client.create_bucket(Bucket="data")
    s3fs.S3FileSystem.clear_instance_cache()  # of another server
    yield client
    started.stop()


async def test_a_run_on_s3(tmp_path, s3, monkeypatch):
    questions = write_questions(tmp_path / "q.jsonl", 6)
    s3.upload_file(str(questions), "data", "in/q.jsonl")
    async with two_servers(None) as (servers, options):
        args = ("synth", "s3://data/in/q.jsonl", "--out", "s3://data/run", *options)
        done = await tessy(*args, "--shards", "2")
        assert done.code == 0, done.err
        content = s3.get_object(Bucket="data", Key="run/dataset.jsonl")["Body"].read()
        found = [json.loads(line)["id"] for line in content.splitlines()]
        assert found == [f"q{n}" for n in range(6)]
        asked = servers["student"].stats.requests
        monkeypatch.setenv("TESSY_CACHE", str(tmp_path / "other"))
        again = await tessy(*args)
        assert again.code == 0, again.err
        assert servers["student"].stats.requests == asked
    keys = [each["Key"] for each in s3.list_objects_v2(Bucket="data")["Contents"]]
    assert sum("/parts/" in key for key in keys) == 2
    assert not [key for key in keys if key.endswith("writer.json")]
    shown = await tessy("show", "s3://data/run")
    assert shown.out.startswith("q0  finished")


def test_a_bucket_that_is_not_there(s3):
    there = RemotePath("s3://nowhere/run/file")
    assert there.read(9) is None
    with pytest.raises(RemoteError, match="s3://nowhere/run/file: there is no such file"):
        there.write(b"x")
