"""The whole job: read runs, have them scored, compute, write files.

gather      reads each run once
scoring     has the student score them, if it is asked to
build       computes
sections    puts it into words
page, markdown, numbers    write it down
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tessy.display import Say
from tessy.errors import ConfigError, InputError
from tessy.event_loop import run_loop
from tessy.models.tokenizers import fetch_tokenizer
from tessy.report.build import Report, Scores, build, shared_questions
from tessy.report.figures.bags import Tokenize, Vocabulary
from tessy.report.figures.figures import Bootstrap
from tessy.report.figures.likelihood import likelihood
from tessy.report.gather import Gathered, Source, gather, sources
from tessy.report.markdown import as_markdown
from tessy.report.numbers import as_json
from tessy.report.page import as_page
from tessy.report.scoring.score import Texts, score
from tessy.report.scoring.scorer import Opens
from tessy.report.sections import document
from tessy.runs.folder import write_atomically

_EVERY_S = 5.0


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a report is to hold.

    Attributes:
        runs: Folders: the run it is about, then those it is compared with.
        tokenizer: Folder or Hugging Face id of the student's; None for words.
        traces: Finished samples to be shown.
        bootstrap: How intervals are made.
        opens: Opens who says how likely the student finds the texts; None for no scores.
        scored: Questions that are scored, at most.
    """

    runs: Sequence[Path]
    tokenizer: str | None = None
    traces: int = 12
    bootstrap: Bootstrap = field(default_factory=Bootstrap)
    opens: Opens | None = None
    scored: int = 500


def make(wanted: Wanted, say: Say = lambda _: None) -> Report:
    """Compute a report.

    Args:
        wanted: What it is to hold.
        say: Told what is going on, in a line.

    Raises:
        InputError: A run, a tokenizer or a model can't be used.
        JournalError: A journal can't be read, or scores can't be kept.
        ModelError: The student's server failed.
    """
    found = sources(wanted.runs)
    tokenize = _tokenizer(wanted.tokenizer) if wanted.tokenizer else None
    vocabulary = Vocabulary()
    runs = [_gathered(each, vocabulary, tokenize, wanted.traces, say) for each in found]
    if not any(run.ledger.failures for run in runs[:1]):
        raise InputError(
            f"nothing ended yet in {wanted.runs[0]}", hint="wait, or look at tessy synth's output"
        )
    questions = shared_questions(runs)
    if len(runs) > 1:
        say(f"{len(questions):,} questions were answered in all {len(runs)} runs")
    scores = _scores(wanted, wanted.opens, runs, questions, say) if wanted.opens else None
    say("computing")
    unit = wanted.tokenizer or "words"
    return build(runs, vocabulary, unit=unit, bootstrap=wanted.bootstrap, scores=scores)


def write(report: Report, files: Mapping[str, Path]) -> None:
    """Write a report.

    Args:
        report: The report.
        files: Where to, by kind: `html`, `json`, `markdown`.

    Raises:
        ConfigError: A file can't be written.
    """
    shown = document(report)
    for kind, path in files.items():
        match kind:
            case "html":
                content = as_page(shown).encode("utf-8", "backslashreplace")
            case "json":
                content = as_json(report)
            case _:
                content = as_markdown(shown).encode("utf-8", "backslashreplace")
        try:
            write_atomically(path, content)
        except OSError as error:
            raise ConfigError(f"{path} can't be written: {error.strerror}") from None


def _gathered(
    source: Source, vocabulary: Vocabulary, tokenize: Tokenize | None, traces: int, say: Say
) -> Gathered:
    last = time.monotonic()

    def progress(count: int) -> None:
        nonlocal last
        if time.monotonic() - last >= _EVERY_S:
            last = time.monotonic()
            say(f"{source.label}: {count:,} samples read")

    run = gather(source, vocabulary, tokenize, traces=traces, progress=progress)
    say(f"{source.label}: {len(run.ledger.failures):,} samples")
    return run


def _tokenizer(name: str) -> Tokenize:
    """Counts the tokens of many texts on all cores.

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


def _scores(
    wanted: Wanted, opens: Opens, runs: Sequence[Gathered], questions: Sequence[bytes], say: Say
) -> Scores:
    chosen = frozenset(questions[: wanted.scored])
    texts = [
        Texts(run.label, run.source.folder.path, run.source.samples(failed=False)) for run in runs
    ]
    name, found = run_loop(score(texts, chosen, opens, say))
    likely = {
        label: likelihood(each.sums, each.left_out, wanted.bootstrap)
        for label, each in found.items()
    }
    return Scores(name, likely)
