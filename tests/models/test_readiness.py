"""The last line of `tessy doctor`: ready, and what could be changed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tessy.config import Config
from tessy.method.trajectory import Role
from tessy.models.doctor import Finding, readiness
from tessy.models.wire import Capabilities
from tessy.settings.loading import load_settings

FINE = Finding(
    Role.STUDENT,
    "http://a/v1",
    capabilities=Capabilities(id_prompts=True, streams=True),
    prompts="token ids",
    early_stop=True,
    cached_share=0.98,
)


PAIR = load_settings(
    Config, overrides={"student.model": "http://a/v1", "teacher.model": "http://b/v1"}
)


def test_models_that_can_all_are_ready():
    other = replace(FINE, model=Role.TEACHER)
    assert readiness([FINE, other], PAIR) == "ready: there is nothing to change"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"prompts": "text"}, "--teacher-tokenizer would send token ids"),
        ({"cached_share": 0.0}, "the teacher's server should cache prefixes"),
        ({"early_stop": False}, "the teacher's server goes on when a stream is closed"),
        ({"capabilities": Capabilities(streams=False)}, "the teacher's server does not stream"),
    ],
)
def test_what_could_be_changed_is_said_of_the_model_that_it_is_about(change, said):
    line = readiness([FINE, replace(FINE, model=Role.TEACHER, **change)], PAIR)
    assert line.startswith(f"ready; {said}")
    assert "student" not in line


@pytest.mark.parametrize(("context", "short"), [(None, False), (38_000, True), (38_001, False)])
def test_a_context_that_the_longest_sample_does_not_fit_in_is_said(context, short):
    server = replace(FINE.capabilities, context_tokens=context)
    line = readiness([replace(FINE, capabilities=server)], PAIR)
    assert ("[limits] allow 38,000 tokens, the context has fewer (student 38,000)" in line) == short


def test_one_model_in_both_roles_is_said():
    both = [FINE, replace(FINE, model=Role.TEACHER)]
    twice = PAIR.model_copy(update={"teacher": PAIR.student})
    assert "the same model" not in readiness(both, PAIR)
    assert readiness(both, twice) == "ready; student and teacher are the same model: http://a/v1"


def test_what_is_not_known_is_no_advice():
    unknown = replace(FINE, cached_share=None, early_stop=None)
    assert readiness([unknown], PAIR) == "ready: there is nothing to change"


def test_a_server_that_takes_no_ids_is_not_told_to_get_them():
    server = Capabilities(id_prompts=False, streams=True)
    line = readiness([replace(FINE, prompts="text", capabilities=server)], PAIR)
    assert "tokenizer" not in line
