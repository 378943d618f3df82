"""What an export came to, as it grows: kept + dropped = input."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from tessy.exporting.drops import Reason
from tessy.exporting.sample import Sample


@dataclass(slots=True)
class Counts:
    """Numbers of an export.

    Attributes:
        read: Samples that were read.
        kept: Samples that were written, by split.
        dropped: Samples that were not, by reason.
        tokens: Of what was kept, by author; each model counted its own.
        forced: Samples kept that hold words kept only for Progress.
        methods: How what was kept was written.
        models: Who wrote it, by role: the name of each and its number of samples.
    """

    read: int = 0
    kept: Counter[str] = field(default_factory=Counter)
    dropped: Counter[Reason] = field(default_factory=Counter)
    tokens: Counter[str] = field(default_factory=Counter)
    forced: int = 0
    methods: Counter[str] = field(default_factory=Counter)
    models: dict[str, Counter[str]] = field(default_factory=dict)

    @property
    def teacher_share(self) -> float:
        """The teacher's share of all tokens that were kept."""
        return self.tokens["teacher"] / max(1, self.tokens.total())

    def keep(self, sample: Sample, split: str) -> None:
        """Count a sample that was written."""
        self.kept[split] += 1
        stats = sample.record["stats"]
        self.tokens["student"] += stats["student_tokens"]
        self.tokens["teacher"] += stats["teacher_tokens"]
        self.forced += bool(sample.forced)
        self.methods[str(sample.record.get("method", "not known"))] += 1
        for role, name in (sample.record.get("models") or {}).items():
            self.models.setdefault(role, Counter())[str(name)] += 1

    def lines(self) -> Sequence[str]:
        """What to say of it, reasons in the order of their number."""
        kept = " + ".join(f"{number} {split}" for split, number in self.kept.items())
        said = [f"{self.read} read = {self.kept.total()} kept + {self.dropped.total()} dropped"]
        if len(self.kept) > 1:
            said.append(f"kept: {kept}")
        said += [f"dropped: {number} {reason}" for reason, number in self.dropped.most_common()]
        return said
