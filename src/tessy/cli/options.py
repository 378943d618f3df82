"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

MODEL = (
    "URL (`http://host:port/v1#name`), `lab:student`, `lab:teacher`, `lab:relative`, `gguf:PATH`, "
    "or `hf:REPO/FILE`."
)

Student = Annotated[
    str | None,
    typer.Option(help=f"The model that the data is for: {MODEL}", rich_help_panel="Models"),
]
Teacher = Annotated[
    str | None, typer.Option(help=f"The model to learn from: {MODEL}", rich_help_panel="Models")
]
StudentTokenizer = Annotated[
    str | None,
    typer.Option(help="Folder or Hugging Face id of its tokenizer.", rich_help_panel="Models"),
]
TeacherTokenizer = Annotated[
    str | None,
    typer.Option(help="Folder or Hugging Face id of its tokenizer.", rich_help_panel="Models"),
]
StudentFormat = Annotated[
    str | None,
    typer.Option(
        help="Its chat format, without a tokenizer: qwen3, deepseek-r1, gpt-oss or plain.",
        rich_help_panel="Models",
    ),
]
TeacherFormat = Annotated[
    str | None,
    typer.Option(
        help="Its chat format, without a tokenizer: qwen3, deepseek-r1, gpt-oss or plain.",
        rich_help_panel="Models",
    ),
]
ConfigFile = Annotated[
    Path | None,
    typer.Option(
        "--config", help="A TOML file with settings; options here are put over it.", metavar="TOML"
    ),
]
