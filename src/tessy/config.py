"""The settings of a run.

The classes form the same tree as the TOML file: `[student]`, `[student.sampling]`, `[teacher]`,
`[limits]`, … `tessy.settings` defines how settings are declared and read; `make docs` writes
`docs/configuration.md` from the definitions here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, Field, ValidationInfo, field_validator, model_validator

from tessy.errors import ConfigError
from tessy.method.judging import ShortSpans
from tessy.method.trajectory import Role
from tessy.method.words import plain_word
from tessy.settings.definitions import SECONDS, TOKENS, WORDS, Option, OptionGroup, StrictSettings
from tessy.settings.loading import NAME, load_settings, merged

SMALLEST_CHUNK = 4
"""Tokens that are enough for any character, since each of its bytes may be a token."""

_FOR_SPEED = (
    "timeouts",
    "concurrency",
    "retries",
    "api_key_env",
    "span_tokens",
    "event_tokens",
)
"""Settings of a model that may change from one start of a run to the next."""
_A_SERVER = "a server"
"""What `run.toml` has in place of a server's URL."""
VOTE = "vote"
"""The `route` by which each teacher is tried until the verifier accepts an answer."""


@dataclass(frozen=True, slots=True)
class NamedTeacher:
    """One of several teachers of a run.

    Attributes:
        name: Its name, which is also how `[teachers.NAME]` is found.
    """

    name: str

    def __str__(self) -> str:
        return f"{Role.TEACHER} {self.name}"


ModelRole = Role | NamedTeacher
"""A model of a run: the student, the teacher, or one of several teachers."""


def role_of(model: ModelRole) -> Role:
    """The role of a model."""
    return Role.TEACHER if isinstance(model, NamedTeacher) else model


class Sampling(StrictSettings):
    """How a model draws tokens. The defaults are from the paper's published code."""

    temperature: Annotated[float, Option()] = Field(default=0.7, ge=0, le=5)
    """0 is greedy."""
    top_p: Annotated[float, Option()] = Field(default=0.8, gt=0, le=1)
    """Nucleus sampling: draw from the smallest set of tokens with this total probability."""
    top_k: Annotated[int, Option()] = Field(default=20, ge=0)
    """Draw from this many of the most probable tokens; 0 for all. Not sent to servers that take
    only OpenAI's parameters."""
    min_p: float = Field(default=0.0, ge=0, le=1)
    """Lowest probability of a token, relative to the most probable one. Not sent to servers that
    take only OpenAI's parameters."""


class Timeouts(StrictSettings):
    """How long to wait for a model's server."""

    connect_s: Annotated[float, SECONDS] = Field(default=10, gt=0)
    """Longest time to open a connection."""
    first_token_s: Annotated[float, SECONDS] = Field(default=300, gt=0)
    """Longest time from a request to the first token of a stream; the server may queue requests."""
    next_token_s: Annotated[float, SECONDS] = Field(default=120, gt=0)
    """Longest time without a token in a stream, after the first one."""
    total_s: Annotated[float, SECONDS] = Field(default=1800, gt=0)
    """Longest time for a whole call, or for a stream after its first token."""


