"""The definition of a method."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from tessy.config import Config
from tessy.method.trajectory import Role
from tessy.models.templates import Messages
from tessy.synthesis.cooperation import answer, think_alone
from tessy.synthesis.sample import Draft, Sample

BOTH = frozenset(Role)


@dataclass(frozen=True, slots=True)
class Method:
    """A way of writing a sample.

    Attributes:
        name: Its name in settings and records.
        title: What it does, in a line.
        write: Writes a sample and returns the draft that is its response; raises `SampleFailed`.
        roles: The models that it needs.
        judged: Predictors decide where it hands over; otherwise no predictor is loaded.
        unless_verified: Models that it needs only without a verifier.
        schema: A JSON schema of its answers, for servers that take one.
        chosen: Which draft becomes the response is known only at the end.
        answerers: Who may write the answer; `answer_by` of the settings is not among them.
    """

    name: str
    title: str
    write: Callable[[Sample], Awaitable[Draft]]
    roles: frozenset[Role] = BOTH
    judged: bool = False
    unless_verified: frozenset[Role] = frozenset()
    schema: dict[str, Any] | None = None
    chosen: bool = False
    answerers: frozenset[Role] = frozenset({Role.STUDENT})

    def needs(self, config: Config) -> frozenset[Role]:
        """The models that a run with these settings needs."""
        return self.roles - self.unless_verified if config.verify else self.roles


async def written_by(
    sample: Sample,
    thinker: Role,
    answerer: Role | None = None,
    messages: Messages | None = None,
    *,
    auxiliary: bool = False,
) -> Draft:
    """Write a draft whose thinking is by one model.

    Args:
        sample: The sample.
        thinker: Who writes the thinking.
        answerer: Who writes the answer; by default the thinker.
        messages: As for `Sample.draft`.
        auxiliary: As for `Sample.draft`.

    Raises:
        SampleFailed: The draft has no answer that can be kept.
        ModelError: A model failed.
    """
    draft = sample.draft(messages, auxiliary=auxiliary)
    await think_alone(draft, thinker)
    await answer(draft, answerer or thinker)
    return draft
