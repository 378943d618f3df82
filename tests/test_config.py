from pathlib import Path

import pytest

from tessy.config import OnLimit, load
from tessy.errors import ConfigError
from tessy.method.trajectory import Role

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


@pytest.mark.parametrize("path", sorted((ROOT / "examples").glob("*.toml")), ids=lambda p: p.name)
def test_every_configuration_that_ships_is_valid(path):
    load(path)
