"""A run's settings: what decides what is written, and how fast.

The tree of the classes is that of the TOML file: `[student]`, `[student.sampling]`, `[teacher]`,
`[limits]`, … How a setting is defined and read is in `tessy.settings`; `make docs` writes
`docs/configuration.md` from what is here.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, model_validator

from tessy.errors import ConfigError
from tessy.method.trajectory import Role
from tessy.settings import SECONDS, TOKENS, Option, OptionGroup, StrictSettings, load_settings

SMALLEST_CHUNK = 4
"""Tokens in which any model can write at least one character, whose bytes may be a token each."""

_FOR_SPEED = (
    "timeouts",
    "concurrency",
    "retries",
    "api_key_env",
    "span_tokens",
    "event_tokens",
)
"""Settings of a model that may change from one start of a run to the next."""


class Sampling(StrictSettings):
    """How a model draws tokens. The defaults are those of the paper's published code."""

    temperature: Annotated[float, Option()] = Field(default=0.7, ge=0, le=5)
    """0 is greedy."""
    top_p: Annotated[float, Option()] = Field(default=0.8, gt=0, le=1)
    """Nucleus sampling: the smallest set of tokens with this probability."""
    top_k: Annotated[int, Option()] = Field(default=20, ge=0)
    """The most probable tokens to draw from; 0 for all. Not sent to servers that take OpenAI's
    parameters only."""
    min_p: float = Field(default=0.0, ge=0, le=1)
    """Least probability, relative to the most probable token. Not sent to servers that take
    OpenAI's parameters only."""


class Timeouts(StrictSettings):
    """Patience with a model's server."""

    connect_s: Annotated[float, SECONDS] = Field(default=10, gt=0)
    """To open a connection."""
    first_token_s: Annotated[float, SECONDS] = Field(default=300, gt=0)
    """From a request to the first token of a stream; a server may queue."""
    total_s: Annotated[float, SECONDS] = Field(default=1800, gt=0)
    """For a whole call."""


class ModelSettings(StrictSettings):
    """One of the two models."""

    model: Annotated[str | None, Option(head=True, unset="none; methods that use it need it")] = (
        None
    )
    """Address: `http://host:port/v1#served-name`, `lab:student`, `lab:teacher`,
    `lab:relative`, `gguf:PATH` or `hf:REPO/FILE`."""
    tokenizer: Annotated[str | None, Option(unset="prompts are sent as text")] = None
    """Folder or Hugging Face id with `tokenizer.json` and the chat template, for prompts of token
    ids in the model's own chat format."""
    format: Annotated[str | None, Option(unset="the tokenizer's; without a tokenizer, plain")] = (
        None
    )
    """Chat format where no tokenizer is given: `qwen3`, `deepseek-r1`, `gpt-oss` or `plain`."""
    template_args: dict[str, Any] = Field(default_factory=dict)
    """Arguments of the chat template, such as `enable_thinking`; of the built-in formats only
    `gpt-oss` takes one, `reasoning_effort`."""
    system_prompt: str | None = None
    """A system message for this model alone, put before questions that have none. It does not
    appear in the record."""
    chunk: Annotated[
        int | None, TOKENS, Option(unset="learned: the size that turns out to be quickest")
    ] = Field(default=None, ge=SMALLEST_CHUNK, le=4096)
    """Tokens asked for in one turn, where thinking is written in chunks."""
    span_tokens: Annotated[int, TOKENS] = Field(default=512, ge=SMALLEST_CHUNK, le=16_384)
    """Tokens asked for in one turn, where thinking is streamed: a bound for servers that go on
    after a span's end."""
    event_tokens: Annotated[int, TOKENS] = Field(default=1, ge=1, le=64)
    """Tokens in an event of a stream, where the server lets a call choose (vLLM's
    `stream_interval`). More of them cost less CPU here and more discarded tokens, since a boundary
    is seen later."""
    sampling: Sampling = Field(default_factory=Sampling)
    """How this model draws tokens."""
    timeouts: Timeouts = Field(default_factory=Timeouts)
    """Patience with this model's server."""
    concurrency: int | None = Field(default=None, ge=1)
    """Calls to each server of this model at once, of all workers together; without it, as many as
    there are trajectories."""
    retries: int = Field(default=8, ge=0, le=100)
    """Attempts after the first, for faults that may pass."""
    api_key_env: str | None = None
    """Name of the environment variable that holds the API key. The key itself is never written."""


class OnLimit(StrEnum):
    """What to do when the thinking reaches its limit."""

    FAIL = "fail"
    """The sample fails with `thinking_limit`."""
    ANSWER = "answer"
    """The thinking is closed and the student answers."""


class Mode(StrEnum):
    """How thinking is asked for."""

    AUTO = "auto"
    """`stream` where the server streams and stops when the stream is closed, else `chunks`."""
    STREAM = "stream"
    """One streamed request for each span, closed at the boundary."""
    CHUNKS = "chunks"
    """Requests of `chunk` tokens; what comes after the boundary is discarded."""


class Limits(StrictSettings):
    """Bounds of one sample. The defaults are those of the paper's published code."""

    thinking_tokens: Annotated[int, TOKENS, Option()] = Field(default=32_000, ge=SMALLEST_CHUNK)
    """Longest thinking of both models together, discarded tokens not counted."""
    answer_tokens: Annotated[int, TOKENS, Option()] = Field(default=6_000, ge=1)
    """Longest answer."""
    context_tokens: Annotated[int, TOKENS] = Field(default=40_000, ge=16)
    """Longest prompt and response together; the server's own limit counts too."""
    on_thinking_limit: Annotated[OnLimit, Option()] = OnLimit.FAIL
    """At the longest thinking, `fail` the sample with `thinking_limit`, or `answer`: close the
    thinking and let the student answer."""


