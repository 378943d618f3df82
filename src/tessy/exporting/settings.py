"""What to export, and how: typed, bounded, with units."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from tessy.errors import ConfigError

NGRAM = 13
"""Words in a row that make a sample contaminated, unless the settings say otherwise."""
_REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+")


class FormatName(StrEnum):
    """What an export is for."""

    TRL = "trl"
    SHAREGPT = "sharegpt"
    ALPACA = "alpaca"
    PARQUET = "parquet"
    HF = "hf"


class Mask(StrEnum):
    """What carries loss; `tessy.training.masks` says which characters that is."""

    CAPABILITY = "capability"
    """What the teacher wrote."""
    STYLE = "style"
    """What the student wrote, the answer included."""
    NONE = "none"
    """The whole response."""


class ExportSettings(BaseModel):
    """Everything that decides what an export writes."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    to: FormatName
    """The format."""
    mask: Mask | None = None
    """Which characters carry loss; only for `trl`."""
    min_teacher_share: float | None = Field(default=None, ge=0, le=1)
    """Least share of the teacher's tokens."""
    max_teacher_share: float | None = Field(default=None, ge=0, le=1)
    """Greatest share of the teacher's tokens."""
    max_tokens: int | None = Field(default=None, ge=1)
    """Longest sample, in tokens: of the response as its models counted them, or of all messages
    by `tokenizer`."""
    tokenizer: str | None = None
    """A folder with `tokenizer.json`, or an id on Hugging Face."""
    drop_forced: bool = False
    """Drop samples with words that were kept only for *Progress*."""
    near_duplicates: float | None = Field(default=None, gt=0, le=1)
    """Similarity from which a response is a near-duplicate of an earlier one."""
    decontaminate: tuple[str, ...] = ()
    """Files or data sets of test questions."""
    ngram: int = Field(default=NGRAM, ge=1)
    """Number of words in a row that a sample may not share with a test question."""
    validation: float | None = Field(default=None, gt=0, lt=1)
    """Share of the questions whose samples go into a split `validation`."""
    seed: int = Field(default=0, ge=0)
    """Another seed puts other questions into `validation`."""
    licence: str | None = Field(default=None, pattern=r"^[a-z0-9][a-z0-9.-]*$")
    """Licence of the data, as Hugging Face names it: `apache-2.0`, `cc-by-4.0`, `other`."""
    push: str | None = None
    """Upload the export to this data set on Hugging Face, `owner/name`; only for `hf`."""
    public: bool = False
    """Anyone may see the data set, if `push` creates it; an existing one stays as it is."""

    @model_validator(mode="after")
    def _goes_together(self) -> Self:
        to = self.to.value
        if self.mask is not None and self.to is not FormatName.TRL:
            raise ValueError(f"--mask is for --to trl: {to} has no place for it")
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
                raise ValueError(f"--push {self.push!r} is no name of a data set: give OWNER/NAME")
            if self.licence is None:
                raise ValueError(
                    "--push needs a licence for the card: --licence cc-by-4.0, other, …"
                )
        return self


def validated(values: dict[str, Any]) -> ExportSettings:
    """Make settings of options; one that is None was not given.

    Raises:
        ConfigError: An option can't be used; the message names it and says what it must be.
    """
    try:
        return ExportSettings.model_validate({k: v for k, v in values.items() if v is not None})
    except ValidationError as error:
        found = error.errors()[0]
        message = found["msg"].removeprefix("Value error, ")
        if not found["loc"]:
            raise ConfigError(message) from None
        option = str(found["loc"][0]).replace("_", "-")
        message = f"--{option} {found['input']!r}: {message[0].lower()}{message[1:]}"
        raise ConfigError(message) from None
