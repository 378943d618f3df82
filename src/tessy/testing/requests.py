"""What a client may ask of `/v1/completions`, and what one server refuses."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeFloat,
    PositiveInt,
    ValidationError,
    model_validator,
)

from tessy.testing.tokens import ScriptedTokenizer

Text = Annotated[str, Field(min_length=1)]


class BadRequest(Exception):
    """A request that is refused.

    Args:
        message: What is wrong with it.
        status: The HTTP status.
        kind: vLLM's name for this sort of error.
    """

    def __init__(self, message: str, *, status: int = 400, kind: str = "BadRequestError") -> None:
        super().__init__(message)
        self.status = status
        self.kind = kind


class ServerRequest(BaseModel):
    """The body of a request."""

    model_config = ConfigDict(strict=True, frozen=True, extra="allow")

    model: str | None = None

    @classmethod
    def parse(cls, raw: bytes) -> Self:
        """Check a body.

        Raises:
            BadRequest: It is not JSON, or a parameter is missing, wrong or not supported.
        """
        try:
            return cls.model_validate_json(raw)
        except ValidationError as error:
            told = [(".".join(map(str, e["loc"][:1])), e["msg"]) for e in error.errors()[:3]]
            raise BadRequest("; ".join(": ".join(filter(None, each)) for each in told)) from None


class TokenizeRequest(ServerRequest):
    """A request to `/tokenize`."""

    prompt: str
    add_special_tokens: bool | None = True


class DetokenizeRequest(ServerRequest):
    """A request to `/detokenize`."""

    tokens: list[int]


class StreamOptions(BaseModel):
    """Options of a streamed completion."""

    include_usage: bool = False
    """End the stream with an event that has the usage."""


class OpenAIRequest(ServerRequest):
    """OpenAI's parameters of a completion. Those for sampling are checked but change nothing."""

    prompt: Text | Annotated[list[int], Field(min_length=1)]
    """Text, or token ids."""
    max_tokens: PositiveInt | None = 16
    """Tokens to generate at most; null: as many as the context holds."""
    stop: Text | list[Text] | None = None
    """Texts at which to stop; they are not shown."""
    stream: bool | None = False
    stream_options: StreamOptions | None = None

    temperature: NonNegativeFloat | None = None
    top_p: float | None = None
    seed: int | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    logit_bias: dict[str, float] | None = None
    user: str | None = None

    n: Literal[1] | None = None
    best_of: Literal[1] | None = None
    echo: Literal[False] | None = None
    suffix: Literal[""] | None = None
    logprobs: None = None


class CompletionRequest(OpenAIRequest):
    """One request for a completion, with vLLM's extensions; unknown ones are ignored."""

    stop_token_ids: list[int] | None = None
    """Tokens at which to stop; they are not shown, but their ids are."""
    stream_interval: PositiveInt | None = 1
    """Tokens an event, at least; the first token is an event of its own."""
    return_token_ids: bool | None = False
    """Return the ids of what was generated."""
    add_special_tokens: bool | None = True
    """Put before a text prompt what the tokenizer puts there."""
    skip_special_tokens: bool | None = True
    """Do not show special tokens."""
    top_k: int | None = None
    min_p: float | None = None
    min_tokens: int | None = None
    prompt_logprobs: None = None

    @model_validator(mode="after")
    def _only_streams_have_options(self) -> Self:
        if self.stream_options and not self.stream:
            raise ValueError("stream_options are only allowed with stream=true")
        return self

    @property
    def stops(self) -> list[str]:
        """The stop texts."""
        return [self.stop] if isinstance(self.stop, str) else self.stop or []


@dataclass(frozen=True, slots=True)
class RequestRules:
    """Admits requests to one server, or refuses them with a `BadRequest`.

    Attributes:
        served_name: The model's name; another one gets a 404.
        context_length: Tokens of prompt and generation together.
        tokenizer: The model's tokenizer.
        accept_ids: Take prompts of token ids.
        accept_extensions: Take parameters beyond OpenAI's.
        streams: Take `stream=true`.
    """

    served_name: str
    context_length: int
    tokenizer: ScriptedTokenizer
    accept_ids: bool
    accept_extensions: bool
    streams: bool

    def admit(self, request: CompletionRequest) -> tuple[list[Hashable], int]:
        """Admit a request for a completion.

        Returns:
            The tokens of its prompt, and how many tokens to generate at most.

        Raises:
            BadRequest: It is refused.
        """
        self._check_model(request)
        extensions = sorted(request.model_fields_set - OpenAIRequest.model_fields.keys())
        if extensions and not self.accept_extensions:
            raise BadRequest(f"Unrecognized request argument supplied: {', '.join(extensions)}")
        if request.stream and not self.streams:
            raise BadRequest("this server does not stream")
        prompt: list[Hashable]
        if isinstance(request.prompt, str):
            begin = request.add_special_tokens is not False
            prompt = self.tokenizer.encode(request.prompt, begin=begin)
        else:
            self._check_ids(request.prompt)
            prompt = [*request.prompt]
        left = self.context_length - len(prompt)
        if left < (request.max_tokens or 1):
            raise BadRequest(
                f"This model's maximum context length is {self.context_length} tokens. However, "
                f"you requested {request.max_tokens or 1} output tokens and your prompt contains "
                f"{len(prompt)} input tokens."
            )
        return prompt, request.max_tokens or left

    def tokenize(self, request: TokenizeRequest) -> dict[str, Any]:
        """Answer `/tokenize`.

        Raises:
            BadRequest: There is no tokenizer, or no such model.
        """
        self._check_tokenizer(request)
        begin = request.add_special_tokens is not False
        ids = self.tokenizer.encode(request.prompt, begin=begin)
        length = self.context_length
        return {"count": len(ids), "max_model_len": length, "tokens": ids, "token_strs": None}

    def detokenize(self, request: DetokenizeRequest) -> dict[str, Any]:
        """Answer `/detokenize`.

        Raises:
            BadRequest: There is no tokenizer, no such model, or an id is out of its vocabulary.
        """
        self._check_tokenizer(request)
        self._check_ids(request.tokens)
        return {"prompt": self.tokenizer.data(request.tokens).decode("utf-8", "replace")}

    def _check_model(self, request: ServerRequest) -> None:
        if request.model not in (None, self.served_name):
            message = f"The model `{request.model}` does not exist."
            raise BadRequest(message, status=404, kind="NotFoundError")

    def _check_tokenizer(self, request: ServerRequest) -> None:
        self._check_model(request)
        if self.tokenizer.vocabulary is None:
            raise BadRequest("this server has no tokenizer", status=404, kind="NotFoundError")

    def _check_ids(self, ids: list[int]) -> None:
        if self.tokenizer.vocabulary is None or not self.accept_ids:
            raise BadRequest("this server takes no prompts of token ids")
        if ids and not 0 <= min(ids) <= max(ids) < self.tokenizer.vocabulary:
            raise BadRequest(f"Token id {max(ids)} is out of vocabulary")
