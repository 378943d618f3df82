"""What a run will cost, from a few figures about one trajectory and two servers. Pure.

A hand-over costs a request: until the next model's first token nothing is written. So one
trajectory takes, for each model, its requests × time to first token + its tokens × time a token.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import fmean

from tessy.config import Config, ModelRole, role_of
from tessy.method.trajectory import Role
from tessy.models.pace import ServerPace
from tessy.report.figures.intervals import Interval

HAND_OVERS = Interval(110, 60, 170)
"""Assumed hand-overs in 1,000 words of English reasoning (docs/serving.md: how it was counted)."""
LEFT = {1: 1.0, 2: 0.44, 3: 0.34, 4: 0.27, 5: 0.20}
"""Share of them that is left if the student takes over from so many words of style on (counted in
replayed traces, docs/handover.md; 4 lies between)."""
STUDENT_WORDS = 0.16
"""Assumed share of the words that the student writes (as above)."""
TOKENS_A_WORD = 1.6
"""Assumed tokens of a word (as above)."""
DISCARDED_WORDS = 2
"""Assumed words that a hand-over discards (docs/performance.md, "Real text")."""
WORDS_TO_BE_SURE = 0.6
"""Assumed words more for each word that the student's spans need at least (as `LEFT`)."""
TRAJECTORY_TOKENS = 14_602
"""Assumed length of a response (paper, Fig. 12: the mean with gpt-oss)."""


@dataclass(frozen=True, slots=True)
class ModelWork:
    """What one model does for one trajectory, in the mean.

    Attributes:
        tokens: Tokens that it generates, discarded ones included.
        requests: Calls to it.
    """

    tokens: Interval
    requests: float

    def seconds(self, pace: ServerPace) -> float:
        """How long it takes for that on a server that does nothing else."""
        return self.requests * pace.first_token_s + self.tokens.value * pace.token_s


@dataclass(frozen=True, slots=True)
class TrajectoryCost:
    """One trajectory, in the mean.

    Attributes:
        work: What each model does for it.
        hand_overs: Hand-overs in 1,000 words.
        discarded: The share of the generated tokens that is discarded.
        length: Tokens of a whole response.
        seconds: From its first call to its end; nan if not known.
        longest_s: The most that one took.
        at_once: How many were written at once when the seconds were measured, in the mean; None
            if they were not measured but follow from the servers' pace.
        limit: What makes the assumed length shorter; None if nothing does.
    """

    work: Mapping[Role, ModelWork]
    hand_overs: Interval
    discarded: Interval
    length: float
    seconds: Interval
    longest_s: float
    at_once: float | None = None
    limit: str | None = None


@dataclass(frozen=True, slots=True)
class RunCost:
    """What a run will cost.

    Attributes:
        samples: Trajectories.
        tokens: Tokens to generate, by role.
        requests: Calls, by role.
        at_once: How many can be written at once: no more than there are, than the settings say and
            than the servers have room for, where that is known.
        least_s: Wall time if so many at once are as fast as those that were measured.
        most_s: Wall time if the servers do no more in a second than was measured; None if that is
            not known.
    """

    samples: int
    tokens: Mapping[Role, Interval]
    requests: Mapping[Role, float]
    at_once: float
    least_s: float
    most_s: float | None


def assumed_length(
    config: Config, contexts: Mapping[ModelRole, int | None]
) -> tuple[int, str | None]:
    """The tokens of a response by the assumptions above, and no more than the run allows.

    Args:
        config: The run's settings.
        contexts: The context of each model's server in tokens; None if it is not known.

    Returns:
        The tokens, and what makes them fewer than assumed; None if nothing does.
    """
    limits = config.limits
    allowed = {
        "thinking_tokens and answer_tokens": limits.thinking_tokens + limits.answer_tokens,
        "context_tokens": limits.context_tokens,
    }
    allowed |= {f"the {model}'s context": tokens for model, tokens in contexts.items() if tokens}
    limit = min(allowed, key=allowed.__getitem__)
    if allowed[limit] >= TRAJECTORY_TOKENS:
        return TRAJECTORY_TOKENS, None
    return allowed[limit], limit


def assumed(
    paces: Mapping[Role, ServerPace | None],
    words: float = TRAJECTORY_TOKENS / TOKENS_A_WORD,
    hand_overs: Interval = HAND_OVERS,
    limit: str | None = None,
    minimum: int = 1,
) -> TrajectoryCost:
    """A trajectory of method `tessy` by the assumptions above, without its answer.

    At each hand-over `DISCARDED_WORDS` are discarded: the first of the other kind, and what follows
    until it is complete and the predictor is sure (docs/performance.md, "Real text").

    Args:
        paces: Of both servers, where known.
        words: Length of the trajectory.
        hand_overs: In 1,000 words, if the student takes over from one word on.
        limit: What makes it shorter than assumed.
        minimum: Words of style from which on it does (`handover.min_style_words`).
    """
    hand_overs = times(hand_overs, LEFT.get(minimum, LEFT[max(LEFT)]))
    overs = hand_overs.value * words / 1000
    lost = discarded_words(minimum) * overs
    shares = {Role.STUDENT: STUDENT_WORDS, Role.TEACHER: 1 - STUDENT_WORDS}
    work = {
        role: ModelWork(Interval(TOKENS_A_WORD * (share * words + lost / 2)), overs / 2)
        for role, share in shares.items()
    }
    seconds = math.nan
    known = {role: pace for role, pace in paces.items() if pace is not None}
    if len(known) == len(work):
        seconds = sum(work[role].seconds(pace) for role, pace in known.items())
    discarded = Interval(lost / (words + lost) if words else math.nan)
    length = TOKENS_A_WORD * words
    return TrajectoryCost(
        work, hand_overs, discarded, length, Interval(seconds), seconds, limit=limit
    )


