"""`tessy synth`: from questions to a data set."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tessy.cli import options


def synth(
    questions: Annotated[
        str,
        typer.Argument(help="A .jsonl or .parquet file, or a Hugging Face data set."),
    ],
    out: Annotated[Path, typer.Option(help="The run's folder; an unfinished run in it goes on.")],
    student: options.Student = None,
    teacher: options.Teacher = None,
    student_tokenizer: options.StudentTokenizer = None,
    teacher_tokenizer: options.TeacherTokenizer = None,
    student_format: options.StudentFormat = None,
    teacher_format: options.TeacherFormat = None,
    config: options.ConfigFile = None,
    method: Annotated[
        str | None,
        typer.Option(
            help="How samples are written: tessy, student-only, teacher-only, teacher-mix, "
            "teacher-think, teacher-answer, teacher-score, teacher-reference.",
        ),
    ] = None,
    answer_by: Annotated[
        str | None, typer.Option(help="Who answers after TESSY's thinking: student or teacher.")
    ] = None,
    teacher_only_system_prompt: Annotated[
        str | None, typer.Option(help="A system message for Teacher-Only's teacher.")
    ] = None,
    candidates: Annotated[int | None, typer.Option(help="Candidates of Teacher-Score.")] = None,
    verify: Annotated[
        str | None,
        typer.Option(
            help="Keep only answers that a verifier accepts: exact, number, math, choice, "
            "reasoning-gym, code or auto, with :COLUMN for another column than its own.",
        ),
    ] = None,
    attempts: Annotated[
        int | None, typer.Option(help="Tries at a sample that fails or is not accepted.")
    ] = None,
    unsafe_no_sandbox: Annotated[
        bool, typer.Option("--unsafe-no-sandbox", help="Run code that is verified without one.")
    ] = False,
    predictor: Annotated[
        str | None,
        typer.Option(
            help="Boundary predictor: english-1, lexicon, lab, onnx:FOLDER, "
            "transformers:FOLDER-OR-ID, http://…, python:MODULE:FACTORY.",
        ),
    ] = None,
    student_predictor: Annotated[
        str | None, typer.Option(help="Predictor for the student's text, if another.")
    ] = None,
    teacher_predictor: Annotated[
        str | None, typer.Option(help="Predictor for the teacher's text, if another.")
    ] = None,
    student_chunk: Annotated[
        int | None, typer.Option(help="Tokens of a chunk of the student's, if chunks are written.")
    ] = None,
    teacher_chunk: Annotated[
        int | None, typer.Option(help="Tokens of a chunk of the teacher's, if chunks are written.")
    ] = None,
    thinking_tokens: Annotated[
        int | None, typer.Option(help="Longest thinking of both together, in tokens.")
    ] = None,
    answer_tokens: Annotated[int | None, typer.Option(help="Longest answer, in tokens.")] = None,
    on_thinking_limit: Annotated[
        str | None, typer.Option(help="At the longest thinking: fail, or answer.")
    ] = None,
    samples_per_question: Annotated[int | None, typer.Option(help="Samples of each.")] = None,
    mode: Annotated[
        str | None, typer.Option(help="How thinking is asked for: auto, stream or chunks.")
    ] = None,
    concurrency: Annotated[int | None, typer.Option(help="Samples under way at once.")] = None,
    workers: Annotated[int | None, typer.Option(help="Processes that write them.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of the run.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first questions.")] = None,
    skip_bad: Annotated[
        bool, typer.Option("--skip-bad", help="Record bad lines as failures.")
    ] = False,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Write failed samples anew.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Say nothing but errors.")] = False,
) -> None:
    """Write a data set: student and teacher think in turns, or by another method of the paper.

    The same command again goes on where it was stopped.
    """
    from tessy.config import load
    from tessy.runs.progress import Progress, Show
    from tessy.synthesis.run import synthesize

    overrides = {
        "student.model": student,
        "student.tokenizer": student_tokenizer,
        "student.format": student_format,
        "student.chunk": student_chunk,
        "teacher.model": teacher,
        "teacher.tokenizer": teacher_tokenizer,
        "teacher.format": teacher_format,
        "teacher.chunk": teacher_chunk,
        "limits.thinking_tokens": thinking_tokens,
        "limits.answer_tokens": answer_tokens,
        "limits.on_thinking_limit": on_thinking_limit,
        "method": method,
        "answer_by": answer_by,
        "teacher_only_system_prompt": teacher_only_system_prompt,
        "candidates": candidates,
        "verify": verify,
        "attempts": attempts,
        "sandbox": False if unsafe_no_sandbox else None,
        "predictor": predictor,
        "student_predictor": student_predictor,
        "teacher_predictor": teacher_predictor,
        "samples_per_question": samples_per_question,
        "mode": mode,
        "concurrency": concurrency,
        "workers": workers,
        "seed": seed,
    }
    progress = Progress(Show.QUIET if quiet else Show.AUTO)
    result = synthesize(
        questions,
        out=out,
        config=load(config, overrides),
        limit=limit,
        skip_bad=skip_bad,
        retry_failed=retry_failed,
        progress=progress,
    )
    progress.summarise(result)
    if result.stopped:
        raise typer.Exit(130)
    if result.total and not result.finished:
        raise typer.Exit(1)
