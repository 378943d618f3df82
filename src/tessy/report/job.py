"""A report from runs to files: read the runs, have them scored, compute, write."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tessy.data.files import write_atomically
from tessy.display import Say
from tessy.errors import ConfigError, InputError
from tessy.event_loop import run_loop
from tessy.models.tokenizers import fetch_tokenizer
from tessy.report.figures.intervals import Bootstrap
from tessy.report.figures.likelihood import likelihood
from tessy.report.figures.words import Tokenize, WordNumbers
from tessy.report.formats import FORMATS
from tessy.report.report import Report, StudentScores, build_report, read_run, shared_questions
from tessy.report.scoring import OpenScorer, score_runs
from tessy.report.sections.totals import in_all_runs
from tessy.report.source import open_runs


@dataclass(frozen=True, slots=True)
class ReportSettings:
    """What a report is about and what it holds.

    Attributes:
        runs: Folders: of the run it is about, then of those it is compared with.
        tokenizer: Folder or Hugging Face id of the student's; None to count words.
        traces: How many finished samples to show.
        bootstrap: How intervals are made.
        open_scorer: Opens what scores the texts under the student; None for no scores.
        scored: How many questions to score at most.
    """

    runs: Sequence[Path]
    tokenizer: str | None = None
    traces: int = 12
    bootstrap: Bootstrap = field(default_factory=Bootstrap)
    open_scorer: OpenScorer | None = None
    scored: int = 500


def make_report(settings: ReportSettings, say: Say = lambda _: None) -> Report:
    """Compute a report.

    Args:
        settings: What it is about.
        say: Called with lines about progress.

    Raises:
        InputError: A run, a tokenizer or a model can't be used.
        JournalError: A journal can't be read, or scores can't be kept.
        ModelError: The student's server failed.
    """
    sources = open_runs(settings.runs)
    tokenize = _tokenizer(settings.tokenizer) if settings.tokenizer else None
    numbers = WordNumbers()
    runs = [read_run(source, numbers, tokenize, settings.traces, say) for source in sources]
    if not runs[0].style.samples:
        raise InputError(
            f"nothing ended yet in {settings.runs[0]}", hint="wait, or look at tessy synth's output"
        )
    shared = shared_questions(runs)
    if len(runs) > 1:
        in_all = in_all_runs(len(runs))
        if not shared:
            say(f"warning: no question was answered in {in_all}, so nothing can be compared")
        else:
            say(f"{len(shared):,} questions were answered in {in_all}")
    scores = None
    if settings.open_scorer:
        questions = frozenset(shared[: settings.scored])
        scorer, scored = run_loop(score_runs(sources, questions, settings.open_scorer, say))
        likelihoods = {
            label: likelihood(found.sums, found.left_out, settings.bootstrap)
            for label, found in scored.items()
        }
        scores = StudentScores(scorer, likelihoods)
    say("computing")
    unit = settings.tokenizer or "words"
    return build_report(runs, numbers, unit=unit, bootstrap=settings.bootstrap, scores=scores)


def write_report(report: Report, files: Mapping[str, Path]) -> None:
    """Write a report.

    Args:
        report: The report.
        files: Where to, by format: `html`, `markdown`, `json`.

    Raises:
        ConfigError: A file can't be written.
    """
    for name, path in files.items():
        content = FORMATS[name](report).encode("utf-8", "backslashreplace")
        try:
            write_atomically(path, content)
        except OSError as error:
            raise ConfigError(f"{path} can't be written: {error.strerror}") from None


def _tokenizer(name: str) -> Tokenize:
    """A function that tokenises many texts on all cores.

    Raises:
        ConfigError: There is no such tokenizer.
    """
    from tokenizers import Tokenizer

    path = fetch_tokenizer(name) / "tokenizer.json"
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # tokenizers raises bare Exception
        raise ConfigError(
            f"{path}: {error}", hint="--student-tokenizer FOLDER, or --words"
        ) from None
    tokenizer.no_truncation()
    tokenizer.no_padding()

    def tokenize(texts: Sequence[str]) -> list[list[int]]:
        encoded = tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)
        return [each.ids for each in encoded]

    return tokenize
