"""A real model behind `/v1/completions` that says how probable a prompt is, as vLLM says it.

It supports one way: `prompt_logprobs`, or `echo` with `logprobs`.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from aiohttp import web


class ScoringServer:
    """Serves a model; use it with `async with`.

    Attributes:
        asked: Prompts that were scored.
        fails_after: Prompts after which it only answers 500; None for never.
    """

    def __init__(self, folder: Path, way: str, *, context: int = 4096) -> None:
        import torch
        from transformers import AutoModelForCausalLM

        self._model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
        self._way, self._context = way, context
        self.asked = 0
        self.fails_after: int | None = None
        self.url = ""

    async def __aenter__(self) -> ScoringServer:
        app = web.Application(client_max_size=2**24)
        app.add_routes([
            web.get("/v1/models", self._models), web.post("/v1/completions", self._complete),
        ])  # fmt: skip
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}/v1"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    async def _models(self, request: web.Request) -> web.Response:
        return web.json_response({"data": [{"id": "tiny", "max_model_len": self._context}]})

    async def _complete(self, request: web.Request) -> web.Response:
        body = await request.json()
        prompt, wanted = body["prompt"], set(body) & {"prompt_logprobs", "echo", "schema"}
        if wanted - {self._way} or body.get("stream"):
            return web.json_response({"error": {"message": f"no {wanted}"}}, status=400)
        if not isinstance(prompt, list):
            return web.json_response(self._answer({}))
        if len(prompt) >= self._context:
            return web.json_response({"error": {"message": "too long"}}, status=400)
        if not wanted:
            return web.json_response(self._answer({}))
        if len(prompt) > 4:  # longer than a probe
            if self.fails_after is not None and self.asked >= self.fails_after:
                return web.json_response({"error": {"message": "broken"}}, status=500)
            self.asked += 1
        values = await asyncio.to_thread(logprobs, self._model, prompt)
        if self._way == "echo":
            told: dict[str, Any] = {"logprobs": {"token_logprobs": [*values, -1.0]}}
        else:
            rest = zip(prompt[1:], values[1:], strict=True)
            listed = [None, *({str(token): {"logprob": value}} for token, value in rest)]
            told = {"prompt_logprobs": listed}
        return web.json_response(self._answer(told))

    def _answer(self, told: dict[str, Any]) -> dict[str, Any]:
        choice = {"text": " x", "finish_reason": "length", **told}
        return {"choices": [choice], "usage": {"completion_tokens": 1}}


def logprobs(model: Any, ids: list[int]) -> list[float | None]:
    """Of each token after those before it: one forward pass over all of them."""
    import torch

    with torch.inference_mode():
        chances = torch.log_softmax(model(torch.tensor([ids])).logits[0].double(), dim=-1)
    return [None, *(float(chances[at, token]) for at, token in enumerate(ids[1:]))]
