"""The whole job: a run in which one model writes everything, and its numbers.

Evaluation is synthesis by one model whose answers are verified and kept: the same client, pool
and journal, so it is as quick and as hard to kill, and the same command goes on.
"""

from __future__ import annotations

import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

import orjson

from tessy.config import Config
from tessy.data import questions
from tessy.errors import ConfigError
from tessy.evaluation.collect import groups_of, runs_of
from tessy.evaluation.measure import UNMEASURED, Evaluation, Scores, measure
from tessy.method.trajectory import Role
from tessy.runs.counters import RunResult
from tessy.runs.folder import RunFolder, write_atomically
from tessy.runs.progress import Progress, Show
from tessy.synthesis.run import asynthesize

RESULTS = "evaluation.json"


async def evaluate(
    source: str | Path,
    config: Config,
    *,
    out: str | Path,
    group: str | None = None,
    limit: int | None = None,
    retry_failed: bool = False,
    progress: Progress | None = None,
) -> tuple[Evaluation, RunResult]:
    """Measure a model on questions.

    Args:
        source: Questions, as for synthesis, with what their verifier needs.
        config: As `evaluation.settings` makes it.
        out: The folder of the run; one that was begun goes on.
        group: The question's column by whose value to group.
        limit: Take only the first questions.
        retry_failed: Ask again for what could not be measured. Failures of the model stay what they
            are: only they would be drawn anew.
        progress: How to show what goes on.

    Returns:
        The evaluation, of what has ended so far if the run was stopped; and the run.

    Raises:
        TessyError: The leaf that says why it can't be.
    """
    if config.verify is None:
        raise ConfigError("nothing says which answers are right", hint="verify = 'auto'")
    read = questions.read(source, limit=limit)
    groups_of(read, group)
    result = await asynthesize(
        source,
        out=out,
        config=config,
        limit=limit,
        retry_failed=UNMEASURED if retry_failed else False,
        progress=progress or Progress(Show.QUIET),
    )
    folder = RunFolder(Path(out))
    found = runs_of(folder, read, several=config.samples_per_question > 1, group=group)
    evaluation = measure(_name(folder, config), found)
    write_atomically(
        folder.path / RESULTS, orjson.dumps(as_json(evaluation), option=orjson.OPT_INDENT_2)
    )
    return evaluation, result


def _name(folder: RunFolder, config: Config) -> str:
    return folder.models().get("student", config.address_of(Role.STUDENT))


def as_json(evaluation: Evaluation) -> dict[str, Any]:
    """An evaluation as JSON; what is not a number is null."""
    return {
        "model": evaluation.model,
        **_scores_json(evaluation.whole),
        "groups": {name: _scores_json(each) for name, each in evaluation.groups.items()},
        "right": {name: list(pair) for name, pair in evaluation.right.items()},
    }


def _scores_json(scores: Scores) -> dict[str, Any]:
    return {
        "questions": scores.questions,
        "runs": scores.runs,
        "pass_at": {str(k): _numbers(asdict(e)) for k, e in scores.pass_at.items()},
        "standings": {standing.value: n for standing, n in sorted(scores.standings.items())},
        "truncated": None if math.isnan(scores.truncated) else scores.truncated,
        "tokens": _numbers(asdict(scores.lengths)),
        "thinking_tokens": _numbers(asdict(scores.thinking)),
    }


def _numbers(values: dict[str, float]) -> dict[str, float | None]:
    return {name: None if math.isnan(value) else value for name, value in values.items()}
