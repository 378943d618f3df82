"""`tessy synth --dry-run`: what a run will cost, before it is begun.

It rests on what both servers do when they are idle (as `tessy doctor` measures it), and either on
assumptions about a trajectory or on a sample: some of the questions, drawn evenly, written as the
run would write them, in a temporary folder that is then deleted.
"""

from __future__ import annotations

import asyncio
import math
import tempfile
from collections import Counter
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import TypeVar

from tessy.boundary.registry import load_all
from tessy.config import Config
from tessy.data.exact import dumps
from tessy.data.questions import Question, read
from tessy.errors import ConfigError, Outage, TessyError
from tessy.evaluation import cost
from tessy.evaluation.cost import ModelWork, RunCost, TrajectoryCost, run_cost
from tessy.method.trajectory import Role
from tessy.models.address import parse_all
from tessy.models.doctor import Finding, examine, milliseconds
from tessy.models.open import check, check_formats
from tessy.models.pace import STREAMS, ServerPace
from tessy.report.document import decimal, percent
from tessy.report.figures.accounts import Accounts, AccountsCounter
from tessy.report.figures.intervals import Bootstrap, Interval
from tessy.report.source import open_runs
from tessy.runs.progress import Progress, duration
from tessy.synthesis.methods import method_of
from tessy.synthesis.methods.tessy import TESSY
from tessy.synthesis.run import asynthesize
from tessy.synthesis.verification import check_columns, open_verifier

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class WrittenSample:
    """The trajectories that a dry run rests on.

    Attributes:
        accounts: Their accounts.
        trajectory: One of them, in the mean.
    """

    accounts: Accounts
    trajectory: TrajectoryCost


@dataclass(frozen=True, slots=True)
class DryRun:
    """What a dry run found.

    Attributes:
        config: The run's settings.
        questions: How many the run has.
        findings: About the models that the run needs, by role.
        trajectory: One trajectory, in the mean.
        run: What the run will cost.
        accounts: Of the sample; None if there is none.
    """

    config: Config
    questions: int
    findings: dict[Role, Finding]
    trajectory: TrajectoryCost
    run: RunCost
    accounts: Accounts | None


async def dry_run(
    source: str | Path,
    *,
    config: Config,
    sample: int | None,
    limit: int | None = None,
    skip_bad: bool = False,
    question_column: str | None = None,
    progress: Progress,
) -> DryRun | None:
    """Find out what a run will cost; no run's folder is touched.

    Args:
        source: As for `synthesize`, as those below.
        config: The run's settings.
        sample: Questions to write for it; None for assumptions instead.
        limit: Use only the first `limit` lines.
        skip_bad: Leave out bad lines, and questions that can't be verified.
        question_column: The column of the question.
        progress: Shows the progress of the sample.

    Returns:
        None if the user stopped the sample.

    Raises:
        InputError: As `synthesize`; or only a sample can tell what this method costs.
        TessyError: A model can't be used, or nothing could be written.
    """
    method = method_of(config)
    roles = method.needs(config)
    if sample is None and method is not TESSY:
        raise ConfigError(
            f"what method {method.name!r} costs is not assumed", hint="--sample 20 measures it"
        )
    check(config, roles)
    load_all({role: config.predictor_of(role) for role in Role if method.judged})
    async with AsyncExitStack() as stack:
        verifier = await stack.enter_async_context(open_verifier(config))
        asked = read(source, limit=limit, skip_bad=skip_bad, column=question_column)
        if verifier is not None:
            asked = check_columns(verifier, asked, skip_bad=skip_bad)
    check_formats(config, roles)
    progress.say("dry run: measuring how fast the servers are")
    findings = {finding.role: finding for finding in await examine(config, progress.say, roles)}
    for role, found in findings.items():
        if said := found.error or found.missing:
            raise TessyError(said if str(role) in said else f"{role}: {said}", hint=found.hint)
    paces = {role: finding.pace for role, finding in findings.items()}
    trajectory, accounts = cost.assumed(paces), None
    if sample is not None:
        written = await _write(drawn(asked.good, sample), config, roles, progress)
        if written is None:
            return None
        trajectory, accounts = written.trajectory, written.accounts
    samples = len(asked.good) * config.samples_per_question
    run = run_cost(trajectory, samples, config.concurrency)
    return DryRun(config, len(asked.good), findings, trajectory, run, accounts)


