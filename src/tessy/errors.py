"""The exceptions that a user of tessy meets, in one tree.

    TessyError
    ├── InputError          the user's input can't be used; nothing was done
    │   ├── ConfigError         (also ValueError)  a setting, or the name of a model or tool
    │   ├── DataError           (also ValueError)  a data set, or rows of it
    │   └── RunMismatch         (also ValueError)  a run folder made with other settings
    ├── MissingExtra        (also ImportError)  an optional dependency is needed
    ├── LocalModelError     a model's weights can't be fetched, or its server did not start
    ├── ModelError          one call to a model server failed for good
    │   ├── Unreachable         (also ConnectionError)  no connection, after retries
    │   ├── TimedOut            (also TimeoutError)     too slow, after retries
    │   ├── BadResponse         a response that breaks the protocol (truncated, …), after retries
    │   ├── NotAStream          a whole response instead of a stream; never retried
    │   ├── ServerFailure       408, 429 or 5xx, after retries
    │   └── Refused             another 4xx, or a redirect; never retried
    │       └── ContextExceeded     the prompt is longer than the server's context
    ├── PredictorError      a boundary predictor failed or broke its protocol
    ├── SandboxError        programs can't be run in isolation here
    ├── TrainingError       the loss is not a number, or an epoch's evaluation failed
    ├── JournalError        (also OSError)  the run's journal can't be written or read
    ├── MissingShards       shards of a run are missing, or not complete
    ├── RunLocked           another process is working in this run folder
    ├── RemoteError         (also OSError)  a file or folder at a URL can't be read or written
    ├── HubError            (also OSError)  Hugging Face did not take an upload
    ├── ViewError           (also OSError)  a run's pages can't be served
    ├── ServeError          (also OSError)  `tessy serve` can't listen at its address
    └── Outage              a model server is down; the run stopped and can be resumed

A failure of one *sample* is data, not an exception: see `tessy.Failure`. A message says what is
wrong; `hint`, where there is one, says what to write or do instead.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from tessy._version import DISTRIBUTION

_REASONS, _PLACES = 20, 3
"""How many reasons a message gives, and how many places of each."""


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that is nearest to one that is not known; None if none is near."""
    import difflib

    names = {each.lower().replace("_", "-"): each for each in known}
    near = difflib.get_close_matches(name.lower().replace("_", "-"), names, n=1)
    return names[near[0]] if near else None


def meant(name: str, known: Iterable[str]) -> str:
    """`did you mean NAME? `, if a known name is near; otherwise nothing."""
    known = [*known]
    near = None if name in known else nearest(name, known)
    return f"did you mean {near}? " if near else ""


def bad_rows(reasons: Iterable[tuple[str, str]]) -> list[str]:
    """The lines of a message about bad rows; rows that are bad for one reason share a line.

    Args:
        reasons: File and line of each row, with the reason.
    """
    places: dict[str, list[str]] = {}
    for where, reason in reasons:
        places.setdefault(reason, []).append(where)
    made = []
    for reason, found in [*places.items()][:_REASONS]:
        more = f" and {len(found) - _PLACES:,} more" if len(found) > _PLACES else ""
        made.append(f"  {', '.join(found[:_PLACES])}{more}: {reason}")
    if left := sum(len(found) for found in [*places.values()][_REASONS:]):
        made.append(f"  … and {left:,} more")
    return made


def refuse_below_one(**given: int | None) -> None:
    """Refuse numbers of things that are not whole numbers from 1 on.

    Args:
        given: Arguments by name; None for one that is not given.

    Raises:
        ConfigError: One is none; the message names it.
    """
    for name, value in given.items():
        if value is None or (type(value) is int and value >= 1):
            continue
        should = "at least 1" if type(value) is int else "a whole number"
        raise ConfigError(f"{name} = {value!r}: should be {should}")


