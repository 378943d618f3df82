"""What a run will cost, in words: the rows of a dry run, and doctor's lines about hand-overs."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence

from tessy.config import ModelRole
from tessy.evaluation import cost
from tessy.evaluation.cost import TrajectoryCost
from tessy.evaluation.dry_run import DryRun
from tessy.method.trajectory import Failure, Role
from tessy.models.address import parse_all
from tessy.models.doctor import Finding, milliseconds
from tessy.models.pace import STREAMS, ServerPace
from tessy.report.document import decimal, percent
from tessy.report.figures.intervals import Interval
from tessy.runs.progress import duration

_WIDTH = 80
"""Characters in a row."""


def rows(found: DryRun, gpus: int | None = None) -> list[tuple[str, str]]:
    """What a dry run found, in words: lines with a label each; a label may be empty.

    Args:
        found: What it found.
        gpus: GPUs to split between the models.
    """
    run, trajectory = found.run, found.trajectory
    made = [("samples", _samples(found)), *_warning(found)]
    if not run.samples:
        return made
    for role, tokens in run.tokens.items():
        calls = run.requests[role]
        asked = f"{_short(calls)} {'request' if calls == 1 else 'requests'}"
        made.append((str(role), f"{_amount(tokens)} tokens, {asked}"))
    made.append(("discarded", f"{percent(trajectory.discarded)} of these tokens"))
    made += _time(found)
    paces = cost.pace_of_roles({model: each.pace for model, each in found.findings.items()})
    known = {role: pace for role, pace in paces.items() if pace is not None}
    made += [("", ""), *_basis(found)]
    if len(known) == len(paces):
        waits, in_all = cost.waiting(trajectory, known)
        alone = f"{_seconds(waits)} of the {_seconds(in_all)} that a trajectory takes alone"
        share = f" ({waits / in_all:.0%})" if in_all else ""
        made.append(("first tokens", f"waiting for them is {alone}{share}"))
    if gpus is not None:
        made += _split(trajectory, known, gpus)
    made += [(f"{model}'s cache", _cache(found, model)) for model in found.findings]
    return made


def _lines(label: str, text: str) -> list[tuple[str, str]]:
    """A long text in several rows."""
    first, *others = textwrap.wrap(text, _WIDTH, break_on_hyphens=False)
    return [(label, first), *(("", each) for each in others)]


def _samples(found: DryRun) -> str:
    each = found.config.samples_per_question
    said = f"{found.questions:,} questions"
    if each > 1:
        said = f"{found.questions * each:,}: {each} of each of {said}"
    if not found.ended:
        return said
    return f"{found.run.samples:,} are left of {said}; {found.ended:,} have ended in this --out"


def _warning(found: DryRun) -> list[tuple[str, str]]:
    """That no sample finished, and what to change."""
    if found.accounts is None or found.accounts.ended > sum(found.accounts.failed.values()):
        return []
    limits = found.config.limits
    why = max(found.accounts.failed.items(), key=lambda each: each[1])[0]
    change = {
        Failure.THINKING_LIMIT: f"a larger --thinking-tokens ({limits.thinking_tokens:,} now), or "
        "--on-thinking-limit answer",
        Failure.ANSWER_LIMIT: f"a larger --answer-tokens ({limits.answer_tokens:,} now)",
        Failure.CONTEXT_LIMIT: f"a larger context_tokens below [limits] ({limits.context_tokens:,} "
        "now), or a server with a larger context",
    }.get(Failure(why), f"docs/failures.md says what to do about {why}")
    return _lines(
        "WARNING",
        f"no sample finished, most failed with {why}: the figures are of samples that fail. Change "
        f"this first: {change}",
    )


def _time(found: DryRun) -> list[tuple[str, str]]:
    run = found.run
    at_once = f"{max(1.0, run.at_once):,.0f}"
    if math.isnan(run.least_s):
        why = "a server does not stream, sends its tokens together, or writes nothing"
        return [("time", f"not known: {why}; --sample 20 measures it")]
    if run.most_s is None:
        why = f"if {at_once} at once are as fast as one alone; --sample 20 measures more"
        return [("time", f"at least {_wall(run.least_s)}, {why}")]
    measured = found.trajectory.at_once or 1
    least, most = _wall(run.least_s), _wall(run.most_s)
    if least == most:
        return [("time", f"about {least}")]
    return [
        ("time", f"{least} to {most}"),
        *_lines(
            "",
            f"the less if {at_once} at once are as fast as the {measured:.0f} that the sample had "
            "in the mean, the more if the servers do no more in a second than they did for it; a "
            "larger --sample, with more at once, narrows this",
        ),
    ]


def _wall(seconds: float) -> str:
    return "a second" if seconds < 1.5 else duration(seconds)


def _basis(found: DryRun) -> list[tuple[str, str]]:
    """What the figures rest on."""
    trajectory, accounts = found.trajectory, found.accounts
    length, overs = f"{trajectory.length:,.0f} tokens", decimal(trajectory.hand_overs, 0)
    if accounts is None:
        lost = cost.discarded_words(found.config.handover.min_style_words)
        assumed = (
            f"{length} a response{_capped(trajectory)}, {overs} hand-overs in 1,000 words, "
            f"{lost:g} words discarded at each, {cost.STUDENT_WORDS:.0%} of the "
            f"words by the student, {cost.TOKENS_A_WORD} tokens a word (docs/serving.md); "
            "--sample 20 measures it"
        )
        return [*_lines("assumed", assumed), *_paces(found)]
    failed = "".join(f", {count:,} {reason}" for reason, count in accounts.failed.items())
    finished = accounts.ended - sum(accounts.failed.values())
    of = accounts.all.figures
    return [
        ("sample", f"{accounts.ended:,} questions, drawn at random: {finished:,} finished{failed}"),
        ("a response", f"{length}, {overs} hand-overs in 1,000 words of thinking,"),
        ("", f"{decimal(of['requests_a_sample'], 0)} requests, "
             f"{decimal(of['seconds_a_sample'], 1)} s; intervals are 95%, over questions"),
        *_paces(found),
    ]  # fmt: skip


def _capped(trajectory: TrajectoryCost) -> str:
    if trajectory.limit is None:
        return ""
    return f" (no more by {trajectory.limit}, else {cost.TRAJECTORY_TOKENS:,})"


def _paces(found: DryRun) -> list[tuple[str, str]]:
    return [
        line
        for model, each in found.findings.items()
        for line in _lines(f"{model}'s server", _pace(each.pace))
    ]


def _pace(pace: ServerPace | None) -> str:
    if pace is None:
        return (
            "its pace could not be told: it does not stream, sends its tokens together, or is busy "
            "(then try again)"
        )
    first, token = milliseconds(pace.first_token_s), milliseconds(pace.token_s)
    return f"{first} to the first token, {token} a token, alone (median of {STREAMS} streams)"


def _split(
    trajectory: TrajectoryCost, paces: Mapping[Role, ServerPace], gpus: int
) -> list[tuple[str, str]]:
    if len(paces) < len(trajectory.work):
        return [("GPUs", "not known: the pace of a server could not be told")]
    busy = {role: work.seconds(paces[role]) for role, work in trajectory.work.items()}
    in_all = sum(busy.values()) or 1.0
    said = [
        f"{gpus_of_it} for the {role} ({busy[role] / in_all:.0%} of the work)"
        for role, gpus_of_it in cost.split(busy, gpus).items()
    ]
    return [
        ("GPUs", f"of {gpus}: {', '.join(said)}, if each server has one GPU now"),
        ("", "for a model that needs several GPUs, count each server as one: --gpus SERVERS"),
    ]


def _cache(found: DryRun, model: ModelRole) -> str:
    finding, length = found.findings[model], found.trajectory.length
    each, tokens = finding.kv_bytes, finding.cache_tokens
    said = []
    if each:
        said.append(f"{each / 1000:,.0f} KB a token, {_bytes(each * length)} a response")
    if tokens:
        servers = len(parse_all(found.config.address_of(model)))
        fit = int(tokens * servers // max(length, 1))
        said.append(f"its {tokens * servers:,} tokens hold {fit:,} whole responses")
        if fit < found.run.at_once:
            said.append(f"so --concurrency {max(fit, 1)}: beyond it, prefixes are computed again")
    else:
        said.append("its size is not known: vLLM's log says it")
    return "; ".join(said)


def hand_over_lines(findings: Sequence[Finding]) -> list[str]:
    """What hand-overs will cost, by the assumptions of `evaluation.cost`, or why it is not known.

    Args:
        findings: About the student and the teacher, or several teachers.
    """
    student = [each.pace for each in findings if each.model is Role.STUDENT]
    teachers = [each for each in findings if each.model is not Role.STUDENT]
    lines = []
    for each in teachers:
        label = "" if each.model is Role.TEACHER else f"{each.model}: "
        for pace in student:
            if pace and each.pace:
                told = _hand_overs({Role.STUDENT: pace, Role.TEACHER: each.pace})
                lines += [label + line for line in told]
    measured = (
        f"measured: each server alone, the median of {STREAMS} streams; of your questions: "
        "tessy synth … --dry-run --sample 20"
    )
    if lines:
        return [*lines, measured]
    unknown = [str(each.model) for each in findings if each.capabilities and each.pace is None]
    is_down = any(not each.capabilities and not each.pace for each in findings)
    if is_down or not unknown:
        return []
    return [
        f"what a hand-over costs is not known: the {' and the '.join(unknown)} did not stream, "
        "wrote nothing, or sent tokens together (a fast model, or a busy machine: try again)"
    ]


def _hand_overs(paces: Mapping[Role, ServerPace]) -> list[str]:
    (waits, in_all), (least, of_least), (most, of_most) = (
        cost.waiting(cost.assumed(paces, 1000, Interval(each)), paces)
        for each in (cost.HAND_OVERS.value, cost.HAND_OVERS.low, cost.HAND_OVERS.high)
    )
    if not min(in_all, of_least, of_most):
        return []
    overs = cost.HAND_OVERS.value
    return [
        f"in 1,000 words: about {overs:.0f} hand-overs × {milliseconds(waits / overs)} = "
        f"{_seconds(waits)} of {_seconds(in_all)} ({waits / in_all:.0%} of the wall time of one "
        "trajectory)",
        f"assumed: {overs:.0f} hand-overs; with {cost.HAND_OVERS.low:.0f} to "
        f"{cost.HAND_OVERS.high:.0f}, as models differ, {least / of_least:.0%} to "
        f"{most / of_most:.0%} (docs/serving.md)",
    ]


def _amount(figure: Interval) -> str:
    """A number of tokens with its interval: `1.3 M (1.1 M–1.5 M)`."""
    said = _short(figure.value)
    if math.isnan(figure.low) or figure.low == figure.high:
        return said
    return f"{said} ({_short(figure.low)}–{_short(figure.high)})"


def _short(number: float) -> str:
    for size, unit in ((1e9, "G"), (1e6, "M")):
        if number >= size:
            return f"{number / size:,.1f} {unit}"
    return f"{number:,.0f}"


def _bytes(count: float) -> str:
    return f"{count / 1e9:,.1f} GB" if count >= 1e8 else f"{count / 1e6:,.1f} MB"


def _seconds(seconds: float) -> str:
    if seconds < 1:
        return milliseconds(seconds)
    return f"{seconds:.1f} s" if seconds < 60 else duration(seconds)
