"""Settings: fields of pydantic models, each with its type, bounds, unit, meaning and option.

A setting is defined once, at its field. The command line (`tessy.cli.options`), the TOML files and
the reference (`docs/reference.py`) are made from the definitions:

    class Limits(StrictSettings):
        answer_tokens: Annotated[int, UnitName("tokens"), Option()] = Field(default=6_000, ge=1)
        \"\"\"Longest answer.\"\"\"

is `answer_tokens` below `[limits]` in a file, and the option `--answer-tokens` of commands.

    definitions  what a setting is, and the definitions of all fields of a model
    explain      what is wrong with settings, in plain words
    loading      reads a file, with options over it
    factories    what `python:MODULE:FACTORY` names

Each imports only from those above it.
"""
