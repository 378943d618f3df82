"""Several teachers: which one writes a sample, and that a sample that resumes has the same."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_methods import QUESTION, cuts, sample_of, settings_of, write

from scripted import until
from tessy.config import Config, NamedTeacher
from tessy.data.questions import Question
from tessy.errors import ConfigError, InputError
from tessy.method.chunks import ChunkSizes
from tessy.method.trajectory import Role
from tessy.synthesis import watch
from tessy.synthesis.methods import METHODS, method_of
from tessy.synthesis.routing import attempts_of, check_question, teacher_of, teachers_of

NAMES = ("big", "old-7b", "v3.1")
names = st.lists(st.sampled_from(NAMES), min_size=1, unique=True)
taught = [name for name, method in METHODS.items() if Role.TEACHER in method.roles]
"""Methods that need a teacher."""


def several(name: str, teachers=NAMES, *, route="vote", **more) -> Config:
    tables = {each: {"model": f"http://{each}/v1", "chunk": 20} for each in teachers}
    verify = {} if METHODS[name].unless_verified else {"verify": "exact"}
    own = {"teacher": {}, "teachers": tables, "route": route, **verify, **more}
    return settings_of(name, **own)


def asked(teacher: object, column: str = "from") -> Question:
    return replace(QUESTION, extra={**QUESTION.extra, column: teacher})


@given(names, st.text(max_size=20), st.integers(1, 3), st.randoms())
def test_in_each_round_of_a_vote_each_teacher_comes_once(teachers, sample, rounds, random):
    """And their order is that of the sample, however the settings list them (*Replay*)."""
    config = several("tessy", teachers, attempts=rounds)
    assert attempts_of(config) == rounds * len(teachers)
    order = [teacher_of(config, QUESTION, sample, n) for n in range(attempts_of(config))]
    for start in range(0, len(order), len(teachers)):
        assert sorted(order[start : start + len(teachers)]) == sorted(teachers)
        assert order[start : start + len(teachers)] == order[: len(teachers)]
    random.shuffle(teachers)
    shuffled = several("tessy", teachers, attempts=rounds)
    assert order == [teacher_of(shuffled, QUESTION, sample, n) for n in range(len(order))]
    assert teachers_of(config, QUESTION) == set(teachers)


def test_every_teacher_of_a_vote_has_about_as_much_to_do():
    config = several("tessy")
    for attempt in range(len(NAMES)):
        found = Counter(teacher_of(config, QUESTION, f"q{n}", attempt) for n in range(900))
        assert found.keys() == set(NAMES)
        assert min(found.values()) > 250


@given(st.sampled_from(NAMES), st.text(max_size=9), st.integers(0, 5))
def test_a_column_names_the_teacher_of_every_attempt(teacher, sample, attempt):
    config = several("tessy", route="from", attempts=3)
    assert attempts_of(config) == 3
    assert teacher_of(config, asked(teacher), sample, attempt) == teacher
    assert teachers_of(config, asked(teacher)) == {teacher}


@given(
    st.sampled_from(taught),
    names,
    st.booleans(),
    st.integers(0, 2**30),
    st.integers(1, 2),
    st.sampled_from([0.0, 0.1]),
    st.data(),
)
@settings(max_examples=100)
def test_replay_a_sample_of_several_teachers_resumes_from_any_turn(
    name, teachers, by_column, seed, rounds, trouble, data
):
    """Cut after any turn, as by `kill -9`, it ends as if never interrupted, with its teachers."""
    by_column = by_column or bool(METHODS[name].unless_verified)
    route = "from" if by_column else "vote"
    config = several(name, teachers, route=route, seed=seed, attempts=rounds, candidates=2)
    question = asked(data.draw(st.sampled_from(teachers)))
    whole, turns, clients, made = write(config, trouble=trouble, question=question)
    cut = data.draw(st.sampled_from(cuts(turns)))
    again, resumed, _, other = write(
        config, entries=turns[:cut], trouble=trouble, question=question
    )
    assert again == whole
    assert resumed == turns
    assert other.teacher == made.teacher
    may = teachers_of(config, question)
    assert all(c.prompts == [] for each, c in clients.items() if _name(each) not in {None, *may})


def _name(model) -> str | None:
    return model.name if isinstance(model, NamedTeacher) else None


@given(st.sampled_from(taught), st.sampled_from(NAMES), st.integers(0, 2**30))
@settings(max_examples=50)
def test_a_teacher_by_column_writes_what_it_writes_alone(name, teacher, seed):
    """Replay: a sample depends on its own teacher, and on no other."""
    routed = several(name, route="from", seed=seed, candidates=2)
    alone = several(name, [teacher], route="from", seed=seed, candidates=2)
    seen, turns, _, _ = write(routed, question=asked(teacher))
    assert (seen, turns) == write(alone, question=asked(teacher))[:2]


def test_a_sample_has_the_settings_of_its_teacher():
    own = {"v3.1": {"model": "http://v/v1", "chunk": 7, "span_tokens": 33}}
    base = several("tessy", route="from")
    config = base.model_copy(update={"teachers": {**base.teachers, **several_of(own)}})
    for name, chunk, span_tokens in (("v3.1", 7, 33), ("big", 20, 512)):
        context = write(config, question=asked(name))[3].context
        assert context.models[Role.TEACHER].teacher == name
        assert context.models[Role.TEACHER].settings is config.teachers[name]
        assert context.sizes.of(Role.TEACHER) == chunk
        assert context.config.of(Role.TEACHER).span_tokens == span_tokens
        assert context.served.keys() == {"student", *(f"teacher {each}" for each in NAMES)}


async def test_what_a_run_waits_for_is_known_of_each_teacher(monkeypatch):
    """All chunk sizes learn how late text is read, not only those of one teacher."""
    monkeypatch.setattr(watch, "WINDOW_S", 0.001)
    learned = []
    monkeypatch.setattr(ChunkSizes, "read_after", lambda sizes, _: learned.append(id(sizes)))
    context = sample_of(several("tessy", route="from"), question=asked("big"))[0].context
    watching = asyncio.create_task(watch.watch(context))
    await until(lambda: learned)
    watching.cancel()
    assert {id(each.sizes) for each in context.teachers.values()} <= set(learned)


def several_of(tables: dict) -> dict:
    return Config.model_validate({"teachers": tables}).teachers


@given(st.integers(0, 2**30), names, st.integers(1, 2))
@settings(max_examples=80)
def test_exactly_once_a_vote_keeps_the_first_answer_that_is_accepted(seed, teachers, rounds):
    config = several("teacher-only", teachers, seed=seed, attempts=rounds)
    seen, _, clients, made = write(config)
    order = [teacher_of(config, QUESTION, "q", n) for n in range(attempts_of(config))]
    drafts = seen["trace"]["drafts"]
    assert [draft["teacher"] for draft in drafts] == order[: len(drafts)]
    assert made.teacher == order[len(drafts)]
    assert made.context.models[Role.TEACHER].teacher == made.teacher
    if seen["failure"][0] is None:
        assert seen["verdict"].passed
        assert f"the teacher {made.teacher} says 2" in seen["content"]
    else:
        assert len(drafts) == len(order) - 1
    asked_of = {each.name for each, client in clients.items() if client.prompts}
    assert asked_of == set(order[: len(drafts) + 1])


# --- What is refused ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "change", "said", "hint"),
    [
        ("tessy", {"route": None}, "nothing says which teacher", "--route COLUMN"),
        ("tessy", {"verify": None}, "route = 'vote' keeps the first answer", "--verify NAME"),
        ("student-only", {}, "method 'student-only' has none", "leave --route out"),
        ("teacher-score", {"verify": "exact"}, "'teacher-score' with a verifier has none", "leave"),
        ("tessy", {"teachers": {}}, "none has a name", "--teacher NAME=ADDRESS"),
    ],
)
def test_settings_that_do_not_fit_together_are_refused(name, change, said, hint):
    with pytest.raises(ConfigError) as refused:
        method_of(several(name, **change))
    assert said in str(refused.value)
    assert hint in refused.value.hint


def test_a_method_without_a_teacher_needs_no_route():
    assert method_of(several("student-only", route=None)).name == "student-only"


@pytest.mark.parametrize(
    ("extra", "said"),
    [
        ({"answer": "2"}, "it has no column 'from' to name its teacher: only answer is there"),
        ({"form": "big"}, "did you mean form? only form is there"),
        ({}, "only its question is there"),
        ({"from": "bgi"}, "from is 'bgi': did you mean big? teachers are big, old-7b, v3.1"),
        ({"from": "BIG"}, "from is 'BIG': did you mean big?"),
        ({"from": ""}, "from is '': teachers are"),
        ({"from": None}, "from is None: teachers are"),
        ({"from": 7}, "from is 7: teachers are"),
        ({"from": ["big"]}, "from is ['big']: teachers are"),
    ],
)
def test_a_question_that_names_no_teacher_is_refused(extra, said):
    config = several("tessy", route="from")
    with pytest.raises(InputError) as refused:
        check_question(config, replace(QUESTION, extra=extra))
    assert said in str(refused.value)


def test_with_a_vote_or_one_teacher_a_question_need_name_none():
    for config in (several("tessy"), settings_of("tessy")):
        check_question(config, QUESTION)
