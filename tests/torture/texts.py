"""Text that looks like control tokens or code: in questions, in what models write, in templates."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from pathlib import Path

from data.hostile_rows import HOSTILE as ROWS
from models.test_control_ids import TEXTS, TOKENIZERS, added
from templates.hostile import HOSTILE as TEMPLATES
from tessy.data.questions import read
from tessy.errors import ConfigError, InputError
from tessy.models.templates import from_template
from tessy.models.tokenizers import ControlInText, PromptPiece
from torture.counts import Table

_DATE = datetime.date(2026, 1, 2)


async def texts(table: Table, folder: Path, tokenizers: Mapping[str, Path]) -> None:
    """Rows of questions, templates and tokenizers."""
    with table.row(
        "questions",
        "odd numbers, ids, encodings, JSON, files, messages",
        "read, or refused by line",
    ) as row:
        for number, case in enumerate(ROWS):
            path = folder / str(number) / case.file
            path.parent.mkdir()
            path.write_bytes(case.content)
            try:
                read(str(path))
                held = case.says is None
            except InputError as error:
                held = case.says is not None and case.file in str(error)
            row.count(held, f"{case.kind}, {case.file}")
    with table.row(
        "templates", "ones that drop, change or quote a question, or never end", "refused at start"
    ) as row:
        for name, (source, _) in TEMPLATES.items():
            try:
                from_template(source, special={}, arguments={}, date=_DATE, name="x")
                held = False
            except ConfigError:
                held = True
            row.count(held, name)
    with table.row(
        "prompts",
        f"text that is a control token of {len(TOKENIZERS)} kinds of tokenizers",
        "no control id from text, or the sample fails",
    ) as row:
        for name in TOKENIZERS:
            for special in (True, False):
                place = folder / f"{name}-{special}"
                place.mkdir()
                tokenizer, control = added(TOKENIZERS[name](), special, place)
                for text in TEXTS:
                    try:
                        held = control.isdisjoint(await tokenizer.encode(PromptPiece(text)))
                    except ControlInText:
                        held = True
                    row.count(held, f"{name}, {special=}: {text!r}")
