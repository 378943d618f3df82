"""`tessy predictor`: annotate, train, evaluate."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tessy.cli import options

app = typer.Typer(
    help="Boundary predictors: annotate text, train one on it, measure it.", no_args_is_help=True
)

Seed = Annotated[int, typer.Option(help="The same seed gives the same.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="Say nothing but errors.")]


@app.command()
def annotate(
    traces: Annotated[
        str,
        typer.Argument(
            help="Thinking: a .jsonl, .jsonl.gz or .parquet file, a Hugging Face data set, or a "
            "run's folder. Or a segment file, to label its segments anew."
        ),
    ],
    annotator: Annotated[
        str,
        typer.Option(
            help="Who marks the style: a model (`http://host:port/v1#name`, `gguf:PATH`, "
            "`hf:REPO/FILE`), or a predictor such as `lexicon`."
        ),
    ],
    out: Annotated[Path, typer.Option(help="The segment file; an unfinished one goes on.")],
    count: Annotated[int, typer.Option(min=1, help="Segments to draw.")] = 1000,
    words: Annotated[int, typer.Option(min=5, help="Words of a segment.")] = 60,
    before: Annotated[int, typer.Option(min=0, help="Words of context before it.")] = 120,
    seed: Annotated[
        int | None, typer.Option(help="The same seed gives the same; 0 by default.")
    ] = None,
    tokenizer: Annotated[
        str | None, typer.Option(help="Folder or Hugging Face id of the annotator's tokenizer.")
    ] = None,
    format: Annotated[
        str | None,
        typer.Option(help="Its chat format, without one: qwen3, deepseek-r1, gpt-oss or plain."),
    ] = None,
    config: options.ConfigFile = None,
    concurrency: Annotated[int | None, typer.Option(help="Segments asked for at once.")] = None,
    quiet: Quiet = False,
) -> None:
    """Draw segments of reasoning at random, and mark the style in them.

    Settings of the annotator that have no option (sampling, time-outs, the key) are those of the
    student in a TOML file. The same command again goes on where it was stopped.
    """
    from tessy.cli import work

    work.annotate(
        traces,
        annotator=annotator,
        out=out,
        count=count,
        words=words,
        before=before,
        overrides={
            "student.tokenizer": tokenizer,
            "student.format": format,
            "concurrency": concurrency,
            "seed": seed,
        },
        config=config,
        quiet=quiet,
    )


@app.command()
def train(
    segments: Annotated[Path, typer.Argument(help="A segment file, of `annotate`.")],
    out: Annotated[Path, typer.Option(help="A new folder; a stopped training in it goes on.")],
    base: Annotated[
        str, typer.Option(help="`small`, or a model of Hugging Face: a folder or an id.")
    ] = "small",
    shift: Annotated[
        bool, typer.Option("--shift", help="Labels speak of the next token, as the paper's do.")
    ] = False,
    window: Annotated[int, typer.Option(help="Tokens that it sees.")] = 200,
    epochs: Annotated[int, typer.Option(help="At most.")] = 30,
    patience: Annotated[int, typer.Option(help="Epochs without a better one, then it ends.")] = 4,
    batch: Annotated[int, typer.Option(help="Segments a step.")] = 32,
    learning_rate: Annotated[
        float | None, typer.Option(help="By default 2e-3 for `small`, else 5e-5.")
    ] = None,
    balance: Annotated[
        float, typer.Option(help="Weight up the rarer kind: 0 not at all, 1 until both are even.")
    ] = 0.0,
    cut_share: Annotated[
        float, typer.Option(help="Share of segments that end at a random word in training.")
    ] = 0.5,
    held_out: Annotated[
        float, typer.Option(help="Share of segments to choose the epoch and to calibrate with.")
    ] = 0.1,
    cost: Annotated[
        float,
        typer.Option(help="A word of style let through, in words of reasoning cut short."),
    ] = 1.0,
    hidden: Annotated[int, typer.Option(help="Size of the small base.")] = 128,
    vocabulary: Annotated[int, typer.Option(help="Tokens of the small base.")] = 8000,
    onnx: Annotated[bool, typer.Option("--onnx", help="Write model.onnx, too.")] = False,
    seed: Seed = 0,
    quiet: Quiet = False,
) -> None:
    """Train a boundary predictor on a segment file.

    The same command again goes on where it was stopped. Needs `pip install 'tessy[train]'`.
    """
    from tessy.cli import work

    work.train(
        segments,
        out,
        {
            "base": base,
            "shift": shift,
            "window": window,
            "epochs": epochs,
            "patience": patience,
            "batch": batch,
            "learning_rate": learning_rate,
            "balance": balance,
            "cut_share": cut_share,
            "held_out": held_out,
            "cost": cost,
            "hidden": hidden,
            "vocabulary": vocabulary,
            "seed": seed,
        },
        onnx=onnx,
        quiet=quiet,
    )


@app.command()
def evaluate(
    predictor: Annotated[
        str, typer.Argument(help="A predictor's name, or a segment file that somebody labelled.")
    ],
    gold: Annotated[
        Path | None, typer.Option(help="A segment file; by default the gold set that ships.")
    ] = None,
    against: Annotated[
        list[str] | None, typer.Option(help="Another one, measured beside it; may be repeated.")
    ] = None,
    json: Annotated[Path | None, typer.Option(help="Write all figures to this file.")] = None,
    html: Annotated[
        Path | None, typer.Option(help="Write a page with figures and the worst cases.")
    ] = None,
    samples: Annotated[int, typer.Option(min=0, help="Of the bootstrap.")] = 1000,
    quiet: Quiet = False,
) -> None:
    """Measure how well a predictor finds style and its boundaries."""
    from tessy.cli import work

    work.evaluate(
        [predictor, *(against or [])],
        gold=gold,
        json=json,
        html=html,
        samples=samples,
        quiet=quiet,
    )
