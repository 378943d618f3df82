"""Which of the teacher's short style spans the student would write, too.

A run with `handover.min_style_words` above 1 marks the style spans that stayed with the teacher as
tolerated. Where the student gives such a span a high probability, it costs nothing in style. Words
for which that holds in the mean may stay; for others a hand-over may be worth its request
(`handover.shared_words`, docs/handover.md).
"""

from __future__ import annotations

import asyncio
import math
import statistics
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tessy.display import Say, count_of
from tessy.errors import BadResponse, ConfigError, InputError, Refused
from tessy.method.trajectory import Part, Role
from tessy.method.words import plain
from tessy.report.figures.sample import ReportSample
from tessy.report.scoring.scorers import OpenScorer, TextScorer
from tessy.report.scoring.tokens import Unaligned, tokenize
from tessy.report.source import RunSource

_SAY_EVERY = 25


@dataclass(frozen=True, slots=True)
class SharedSpan:
    """Short style spans of the teacher with the same words.

    Attributes:
        words: In lower case, without punctuation.
        probabilities: Of each, under the student after the text before it.
    """

    words: str
    probabilities: tuple[float, ...]

    @property
    def mean(self) -> float:
        """The mean probability."""
        return statistics.fmean(self.probabilities)


async def shared_spans(
    run: RunSource, open_scorer: OpenScorer, samples: int, say: Say
) -> list[SharedSpan]:
    """Score the teacher's tolerated spans of a run, the most frequent first.

    Args:
        run: The run.
        open_scorer: Opens the student.
        samples: The maximum number of samples to score.
        say: Called with lines about progress.

    Raises:
        InputError: No sample has such a span.
        TessyError: The student can't be opened, or failed.
    """
    waiting = iter(_with_short_spans(run, samples))
    found: dict[str, list[float]] = defaultdict(list)
    scored = left_out = 0
    async with open_scorer(say) as scorer:

        async def work() -> None:
            nonlocal scored, left_out
            for sample in waiting:  # shared by all workers
                try:
                    for words, probability in await _score(sample, scorer):
                        found[words].append(probability)
                except (Unaligned, Refused, BadResponse, ConfigError):
                    left_out += 1
                    continue
                scored += 1
                if scored % _SAY_EVERY == 0:
                    say(f"{count_of(scored, 'sample')} scored")

        await asyncio.gather(*(work() for _ in range(scorer.at_once)))
    if not found and left_out:
        raise InputError(f"the student could score none of {count_of(left_out, 'sample')}")
    if not found:
        raise InputError(
            f"{run.folder.path} has no short style spans of the teacher",
            hint="a run with `--min-style-words 2` or more has them",
        )
    if left_out:
        say(f"{count_of(left_out, 'sample')} could not be scored")
    spans = [SharedSpan(words, tuple(values)) for words, values in found.items()]
    return sorted(spans, key=lambda span: (-len(span.probabilities), span.words))


def _with_short_spans(run: RunSource, samples: int) -> Iterator[ReportSample]:
    for sample in run.samples(failed=False):
        if any(each.mark == "tolerated" and each.role is Role.TEACHER for each in sample.texts):
            yield sample
            samples -= 1
            if not samples:
                return


async def _score(sample: ReportSample, scorer: TextScorer) -> Sequence[tuple[str, float]]:
    """The words and the probability of each short style span of a sample."""
    texts = [each for each in sample.texts if each.part is Part.THINKING]
    labels = [str(number) for number in range(len(texts))]
    tokens = await tokenize(sample, scorer.format, scorer.tokenizer, labels)
    logprobs = await scorer.logprobs(tokens.ids)
    sums: dict[str | None, float] = defaultdict(float)
    for label, logprob in zip(tokens.authors, logprobs, strict=True):
        sums[label] += logprob or 0.0
    return [
        (" ".join(plain(each.text)), math.exp(sums[label]))
        for label, each in zip(labels, texts, strict=True)
        if each.mark == "tolerated" and each.role is Role.TEACHER
    ]