class ModelSettings(StrictSettings):
    """One of the models."""

    model: Annotated[str | None, Option(head=True, unset="none; methods that use it need it")] = (
        None
    )
    """Address: `http://host:port/v1#served-name`, `lab:student`, `lab:teacher`,
    `lab:relative`, `gguf:PATH` or `hf:REPO/FILE`. A server's API key: `api_key_env = "VARIABLE"` in
    the TOML."""
    tokenizer: Annotated[str | None, Option(unset="prompts are sent as text")] = None
    """Folder or Hugging Face id with `tokenizer.json` and the chat template. With it, prompts are
    token ids in the model's own chat format."""
    format: Annotated[str | None, Option(unset="the tokenizer's; needed without one")] = None
    """Chat format if there is no tokenizer with a chat template: `qwen3`, `deepseek-r1`, `gpt-oss`
    or `plain` (for base models)."""
    template_args: dict[str, Any] = Field(default_factory=dict)
    """Arguments of the chat template, such as `enable_thinking`. Of the built-in formats, only
    `gpt-oss` takes one: `reasoning_effort`."""
    system_prompt: str | None = None
    """A system message for this model alone, put before questions that have none. It is not part
    of the record."""
    chunk: Annotated[
        int | None, TOKENS, Option(unset="learned: the size that turns out to be fastest")
    ] = Field(default=None, ge=SMALLEST_CHUNK, le=4096)
    """Tokens to ask for in one turn, when thinking is written in chunks. If it is set, nothing that
    is written depends on time, in streams neither."""
    span_tokens: Annotated[int, TOKENS] = Field(default=512, ge=SMALLEST_CHUNK, le=16_384)
    """Tokens to ask for in one turn, when thinking is streamed: a bound for servers that continue
    after the stream is closed."""
    event_tokens: Annotated[int, TOKENS] = Field(default=1, ge=1, le=64)
    """Tokens in an event of a stream, if the server takes that (vLLM's `stream_interval`). Larger
    events cost less CPU in tessy but more discarded tokens, since a boundary is seen later."""
    sampling: Annotated[Sampling, OptionGroup(panel="Sampling")] = Field(default_factory=Sampling)
    """How this model draws tokens."""
    timeouts: Timeouts = Field(default_factory=Timeouts)
    """How long to wait for this model's server."""
    concurrency: int | None = Field(default=None, ge=1)
    """Maximum number of concurrent calls to each server of this model, over all workers; by default
    as many as there are trajectories."""
    retries: int = Field(default=8, ge=0, le=100)
    """Attempts after the first, for temporary faults."""
    api_key_env: str | None = None
    """Name of the environment variable with the API key. The key itself is never written."""


class OnLimit(StrEnum):
    """What to do when the thinking reaches its limit."""

    FAIL = "fail"
    """The sample fails with `thinking_limit`."""
    ANSWER = "answer"
    """The thinking is closed and the student answers."""


class Mode(StrEnum):
    """How thinking is requested."""

    AUTO = "auto"
    """`stream` if the server stops when a stream is closed, otherwise `chunks`."""
    STREAM = "stream"
    """One streamed request for each span, closed at the boundary."""
    CHUNKS = "chunks"
    """Requests for `chunk` tokens; text after the boundary is discarded."""


class HandOver(StrictSettings):
    """How long a span has to be for the other model to write it (docs/handover.md)."""

    min_style_words: Annotated[int, WORDS, Option()] = Field(default=1, ge=1, le=8)
    """The student takes over from this many words of style on; fewer stay with the teacher, and are
    marked in the record as tolerated. 1 is the paper's method."""
    min_capability_words: Annotated[int, WORDS, Option()] = Field(default=1, ge=1, le=8)
    """The teacher takes over from this many words of capability on; fewer stay with the student,
    unless they contain digits, formulas, code or names of variables."""

    shared_words: tuple[str, ...] = ()
    """Words that both models write, as `tessy predictor shared` finds them. If there are any, style
    spans with fewer than `min_style_words` words stay with the teacher only if these are all their
    words, in any case and without punctuation."""

    def short(self, role: Role) -> ShortSpans:
        """Which spans of the other kind stay with one role's model."""
        if role is Role.STUDENT:
            return ShortSpans(self.min_capability_words)
        return ShortSpans(self.min_style_words, frozenset(map(plain_word, self.shared_words)))

    @model_validator(mode="after")
    def _words_are_shared_for_something(self) -> HandOver:
        if self.shared_words and self.min_style_words == 1:
            raise ValueError(
                "handover.shared_words is for spans shorter than handover.min_style_words, which "
                "is 1: set that to 2"
            )
        if any(not plain_word(word) or " " in word for word in self.shared_words):
            raise ValueError("handover.shared_words is a list of single words")
        return self


class Limits(StrictSettings):
    """Limits of one sample. The defaults are from the paper's published code."""

    thinking_tokens: Annotated[int, TOKENS, Option()] = Field(default=32_000, ge=SMALLEST_CHUNK)
    """Longest thinking of both models together, without discarded tokens."""
    answer_tokens: Annotated[int, TOKENS, Option()] = Field(default=6_000, ge=1)
    """Longest answer."""
    context_tokens: Annotated[int, TOKENS] = Field(default=40_000, ge=16)
    """Longest prompt and response together; the server's own limit also applies."""
    on_thinking_limit: Annotated[OnLimit, Option()] = OnLimit.FAIL
    """When the thinking reaches its limit: `fail` the sample with `thinking_limit`, or `answer`:
    close the thinking and let the student answer."""


STUDENT_ONLY = "student-only"
"""The method by which one model writes everything, as in an evaluation."""