def discarded_words(minimum: int) -> float:
    """Assumed words that a hand-over discards, if it takes so many words of style."""
    return DISCARDED_WORDS + WORDS_TO_BE_SURE * (minimum - 1)


def pace_of_roles(
    paces: Mapping[ModelRole, ServerPace | None],
) -> dict[Role, ServerPace | None]:
    """The pace of each role: that of several teachers is their mean, None if one is not known."""
    found: dict[Role, ServerPace | None] = {}
    for role in dict.fromkeys(map(role_of, paces)):
        every = [pace for model, pace in paces.items() if role_of(model) is role]
        known = [pace for pace in every if pace is not None]
        found[role] = None
        if len(known) == len(every):
            means = fmean(p.first_token_s for p in known), fmean(p.token_s for p in known)
            found[role] = ServerPace(*means)
    return found


def slots_of_roles(slots: Mapping[ModelRole, int | None]) -> dict[Role, int | None]:
    """The calls that each role's servers take at once, added up; None if one is not known."""
    found: dict[Role, int | None] = {}
    for role in dict.fromkeys(map(role_of, slots)):
        every = [count for model, count in slots.items() if role_of(model) is role]
        known = [count for count in every if count is not None]
        found[role] = sum(known) if len(known) == len(every) else None
    return found


def waiting(trajectory: TrajectoryCost, paces: Mapping[Role, ServerPace]) -> tuple[float, float]:
    """Seconds that a trajectory waits for first tokens, and seconds that it takes in all."""
    waits = sum(work.requests * paces[role].first_token_s for role, work in trajectory.work.items())
    return waits, sum(work.seconds(paces[role]) for role, work in trajectory.work.items())


def lanes(
    trajectory: TrajectoryCost, paces: Mapping[Role, ServerPace], slots: Mapping[Role, int | None]
) -> float:
    """How many trajectories servers with few slots write as fast as one alone.

    A trajectory is at one server at a time; the server that is short of slots decides.

    Args:
        trajectory: One of them, in the mean.
        paces: Of the servers, where known.
        slots: The calls that each server takes at once; None if that is not known.
    """
    busy = {
        role: work.seconds(paces[role]) for role, work in trajectory.work.items() if role in paces
    }
    in_all = sum(busy.values())
    known = [(slots.get(role), seconds) for role, seconds in busy.items() if seconds]
    if len(busy) < len(trajectory.work):
        return min((each for each in slots.values() if each), default=math.inf)
    return min((each * in_all / seconds for each, seconds in known if each), default=math.inf)


def run_cost(
    trajectory: TrajectoryCost, samples: int, concurrency: int, room: float = math.inf
) -> RunCost:
    """What a run of so many trajectories costs.

    A run takes at least as long as its longest trajectory, and as all of its trajectories divided
    by how many are written at once.

    Args:
        trajectory: One of them, in the mean.
        samples: How many.
        concurrency: How many are written at once.
        room: How many the servers can write at once, as far as known; more wait.
    """
    seconds = bounded(trajectory.seconds)
    at_once = max(1.0, min(concurrency, samples, max(room, trajectory.at_once or 0)))

    def wall(each: float, at_once: float) -> float:
        return max(trajectory.longest_s, samples * each / at_once) if samples else 0.0

    most = None
    if trajectory.at_once is not None:
        most = wall(seconds.high, max(1.0, min(at_once, trajectory.at_once)))
    return RunCost(
        samples=samples,
        tokens={role: times(work.tokens, samples) for role, work in trajectory.work.items()},
        requests={role: samples * work.requests for role, work in trajectory.work.items()},
        at_once=at_once,
        least_s=wall(seconds.low, at_once),
        most_s=most,
    )


def split(busy: Mapping[Role, float], gpus: int) -> dict[Role, int]:
    """How to split GPUs between the models so that the busier one has the least to do.

    Args:
        busy: Seconds of work for each model, on one GPU.
        gpus: How many there are; at least one for each model that has work.

    Returns:
        GPUs by role; a model without work gets none.
    """
    working = [role for role in busy if busy[role] > 0]
    if len(working) < 2:
        return {role: gpus if role in working else 0 for role in busy}
    first, second = working

    def slowest(of_first: int) -> float:
        return max(busy[first] / of_first, busy[second] / (gpus - of_first))

    best = min(range(1, gpus), key=slowest)
    return {first: best, second: gpus - best}


def times(figure: Interval, factor: float) -> Interval:
    """A figure multiplied by a number."""
    return Interval(figure.value * factor, figure.low * factor, figure.high * factor)


def bounded(figure: Interval) -> Interval:
    """A figure whose interval is the value itself where it is not known."""
    if math.isnan(figure.low):
        return Interval(figure.value, figure.value, figure.value)
    return figure
