"""Who may ask, and what a browser may do with the answer.

The pages show text that models wrote, and anybody who can run a program on this machine can reach
a loopback port. So: a token, which is part of every address, compared in constant time; requests
only under the names of the loopback (a page elsewhere could have its own name point here: DNS
rebinding); none on behalf of another site's page; only reading; and a policy that lets a page load
nothing but our own style sheet and script, whatever is in its text.

The token is in the path and not in a cookie, since cookies are shared by all ports of a host.
"""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

from aiohttp import web

HEADERS = {
    "Content-Security-Policy": "; ".join(
        (
            "default-src 'none'",
            *(f"{kind}-src 'self'" for kind in ("style", "script", "connect", "img")),
            *("base-uri 'none'", "frame-ancestors 'none'", "form-action 'self'"),
        )
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_NAMES = ("127.0.0.1", "localhost")
_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Guard:
    """Knows the token.

    Attributes:
        token: Part of every address.
        ticket: Opens one page, once: it may be seen where a command's arguments are listed, as
            when a browser is started.
    """

    def __init__(self) -> None:
        self.token = secrets.token_urlsafe(32)
        self.ticket = secrets.token_urlsafe(32)

    def knows(self, token: str) -> bool:
        """Whether this is the token."""
        return secrets.compare_digest(token.encode(), self.token.encode())

    def tear(self, ticket: str) -> bool:
        """Whether this is the ticket; it is so only once."""
        if not secrets.compare_digest(ticket.encode(), self.ticket.encode()):
            return False
        self.ticket = secrets.token_urlsafe(32)
        return True

    @web.middleware
    async def middleware(self, request: web.Request, handler: _Handler) -> web.StreamResponse:
        """Let a request through, or refuse it."""
        if not is_local(request.headers.get("Host", ""), request.headers.get("Origin")):
            raise web.HTTPForbidden(text="this server answers 127.0.0.1 and localhost only\n")
        if "ticket" not in request.match_info and not self.knows(
            request.match_info.get("token", "")
        ):
            raise web.HTTPForbidden(text="the address lacks the token: take it from the terminal\n")
        return await handler(request)


async def add_headers(request: web.Request, response: web.StreamResponse) -> None:
    """Put the policy on every answer, refusals and streams included."""
    response.headers.update(HEADERS)


def is_local(host: str, origin: str | None) -> bool:
    """Whether a request is for the loopback, and from no other site's page.

    Args:
        host: Its `Host`; the port may be another one, as behind `ssh -L`.
        origin: Its `Origin`, which browsers send with what pages ask for.
    """
    try:
        name = urlsplit(f"//{host}").hostname
    except ValueError:
        return False
    return name in _NAMES and origin in (None, f"http://{host}")