class OnWrong(StrEnum):
    """What to do with a sample whose last attempt the verifier rejects."""

    FAIL = "fail"
    """The sample fails with `rejected`."""
    KEEP = "keep"
    """It is kept, with its verdict."""
    KEEP_JUDGED = "keep_judged"
    """It is kept if the verifier could judge it; otherwise it fails with `verifier_error`. This is
    for evaluation."""


class Prompts(StrictSettings):
    """Prompts of methods. `{question}` and `{answer}` are filled in."""

    reference: str = (
        "{question}\n\nFor reference, here is an answer that was found before:\n\n{answer}\n\n"
        "Think it through yourself, and give your own answer."
    )
    """To the student, with the teacher's answer (Teacher-Reference)."""
    score: str = (
        "How good is this answer to the question? Judge whether it is right and complete.\n\n"
        "Question:\n{question}\n\nAnswer:\n{answer}\n\n"
        "End with a line `Score: N`, where N is a number from 0 (wrong) to 10 (right)."
    )
    """To the teacher, with a candidate's answer (Teacher-Score)."""
    judge: str = (
        "How much would a worked solution of this problem teach a model that reasons?\n\n"
        "10: it takes several steps of real reasoning, says all that is needed, and has one answer "
        "that can be checked.\n"
        "5: one known step solves it, or it leaves open what is meant.\n"
        "0: it is no problem, it can't be solved as it stands, or it needs no thought.\n\n"
        "Problem:\n{question}"
    )
    """To the judge of `tessy select`: the rubric, with the question. How to answer follows it."""

    @model_validator(mode="after")
    def _have_their_places(self) -> Prompts:
        both = ("{question}", "{answer}")
        for name, places in (("reference", both), ("score", both), ("judge", both[:1])):
            missing = [place for place in places if place not in getattr(self, name)]
            if missing:
                raise ValueError(f"prompts.{name} does not contain {' and '.join(missing)}")
        return self


def _teacher_name(name: str) -> str:
    if not re.fullmatch(NAME, name):
        raise ValueError("a teacher's name has only letters, digits and . _ -")
    return name


