"""What a method is."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

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
        name: As in the settings and in records.
        title: What it does, in a line.
        write: Writes a sample and returns the draft that is its response; raises `SampleFailed`.
        roles: The models that it needs.
        judged: It hands over where predictors say so; without, none is loaded.
        unless_verified: Models that it needs only where no verifier is set.
    """

    name: str
    title: str
    write: Callable[[Sample], Awaitable[Draft]]
    roles: frozenset[Role] = BOTH
    judged: bool = False
    unless_verified: frozenset[Role] = frozenset()

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
    """A draft whose thinking is one model's.

    Args:
        sample: Whose draft it is.
        thinker: Writes the thinking.
        answerer: Writes the answer; by default the same.
        messages: As for `Sample.draft`.
        auxiliary: As for `Sample.draft`.

    Raises:
        SampleFailed: It came to no answer.
    """
    draft = sample.draft(messages, auxiliary=auxiliary)
    await think_alone(draft, thinker)
    await answer(draft, answerer or thinker)
    return draft
