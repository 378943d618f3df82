"""What one scripted server takes: its model's name, its context, its tokens, its dialect."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, replace
from typing import Any

from tessy.testing.calls import BadCall, Call, parse_call
from tessy.testing.codec import Codec


@dataclass(frozen=True, slots=True)
class Rules:
    """Lets requests in, or turns them down with a `BadCall`.

    Attributes:
        served_name: The model's name; another one gets a 404, as from vLLM.
        context_length: Tokens of prompt and generation together.
        codec: The model's tokens.
        accept_ids: Take prompts of token ids.
        accept_extensions: Take parameters beyond OpenAI's.
        streams: Take `stream=true`.
    """

    served_name: str
    context_length: int
    codec: Codec
    accept_ids: bool
    accept_extensions: bool
    streams: bool

    def admit(self, body: dict[str, Any]) -> tuple[Call, list[Hashable]]:
        """Check the body of a request for a completion.

        Returns:
            The call, and the tokens of its prompt.

        Raises:
            BadCall: It is turned down.
        """
        self._check_model(body)
        call = parse_call(body, extensions=self.accept_extensions)
        if call.stream and not self.streams:
            raise BadCall("this server does not stream")
        if isinstance(call.prompt, str):
            prompt = self.codec.encode(call.prompt, begin=call.add_special_tokens)
        else:
            self._check_ids(call.prompt)
            prompt = list(call.prompt)
        left = self.context_length - len(prompt)
        if left < max(1, call.max_tokens):
            raise BadCall(
                f"This model's maximum context length is {self.context_length} tokens. However, "
                f"you requested {max(1, call.max_tokens)} output tokens and your prompt contains "
                f"{len(prompt)} input tokens."
            )
        return (call if call.max_tokens > 0 else replace(call, max_tokens=left)), prompt

    def tokenize(self, body: dict[str, Any]) -> dict[str, Any]:
        """Answer `/tokenize`.

        Raises:
            BadCall: There is no tokenizer, or no text.
        """
        self._check_tokenizer()
        self._check_model(body)
        text = body.get("prompt")
        if not isinstance(text, str):
            raise BadCall("prompt is a text")
        ids = self.codec.encode(text, begin=body.get("add_special_tokens") is not False)
        return {
            "count": len(ids),
            "max_model_len": self.context_length,
            "tokens": ids,
            "token_strs": None,
        }

    def detokenize(self, body: dict[str, Any]) -> dict[str, Any]:
        """Answer `/detokenize`.

        Raises:
            BadCall: There is no tokenizer, or no list of its ids.
        """
        self._check_tokenizer()
        self._check_model(body)
        ids = body.get("tokens")
        if not isinstance(ids, list) or set(map(type, ids)) - {int}:
            raise BadCall("tokens is a list of token ids")
        self._check_ids(ids)
        return {"prompt": self.codec.data(ids).decode("utf-8", "replace")}

    def _check_model(self, body: dict[str, Any]) -> None:
        name = body.get("model")
        if name is not None and name != self.served_name:
            raise BadCall(f"The model `{name}` does not exist.", status=404, kind="NotFoundError")

    def _check_tokenizer(self) -> None:
        if self.codec.vocabulary is None:
            raise BadCall("this server has no tokenizer", status=404, kind="NotFoundError")

    def _check_ids(self, ids: list[int]) -> None:
        if self.codec.vocabulary is None or not self.accept_ids:
            raise BadCall("this server takes no prompts of token ids")
        if ids and not 0 <= min(ids) <= max(ids) < self.codec.vocabulary:
            raise BadCall(f"Token id {max(ids)} is out of vocabulary")
