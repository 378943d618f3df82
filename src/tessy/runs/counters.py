"""The counts of a run. Pure; `runs.progress` shows them."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tessy.method.trajectory import Failure, Role, Trajectory, Turn
from tessy.runs.totals import EndedTotals, TokenTotals


@dataclass(slots=True)
class Counters(TokenTotals):
    """The counts of a run; tokens and calls are those since this start.

    Attributes:
        total: All samples of the run.
        finished: Samples that have an answer, including those of earlier starts.
        failed: Failed samples by reason, including those of earlier starts.
        running: Samples being written now.
        faults: Failed attempts at calls since this start, by role and kind of error.
        ended_before: Samples that ended at earlier starts.
        clock: Returns the time in seconds.
        over: No sample is written any more.
        bound: What the run waits for most, in a word; None if not known.
        paused: Running samples that wait until more may run at once.
        retrying: Calls that wait now until they are made again, by what messages call the model.
        called: What lines call the models, by role; by default their role.
    """

    total: int
    finished: int = 0
    failed: Counter[Failure] = field(default_factory=Counter)
    running: int = 0
    faults: dict[str, dict[str, int]] = field(default_factory=dict)
    ended_before: int = 0
    clock: Callable[[], float] = time.monotonic
    over: bool = False
    bound: str | None = None
    paused: int = 0
    retrying: dict[str, int] = field(default_factory=dict)
    called: dict[Role, str] = field(default_factory=lambda: {role: str(role) for role in Role})
    started: float = field(init=False)

    def __post_init__(self) -> None:
        self.started = self.clock()

    def turn(self, turn: Turn) -> None:
        """Count a turn."""
        self.generated[turn.role] += turn.tokens
        self.discarded[turn.role] += turn.discarded_tokens

    def reject(self, draft: Trajectory, others: Iterable[Trajectory] = ()) -> None:
        """Count a rejected draft: its kept tokens are now discarded, unless others copied them."""
        copied = [other.copied for other in others]
        for role, tokens in draft.tokens.items():
            self.discarded[role] += tokens - sum(each[role] for each in copied)

    def end(self, failure: Failure | None) -> None:
        """Count the end of a sample."""
        if failure is None:
            self.finished += 1
        else:
            self.failed[failure] += 1

    def as_json(self) -> dict[str, Any]:
        """The counts as JSON, for `add_up`."""
        return {
            "finished": self.finished,
            "failed": {reason.value: count for reason, count in self.failed.items()},
            "running": self.running,
            "generated": {role.value: tokens for role, tokens in self.generated.items()},
            "discarded": {role.value: tokens for role, tokens in self.discarded.items()},
            "requests": self.requests,
            "faults": self.faults,
            "bound": self.bound,
            "paused": self.paused,
            "retrying": self.retrying,
        }

    def add_up(
        self, parts: Iterable[dict[str, Any]], finished: int, failed: Counter[Failure]
    ) -> None:
        """Replace the counts by the sum of those of several processes.

        Args:
            parts: `as_json` of each process.
            finished: Samples that finished before these processes started.
            failed: Samples that failed before these processes started, by reason.
        """
        fresh = Counters(total=self.total, finished=finished, failed=failed.copy())
        bounds = Counter[str]()
        for part in parts:
            fresh.finished += part["finished"]
            fresh.running += part["running"]
            fresh.paused += part["paused"]
            bounds.update([part["bound"]] if part["bound"] and part["running"] else [])
            fresh.requests += part["requests"]
            for name, calls in part["retrying"].items() if part["running"] else ():
                fresh.retrying[name] = fresh.retrying.get(name, 0) + calls
            fresh.failed.update({Failure(name): n for name, n in part["failed"].items()})
            for role in Role:
                fresh.generated[role] += part["generated"][role]
                fresh.discarded[role] += part["discarded"][role]
            for role_name, kinds in part["faults"].items():
                known = Counter(fresh.faults.get(role_name, {}))
                fresh.faults[role_name] = dict(known + Counter(kinds))
        self.finished, self.failed, self.running = fresh.finished, fresh.failed, fresh.running
        self.generated, self.discarded = fresh.generated, fresh.discarded
        self.requests, self.faults = fresh.requests, fresh.faults
        self.retrying = fresh.retrying
        self.paused, self.bound = fresh.paused, next((b for b, _ in bounds.most_common(1)), None)

    @property
    def ended(self) -> int:
        """Samples that finished or failed."""
        return self.finished + self.failed.total()

    @property
    def seconds(self) -> float:
        """Seconds since this start."""
        return self.clock() - self.started

    def tokens_a_second(self, role: Role) -> float:
        """Tokens kept per second since this start, for one role."""
        return self.kept[role] / max(self.seconds, 1e-9)

    def figures(self) -> dict[str, float]:
        """What trackers log."""
        shares = {
            "share/teacher": self.teacher_share,
            "share/discarded": self.discarded_share,
            "requests/tokens": self.tokens_a_request,
        }
        return {
            "samples/finished": self.finished,
            "samples/failed": self.failed.total(),
            "samples/running": self.running,
            **{f"failed/{reason}": count for reason, count in self.failed.items()},
            **{f"tokens/{role}": self.kept[role] for role in self.writers},
            **{f"discarded/{role}": self.discarded[role] for role in self.writers},
            **{f"tokens_per_s/{role}": self.tokens_a_second(role) for role in self.writers},
            "requests/calls": self.requests,
            **{name: share for name, share in shares.items() if share is not None},
        }

    @property
    def eta_s(self) -> float | None:
        """Estimated seconds left, at the pace of this start.

        None before any sample has ended, and when no sample is written any more.
        """
        ended = self.ended - self.ended_before
        if ended <= 0 or self.over:
            return None
        return (self.total - self.ended) * self.seconds / ended


@dataclass(frozen=True, slots=True)
class RunResult:
    """The result of a run.

    Attributes:
        folder: The run's folder.
        total: All samples of the run.
        ended: The samples that ended, over all starts.
        stopped: The user stopped it before its end; the same command resumes it.
        seconds: Duration of this start.
        counters: The counts of this start.
        dataset: The file of the finished samples.
        url: Of a run at a URL, of which `folder` is a copy.
        failed_uploads: Uploads of this start that failed, and were tried again.
        left_out: Lines of the questions that a limit left out.
        begun_beyond: Samples to do of questions beyond the limit that an earlier start began.
    """

    folder: Path
    total: int
    ended: EndedTotals
    stopped: bool
    seconds: float
    counters: Counters
    dataset: Path
    url: str | None = None
    failed_uploads: int = 0
    left_out: int = 0
    begun_beyond: int = 0

    @property
    def finished(self) -> int:
        """Samples in the data set."""
        return self.ended.finished

    @property
    def failed(self) -> dict[Failure, int]:
        """Failed samples by reason."""
        return dict(self.ended.failed)

    @property
    def verdicts(self) -> dict[str, int]:
        """Finished samples by the verifier's verdict; empty without a verifier."""
        return dict(self.ended.verdicts)

    @property
    def remaining(self) -> int:
        """Samples that have not ended."""
        return self.total - self.finished - self.ended.failed.total()

    @property
    def accounts(self) -> str:
        """How the samples add up."""
        said = f"{self.total:,} = {self.finished:,} finished"
        said += f" + {self.ended.failed.total():,} failed"
        said += f" + {self.remaining:,} to do" if self.remaining else ""
        waiting = self.ended.waiting
        return said + (f", {waiting:,} of the failed to be written again" if waiting else "")

    def in_a_line(self) -> str:
        """How the samples add up, why some failed, and where they are."""
        reasons = ", ".join(f"{count:,} {name}" for name, count in sorted(self.failed.items()))
        because = f" ({reasons})" if reasons else ""
        return f"samples {self.accounts}{because}: {self.shown(self.folder)}"

    def __repr__(self) -> str:
        return f"<RunResult: {self.in_a_line()}>"

    def shown(self, path: Path) -> str:
        """What messages call the run's folder, or a file in it."""
        if self.url is None:
            return str(path)
        return "/".join((self.url, *path.relative_to(self.folder).parts))

    def figures(self) -> dict[str, float]:
        """What trackers log at the end."""
        accuracy = self.ended.accuracy
        return self.counters.figures() | ({} if accuracy is None else {"accuracy": accuracy})
