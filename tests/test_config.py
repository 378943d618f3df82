from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tessy.config import Config, NamedTeacher, OnLimit, load, role_of
from tessy.errors import ConfigError
from tessy.method.trajectory import Role
from tessy.settings.loading import NAME

ROOT = Path(__file__).parent.parent


def test_the_command_line_is_put_over_the_file(tmp_path):
    path = tmp_path / "run.toml"
    path.write_text(
        'seed = 3\n[student]\nmodel = "http://a/v1"\nchunk = 7\n[limits]\nanswer_tokens = 9\n'
    )
    found = load(path, {"student.chunk": 5, "limits.on_thinking_limit": "answer", "seed": None})
    assert (found.seed, found.student.chunk, found.limits.answer_tokens) == (3, 5, 9)
    assert found.limits.on_thinking_limit is OnLimit.ANSWER
    assert found.teacher.model is None


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        (
            "[student]\nmodel='http://a/v1'\nchunck = 5",
            "student.chunck: there is no such",
            "student.chunk",
        ),
        ("[limits]\nthinking_tokens = 0", "limits.thinking_tokens = 0: should be at least 4", None),
        ("[student.sampling]\ntop_p = 2.0", "student.sampling.top_p = 2.0", None),
        ("seed = 'x'", "seed = 'x'", None),
        ("x = = 1", "run.toml", None),
        ("zebra = 1", "zebra: there is no such setting", "docs/configuration.md"),
    ],
)
def test_a_bad_setting_is_named_with_what_it_must_be(tmp_path, text, message, hint):
    path = tmp_path / "run.toml"
    path.write_text(text)
    with pytest.raises(ConfigError) as error:
        load(path)
    assert message in str(error.value)
    assert "run.toml" in str(error.value)
    if hint:
        assert hint in error.value.hint


def test_a_missing_file_is_named():
    with pytest.raises(ConfigError, match=r"nowhere\.toml: no such"):
        load(Path("nowhere.toml"))


def test_identity_holds_what_is_written_and_not_how_fast():
    base = load(overrides={"student.model": "http://a:1/v1#m"})
    moved = load(overrides={"student.model": "http://b:2/v1#n", "concurrency": 3})
    assert moved.identity() == base.identity()
    assert load(overrides={"student.model": "gguf:x"}).identity() != base.identity()
    assert load(overrides={"seed": 4}).identity() != load().identity()


def test_predictors_by_role():
    found = load(overrides={"predictor": "a", "teacher_predictor": "b"})
    assert [found.predictor_of(role) for role in Role] == ["a", "b"]


def test_a_model_that_is_needed_and_not_given_is_asked_for():
    with pytest.raises(ConfigError, match="no teacher is given") as refused:
        load(overrides={"student.model": "lab:student"}).address_of(Role.TEACHER)
    assert "--teacher http://localhost:8001/v1" in refused.value.hint
    assert "[teacher]" in refused.value.hint
    assert "lab:teacher" in refused.value.hint


# --- Several teachers ---------------------------------------------------------------------------

SEVERAL = """
route = "vote"
[teacher]
chunk = 9
format = "plain"
retries = 3
[teacher.sampling]
temperature = 0.1
top_p = 0.3
[teachers.v2-big]
model = "http://a/v1"
[teachers.v2-big.sampling]
temperature = 0.9
[teachers."old.7b"]
model = "lab:teacher"
chunk = 5
"""
BIG, OLD = NamedTeacher("v2-big"), NamedTeacher("old.7b")


@pytest.fixture
def several(tmp_path) -> Path:
    path = tmp_path / "several.toml"
    path.write_text(SEVERAL)
    return path


def test_each_of_several_teachers_has_the_settings_of_all_that_it_has_not_of_its_own(several):
    found = load(several)
    big, old = found.of(BIG), found.of(OLD)
    assert (big.model, big.chunk, big.format, big.retries) == ("http://a/v1", 9, "plain", 3)
    assert (big.sampling.temperature, big.sampling.top_p) == (0.9, 0.3)
    assert (old.model, old.chunk, old.sampling.temperature) == ("lab:teacher", 5, 0.1)
    assert found.models() == [Role.STUDENT, OLD, BIG]
    assert found.models([Role.TEACHER]) == [OLD, BIG]
    assert [str(each) for each in found.models()] == ["student", "teacher old.7b", "teacher v2-big"]
    assert [*map(role_of, found.models())] == [Role.STUDENT, Role.TEACHER, Role.TEACHER]


