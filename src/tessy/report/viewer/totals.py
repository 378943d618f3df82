"""What the samples of a run, or of a filter, come to. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from tessy.method.trajectory import UNMEASURED, Failure
from tessy.report.figures.intervals import Interval, QuestionSums, right_share, wilson

_UNMEASURED = ", ".join(f"'{reason}'" for reason in UNMEASURED)
_UNANSWERED = f"(outcome is null and reason is not null and reason not in ({_UNMEASURED}))"
TOTALS = f"""
    count(*), sum(reason is not null),
    sum(outcome = 'right'), sum(outcome = 'wrong'), sum(outcome = 'no_answer'),
    sum(outcome = 'error'), sum(reason is null and outcome is null), sum({_UNANSWERED}),
    sum(tokens) filter (where reason is null), sum(teacher) filter (where reason is null),
    sum(discarded) filter (where reason is null), sum(requests) filter (where reason is null),
    sum(seconds) filter (where reason is null),
    sum(tokens + discarded) filter (where reason is not null),
    sum(reason = '{Failure.BAD_QUESTION}')
"""
"""The fields of `SampleTotals` as SQL, in order, of the index's table of samples."""
BY_QUESTION = f"""
    select count(*), sum(part), sum(whole), sum(part * part), sum(part * whole), sum(whole * whole)
    from (
        select sum(coalesce(outcome, '') = 'right') as part,
            sum(
                coalesce(outcome, '') in ('right', 'wrong', 'no_answer')
                or {{evaluation:d}} and {_UNANSWERED}
            ) as whole
        from samples {{where}} group by position / {{several}}
    ) where whole > 0
"""
"""The fields of `QuestionSums` of a run with several samples of a question."""


@dataclass(frozen=True, slots=True)
class SampleTotals:
    """Sums over samples that ended.

    Attributes:
        samples: How many they are.
        failed: How many failed.
        right: How many answers are right, by the run's verifier.
        wrong: How many are wrong, those that were rejected included.
        no_answer: How many have nothing that could be an answer.
        error: How many could not be verified.
        unverified: How many finished without a verdict.
        unanswered: How many the model failed, without a verdict.
        tokens: Kept, of both models, in samples that finished; the next four are of them, too.
        teacher: Kept, of the teacher.
        discarded: Tokens discarded, of both models.
        requests: Calls to both models.
        seconds: From the first call of each sample to its end, added up.
        lost: Tokens generated for samples that failed.
        bad: How many are bad lines, of which no model was asked; they failed, too.
        by_question: The right ones over questions; None if each has one sample.
        evaluation: They are of an evaluation: what the model failed is wrong.
    """

    samples: int = 0
    failed: int = 0
    right: int = 0
    wrong: int = 0
    no_answer: int = 0
    error: int = 0
    unverified: int = 0
    unanswered: int = 0
    tokens: int = 0
    teacher: int = 0
    discarded: int = 0
    requests: int = 0
    seconds: float = 0.0
    lost: int = 0
    bad: int = 0
    by_question: QuestionSums | None = None
    evaluation: bool = False

    @property
    def accuracy(self) -> Interval | None:
        """The share of right ones among right and wrong ones; None if there are none."""
        failed = self.unanswered if self.evaluation else 0
        verified = self.right + self.wrong + self.no_answer + failed
        if not verified:
            return None
        sums = self.by_question
        return wilson(self.right, verified) if sums is None else right_share(sums)

    @property
    def teacher_share(self) -> float | None:
        """The teacher's share of the kept tokens, 0 to 1."""
        return self.teacher / self.tokens if self.tokens else None

    @property
    def discarded_share(self) -> float | None:
        """The share of the generated tokens that were discarded, 0 to 1."""
        generated = self.tokens + self.discarded
        return self.discarded / generated if generated else None

    @property
    def tokens_a_call(self) -> float | None:
        """Kept tokens for each call."""
        return self.tokens / self.requests if self.requests else None

    @property
    def seconds_a_call(self) -> float | None:
        """Seconds for each call, what a sample waited for included."""
        return self.seconds / self.requests if self.requests else None
