"""Methods: ways of writing a sample. TESSY and every baseline of the paper (Table 1).

Each is a small file with one coroutine, which opens drafts of a sample and returns the one that is
its response; `METHODS` lists them. They use `synthesis.sample` (drafts) and `synthesis.cooperation`
(writing a draft). `attempts` adds rejection sampling to any of them.
"""

from __future__ import annotations

from collections.abc import Mapping

from tessy.config import VOTE, Config, HandOver
from tessy.errors import ConfigError, meant
from tessy.method.trajectory import Role
from tessy.synthesis.methods.judge import JUDGE
from tessy.synthesis.methods.method import Method
from tessy.synthesis.methods.rewrite import REWRITE
from tessy.synthesis.methods.student_only import STUDENT_ONLY
from tessy.synthesis.methods.teacher_answer import TEACHER_ANSWER
from tessy.synthesis.methods.teacher_mix import TEACHER_MIX
from tessy.synthesis.methods.teacher_only import TEACHER_ONLY
from tessy.synthesis.methods.teacher_reference import TEACHER_REFERENCE
from tessy.synthesis.methods.teacher_score import TEACHER_SCORE
from tessy.synthesis.methods.teacher_think import TEACHER_THINK
from tessy.synthesis.methods.tessy import TESSY

METHODS: Mapping[str, Method] = {
    method.name: method
    for method in (
        TESSY,
        STUDENT_ONLY,
        TEACHER_ONLY,
        TEACHER_MIX,
        TEACHER_THINK,
        TEACHER_ANSWER,
        TEACHER_SCORE,
        TEACHER_REFERENCE,
        REWRITE,
    )
}
_ALL: Mapping[str, Method] = {**METHODS, JUDGE.name: JUDGE}
"""With the one that makes no data."""


def method_of(config: Config) -> Method:
    """The method that the settings name.

    Raises:
        ConfigError: There is no such method, or a setting is not for this method.
    """
    method = _ALL.get(config.method)
    if method is None:
        known = ", ".join(each.name for each in METHODS.values())
        raise ConfigError(
            f"method = {config.method!r}", hint=f"{meant(config.method, METHODS)}one of {known}"
        )
    if config.answer_by is not Role.STUDENT and method is not TESSY:
        raise ConfigError(
            f"answer_by = {config.answer_by.value!r} is for method 'tessy', not {method.name!r}",
            hint="teacher-answer has the student think and the teacher answer",
        )
    if config.teacher_only_system_prompt and method not in (
        TEACHER_ONLY,
        TEACHER_MIX,
    ):
        raise ConfigError(
            f"teacher_only_system_prompt is not for method {method.name!r}",
            hint="teacher-only and teacher-mix use it; for others: teacher.system_prompt",
        )
    if config.handover != HandOver() and not method.judged:
        raise ConfigError(
            f"handover.min_style_words and min_capability_words are not for method {method.name!r}",
            hint="no predictor finds boundaries there; methods that have them: "
            + ", ".join(each.name for each in METHODS.values() if each.judged),
        )
    _check_route(config, method)
    return method


def _check_route(config: Config, method: Method) -> None:
    """Check that the settings say which of several teachers writes a sample.

    Raises:
        ConfigError: They do not, or say it where there is nothing to choose.
    """
    route, teaches = config.route, Role.TEACHER in method.needs(config)
    if route is None and config.teachers and teaches:
        raise ConfigError(
            f"nothing says which teacher writes a sample: {', '.join(sorted(config.teachers))}",
            hint="--route COLUMN, a column of the questions that names it; or --route vote",
        )
    if route is not None and not teaches:
        raise ConfigError(
            f"route = {route!r} chooses a teacher, and method {method.name!r} "
            + ("has none" if Role.TEACHER not in method.roles else "with a verifier has none"),
            hint="leave --route out",
        )
    if route is not None and not config.teachers:
        raise ConfigError(
            f"route = {route!r} chooses one of several teachers, and none has a name",
            hint="--teacher NAME=ADDRESS, once for each",
        )
    if route == VOTE and config.verify is None:
        raise ConfigError(
            "route = 'vote' keeps the first answer that a verifier accepts, and there is none",
            hint="--verify NAME, or --route COLUMN",
        )
