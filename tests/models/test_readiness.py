"""The last line of `tessy doctor`: ready, and what could be changed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tessy.method.trajectory import Role
from tessy.models.doctor import Finding, readiness
from tessy.models.wire import Capabilities

FINE = Finding(
    Role.STUDENT,
    "http://a/v1",
    capabilities=Capabilities(id_prompts=True, streams=True),
    prompts="token ids",
    early_stop=True,
    cached_share=0.98,
)


def test_models_that_can_all_are_ready():
    other = replace(FINE, model=Role.TEACHER)
    assert readiness([FINE, other]) == "ready: there is nothing to change"


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
    line = readiness([FINE, replace(FINE, model=Role.TEACHER, **change)])
    assert line.startswith(f"ready; {said}")
    assert "student" not in line


def test_what_is_not_known_is_no_advice():
    unknown = replace(FINE, cached_share=None, early_stop=None)
    assert readiness([unknown]) == "ready: there is nothing to change"


def test_a_server_that_takes_no_ids_is_not_told_to_get_them():
    server = Capabilities(id_prompts=False, streams=True)
    line = readiness([replace(FINE, prompts="text", capabilities=server)])
    assert "tokenizer" not in line
