"""A sample to export, the reasons to drop one, and counts of both. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from tessy.data.messages import REASONING, conversation
from tessy.data.record import check_spans
from tessy.verifiers.protocol import VerdictOutcome, not_right, outcome_of


@dataclass(frozen=True, slots=True)
class ExportSample:
    """A record of a data set that tessy wrote.

    Attributes:
        record: All of it (docs/record.md). It is never changed.
    """

    record: dict[str, Any]

    @property
    def id(self) -> str:
        """Its id; unique in its run."""
        return str(self.record["id"])

    @property
    def messages(self) -> list[dict[str, str]]:
        """The conversation; the last message is the assistant's."""
        messages: list[dict[str, str]] = self.record["messages"]
        return messages

    @property
    def content(self) -> str:
        """The response: thinking and answer."""
        return self.messages[-1]["content"]

    @property
    def spans(self) -> list[dict[str, Any]]:
        """Who wrote which characters of the response."""
        spans: list[dict[str, Any]] = self.record["spans"]
        return spans

    @property
    def tokens(self) -> int:
        """Tokens of the response; each model counted its own."""
        stats = self.record["stats"]
        return int(stats["student_tokens"] + stats["teacher_tokens"])

    @property
    def method(self) -> str:
        """How it was written."""
        return str(self.record.get("method", ""))

    @property
    def teacher_share(self) -> float:
        """The teacher's share of the response's tokens, 0 to 1 (paper, Fig. 17)."""
        return float(self.record["stats"]["teacher_tokens"]) / max(1, self.tokens)

    @property
    def outcome(self) -> VerdictOutcome | None:
        """What the run's verifier decided about its answer; None without a verdict."""
        return outcome_of(self.record)

    @property
    def forced(self) -> int:
        """Number of spans that were kept only so that the text went on (*Progress*)."""
        return sum(bool(span.get("forced")) for span in self.spans)


def check(row: Any) -> ExportSample:
    """Make a sample of a row.

    Args:
        row: What a line holds; a `ValueError` if the line could not be read.

    Raises:
        ValueError: It is no record; the message says what is wrong with it.
    """
    if isinstance(row, ValueError):
        raise row
    if not isinstance(row, dict):
        raise ValueError(f"a record is an object, not {type(row).__name__}")
    for name in ("id", "messages", "spans", "stats"):
        if row.get(name) is None:
            raise ValueError(f"{name} is missing")
    if not isinstance(row["id"], str) or not row["id"]:
        raise ValueError(f"id must be text, not {row['id']!r}")
    messages = conversation(row["messages"], "messages", last="assistant", may_end_empty=True)
    if len(messages) < 2:
        raise ValueError("messages must be a list with a question and a response")
    if REASONING in messages[-1]:
        raise ValueError(f"the response has {REASONING}: a record's thinking is in its content")
    check_spans(messages[-1]["content"], row["spans"])
    for name in ("student_tokens", "teacher_tokens"):
        value = row["stats"].get(name) if isinstance(row["stats"], Mapping) else None
        if type(value) is not int or value < 0:
            raise ValueError(f"stats.{name} must be a number of tokens, not {value!r}")
    if not isinstance(row.get("models") or {}, Mapping):
        raise ValueError(f"models must be names by role, not {row['models']!r}")
    return ExportSample({**row, "messages": list(messages)})


class Reason(StrEnum):
    """Why a sample is not exported; docs/export.md says more about each."""

    REJECTED = "rejected"
    """A reader rejected it."""
    NOT_ACCEPTED = "not_accepted"
    """No reader accepted it."""
    NOT_RIGHT = "not_right"
    """Its answer is not right, or was not verified."""
    METHOD = "method"
    """Another method wrote it."""
    FORCED = "forced"
    """It holds words that were kept only for *Progress*."""
    TEACHER_SHARE_LOW = "teacher_share_low"
    """The teacher wrote too little of it."""
    TEACHER_SHARE_HIGH = "teacher_share_high"
    """The teacher wrote too much of it."""
    TOO_LONG = "too_long"
    """It has too many tokens."""
    NOT_EXPRESSIBLE = "not_expressible"
    """The format has no place for its conversation."""
    CONTAMINATED = "contaminated"
    """It shares words with a test question."""
    NEAR_DUPLICATE = "near_duplicate"
    """Its response is nearly that of a sample that was kept."""


@dataclass(frozen=True, slots=True)
class Drop:
    """Why one sample is dropped.

    Attributes:
        reason: The documented reason.
        detail: What exactly, in a phrase.
    """

    reason: Reason
    detail: str


@dataclass(slots=True)
class ExportCounts:
    """What an export has done so far: kept + dropped = read.

    Attributes:
        read: Samples that were read.
        kept: Samples that were written, by split.
        dropped: Samples that were not, by reason.
        tokens: Tokens of what was kept, by author; each model counted its own.
        forced: Kept samples with words that were kept only for *Progress*.
        methods: Kept samples by the method that wrote them.
        models: Kept samples by role and by the name of the model in that role.
        repeated: Kept samples with the id of an earlier one, where there are several sources.
        outcomes: Kept samples by what their run's verifier decided; None without a verdict.
        verified: Samples that were read and have a verdict.
    """

    read: int = 0
    kept: Counter[str] = field(default_factory=Counter)
    dropped: Counter[Reason] = field(default_factory=Counter)
    tokens: Counter[str] = field(default_factory=Counter)
    forced: int = 0
    methods: Counter[str] = field(default_factory=Counter)
    models: dict[str, Counter[str]] = field(default_factory=dict)
    repeated: int = 0
    outcomes: Counter[VerdictOutcome | None] = field(default_factory=Counter)
    verified: int = 0

    @property
    def teacher_share(self) -> float:
        """The teacher's share of all tokens that were kept, 0 to 1."""
        return self.tokens["teacher"] / max(1, self.tokens.total())

    def keep(self, sample: ExportSample, split: str) -> None:
        """Count a sample that was written."""
        self.kept[split] += 1
        stats = sample.record["stats"]
        self.tokens["student"] += stats["student_tokens"]
        self.tokens["teacher"] += stats["teacher_tokens"]
        self.forced += bool(sample.forced)
        self.outcomes[sample.outcome] += 1
        self.methods[str(sample.record.get("method", "not known"))] += 1
        for role, name in (sample.record.get("models") or {}).items():
            self.models.setdefault(role, Counter())[str(name)] += 1

    def lines(self) -> list[str]:
        """The numbers for people, a line each; the most frequent reason first."""
        lines = [f"{self.read} read = {self.kept.total()} kept + {self.dropped.total()} dropped"]
        if len(self.kept) > 1:
            splits = (f"{number} {split}" for split, number in self.kept.items())
            lines.append(f"kept: {' + '.join(splits)}")
        lines += [f"dropped: {number} {reason}" for reason, number in self.dropped.most_common()]
        return lines

    def wrong(self) -> str | None:
        """How many kept samples are not known to be right, in a line; None if all are.

        Also None if none has a verdict.
        """
        others = not_right(self.outcomes)
        if others is None and self.verified and (unknown := self.outcomes[None]):
            others = f"{unknown:,} not verified"
        return f"not right among what is kept: {others}" if others else None
