"""`tessy doctor`: what both models can do, before a run depends on it."""

from __future__ import annotations

import typer

from tessy.cli import options


def doctor(
    student: options.Student = None,
    teacher: options.Teacher = None,
    student_tokenizer: options.StudentTokenizer = None,
    teacher_tokenizer: options.TeacherTokenizer = None,
    student_format: options.StudentFormat = None,
    teacher_format: options.TeacherFormat = None,
    config: options.ConfigFile = None,
) -> None:
    """Ask both models what they can do, and say whether synthesis will work with them."""
    from rich.console import Console

    from tessy.config import load
    from tessy.event_loop import run_loop
    from tessy.models.doctor import examine, table

    overrides = {
        "student.model": student,
        "student.tokenizer": student_tokenizer,
        "student.format": student_format,
        "teacher.model": teacher,
        "teacher.tokenizer": teacher_tokenizer,
        "teacher.format": teacher_format,
    }
    findings = run_loop(examine(load(config, overrides)))
    Console().print(table(findings))
    if any(finding.error for finding in findings):
        raise typer.Exit(1)
