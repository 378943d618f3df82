"""What the index holds of a sample: its row in a list, and its words. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tessy.data.record import MARKERS
from tessy.method.trajectory import Failure
from tessy.verifiers.protocol import VerdictOutcome, outcome_of

TOKENIZE = "unicode61"
VERSION = 4
SCHEMA = f"""
create table samples (
    position   integer primary key,   -- in the order of the questions
    id         text not null,
    shard      integer not null,
    change     integer not null,      -- the transaction of the shard's journal that wrote it
    reason     text,
    outcome    text,                  -- of its verifier; null without one
    share      real,
    tokens     integer not null,
    teacher    integer not null,
    discarded  integer not null,
    hand_overs integer not null,
    seconds    real not null,
    requests   integer not null,
    question   text not null,
    words      integer                -- its row in the full-text index; null until it is there
);
create index ids on samples (id);
create index reasons on samples (reason);
create index unread on samples (position) where words is null;
create virtual table words using fts5 (
    text, content = '', detail = none, tokenize = '{TOKENIZE}'
);
create table shards (
    number     integer primary key,
    journal    text not null,         -- the journal's own id
    change     integer not null       -- transactions before this one have been read
);
create table run (path text not null);
pragma user_version = {VERSION};
"""
_BEGINNING = 200
"""Characters of a question that a list shows."""


@dataclass(frozen=True, slots=True)
class IndexRow:
    """A sample that ended, as a list shows it; in the order of the index's columns.

    Attributes:
        position: In the order of the questions.
        id: Unique in the run.
        reason: Why it failed; None if it finished.
        outcome: What its verifier decided; None without one.
        share: The teacher's share of the kept tokens, 0 to 1; None if there are none.
        tokens: Kept, of both models.
        teacher: Kept, of the teacher.
        discarded: Tokens discarded, of both models.
        hand_overs: Changes of author in the thinking.
        seconds: From its first call to its end.
        requests: Calls to both models.
        question: The beginning of the user's last message.
    """

    position: int
    id: str
    reason: Failure | None
    outcome: VerdictOutcome | None
    share: float | None
    tokens: int
    teacher: int
    discarded: int
    hand_overs: int
    seconds: float
    requests: int
    question: str

    @property
    def tokens_a_call(self) -> float:
        """Kept tokens for each call."""
        return self.tokens / max(self.requests, 1)

    @property
    def seconds_a_call(self) -> float:
        """Seconds for each call, what the sample waited for included."""
        return self.seconds / max(self.requests, 1)

    @classmethod
    def of(
        cls,
        position: int,
        sample_id: str,
        reason: str | None,
        seconds: float,
        requests: int,
        record: Any,
    ) -> IndexRow:
        """What a list shows of a sample.

        Args:
            position: In the order of the questions.
            sample_id: Unique in the run.
            reason: Why it failed, if it did.
            seconds: As the journal has them.
            requests: As the journal has them.
            record: A line of dataset.jsonl or failures.jsonl, as an object.
        """
        stats = record["stats"]
        tokens = stats["student_tokens"] + stats["teacher_tokens"]
        asked = [each["content"] for each in record["messages"] if each["role"] == "user"]
        line = " ".join(asked[-1][: 4 * _BEGINNING].split()) if asked else ""
        return cls(
            position=position,
            id=sample_id,
            reason=Failure(reason) if reason else None,
            outcome=outcome_of(record),
            share=stats["teacher_tokens"] / tokens if tokens else None,
            tokens=tokens,
            teacher=stats["teacher_tokens"],
            discarded=stats["student_discarded_tokens"] + stats["teacher_discarded_tokens"],
            hand_overs=stats["hand_overs"],
            seconds=seconds,
            requests=requests,
            question=line if len(line) <= _BEGINNING else line[:_BEGINNING] + "…",
        )


def searchable(record: dict[str, Any]) -> str:
    """The text of a record that is searched, without markers: question, response, why it failed."""
    texts = [message["content"] for message in record["messages"]]
    if "method" not in record:  # a failure; in others, these names are columns of the question
        texts += [record["content"], record["detail"]]
    text = "\n".join(texts)
    for marker in MARKERS:
        text = text.replace(marker, " ")
    return text
