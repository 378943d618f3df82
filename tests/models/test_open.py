"""How thinking is requested: by what the server can do, and by the user's settings."""

from __future__ import annotations

import datetime

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from tessy.cli.predictor import AnnotatorConfig
from tessy.config import NamedTeacher, load
from tessy.errors import ConfigError, LocalModelError, ModelError, Refused, Unreachable
from tessy.evaluation.settings import load as load_evaluation
from tessy.method.trajectory import Role
from tessy.models import probe
from tessy.models.checks import check, check_formats
from tessy.models.open import open_models
from tessy.selection.settings import load_judge
from tessy.testing import CooperativeScript, Latency, ScriptedServer

SLOW = Latency(token_s=0.005)
DEAD = "http://127.0.0.1:9/v1"
BOTH = frozenset(Role)


async def read_as(mode: str, **teacher) -> tuple[frozenset[Role], tuple[str, ...]]:
    """The roles whose thinking is streamed, and the notes for the user."""
    async with (
        ScriptedServer(CooperativeScript("student"), latency=SLOW) as student,
        ScriptedServer(CooperativeScript("teacher"), latency=SLOW, **teacher) as other,
    ):
        models = {"student.model": student.url, "teacher.model": other.url}
        plain = {"student.format": "plain", "teacher.format": "plain"}
        config = load(None, {**models, **plain, "mode": mode})
        async with open_models(config, date=datetime.date(2026, 1, 1)) as (models, notes):
            return frozenset(role for role in Role if models[role].streamed), tuple(notes)


async def test_servers_that_stream_and_stop_are_read_as_streams():
    streamed, notes = await read_as("auto")
    assert streamed == BOTH
    assert not any("in chunks" in note for note in notes)


async def test_a_server_that_keeps_generating_after_a_stream_is_asked_for_chunks(monkeypatch):
    monkeypatch.setattr(probe, "_QUIET_S", 0.3)
    streamed, notes = await read_as("auto", aborts=False)
    assert streamed == {Role.STUDENT}
    assert any("its server keeps generating when a stream is closed" in note for note in notes)


async def test_a_server_that_does_not_stream_is_asked_for_chunks():
    streamed, _ = await read_as("auto", streams=False)
    assert streamed == {Role.STUDENT}


@pytest.mark.parametrize("context", [70, 300, 3000])
async def test_a_short_context_is_no_reason_to_refuse_to_start(context):
    streamed, _ = await read_as("auto", context_length=context)
    assert streamed == BOTH


async def test_the_user_decides():
    assert (await read_as("chunks"))[0] == frozenset()
    assert (await read_as("stream", aborts=False))[0] == BOTH
    with pytest.raises(ConfigError, match="the teacher's server does not stream"):
        await read_as("stream", streams=False)


async def test_no_marker_of_any_of_several_teachers_gets_into_a_thinking():
    """Each is opened with its own settings; the ends of the thinking are those of all."""
    async with (
        ScriptedServer(CooperativeScript("student")) as student,
        ScriptedServer(CooperativeScript("teacher"), served_name="a", aborts=False) as first,
        ScriptedServer(CooperativeScript("teacher"), served_name="b") as second,
    ):
        teachers = {
            "a": {"model": first.url, "format": "qwen3"},
            "b": {"model": second.url, "format": "gpt-oss"},
        }
        own = {"student.model": student.url, "student.format": "plain", "mode": "chunks"}
        config = load(None, {**own, "teachers": teachers})
        async with open_models(config, date=datetime.date(2026, 1, 1)) as (models, _):
            a, b = (models[NamedTeacher(name)] for name in "ab")
            assert models.keys() == {Role.STUDENT, NamedTeacher("a"), NamedTeacher("b")}
            assert (a.name, a.called, a.role, b.name) == ("a", "the teacher a", Role.TEACHER, "b")
            assert models[Role.STUDENT].called == "the student"
            for model in models.values():
                assert set(model.ends) >= {*a.format.family.ends, *b.format.family.ends}


