"""Scoring runs: what is not scored yet, so many at once."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Collection, Coroutine, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tessy.display import Say
from tessy.errors import ConfigError, Refused
from tessy.report.figures.likelihood import Sums
from tessy.report.figures.sample import Sample
from tessy.report.scoring.prompt import Unaligned, prompt, sums
from tessy.report.scoring.scorer import Opens, Scorer
from tessy.report.scoring.store import Store

_EVERY_S = 5.0
TOO_LONG = "longer than the student's context"
UNALIGNED = "the student's tokens do not spell the text"


@dataclass(slots=True)
class Scored:
    """The scores of a run.

    Attributes:
        sums: Each sample's question and sums.
        left_out: Samples without a score, by why.
    """

    sums: list[tuple[bytes, Sums]] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class Texts:
    """What is to be scored of a run.

    Attributes:
        label: What messages call it.
        folder: Where scores are kept.
        samples: Its finished samples.
    """

    label: str
    folder: Path
    samples: Iterable[Sample]


async def score(
    runs: Iterable[Texts], questions: Collection[bytes], opens: Opens, say: Say
) -> tuple[str, Mapping[str, Scored]]:
    """Score runs.

    Args:
        runs: Their samples.
        questions: Those whose samples are scored.
        opens: Opens the scorer.
        say: Told what is going on, in a line.

    Returns:
        The scorer's name, and what it said, by label.

    Raises:
        TessyError: The scorer can't be opened, or failed; what it said before is kept.
    """
    found = {}
    async with opens(say) as scorer:
        for run in runs:
            with Store(run.folder, scorer.key) as store:
                found[run.label] = await _score(run, questions, scorer, store, say)
    return scorer.name, found


async def _score(
    run: Texts, questions: Collection[bytes], scorer: Scorer, store: Store, say: Say
) -> Scored:
    scored = Scored()
    waiting = (sample for sample in run.samples if sample.question in questions)
    last = time.monotonic()

    failed = False

    async def work() -> None:
        nonlocal last, failed
        for sample in waiting:  # shared by all workers: each takes the next
            if failed:
                return
            try:
                outcome = store.get(sample) or await _ask(sample, scorer)
            except Exception:
                failed = True
                raise
            if isinstance(outcome, str):
                scored.left_out[outcome] += 1
                continue
            store.put(sample, outcome)
            scored.sums.append((sample.question, outcome))
            if time.monotonic() - last >= _EVERY_S:
                last = time.monotonic()
                say(f"{run.label}: {len(scored.sums):,} samples scored")

    await _together(work() for _ in range(scorer.at_once))
    scored.sums.sort(key=lambda pair: pair[0])
    say(f"{run.label}: {len(scored.sums):,} samples scored")
    return scored


async def _together(jobs: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Run them until all are done; the first error is raised then, as it is.

    What is under way when one fails is waited for: its answer has been paid for, and is kept.
    """
    ended = await asyncio.gather(*jobs, return_exceptions=True)
    for error in ended:
        if error is not None:
            raise error


async def _ask(sample: Sample, scorer: Scorer) -> Sums | str:
    """The score of a sample, or why there is none."""
    try:
        made = await prompt(sample, scorer.format, scorer.codec)
    except Unaligned:
        return UNALIGNED
    except ConfigError as refused:
        return f"the chat template refuses it: {refused}"
    if scorer.longest is not None and len(made.ids) > scorer.longest:
        return TOO_LONG
    try:
        return sums(made, await scorer.logprobs(made.ids))
    except Refused as refused:
        return f"the server refused: {refused}"
