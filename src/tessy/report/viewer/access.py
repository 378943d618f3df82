"""Which requests are answered, and what a browser may do with the answers.

The pages show text that models wrote, and every program and web page on this machine can reach a
loopback port. So a request needs the token, which is part of every address and compared in
constant time; it has to name the loopback (another site's name could be made to point here: DNS
rebinding) and must not come from another site's page. What a reader decides is sent by a form with
a token of its own, which is in no address, and from one of our pages. A policy lets a page load
nothing but our own files, no matter what its text says.

The token is in the path and not in a cookie, since cookies are shared by all ports of a host.
"""

from __future__ import annotations

import ipaddress
import secrets
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

from aiohttp import web

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; "
    "connect-src 'self'; img-src 'self'; font-src 'self'; base-uri 'none'; frame-ancestors 'none'; "
    "form-action 'self'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",  # with none, a form of ours would have the origin "null"
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class AccessControl:
    """Lets requests with the token through.

    Attributes:
        token: Part of every address.
        ticket: Opens one page, once. A browser is started with it, since others on the machine
            can see the arguments of a command.
        form_token: Part of every form.
    """

    def __init__(self) -> None:
        self.token = secrets.token_urlsafe(32)
        self.ticket = secrets.token_urlsafe(32)
        self.form_token = secrets.token_urlsafe(32)

    def check_form(self, request: web.Request, token: object) -> None:
        """Refuse what was not sent by a form of one of our pages.

        Args:
            request: It has the token of addresses.
            token: What the form has.

        Raises:
            web.HTTPForbidden: It comes from elsewhere, or its token is another one.
        """
        if "Origin" not in request.headers or not _equal(str(token), self.form_token):
            raise web.HTTPForbidden(text="this form is not of this viewer: load the page again\n")

    def use_ticket(self, ticket: str) -> bool:
        """Whether this is the ticket; it can be used once."""
        if not _equal(ticket, self.ticket):
            return False
        self.ticket = secrets.token_urlsafe(32)
        return True

    @web.middleware
    async def middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Let a request through, or refuse it."""
        if not is_local(request.headers.get("Host", ""), request.headers.get("Origin")):
            raise web.HTTPForbidden(text="this server answers 127.0.0.1 and localhost only\n")
        wanted = request.match_info
        if "ticket" not in wanted and not _equal(wanted.get("token", ""), self.token):
            raise web.HTTPForbidden(text="the address lacks the token: take it from the terminal\n")
        return await handler(request)


async def add_headers(request: web.Request, response: web.StreamResponse) -> None:
    """Put the policy on every answer, refusals and streams included."""
    response.headers.update(HEADERS)


def _equal(given: str, secret: str) -> bool:
    return secrets.compare_digest(given.encode(), secret.encode())


def is_local(host: str, origin: str | None) -> bool:
    """Whether a request is for the loopback, and not from another site's page.

    Args:
        host: Its `Host`; the port may be another one, as with `ssh -L`.
        origin: Its `Origin`, which browsers send with requests of pages.
    """
    try:
        name = urlsplit(f"//{host}").hostname
    except ValueError:
        return False
    return is_loopback(name or "") and origin in (None, f"http://{host}")


def is_loopback(name: str) -> bool:
    """Whether a host's name is `localhost`, or an address of the loopback."""
    try:
        return name == "localhost" or ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