def install_hint(extra: str) -> str:
    """How to install what an extra brings, from where tessy itself was installed.

    A clone, a file or a repository is named in `direct_url.json` (PEP 610), an index is not.
    """
    import json
    from importlib.metadata import PackageNotFoundError, distribution
    from urllib.parse import unquote, urlsplit

    try:
        found = json.loads(distribution(DISTRIBUTION).read_text("direct_url.json") or "{}")
    except PackageNotFoundError:  # it runs from its source
        return f"pip install '.[{extra}]' in a clone of tessy"
    place, url = DISTRIBUTION, found.get("url", "")
    if url.startswith("file:"):
        place = unquote(urlsplit(url).path)
    elif kind := found.get("vcs_info", {}).get("vcs"):
        return f"pip install '{DISTRIBUTION}[{extra}] @ {kind}+{url}'"
    if found.get("dir_info", {}).get("editable"):
        return f"pip install -e '{place}[{extra}]'"
    return f"pip install '{place}[{extra}]'"


class TessyError(Exception):
    """Base of every error of tessy.

    Args:
        message: What is wrong, and where.
        hint: What to write or do instead; shown on a line of its own.
    """

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    @property
    def hint(self) -> str | None:
        """What to write or do instead; Python shows it below a traceback, as a note (PEP 678)."""
        return self._hint

    @hint.setter
    def hint(self, hint: str | None) -> None:
        self._hint = hint
        self.__notes__ = [f"hint: {hint}"] if hint else []

    def as_json(self) -> dict[str, str | None]:
        """The error, for another process; see `error_of`."""
        return {"kind": type(self).__name__, "message": str(self), "hint": self.hint}


class InputError(TessyError):
    """The user's input can't be used; nothing was done."""


class ConfigError(InputError, ValueError):
    """A setting is missing, unknown or out of bounds, or a model or tool does not exist."""


class DataError(InputError, ValueError):
    """Questions, samples, traces or segments can't be read, or rows of them are bad."""


class RunMismatch(InputError, ValueError):
    """A folder contains a run with other settings or questions, or something else."""


class MissingExtra(TessyError, ImportError):
    """An optional dependency is needed and is not installed."""


class LocalModelError(TessyError):
    """A model that tessy serves itself can't be used: its weights or its server failed."""


class ModelError(TessyError):
    """One call to a model server failed for good (after retries, where these make sense).

    Attributes:
        status: The HTTP status of the response; 0 if there was none.
    """

    status: int = 0


class Unreachable(ModelError, ConnectionError):
    """The connection to the server failed or broke at every attempt."""


class TimedOut(ModelError, TimeoutError):
    """Connecting, the first or next token or the whole call took too long, at every attempt."""


class BadResponse(ModelError):
    """The server's response broke the protocol at every attempt."""


class NotAStream(ModelError):
    """The server sent a whole response instead of a stream; a retry would not change that."""


class ServerFailure(ModelError):
    """The server answered 408, 429 or 5xx at every attempt.

    Attributes:
        retry_after_s: Seconds to wait, as the server asked (`Retry-After`); 0 if it did not.
    """

    retry_after_s: float = 0.0


class Refused(ModelError):
    """The server refused the request (a 4xx that a retry would not change), or redirects it."""


class ContextExceeded(Refused):
    """The server refused the request because the prompt is longer than its context allows."""


class PredictorError(TessyError):
    """A boundary predictor failed, or its judgement makes no sense."""


class SandboxError(TessyError):
    """Programs can't be run in isolation here, and running them without it was not allowed."""


class TrainingError(TessyError):
    """A training failed: its loss is not a number, or the evaluation of an epoch failed."""


class JournalError(TessyError, OSError):
    """The journal of a run can't be written or read."""


class MissingShards(TessyError):
    """Shards of a run are missing, or not complete."""


class RunLocked(TessyError):
    """Another process is working in this run folder."""


class RemoteError(TessyError, OSError):
    """A file or folder at a URL can't be read or written; the message names the URL.

    Attributes:
        lasting: Another attempt would fail, too: a package or rights are missing.
    """

    lasting: bool = False


class HubError(TessyError, OSError):
    """Hugging Face can't be reached, or did not take an upload."""


class ViewError(TessyError, OSError):
    """The pages of a run can't be served: the port is taken, or the index can't be kept."""


class ServeError(TessyError, OSError):
    """`tessy serve` can't listen at its address: the port is taken, or it is not this machine's."""


class Outage(TessyError):
    """A model server is down; the run stopped and can be resumed."""


def error_of(said: Mapping[str, Any]) -> TessyError:
    """The error that another process raised, from its `TessyError.as_json`."""
    kind = globals().get(said["kind"], TessyError)
    made: TessyError = kind(said["message"], hint=said["hint"])
    return made
