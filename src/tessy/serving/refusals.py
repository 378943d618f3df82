"""Errors in OpenAI's shape."""

from __future__ import annotations

import traceback
from typing import Any

from tessy.display import Say
from tessy.errors import TessyError

BAD_REQUEST = "invalid_request_error"
OF_SERVER = "server_error"


class ApiError(Exception):
    """A request that gets an error instead of a response, or in the middle of one.

    Args:
        status: The HTTP status.
        message: What is wrong, and what to do instead.
        kind: OpenAI's type of error.
        param: The parameter that is wrong.
        code: A word for this error, for programs.
        retry_after_s: Seconds after which it may be different.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        kind: str = BAD_REQUEST,
        param: str | None = None,
        code: str,
        retry_after_s: int | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.kind = kind
        self.param = param
        self.code = code
        self.retry_after_s = retry_after_s

    def body(self) -> dict[str, Any]:
        """The body of the response."""
        return {
            "error": {
                "message": str(self),
                "type": self.kind,
                "param": self.param,
                "code": self.code,
            }
        }


def refused(param: str, message: str, *, code: str = "invalid_value") -> ApiError:
    """The error for a parameter that can't be used."""
    return ApiError(400, f"{param}: {message}", param=param, code=code)


def bug(error: Exception, say: Say) -> ApiError:
    """The error for what nobody expected.

    Args:
        error: It.
        say: Shows the operator where it was.
    """
    say("".join(traceback.format_exception(error)))
    return ApiError(500, f"tessy failed: {error!r:.300}", kind=OF_SERVER, code="internal_error")


def of_server(status: int, error: TessyError | str, code: str) -> ApiError:
    """The error for what is not the client's fault."""
    said = str(error)
    if isinstance(error, TessyError) and error.hint:
        said = f"{said} ({error.hint})"
    return ApiError(status, said, kind=OF_SERVER, code=code)