async def test_a_teacher_that_can_not_be_used_is_named():
    teachers = {"a": {"model": "http://127.0.0.1:9/v1", "format": "plain", "retries": 0}}
    config = load(None, {"teachers": teachers})
    with pytest.raises(Unreachable, match="the teacher a can't be used"):
        async with open_models(config, date=datetime.date(2026, 1, 1), roles=[Role.TEACHER]):
            pass
    without = load(None, {"teachers": {"a": {"model": "http://127.0.0.1:9/v1"}}})
    with pytest.raises(ConfigError, match="the teacher a's chat format") as refused:
        check_formats(without, [Role.TEACHER])
    assert "--teacher-format a=FORMAT" in refused.value.hint
    assert "[teachers.a]" in refused.value.hint


def test_a_file_of_weights_that_is_not_there_is_named_before_its_chat_format(tmp_path):
    config = load(None, {"student.model": f"gguf:{tmp_path}/nope.gguf"})
    with pytest.raises(LocalModelError, match=r"nope\.gguf: no such file"):
        check(config, [Role.STUDENT])


@pytest.mark.parametrize("name", ["", "#scripted"])
@pytest.mark.parametrize("key", [None, "wrong"])
async def test_a_server_that_wants_a_key_is_not_said_to_be_missing(monkeypatch, name, key):
    """401 says that the URL is right: what is missing is the key, and where it goes."""
    monkeypatch.setenv("MINE", "wrong")
    async with ScriptedServer(CooperativeScript("student"), api_key="s3cret") as server:
        own = {"model": server.url + name, "format": "plain", "api_key_env": key and "MINE"}
        config = load(None, {"student": own})
        with pytest.raises(Refused, match=r"the student can't be used: .* 401") as refused:
            async with open_models(config, date=datetime.date(2026, 1, 1), roles=[Role.STUDENT]):
                pass
    said = "in MINE (student.api_key_env)" if key else 'api_key_env = "STUDENT_API_KEY" below [stud'
    assert said in refused.value.hint
    assert "URL" not in refused.value.hint


@pytest.mark.parametrize(
    ("status", "hint"),
    [
        (429, "it is full, or a quota is used up: try again later"),
        (500, "it runs, and fails: its log says why"),
        (503, "it runs, and fails: its log says why"),
        (404, "is it running, and its URL right? `tessy doctor` asks it"),
    ],
)
async def test_the_hint_fits_what_a_server_answered(status, hint):
    async def answer(_):
        return web.json_response({"error": "no"}, status=status)

    app = web.Application()
    app.router.add_route("*", "/{any:.*}", answer)
    async with TestServer(app) as server:
        own = {"model": f"{server.make_url('/v1')}#x", "format": "plain", "retries": 0}
        config = load(None, {"student": own})
        with pytest.raises(ModelError, match=str(status)) as refused:
            async with open_models(config, date=datetime.date(2026, 1, 1), roles=[Role.STUDENT]):
                pass
    assert refused.value.hint == hint


@pytest.mark.parametrize(
    ("config", "called"),
    [
        (load_evaluation(None, {"student.model": DEAD, "student.retries": 0}), "the model"),
        (load_judge(None, {"teacher.model": DEAD, "teacher.retries": 0}), "the judge"),
        (
            AnnotatorConfig.model_validate({"student": {"model": DEAD, "retries": 0}}),
            "the annotator",
        ),
    ],
)
async def test_a_model_is_called_what_its_option_calls_it(config, called):
    roles = [role for role in Role if config.of(role).model]
    with pytest.raises(Unreachable, match=f"^{called} can't be used: "):
        async with open_models(config, date=datetime.date(2026, 1, 1), roles=roles):
            pass
    with pytest.raises(ConfigError, match=f"^{called}'s chat format is not known: none is given"):
        check_formats(config, roles)
