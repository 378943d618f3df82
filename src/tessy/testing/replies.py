"""Bodies of a scripted server's replies."""

from __future__ import annotations

import orjson
from aiohttp import web


def reply(body: object, status: int = 200) -> web.Response:
    """A reply of JSON."""
    return web.Response(body=orjson.dumps(body), status=status, content_type="application/json")


def error(message: str, status: int, kind: str) -> web.Response:
    """An error in vLLM's shape."""
    told = {"message": message, "type": kind, "param": None, "code": status}
    return reply({"error": told}, status)