def drawn(every: Sequence[T], count: int) -> list[T]:
    """Some of a sequence, evenly spread over it; all if there are no more."""
    count = min(count, len(every))
    return [every[(2 * number + 1) * len(every) // (2 * count)] for number in range(count)]


async def _write(
    asked: Sequence[Question], config: Config, roles: frozenset[Role], progress: Progress
) -> WrittenSample | None:
    """Write a sample of each question in a temporary folder; None if the user stopped it.

    Raises:
        TessyError: As `asynthesize`; or no model wrote anything.
    """
    if not asked:
        raise ConfigError("there is no question to write", hint="fix the questions, or --skip-bad")
    progress.say(f"writing {len(asked):,} trajectories, which are deleted afterwards")
    once = config.model_copy(update={"samples_per_question": 1})
    with tempfile.TemporaryDirectory(prefix="tessy-dry-run-") as folder:
        file, out = Path(folder, "questions.jsonl"), Path(folder, "run")
        await asyncio.to_thread(_put, asked, file)
        try:
            result = await asynthesize(
                file,
                out=out,
                config=once,
                question_column="messages",
                progress=progress,
                catch_signals=True,
            )
        except Outage as error:
            hint = "start it again, then run the same command; the sample begins anew"
            raise Outage(str(error), hint=hint) from None
        return None if result.stopped else _measured(out, config.concurrency, roles)


def _put(asked: Sequence[Question], file: Path) -> None:
    """Write questions so that they are read as the same ones, with their ids and columns."""
    rows = ({**each.extra, "id": each.id, "messages": each.messages} for each in asked)
    file.write_bytes(b"".join(dumps(row) + b"\n" for row in rows))


def _measured(folder: Path, concurrency: int, roles: frozenset[Role]) -> WrittenSample:
    """Read the trajectories that were written.

    Raises:
        TessyError: No model wrote anything.
    """
    counter, spans, seconds, detail = AccountsCounter(), Counter[Role](), [], ""
    for each in open_runs([folder])[0].samples():
        counter.add(each)
        seconds.append(each.seconds)
        spans.update(role for role, _ in groupby(text.role for text in each.texts))
        detail = detail or (f"{each.failure}: {each.detail}" if each.failure else "")
    accounts = counter.accounts(Bootstrap())
    figures, sums = accounts.all.figures, accounts.all.sums
    if not accounts.all.generated:
        raise TessyError(f"all {accounts.ended} trajectories failed, the first with {detail}")
    of_role = {
        Role.STUDENT: figures["student_generated_a_sample"],
        Role.TEACHER: figures["teacher_generated_a_sample"],
    }
    shares = {role: spans[role] / spans.total() if spans else 1 / len(roles) for role in roles}
    requests = figures["requests_a_sample"].value
    longest = max(seconds)
    finished = accounts.finished if accounts.finished.sums["samples"] else accounts.all
    trajectory = TrajectoryCost(
        work={r: ModelWork(of_role[r], requests * shares[r]) for r in Role if r in roles},
        hand_overs=figures["hand_overs_in_1000_words"],
        discarded=figures["discarded_share"],
        length=finished.figures["tokens_a_sample"].value,
        seconds=figures["seconds_a_sample"],
        longest_s=longest,
        # They begin together and as many as may; so this is how full the servers were.
        at_once=min(concurrency, sums["seconds"] / longest),
    )
    return WrittenSample(accounts, trajectory)


# --- What is printed ----------------------------------------------------------------------------


def rows(found: DryRun, gpus: int | None = None) -> list[tuple[str, str]]:
    """What a dry run found, in words: lines with a label each; a label may be empty.

    Args:
        found: What it found.
        gpus: GPUs to split between the models.
    """
    run, trajectory = found.run, found.trajectory
    made = [("samples", _samples(found))]
    for role, tokens in run.tokens.items():
        requests = run.requests[role]
        made.append((str(role), f"{_amount(tokens)} tokens, {_short(requests)} requests"))
    made.append(("discarded", f"{percent(trajectory.discarded)} of these tokens"))
    made += _time(found)
    paces = {role: finding.pace for role, finding in found.findings.items()}
    known = {role: pace for role, pace in paces.items() if pace is not None}
    made += [("", ""), *_basis(found)]
    if len(known) == len(paces):
        waits, in_all = cost.waiting(trajectory, known)
        alone = f"{_seconds(waits)} of the {_seconds(in_all)} that a trajectory takes alone"
        share = f" ({waits / in_all:.0%})" if in_all else ""
        made.append(("first tokens", f"waiting for them is {alone}{share}"))
    if gpus is not None:
        made.append(("GPUs", _split(trajectory, known, gpus)))
    made += [(f"{role}'s cache", _cache(found, role)) for role in found.findings]
    return made


def _samples(found: DryRun) -> str:
    each = found.config.samples_per_question
    said = f"{found.questions:,} questions"
    return f"{found.run.samples:,}: {each} of each of {said}" if each > 1 else said


def _time(found: DryRun) -> list[tuple[str, str]]:
    run, at_once = found.run, min(found.config.concurrency, max(1, found.run.samples))
    if math.isnan(run.least_s):
        return [("time", "not known: a server does not stream, or writes nothing; --sample 20")]
    if run.most_s is None:
        why = f"if {at_once:,} at once are as fast as one alone; --sample 20 measures more"
        return [("time", f"at least {duration(run.least_s)}, {why}")]
    measured = found.trajectory.at_once or 1
    least, most = duration(run.least_s), duration(run.most_s)
    if least == most:
        return [("time", f"about {least}")]
    return [
        ("time", f"{least} to {most}"),
        ("", f"the less if {at_once:,} at once are as fast as the {measured:.0f} of the sample,"),
        ("", "the more if the servers do no more in a second than they did for the sample"),
    ]


def _basis(found: DryRun) -> list[tuple[str, str]]:
    """What the figures rest on."""
    trajectory, accounts = found.trajectory, found.accounts
    length, overs = f"{trajectory.length:,.0f} tokens", decimal(trajectory.hand_overs, 0)
    if accounts is None:
        return [
            ("assumed", f"{length} a response, {overs} hand-overs in 1,000 words, a word"),
            ("", f"discarded at each, {cost.STUDENT_WORDS:.0%} of the words by the student,"),
            ("", f"{cost.TOKENS_A_WORD} tokens a word (docs/serving.md); --sample 20 measures it"),
            *_paces(found),
        ]
    failed = "".join(f", {count:,} {reason}" for reason, count in accounts.failed.items())
    finished = accounts.ended - sum(accounts.failed.values())
    of = accounts.all.figures
    return [
        ("sample", f"{accounts.ended:,} questions, evenly drawn: {finished:,} finished{failed}"),
        ("a response", f"{length}, {overs} hand-overs in 1,000 words of thinking,"),
        ("", f"{decimal(of['requests_a_sample'], 0)} requests, "
             f"{decimal(of['seconds_a_sample'], 1)} s; intervals are 95%, over questions"),
        *_paces(found),
    ]  # fmt: skip


def _paces(found: DryRun) -> list[tuple[str, str]]:
    return [
        (f"{role}'s server", f"{_pace(finding.pace)}, alone (median of {STREAMS} streams)")
        for role, finding in found.findings.items()
        if finding.pace
    ]


def _pace(pace: ServerPace) -> str:
    first, token = milliseconds(pace.first_token_s), milliseconds(pace.token_s)
    return f"{first} to the first token, {token} a token"


def _split(trajectory: TrajectoryCost, paces: dict[Role, ServerPace], gpus: int) -> str:
    if len(paces) < len(trajectory.work):
        return "not known: the pace of a server is not known"
    busy = {role: work.seconds(paces[role]) for role, work in trajectory.work.items()}
    split = cost.split(busy, gpus)
    in_all = sum(busy.values())
    said = [f"{count} for the {role}" for role, count in split.items()]
    shares = ", ".join(f"{seconds / in_all:.0%}" for seconds in busy.values())
    return f"of {gpus}: {', '.join(said)}; of the work {shares}, if each server has one GPU now"


def _cache(found: DryRun, role: Role) -> str:
    finding, length = found.findings[role], found.trajectory.length
    each, tokens = finding.kv_bytes, finding.cache_tokens
    said = []
    if each:
        room = each * length / 1e9
        said.append(
            f"{each / 1000:,.0f} KB a token, {room:,.{1 if room >= 0.1 else 3}f} GB a response"
        )
    if tokens:
        servers = len(parse_all(found.config.address_of(role)))
        fit = int(tokens * servers // max(length, 1))
        said.append(f"its {tokens * servers:,} tokens hold {fit:,} responses at once")
        if fit < min(found.config.concurrency, found.run.samples):
            said.append(f"so --concurrency {max(fit, 1)}: beyond it, prefixes are computed again")
    else:
        said.append("its size is not known: vLLM's log says it")
    return "; ".join(said)


def hand_over_lines(findings: Sequence[Finding]) -> list[str]:
    """What hand-overs will cost, by the assumptions of `evaluation.cost`; empty if not known.

    Args:
        findings: About both models.
    """
    paces = {finding.role: finding.pace for finding in findings if finding.pace}
    if len(paces) < len(Role):
        return []
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
        f"measured: each server alone, the median of {STREAMS} streams; of your questions: "
        "tessy synth … --dry-run --sample 20",
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
    return f"{seconds:.1f} s" if seconds < 60 else duration(seconds)
