"""Every exception that tessy raises, in one tree.

    TessyError
    ├── InputError            what the user gave cannot be used; nothing was done
    │   ├── ConfigError           (also ValueError)  a setting
    │   ├── QuestionsError        (also ValueError)  lines of a questions file
    │   ├── SegmentsError         (also ValueError)  traces, or lines of a segment file
    │   ├── AddressError          (also ValueError)  the name of a model, predictor or verifier
    │   ├── ExportError           (also ValueError)  a data set to export, or what is left of it
    │   ├── DatasetError          (also ValueError)  rows of a data set to train on
    │   └── RunMismatch           (also ValueError)  a run folder made with other settings
    ├── WeightsError          weights could not be fetched or do not match their checksum
    ├── LocalServerError      the embedded model server did not start, or died
    ├── MissingExtra          (also ImportError)  an optional dependency is needed
    ├── ModelError            one call to a model server failed for good
    │   ├── Unreachable           (also ConnectionError)  no connection, after retries
    │   ├── TimedOut              (also TimeoutError)     too slow, after retries
    │   ├── BadResponse           not what the protocol says (truncated, garbage), after retries
    │   ├── NotAStream            a whole answer to a call that asked for a stream; never retried
    │   ├── ServerFailure         5xx or 429, after retries
    │   └── Refused               4xx: the server will not do it; never retried
    ├── TrainingError         a training came to a loss that is no number
    ├── EvaluationError       the evaluation of a training's epoch failed
    ├── PredictorError        a boundary predictor failed or broke its protocol
    ├── SandboxError          programs can't be run in isolation here
    ├── JournalError          (also OSError)  the run's journal could not be written or read
    ├── HubError              (also OSError)  Hugging Face did not take an upload
    ├── RunLocked             another process is working in this run folder
    ├── ViewError             (also OSError)  a run's pages can't be served
    └── Outage                a model is gone; the run stopped and can be resumed

A failure of one *sample* is data, not an exception: see `tessy.Failure`. A message says
what is wrong; `hint`, where there is one, says what to write or do instead.
"""

from __future__ import annotations


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


class InputError(TessyError):
    """Something the user gave cannot be used; no work was spent."""


class ConfigError(InputError, ValueError):
    """A setting is missing, unknown or out of bounds."""


class QuestionsError(InputError, ValueError):
    """A questions file cannot be read, or lines of it are bad."""


class SegmentsError(InputError, ValueError):
    """Traces hold no thinking, or lines of a segment file are bad."""


class ExportError(InputError, ValueError):
    """What is to be exported can't be read, is no record, or nothing of it is kept."""


class DatasetError(InputError, ValueError):
    """A data set to train on cannot be read, or rows of it are bad."""


class AddressError(InputError, ValueError):
    """A model, predictor or verifier is named in a way that means nothing."""


class RunMismatch(InputError, ValueError):
    """A run folder holds a run of other settings or questions."""


class WeightsError(TessyError):
    """Model weights could not be fetched, or are not what they should be."""


class LocalServerError(TessyError):
    """The embedded model server did not start, or died."""


class MissingExtra(TessyError, ImportError):
    """An optional dependency is needed for what was asked."""


class ModelError(TessyError):
    """One call to a model server failed for good (after retries, where these make sense).

    Attributes:
        status: The HTTP status of the answer, or 0.
    """

    status: int = 0


class Unreachable(ModelError, ConnectionError):
    """No connection to the server, or it broke, at every attempt."""


class TimedOut(ModelError, TimeoutError):
    """Connecting, the first token or the whole call took too long, at every attempt."""


class BadResponse(ModelError):
    """The server answered something that the protocol does not allow, at every attempt."""


class NotAStream(ModelError):
    """The server gave a whole answer where a stream was asked for; no retry would change that."""


class ServerFailure(ModelError):
    """The server answered 408, 429 or 5xx at every attempt.

    Attributes:
        retry_after_s: Seconds that the server asked to wait; 0 if it did not say.
    """

    retry_after_s: float = 0.0


class Refused(ModelError):
    """The server refuses this request (a 4xx that no retry would change)."""


class TrainingError(TessyError):
    """A training came to a loss that is no number."""


class EvaluationError(TessyError):
    """The evaluation of a training's epoch failed; what is trained is there."""


class PredictorError(TessyError):
    """A boundary predictor failed, or its judgement makes no sense."""


class SandboxError(TessyError):
    """Programs can't be run in isolation here, and nobody asked to run them without."""


class JournalError(TessyError, OSError):
    """The journal of a run cannot be written or read."""


class HubError(TessyError, OSError):
    """Hugging Face can't be reached, or did not take an upload."""


class RunLocked(TessyError):
    """Another process is working in this run folder."""


class ViewError(TessyError, OSError):
    """The pages of a run can't be served: the port is taken, or no index can be kept."""


class Outage(TessyError):
    """A model server is gone; the run stopped where it was and can be resumed."""
