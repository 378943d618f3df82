"""The filters that the settings ask for, in their order."""

from __future__ import annotations

from tessy.data.questions import read
from tessy.display import Say
from tessy.exporting import limits
from tessy.exporting.contamination import Contamination
from tessy.exporting.drops import Filter
from tessy.exporting.duplicates import NearDuplicates
from tessy.exporting.settings import ExportSettings
from tessy.exporting.tokenizer import counter


def on_numbers(settings: ExportSettings) -> list[Filter]:
    """Filters that look at a sample's numbers.

    Raises:
        ConfigError: There is no such tokenizer.
    """
    found: list[Filter] = []
    if settings.drop_forced:
        found.append(limits.without_forced)
    if settings.min_teacher_share is not None:
        found.append(limits.least_share(settings.min_teacher_share))
    if settings.max_teacher_share is not None:
        found.append(limits.greatest_share(settings.max_teacher_share))
    if settings.max_tokens is not None:
        count = counter(settings.tokenizer) if settings.tokenizer else limits.recorded
        found.append(limits.longest(settings.max_tokens, count))
    return found


def on_text(settings: ExportSettings, say: Say) -> list[Filter]:
    """Filters that read a sample; the last remembers those that it lets pass, so it is the last.

    Raises:
        DataError: A file of test questions can't be read.
        MissingExtra: `datasketch` is not installed.
    """
    found: list[Filter] = []
    if settings.decontaminate:
        found.append(_contamination(settings, say))
    if settings.near_duplicates is not None:
        found.append(NearDuplicates(settings.near_duplicates))
    return found


def _contamination(settings: ExportSettings, say: Say) -> Contamination:
    contamination = Contamination(
        (
            (f"{source} {question.id}", question.messages[-1]["content"])
            for source in settings.decontaminate
            for question in read(source).good
        ),
        settings.ngram,
    )
    short = f", {contamination.short} of them compared as a whole" if contamination.short else ""
    say(f"{contamination.questions} test questions{short}")
    return contamination
