"""What to export, and how: typed, bounded, with units."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field, model_validator

from tessy.settings.definitions import TOKENS, Option, StrictSettings, UnitName

NGRAM = 13
"""Words in a row that make a sample contaminated, unless the settings say otherwise."""
_REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+")
_FILTERS = "Filters"
_CARD = "Hugging Face (--to hf)"


class FormatName(StrEnum):
    """What an export is for."""

    TRL = "trl"
    SHAREGPT = "sharegpt"
    ALPACA = "alpaca"
    PARQUET = "parquet"
    HF = "hf"


_FOR = (
    ("axolotl", FormatName.SHAREGPT),
    ("llama-factory", FormatName.SHAREGPT),
    ("huggingface", FormatName.HF),
)
"""What may be named instead: the tool that reads the form."""


class Mask(StrEnum):
    """What carries loss; `tessy.training.masks` says which characters that is."""

    CAPABILITY = "capability"
    """What the teacher wrote."""
    STYLE = "style"
    """What the student wrote, the answer included."""
    NONE = "none"
    """The whole response."""


class ExportSettings(StrictSettings):
    """Everything that decides what an export writes."""

    to: Annotated[FormatName, Option(called=_FOR)]
    """What it is for: TRL, ShareGPT's or Alpaca's form, Parquet, or Hugging Face."""
    mask: Annotated[Mask | None, Option(unset="no weights are written")] = None
    """For `trl`: keep the loss on what the teacher wrote (`capability`), on what the student wrote
    (`style`), or on the whole response (`none`)."""
    student_tokenizer: Annotated[str | None, Option(unset="the one in the run's settings")] = None
    """For `trl`: folder or Hugging Face id of the student's tokenizer. Its chat template is tried
    on every sample, and what it drops or changes is said."""
    validation: Annotated[float | None, Option(unset="no such split")] = Field(
        default=None, gt=0, lt=1
    )
    """Share of the questions whose samples go into a split `validation`."""
    seed: Annotated[int, Option()] = Field(default=0, ge=0)
    """Another seed puts other questions into the validation split."""
    accepted: Annotated[bool, Option(panel=_FILTERS)] = False
    """Only samples that a reader accepted in `tessy view`."""
    right: Annotated[bool, Option(panel=_FILTERS)] = False
    """Only samples whose answer the run's verifier found right."""
    verdicts: Annotated[tuple[str, ...], Option(unset="the run's own", panel=_FILTERS)] = ()
    """For `right`: the verdicts of this file, which `tessy verify RUN --out` wrote, in place of the
    run's own."""
    method: Annotated[str | None, Option(unset="any", panel=_FILTERS)] = None
    """Only samples that this method wrote: what `tessy serve` kept may be of several."""
    min_teacher_share: Annotated[float | None, Option(unset="any", panel=_FILTERS)] = Field(
        default=None, ge=0, le=1
    )
    """Least share of the teacher's tokens."""
    max_teacher_share: Annotated[float | None, Option(unset="any", panel=_FILTERS)] = Field(
        default=None, ge=0, le=1
    )
    """Greatest share of the teacher's tokens."""
    max_tokens: Annotated[int | None, TOKENS, Option(unset="any length", panel=_FILTERS)] = Field(
        default=None, ge=1
    )
    """Longest response, as its models counted it; with `tokenizer`, longest conversation."""
    tokenizer: Annotated[str | None, Option(unset="the models' own counts", panel=_FILTERS)] = None
    """Folder or Hugging Face id of the tokenizer that counts for `max_tokens`."""
    drop_forced: Annotated[bool, Option(panel=_FILTERS)] = False
    """Drop samples with words that were kept only for *Progress*, although their predictor called
    them the other kind."""
    near_duplicates: Annotated[float | None, Option(unset="kept", panel=_FILTERS)] = Field(
        default=None, gt=0, le=1
    )
    """Drop responses that are as similar as this to an earlier one: 0.8, for example."""
    decontaminate: Annotated[tuple[str, ...], Option(unset="nothing", panel=_FILTERS)] = ()
    """Drop samples that share words with these test questions: a file, or a Hugging Face data
    set."""
    ngram: Annotated[int, UnitName("words"), Option(panel=_FILTERS)] = Field(default=NGRAM, ge=1)
    """Words in a row that a sample may not share with a test question."""
    licence: Annotated[str | None, Option(unset="none", panel=_CARD)] = Field(
        default=None, pattern=r"^[a-z0-9][a-z0-9.-]*$"
    )
    """Licence of the data, as Hugging Face names it: `apache-2.0`, `cc-by-4.0`, `other`, …"""
    push: Annotated[str | None, Option(unset="nothing is uploaded", panel=_CARD)] = None
    """Upload the export to this data set on Hugging Face, `OWNER/NAME`."""
    public: Annotated[bool, Option(panel=_CARD)] = False
    """Anyone may see the data set, if `push` creates it; an existing one stays as it is."""

    @model_validator(mode="after")
    def _goes_together(self) -> Self:
        to = self.to.value
        if self.mask is not None and self.to is not FormatName.TRL:
            raise ValueError(f"--mask is for --to trl: {to} has no place for it")
        if self.student_tokenizer and self.to is not FormatName.TRL:
            raise ValueError(f"--student-tokenizer is for --to trl, not {to}")
        if self.tokenizer and self.max_tokens is None:
            raise ValueError("--tokenizer counts for --max-tokens: give that, too")
        if self.licence and self.to is not FormatName.HF:
            raise ValueError(f"--licence is for the card of --to hf: {to} has none")
        least, most = self.min_teacher_share, self.max_teacher_share
        if least is not None and most is not None and least > most:
            raise ValueError("--min-teacher-share is above --max-teacher-share")
        if self.push is None and self.public:
            raise ValueError("--public is for uploads: give --push OWNER/NAME, too")
        if self.push is not None:
            if self.to is not FormatName.HF:
                raise ValueError(f"--push uploads what --to hf writes, not {to}")
            if not _REPOSITORY.fullmatch(self.push):
                raise ValueError(f"--push {self.push!r} is no name: OWNER/NAME")
            if self.licence is None:
                raise ValueError(
                    "--push needs a licence for the card: --licence cc-by-4.0, other, …"
                )
        return self