@given(
    st.dictionaries(
        st.from_regex(NAME, fullmatch=True),
        st.fixed_dictionaries({}, optional={"chunk": st.integers(4, 99), "model": st.text()}),
        max_size=3,
    ),
    st.fixed_dictionaries({}, optional={"chunk": st.integers(4, 99), "retries": st.just(3)}),
)
def test_settings_are_the_same_after_their_way_to_a_worker(teachers, shared):
    made = Config.model_validate({"teacher": shared, "teachers": teachers, "route": "vote"})
    assert Config.model_validate(made.model_dump(mode="json")) == made


def test_settings_of_single_models_can_be_replaced(several):
    found = load(several)
    faster = {each: found.of(each).model_copy(update={"concurrency": 3}) for each in found.models()}
    other = found.having(faster)
    assert [other.of(each).concurrency for each in other.models()] == [3, 3, 3]
    assert found.having({BIG: faster[BIG]}).of(OLD) == found.of(OLD)
    assert found.having({}) == found


def test_options_are_put_over_the_teachers_of_a_file(several):
    new = {"v2-big": {"chunk": "7"}, "third": {"model": "http://c/v1"}}
    found = load(several, {"teachers": new, "teacher.format": "qwen3"})
    assert (found.of(BIG).chunk, found.of(BIG).model) == (7, "http://a/v1")
    assert found.of(NamedTeacher("third")).format == "qwen3"


def test_identity_holds_what_each_teacher_is_and_not_how_fast(several):
    base = load(several)
    assert "teacher" not in base.identity()
    faster = {"v2-big": {"model": "http://b/v1", "concurrency": 3, "retries": 1}}
    assert load(several, {"teachers": faster}).identity() == base.identity()
    for other in ({"v2-big": {"chunk": 8}}, {"third": {"model": "http://a/v1"}}):
        assert load(several, {"teachers": other}).identity() != base.identity()
    assert load(several, {"route": "from"}).identity() != base.identity()
    assert not load().identity().keys() & {"teachers", "route"}


def test_a_teacher_without_an_address_is_named_with_what_to_write(several):
    found = load(several, {"teachers": {"thrid": {"chunk": 8}}})
    with pytest.raises(ConfigError, match="teacher thrid has no address") as refused:
        found.address_of(NamedTeacher("thrid"))
    assert "--teacher thrid=http://" in refused.value.hint
    assert "[teachers.thrid]" in refused.value.hint


@pytest.mark.parametrize(
    ("text", "said", "hint"),
    [
        ("[teachers.a]\nmodle = 'x'", "teachers.a.modle: there is no", "teachers.a.model"),
        ("[teachers.a.sampling]\ntop_b = 1", "teachers.a.sampling.top_b", "a.sampling.top_p"),
        ("[teacher.big]\nmodel = 'x'", "teacher.big: there is no such", "teachers.big"),
        ("[teachers.'a b']\nmodel = 'x'", "a teacher's name has only letters", None),
        ("[teachers.a]\nchunk = 2", "teachers.a.chunk = 2: should be at least 4", None),
        ("[teacher]\nmodel = 'x'\n[teachers.a]", "the teacher x has no name", None),
        ("teachers = 3", "teachers = 3", None),
        ("[teachers]\na = 3", "teachers.a = 3", None),
    ],
)
def test_mistakes_about_several_teachers_are_named(tmp_path, text, said, hint):
    path = tmp_path / "run.toml"
    path.write_text(text)
    with pytest.raises(ConfigError) as refused:
        load(path)
    assert said in str(refused.value)
    assert hint is None or hint in refused.value.hint


def test_what_is_wrong_with_all_teachers_is_said_once(tmp_path):
    path = tmp_path / "run.toml"
    path.write_text("[teacher]\nchunk = 2\n[teachers.a]\n[teachers.b]\n")
    with pytest.raises(ConfigError) as refused:
        load(path)
    assert str(refused.value) == f"{path}: teacher.chunk = 2: should be at least 4"


@pytest.mark.parametrize("path", sorted((ROOT / "examples").glob("*.toml")), ids=lambda p: p.name)
def test_every_configuration_that_ships_is_valid(path):
    load(path)


def test_what_is_wrong_is_said_of_the_file_only_if_it_is_there(tmp_path):
    path = tmp_path / "run.toml"
    path.write_text("sed = 3")
    with pytest.raises(ConfigError) as error:
        load(path, {"metod": "tessy", "limits.answer_tokens": -5})
    assert str(error.value) == (
        "limits.answer_tokens = -5: should be at least 1; metod: there is no such setting; "
        f"{path}: sed: there is no such setting"
    )