class Config(StrictSettings):
    """The settings of a run: what it writes, and how fast."""

    student: Annotated[ModelSettings, OptionGroup("student", panel="Models")] = Field(
        default_factory=ModelSettings
    )
    """The model that the data will train."""
    teacher: Annotated[ModelSettings, OptionGroup("teacher", "Models", named="teachers")] = Field(
        default_factory=ModelSettings
    )
    """The model to learn from. Several have names: `NAME=ADDRESS` (docs/teachers.md)."""
    teachers: dict[Annotated[str, AfterValidator(_teacher_name)], ModelSettings] = Field(
        default_factory=dict
    )
    """Several teachers, each a table `[teachers.NAME]` with the settings below; what it leaves out
    is as in `[teacher]`."""
    route: Annotated[str | None, Option(unset="there is one teacher", panel="Models")] = None
    """Which of several teachers writes a sample: the one that this column of the question names; or
    `vote`: one after the other, until `verify` accepts an answer."""
    method: Annotated[str, Option(panel="Method")] = "tessy"
    """How samples are written: `tessy`, `student-only`, `teacher-only`, `teacher-mix`,
    `teacher-think`, `teacher-answer`, `teacher-score`, `teacher-reference` or `rewrite`."""
    answer_by: Annotated[Role, Option(panel="Method")] = Role.STUDENT
    """Who writes the answer in method `tessy`; `teacher` is the paper's ablation (Fig. 9)."""
    teacher_only_system_prompt: Annotated[
        str | None, Option(unset="no such message", panel="Method")
    ] = None
    """A system message for the teacher in Teacher-Only and Teacher-Mix (paper, Fig. 10), put before
    questions that have none. It is not part of the record."""
    candidates: Annotated[int, Option(panel="Method")] = Field(default=5, ge=1, le=100)
    """Number of candidates in Teacher-Score."""
    prompts: Prompts = Field(default_factory=Prompts)
    """Prompts of Teacher-Score and Teacher-Reference."""
    predictor: Annotated[str, Option(panel="Boundaries")] = "english-2"
    """Boundary predictor: `english-2`, `lexicon`, `lab`, `window:FOLDER`, `onnx:FOLDER`,
    `transformers:FOLDER-OR-ID`, `http://…` or `python:MODULE:FACTORY`."""
    student_predictor: Annotated[str | None, Option(unset="--predictor", panel="Boundaries")] = None
    """Predictor for the student's text."""
    teacher_predictor: Annotated[str | None, Option(unset="--predictor", panel="Boundaries")] = None
    """Predictor for the teacher's text."""
    handover: Annotated[HandOver, OptionGroup(panel="Boundaries")] = Field(default_factory=HandOver)
    """How long a span has to be for the other model to write it."""
    verify: Annotated[str | None, Option(unset="answers are not verified", panel="Verifying")] = (
        None
    )
    """Verifier, as `NAME` or `NAME:COLUMN`: `exact`, `number`, `math`, `choice`, `reasoning-gym`,
    `code`, `auto` or `python:MODULE:FACTORY`. Answers that it rejects are not kept."""
    attempts: Annotated[int, Option(panel="Verifying")] = Field(default=1, ge=1, le=1000)
    """Maximum number of attempts at a sample; a failure or a rejected answer leads to the next.
    With `route = "vote"`, of rounds through all teachers."""
    on_wrong: Annotated[OnWrong, Option(panel="Verifying")] = OnWrong.FAIL
    """When the verifier rejects the last attempt: `fail` the sample with `rejected`, `keep` it with
    its verdict, or `keep_judged`: keep it unless the verifier failed."""
    sandbox: Annotated[bool, Option("unsafe-no-sandbox", turns_off=True, panel="Verifying")] = True
    """Programs that a verifier runs are isolated; with `--unsafe-no-sandbox` they are not, and can
    do anything that you can do."""
    limits: Annotated[Limits, OptionGroup(panel="Limits")] = Field(default_factory=Limits)
    """Limits of one sample."""
    samples_per_question: Annotated[int, Option()] = Field(default=1, ge=1)
    """Samples of each question; if there are several, their ids end with `#0`, `#1`, …"""
    seed: Annotated[int, Option()] = Field(default=0, ge=0, lt=2**63)
    """The seed of the run; each call's seed is derived from it, the sample and the turn."""
    mode: Annotated[Mode, Option()] = Mode.AUTO
    """How thinking is requested: `stream`, one streamed request for each span; `chunks`, requests
    for a few tokens; or `auto`: `stream` if the server stops when a stream is closed."""
    concurrency: Annotated[int, Option()] = Field(default=64, ge=1)
    """Maximum number of samples written at once, over all workers."""
    workers: Annotated[int | None, Option(unset="as many as cores and load need")] = Field(
        default=None, ge=1, le=256
    )
    """Processes on this machine that write samples, each a shard at a time."""
    shards: Annotated[int | None, Option(unset="1 for one worker, otherwise 4 for each")] = Field(
        default=None, ge=1, le=10_000
    )
    """Shards of the run, fixed when it begins. Each holds a part of the questions and is written by
    one process at a time (docs/scale.md)."""
    upload_s: Annotated[float, SECONDS, Option()] = Field(default=60, ge=1, le=86_400)
    """Time between uploads of what was added, if the run is at a URL (docs/remote.md)."""
    rows_per_file: Annotated[int | None, Option(unset="one dataset.jsonl")] = Field(
        default=None, ge=1
    )
    """Samples in a Parquet file of the data set: each shard writes such files as its samples end,
    in that order, in place of `dataset.jsonl`."""

    @field_validator("teachers", mode="before")
    @classmethod
    def _complete(cls, given: Any, info: ValidationInfo) -> Any:
        """Give each teacher the settings of `[teacher]` that it has not of its own."""
        shared = info.data.get("teacher")
        if shared is None or not isinstance(given, dict):
            return given
        usual = shared.model_dump(exclude_unset=True, exclude={"model"})
        own = {
            name: each.model_dump(exclude_unset=True) if isinstance(each, ModelSettings) else each
            for name, each in given.items()
        }
        return {
            name: merged(usual, each) if isinstance(each, dict) else each
            for name, each in own.items()
        }

    @model_validator(mode="before")
    @classmethod
    def _of_a_run(cls, tree: Any) -> Any:
        """The `run.toml` of a run is a file of settings, too; it names no server."""
        if not isinstance(tree, dict) or not isinstance(tree.get("run"), dict):
            return tree
        if "digest" not in tree["run"]:
            return tree
        return {key: _without_server(value) for key, value in tree.items() if key != "run"}

    @model_validator(mode="after")
    def _teachers_have_names(self) -> Config:
        if self.teachers and self.teacher.model:
            names = ", ".join(self.teachers)
            raise ValueError(
                f"the teacher {self.teacher.model} has no name, and others have: {names}; "
                "with several, each has one: --teacher NAME=ADDRESS, or [teachers.NAME]"
            )
        return self

    def models(self, roles: Iterable[ModelRole] = Role) -> list[ModelRole]:
        """The models of some roles, in order: for a teacher, all of several."""
        teachers: list[ModelRole] = [NamedTeacher(name) for name in sorted(self.teachers)]
        every: list[ModelRole] = [Role.STUDENT, *(teachers or [Role.TEACHER])]
        wanted = set(roles)
        return [model for model in every if model in wanted or role_of(model) in wanted]

    def of(self, model: ModelRole) -> ModelSettings:
        """The settings of a model."""
        if isinstance(model, NamedTeacher):
            return self.teachers[model.name]
        return self.student if model is Role.STUDENT else self.teacher

    def having(self, models: Mapping[ModelRole, ModelSettings]) -> Config:
        """The same, with other settings of some models."""
        teachers = {m.name: each for m, each in models.items() if isinstance(m, NamedTeacher)}
        own = {m.value: each for m, each in models.items() if isinstance(m, Role)}
        return self.model_copy(update={**own, "teachers": {**self.teachers, **teachers}})

    def address_of(self, model: ModelRole) -> str:
        """The address of a model.

        Raises:
            ConfigError: It is not set.
        """
        address = self.of(model).model
        if address is None:
            role, table = role_of(model), self.table_of(model)
            port = 8000 if role is Role.STUDENT else 8001
            name = f"{model.name}=" if isinstance(model, NamedTeacher) else ""
            raise ConfigError(
                f"no {role} is given" if model is role else f"{model} has no address",
                hint=f"--{role} {name}http://localhost:{port}/v1, or model below [{table}] in the "
                f"TOML file; --{role} {name}lab:{role} to try tessy out",
            )
        return address

    def called(self, model: ModelRole) -> str:
        """What messages call a model, such as `the student`."""
        return f"the {model}"

    def table_of(self, model: ModelRole) -> str:
        """The table of a model's settings."""
        return f"teachers.{model.name}" if isinstance(model, NamedTeacher) else model.value

    def option_of(self, model: ModelRole, name: str, value: str) -> str:
        """How the command line gives a setting of a model a value."""
        own = f"{model.name}=" if isinstance(model, NamedTeacher) else ""
        return f"--{role_of(model)}-{name} {own}{value}"

    def predictor_of(self, role: Role) -> str:
        """The predictor that judges one role's text."""
        own = self.student_predictor if role is Role.STUDENT else self.teacher_predictor
        return own or self.predictor

    def identity(self) -> dict[str, Any]:
        """The settings that decide *what* is written; a resumed run must not change them.

        Concurrency, mode, timeouts and keys may change from one start to the next, and so may the
        URL of a model, since a server may move. The model that it serves must not change; that is
        checked when models are opened (`RunToml.same_models`).
        """
        settings = self.model_dump(mode="json")
        for key in ("concurrency", "workers", "shards", "upload_s", "rows_per_file", "mode"):
            settings.pop(key)
        if self.handover == HandOver():  # as runs of before there was the setting
            settings.pop("handover")
        if self.method != "judge":
            settings["prompts"].pop("judge")
        if self.teachers:
            settings.pop("teacher")  # each has its settings
        else:
            for key in ("teachers", "route"):  # as above
                settings.pop(key)
        every = [settings[role] for role in Role if role in settings]
        for model in (*every, *settings.get("teachers", {}).values()):
            for key in _FOR_SPEED:
                model.pop(key)
            if (model["model"] or "").startswith(("http://", "https://")):
                model["model"] = _A_SERVER
        return settings


def _without_server(value: Any) -> Any:
    """A value of a run's settings, without models that are servers."""
    if not isinstance(value, dict):
        return value
    return {
        key: _without_server(each)
        for key, each in value.items()
        if (key, each) != ("model", _A_SERVER)
    }


def load(path: Path | None = None, overrides: Mapping[str, Any] | None = None) -> Config:
    """Read a run's settings from a TOML file, and override some of them.

    Args:
        path: The file; None for defaults.
        overrides: Values by dotted key, such as `student.chunk`; None values are ignored.

    Raises:
        ConfigError: The file is missing or not TOML, or a setting is unknown or out of bounds.
    """
    return load_settings(Config, path, overrides)
