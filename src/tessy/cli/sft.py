"""`tessy sft`: train a student on a data set."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer


def sft(
    dataset: Annotated[
        str,
        typer.Argument(
            help="A run's folder, a .jsonl or .parquet file with `messages`, or a Hugging Face "
            "data set."
        ),
    ],
    out: Annotated[Path, typer.Option(help="A new folder; a stopped training in it goes on.")],
    model: Annotated[
        str | None, typer.Option(help="The student: a folder or a Hugging Face id.")
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="A TOML file with settings; options are put over it.")
    ] = None,
    loss: Annotated[
        str | None,
        typer.Option(
            help="What carries loss: response, capability, style, thinking or answer; several "
            "joined by +. By default response."
        ),
    ] = None,
    epochs: Annotated[int | None, typer.Option(help="By default 9.")] = None,
    max_steps: Annotated[int | None, typer.Option(help="Stop behind so many steps.")] = None,
    batch: Annotated[
        int | None, typer.Option(help="Samples a step, of all processes; by default 128.")
    ] = None,
    micro_batch: Annotated[
        int | None,
        typer.Option(help="Samples a process computes at once; by default told by their length."),
    ] = None,
    lr: Annotated[float | None, typer.Option(help="Learning rate; by default 5e-5.")] = None,
    warmup: Annotated[
        float | None, typer.Option(help="Share of steps in which it rises; by default 0.03.")
    ] = None,
    schedule: Annotated[
        str | None, typer.Option(help="How it goes on: cosine (default), linear or constant.")
    ] = None,
    max_length: Annotated[
        int | None, typer.Option(help="Longest sample, in tokens; by default the model's context.")
    ] = None,
    over_length: Annotated[
        str | None, typer.Option(help="Longer ones: drop (default) or cut.")
    ] = None,
    lora: Annotated[bool, typer.Option("--lora", help="Train low-rank adapters only.")] = False,
    lora_rank: Annotated[int | None, typer.Option(help="Theirs; by default 8.")] = None,
    lora_alpha: Annotated[float | None, typer.Option(help="Theirs; by default 16.")] = None,
    dtype: Annotated[
        str | None, typer.Option(help="Compute in auto (default), float32 or bfloat16.")
    ] = None,
    chat_template: Annotated[
        Path | None,
        typer.Option(help="A Jinja file, where the model's own template drops the thinking."),
    ] = None,
    save_steps: Annotated[
        int | None, typer.Option(help="Save a state every so many steps, besides each epoch.")
    ] = None,
    eval_: Annotated[
        str | None,
        typer.Option(
            "--eval",
            help="Questions that the untrained model and each epoch are evaluated with, as by "
            "`tessy eval` (Llama models).",
        ),
    ] = None,
    eval_runs: Annotated[int | None, typer.Option(help="Samples of each; by default 1.")] = None,
    eval_verify: Annotated[
        str | None,
        typer.Option(help="Verifier, as NAME or NAME:COLUMN; by default each question names its."),
    ] = None,
    eval_group: Annotated[
        str | None, typer.Option(help="A column of these questions by which to group.")
    ] = None,
    eval_config: Annotated[
        Path | None, typer.Option(help="A TOML file with settings of `tessy eval`.")
    ] = None,
    export: Annotated[
        str | None, typer.Option(help="gguf: each epoch for llama.cpp, too (Llama models).")
    ] = None,
    export_dtype: Annotated[
        str | None, typer.Option(help="Of its matrices: f32, f16 (default), bf16 or q8_0.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="The same seed gives the same.")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="Say nothing but errors.")] = False,
) -> None:
    """Train a student on a data set (supervised fine-tuning, with TRL).

    Each epoch is a folder of its own with a whole model. The same command again goes on where it
    was stopped. Needs `pip install 'tessy[train]'`.
    """
    from tessy.printable import visible
    from tessy.training.settings import load_settings

    adapters = {"rank": lora_rank, "alpha": lora_alpha}
    asked = {
        "questions": eval_,
        "runs": eval_runs,
        "verify": eval_verify,
        "group": eval_group,
        "config": eval_config,
    }
    settings = load_settings(
        config,
        {
            "model": model,
            "loss": loss,
            "epochs": epochs,
            "max_steps": max_steps,
            "batch": batch,
            "micro_batch": micro_batch,
            "learning_rate": lr,
            "warmup": warmup,
            "schedule": schedule,
            "max_length": max_length,
            "over_length": over_length,
            "lora": {name: value for name, value in adapters.items() if value is not None}
            or ({} if lora else None),
            "dtype": dtype,
            "chat_template": chat_template,
            "save_steps": save_steps,
            "eval": {name: value for name, value in asked.items() if value is not None} or None,
            "export": export,
            "export_dtype": export_dtype,
            "seed": seed,
        },
    )
    from tessy.training import plots
    from tessy.training.learning_curve import best, shown
    from tessy.training.train import train

    def say(line: str) -> None:
        if not quiet:
            print(visible(line), file=sys.stderr, flush=True)

    trained = train(dataset, settings, out, say=say)
    say(f"first step's loss {trained.losses.first:.4f}; card and losses: {out}")
    if highest := best(trained.evaluation):
        score = shown(highest.pass_at_1)
        say(f"highest: epoch {highest.epoch}, pass@1 {score}; the curve: {out / plots.CURVE_PLOT}")
    for last in trained.epochs[-1:]:
        say(f"the model, whose last epoch had a loss of {last.loss:.4f}: {last.folder}")
        if last.gguf:
            folder = last.folder
            say(f"serve it: tessy synth … --student gguf:{last.gguf} --student-tokenizer {folder}")
