"""`tessy synth --dry-run`: what a run will cost, before it is begun.

It rests on what both servers do when they are idle (as `tessy doctor` measures it), and either on
assumptions about a trajectory or on a sample: some of the questions, drawn at random, written as
the run would write them, in a temporary folder that is then deleted.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np

from tessy.boundary.registry import load_all
from tessy.config import Config, ModelRole
from tessy.data.exact import dumps
from tessy.data.questions import Question, drawn
from tessy.data.sources import name_of
from tessy.errors import ConfigError, Outage, TessyError
from tessy.evaluation import cost
from tessy.evaluation.cost import ModelWork, RunCost, TrajectoryCost, run_cost
from tessy.method.trajectory import Role
from tessy.models.checks import check, check_formats, slots_of
from tessy.models.doctor import Finding, examine
from tessy.report.figures.accounts import Accounts, AccountsCounter
from tessy.report.figures.intervals import Bootstrap
from tessy.report.source import open_runs
from tessy.runs.folder import RunFolder
from tessy.runs.plan import jobs
from tessy.runs.progress import Progress
from tessy.runs.reader import ended_in
from tessy.runs.remote import known_copy
from tessy.synthesis.methods import method_of
from tessy.synthesis.methods.tessy import TESSY
from tessy.synthesis.run import asynthesize
from tessy.synthesis.verification import open_verifier, read_verifiable


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
        findings: About the models that the run needs.
        trajectory: One trajectory, in the mean.
        run: What the run will cost, without the samples that have ended.
        accounts: Of the sample; None if there is none.
        ended: Samples that have ended at earlier starts.
    """

    config: Config
    questions: int
    findings: dict[ModelRole, Finding]
    trajectory: TrajectoryCost
    run: RunCost
    accounts: Accounts | None
    ended: int = 0


async def dry_run(
    source: str | Path,
    *,
    out: str | Path,
    config: Config,
    sample: int | None,
    limit: int | None = None,
    skip_bad: bool = False,
    question_column: str | None = None,
    retry_failed: bool = False,
    progress: Progress,
) -> DryRun | None:
    """Find out what a run will cost, or the rest of one; no run's folder is touched.

    Args:
        source: As for `synthesize`, as those below.
        out: The run's folder.
        config: The run's settings.
        sample: Questions to write for it; None for assumptions instead.
        limit: Use only the first `limit` lines.
        skip_bad: Leave out bad lines, and questions that can't be verified.
        question_column: The column of the question.
        retry_failed: Failed samples will be written again.
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
    if sample is None and (
        config.handover.shared_words or config.handover.min_capability_words > 1
    ):
        raise ConfigError(
            "what handover.shared_words and min_capability_words save is not assumed",
            hint="--sample 20 measures it",
        )
    if sample is None and config.route is not None:
        raise ConfigError(
            "what several teachers cost is not assumed", hint="--sample 20 measures it"
        )
    check(config, roles)
    load_all({role: config.predictor_of(role) for role in Role if method.judged})
    async with AsyncExitStack() as stack:
        verifier = await stack.enter_async_context(open_verifier(config))
        asked = read_verifiable(
            verifier,
            source,
            limit=limit,
            skip_bad=skip_bad,
            column=question_column,
            config=config,
            say=progress.say,
        )
    check_formats(config, roles)
    folder = RunFolder(await asyncio.to_thread(known_copy, out))
    ended = await asyncio.to_thread(ended_in, folder, config, name_of(source), asked.digest)
    over = {sample for sample, failure in (ended or {}).items() if not (failure and retry_failed)}
    todo = [job for job in jobs(asked, config) if job.id not in over]
    findings: dict[ModelRole, Finding] = {}
    if todo:
        progress.say("dry run: measuring how fast the servers are")
        findings = await _findings(config, roles, progress)
        if ended is not None:
            names = {
                str(model): found.capabilities.served_name
                for model, found in findings.items()
                if found.capabilities
            }
            folder.run_toml.refuse_other_models(folder.run_toml.models() or names, names)
    trajectory, accounts = _assumed(config, findings), None
    if sample is not None and todo:
        questions = list({job.question.id: job.question for job in todo}.values())
        chosen = drawn(np.arange(len(questions)), sample, config.seed)
        written = await _write([questions[n] for n in chosen], config, roles, progress)
        if written is None:
            return None
        trajectory, accounts = written.trajectory, written.accounts
    paces = cost.pace_of_roles({model: found.pace for model, found in findings.items()})
    slots = cost.slots_of_roles({model: slots_of(config, model) for model in config.models(roles)})
    room = cost.lanes(trajectory, {r: pace for r, pace in paces.items() if pace}, slots)
    run = run_cost(trajectory, len(todo), config.concurrency, room)
    done = len(asked) * config.samples_per_question - len(todo)
    return DryRun(config, len(asked), findings, trajectory, run, accounts, done)


async def _findings(
    config: Config, roles: frozenset[Role], progress: Progress
) -> dict[ModelRole, Finding]:
    """Examine the models.

    Raises:
        TessyError: One can't be used.
    """
    findings = {found.model: found for found in await examine(config, progress.say, roles)}
    for model, found in findings.items():
        if said := found.error or found.missing:
            raise TessyError(said if str(model) in said else f"{model}: {said}", hint=found.hint)
    return findings


def _assumed(config: Config, findings: Mapping[ModelRole, Finding]) -> TrajectoryCost:
    contexts = {m: f.capabilities.context_tokens for m, f in findings.items() if f.capabilities}
    tokens, limit = cost.assumed_length(config, contexts)
    paces = cost.pace_of_roles({model: found.pace for model, found in findings.items()})
    minimum = config.handover.min_style_words
    return cost.assumed(paces, tokens / cost.TOKENS_A_WORD, limit=limit, minimum=minimum)


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
                progress=progress.without_summary(),
                catch_signals=True,
            )
        except Outage as error:
            hint = "start it again, then run the same command; the sample begins again"
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
