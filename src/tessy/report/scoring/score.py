"""Scoring runs: what has no score yet, many samples at once."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from tessy.display import Say, count_of
from tessy.errors import BadResponse, ConfigError, Refused
from tessy.report.figures.likelihood import LikelihoodSums
from tessy.report.figures.sample import ReportSample
from tessy.report.scoring.scorers import OpenScorer, TextScorer
from tessy.report.scoring.store import ScoreStore, open_scores
from tessy.report.scoring.tokens import Unaligned, likelihood_sums, tokenize
from tessy.report.source import RunSource

TOO_LONG = "longer than the student's context"
UNALIGNED = "the student's tokens do not spell the text"
UNREADABLE = "the student's server gave no log-probabilities for it"
_SAY_EVERY = 100


@dataclass(slots=True)
class RunScores:
    """The scores of a run.

    Attributes:
        sums: Each sample's question and sums.
        left_out: How many samples have no score, by why.
    """

    sums: list[tuple[bytes, LikelihoodSums]] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)


async def score_runs(
    runs: Iterable[RunSource], questions: Collection[bytes], open_scorer: OpenScorer, say: Say
) -> tuple[str, dict[str, RunScores]]:
    """Score the finished samples of runs.

    Args:
        runs: The runs; scores are kept in their folders.
        questions: Those whose samples are scored.
        open_scorer: Opens the scorer.
        say: Called with lines about progress.

    Returns:
        The scorer's name, and the scores by the run's label.

    Raises:
        TessyError: The scorer can't be opened, or failed; scores it gave before are kept.
    """
    found = {}
    async with open_scorer(say) as scorer:
        for run in runs:
            with open_scores(run.folder.path, scorer.key) as store:
                found[run.label] = await _score(run, questions, scorer, store, say)
    return scorer.name, found


async def _score(
    run: RunSource, questions: Collection[bytes], scorer: TextScorer, store: ScoreStore, say: Say
) -> RunScores:
    scores = RunScores()
    waiting = (each for each in run.samples(failed=False) if each.question in questions)

    async def work() -> None:
        for sample in waiting:  # shared by all workers
            try:
                outcome = store.get(sample) or await _ask(sample, scorer)
            except Exception:
                waiting.close()  # the other workers end after the sample they have
                raise
            if isinstance(outcome, str):
                scores.left_out[outcome] += 1
                continue
            store.put(sample, outcome)
            scores.sums.append((sample.question, outcome))
            if len(scores.sums) % _SAY_EVERY == 0:
                say(f"{run.label}: {count_of(len(scores.sums), 'sample')} scored")

    # Not a TaskGroup: it would cancel calls that are under way, and their answers are to be kept.
    workers = (work() for _ in range(scorer.at_once))
    ended = await asyncio.gather(*workers, return_exceptions=True)
    for error in ended:
        if error is not None:
            raise error
    scores.sums.sort(key=lambda pair: pair[0])
    say(f"{run.label}: {count_of(len(scores.sums), 'sample')} scored")
    return scores


async def _ask(sample: ReportSample, scorer: TextScorer) -> LikelihoodSums | str:
    """The score of a sample, or why there is none."""
    try:
        tokens = await tokenize(sample, scorer.format, scorer.tokenizer)
    except Unaligned:
        return UNALIGNED
    except ConfigError as error:
        return f"the chat template refuses it: {error}"
    if scorer.longest is not None and len(tokens.ids) > scorer.longest:
        return TOO_LONG
    try:
        return likelihood_sums(tokens, await scorer.logprobs(tokens.ids))
    except Refused as error:
        return f"the server refused: {error}"
    except BadResponse:
        return UNREADABLE
