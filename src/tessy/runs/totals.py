"""What the samples of a run come to, over all its starts. Pure."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from tessy.method.trajectory import UNMEASURED, Failure, Role


@dataclass(slots=True, kw_only=True)
class TokenTotals:
    """Tokens that two models wrote, and the calls that it took.

    Attributes:
        generated: Tokens generated, by role.
        discarded: Of these, the tokens discarded.
        requests: Calls to the models.
    """

    generated: dict[Role, int] = field(default_factory=lambda: dict.fromkeys(Role, 0))
    discarded: dict[Role, int] = field(default_factory=lambda: dict.fromkeys(Role, 0))
    requests: int = 0

    def add(self, other: TokenTotals) -> None:
        """Add the tokens and calls of another."""
        for role in Role:
            self.generated[role] += other.generated[role]
            self.discarded[role] += other.discarded[role]
        self.requests += other.requests

    @property
    def kept(self) -> dict[Role, int]:
        """Tokens kept, by role."""
        return {role: self.generated[role] - self.discarded[role] for role in Role}

    @property
    def writers(self) -> list[Role]:
        """Roles that have written; both before any has."""
        return [role for role in Role if self.generated[role]] or list(Role)

    @property
    def teacher_share(self) -> float | None:
        """The teacher's share of the kept tokens (paper, Fig. 17); None if there are none."""
        return _ratio(self.kept[Role.TEACHER], sum(self.kept.values()))

    @property
    def discarded_share(self) -> float | None:
        """The share of generated tokens that were discarded; None if there are none."""
        return _ratio(sum(self.discarded.values()), sum(self.generated.values()))

    @property
    def tokens_a_request(self) -> float | None:
        """Tokens kept per call; None before the first call."""
        return _ratio(sum(self.kept.values()), self.requests)


def is_wrong(failure: Failure, *, evaluation: bool) -> bool:
    """Whether a failed sample counts as a wrong answer.

    In an evaluation it does whenever the model failed, as `tessy eval` counts. In other runs only
    a rejected answer does: the other ones are in no data set, so nothing is known of them.

    Args:
        failure: Why it failed.
        evaluation: It is a sample of an evaluation.
    """
    return failure not in UNMEASURED if evaluation else failure is Failure.REJECTED


@dataclass(slots=True)
class EndedTotals:
    """The samples of a run that ended, at whichever start.

    Attributes:
        finished: How many finished.
        failed: How many failed, by reason.
        verdicts: Finished samples by the verifier's verdict; empty without a verifier.
        teachers: Finished samples by the name of their teacher; empty if there is only one.
        tokens: Tokens and calls of those that finished.
        lost: Tokens generated for those that failed.
        replaced: Tokens generated for failures that were written again and ended.
        evaluation: They are of an evaluation.
        verifier: Their run has a verifier.
        again: Samples that were written again after a failure, so that they had another chance.
        waiting: Failed samples that are still to be written again.
    """

    finished: int = 0
    failed: Counter[Failure] = field(default_factory=Counter)
    verdicts: Counter[str] = field(default_factory=Counter)
    teachers: Counter[str] = field(default_factory=Counter)
    tokens: TokenTotals = field(default_factory=TokenTotals)
    lost: int = 0
    replaced: int = 0
    evaluation: bool = False
    verifier: bool = False
    again: int = 0
    waiting: int = 0

    @property
    def ended(self) -> int:
        """How many ended."""
        return self.finished + self.failed.total()

    @property
    def verified(self) -> int:
        """Samples whose answer is right or wrong."""
        return self.verdicts.total() - self.verdicts["error"] + self.failed_wrong

    @property
    def failed_wrong(self) -> int:
        """Failed samples that count as wrong answers."""
        failed = self.failed.items()
        return sum(n for why, n in failed if is_wrong(why, evaluation=self.evaluation))

    @property
    def accuracy(self) -> float | None:
        """The share of right answers among those that were verified; None if none was."""
        return _ratio(self.verdicts["right"], self.verified)

    @property
    def lost_share(self) -> float | None:
        """The share of generated tokens that went into failures; None if there are none."""
        lost = self.lost + self.replaced
        return _ratio(lost, sum(self.tokens.generated.values()) + lost)

    def add(self, other: EndedTotals) -> None:
        """Add the samples of another shard."""
        self.finished += other.finished
        self.failed += other.failed
        self.verdicts += other.verdicts
        self.teachers += other.teachers
        self.tokens.add(other.tokens)
        self.lost += other.lost
        self.replaced += other.replaced
        self.again += other.again
        self.waiting += other.waiting

    def count(
        self,
        samples: int,
        *,
        failure: Failure | None,
        verdict: str | None,
        teacher: str | None,
        tokens: TokenTotals,
    ) -> None:
        """Count samples that are alike.

        Args:
            samples: How many they are.
            failure: Why they failed; None if they finished.
            verdict: The verifier's verdict; None if there is none.
            teacher: The name of their teacher; None if there is only one.
            tokens: What they come to.
        """
        if failure is not None:
            self.failed[failure] += samples
            self.lost += sum(tokens.generated.values())
            return
        self.finished += samples
        self.tokens.add(tokens)
        if verdict is not None:
            self.verdicts[verdict] += samples
        if teacher is not None:
            self.teachers[teacher] += samples


def _ratio(part: float, whole: float) -> float | None:
    return part / whole if whole else None
