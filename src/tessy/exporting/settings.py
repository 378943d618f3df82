"""What to export, and how: typed, bounded, with units."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from tessy.errors import ConfigError
from tessy.exporting.contamination import NGRAM


class FormatName(StrEnum):
    """What an export is for."""

    TRL = "trl"
    SHAREGPT = "sharegpt"
    ALPACA = "alpaca"
    PARQUET = "parquet"
    HF = "hf"


class Mask(StrEnum):
    """What the loss is kept on; `tessy.training.masks` says which characters that is."""

    CAPABILITY = "capability"
    """What the teacher wrote."""
    STYLE = "style"
    """What the student wrote, the answer included."""
    NONE = "none"
    """The whole response."""


class ExportSettings(BaseModel):
    """All that decides what an export writes."""

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
    """Drop samples with words that were kept only for Progress."""
    near_duplicates: float | None = Field(default=None, gt=0, le=1)
    """Likeness from which a response is a near-duplicate of an earlier one."""
    decontaminate: tuple[str, ...] = ()
    """Files or data sets of test questions."""
    ngram: int = Field(default=NGRAM, ge=1)
    """Words in a row that a sample may not share with a test question."""
    validation: float | None = Field(default=None, gt=0, lt=1)
    """Share of the questions whose samples go into a split `validation`."""
    seed: int = Field(default=0, ge=0)
    """Another seed puts other questions into `validation`."""
    licence: str | None = Field(default=None, pattern=r"^[a-z0-9][a-z0-9.-]*$")
    """Licence of the data, as Hugging Face names it: `apache-2.0`, `cc-by-4.0`, `other`."""

    @model_validator(mode="after")
    def _goes_together(self) -> Self:
        if self.mask is not None and self.to is not FormatName.TRL:
            raise ValueError(f"--mask is for --to trl: {self.to.value} has no place for it")
        if self.tokenizer and self.max_tokens is None:
            raise ValueError("--tokenizer counts for --max-tokens: give that, too")
        if self.licence and self.to is not FormatName.HF:
            raise ValueError(f"--licence is for the card of --to hf: {self.to.value} has none")
        if (self.min_teacher_share or 0) > (1 if (m := self.max_teacher_share) is None else m):
            raise ValueError("--min-teacher-share is above --max-teacher-share")
        return self


def validated(values: dict[str, Any]) -> ExportSettings:
    """Settings of what was given as options; None is not given.

    Raises:
        ConfigError: Naming the option and what it must be.
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