class OnWrong(StrEnum):
    """What to do with a sample whose last attempt the verifier rejects."""

    FAIL = "fail"
    """The sample fails with `rejected`."""
    KEEP = "keep"
    """It is kept, with its verdict."""
    KEEP_JUDGED = "keep_judged"
    """It is kept if the verifier could judge it, else it fails with `verifier_error`. This is for
    evaluation."""


class Prompts(StrictSettings):
    """Texts that methods send to a model. `{question}` and `{answer}` are filled in."""

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

    student: Annotated[ModelSettings, OptionGroup("student", panel="Models")] = Field(
        default_factory=ModelSettings
    )
    """The model that the data is for."""
    teacher: Annotated[ModelSettings, OptionGroup("teacher", panel="Models")] = Field(
        default_factory=ModelSettings
    )
    """The model to learn from."""
    method: Annotated[str, Option(panel="Method")] = "tessy"
    """How samples are written: `tessy`, `student-only`, `teacher-only`, `teacher-mix`,
    `teacher-think`, `teacher-answer`, `teacher-score` or `teacher-reference`."""
    answer_by: Annotated[Role, Option(panel="Method")] = Role.STUDENT
    """Who writes the answer after TESSY's thinking; `teacher` is the paper's ablation (Fig. 9)."""
    teacher_only_system_prompt: Annotated[
        str | None, Option(unset="no such message", panel="Method")
    ] = None
    """A system message for the teacher of Teacher-Only and Teacher-Mix (paper, Fig. 10), put before
    questions that have none. It is not part of the record."""
    candidates: Annotated[int, Option(panel="Method")] = Field(default=5, ge=1, le=100)
    """Candidates of Teacher-Score."""
    prompts: Prompts = Field(default_factory=Prompts)
    """What Teacher-Score and Teacher-Reference send to the models."""
    predictor: Annotated[str, Option(panel="Boundaries")] = "english-1"
    """Boundary predictor: `english-1`, `lexicon`, `lab`, `onnx:FOLDER`,
    `transformers:FOLDER-OR-ID`, `http://…` or `python:MODULE:FACTORY`."""
    student_predictor: Annotated[str | None, Option(unset="--predictor", panel="Boundaries")] = None
    """Predictor for the student's text, if it is another."""
    teacher_predictor: Annotated[str | None, Option(unset="--predictor", panel="Boundaries")] = None
    """Predictor for the teacher's text, if it is another."""
    verify: Annotated[str | None, Option(unset="answers are not verified", panel="Verifying")] = (
        None
    )
    """Verifier, as `NAME` or `NAME:COLUMN`: `exact`, `number`, `math`, `choice`, `reasoning-gym`,
    `code`, `auto` or `python:MODULE:FACTORY`. Answers that it rejects are not kept."""
    attempts: Annotated[int, Option(panel="Verifying")] = Field(default=1, ge=1, le=1000)
    """Tries at a sample: another one after a failure or a rejected answer."""
    on_wrong: OnWrong = OnWrong.FAIL
    """When the verifier rejects the last try: `fail` the sample with `rejected`, `keep` it with its
    verdict, or `keep_judged`: keep it unless the verifier broke."""
    sandbox: Annotated[bool, Option("unsafe-no-sandbox", turns_off=True, panel="Verifying")] = True
    """Code that a verifier runs is isolated; with `--unsafe-no-sandbox`, it can do what you can."""
    limits: Annotated[Limits, OptionGroup(panel="Limits")] = Field(default_factory=Limits)
    """Bounds of one sample."""
    samples_per_question: Annotated[int, Option()] = Field(default=1, ge=1)
    """Samples of each question; with several, their ids get `#0`, `#1`, …"""
    seed: Annotated[int, Option()] = Field(default=0, ge=0, lt=2**63)
    """The seed of each call is derived from it, the sample and the turn."""
    mode: Annotated[Mode, Option()] = Mode.AUTO
    """How thinking is asked for: `stream`, one streamed request for each span; `chunks`, requests
    of a few tokens; or `auto`: `stream` where the server stops when a stream is closed."""
    concurrency: Annotated[int, Option()] = Field(default=64, ge=1)
    """Samples under way at once, of all workers together."""
    workers: Annotated[int, Option()] = Field(default=1, ge=1, le=256)
    """Processes that write them; one is enough until it uses up a core."""

    def of(self, role: Role) -> ModelSettings:
        """The settings of one role's model."""
        return self.student if role is Role.STUDENT else self.teacher

    def address_of(self, role: Role) -> str:
        """The address of one role's model.

        Raises:
            ConfigError: It is not set.
        """
        address = self.of(role).model
        if address is None:
            port = 8000 if role is Role.STUDENT else 8001
            raise ConfigError(
                f"no {role} is given",
                hint=f"--{role} http://localhost:{port}/v1, or model below [{role}] in the TOML "
                f"file; --{role} lab:{role} to try things out",
            )
        return address

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
            if (model["model"] or "").startswith(("http://", "https://")):
                model["model"] = "a server"
        return settings


def load(path: Path | None = None, overrides: Mapping[str, Any] | None = None) -> Config:
    """Read a run's settings from a TOML file, with others put over them.

    Args:
        path: The file; None for defaults.
        overrides: Dotted keys, such as `student.chunk`, with their values; None is no override.

    Raises:
        ConfigError: The file is missing or not TOML, or a setting is unknown or out of bounds.
    """
    return load_settings(Config, path, overrides)
