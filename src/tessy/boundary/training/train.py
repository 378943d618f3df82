"""Training a boundary predictor: `tessy predictor train`.

    segments      split by question: most to train on, some held out
    base          `window`: the network of `tessy.boundary.window`; or a Hugging Face model
    labels        each token has the label of its word; with `shift`, that of the token after it
    cuts          half of a classifier's segments end at a random word each time they are seen, so
                  that it learns to judge words at the end of a text as well as earlier ones
    best epoch    the one with the best style F1 on held-out tokens is kept; training ends after
                  `patience` epochs without a better one
    calibration   held-out segments give temperature, bias and thresholds (`calibrate`)

The same command continues a training that was stopped, from `OUT/checkpoints`.
"""

from __future__ import annotations

import hashlib
import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import orjson
from tokenizers import Tokenizer

from tessy.boundary.classifier import ClassifierPredictor, Network
from tessy.boundary.settings import SETTINGS_FILE, WINDOW, ClassifierSettings, TrainSettings
from tessy.boundary.training.calibrate import calibrated
from tessy.boundary.training.metrics import MeasuredFigure, figures
from tessy.boundary.training.segments import Segment, dump, is_style, split
from tessy.boundary.training.walk import counted, labellings
from tessy.boundary.window import WindowPredictor, WindowSettings
from tessy.display import Say, count_of
from tessy.errors import ConfigError, DataError, MissingExtra, install_hint
from tessy.method.words import units

TRAINING_FILE = "training.json"
METRICS_FILE = "metrics.json"
_LOOKAHEAD = 3
"""Words that a predictor waits for when it is unsure (docs/boundary.md measures others)."""
_NOISE = 1e-2
"""Log-odds by which padding alone may move a judgement."""
_ON_CARD = ("word_f1", "boundary_f1", "boundary_f1_near", "cut_near", "ece")
_OF_CLASSIFIERS = ("shift", "window", "balance", "cut_share")
"""Settings that the base `window` does not have."""
_GONE = "small"
"""A base of earlier versions."""
_COMPARED = 16
"""Held-out segments by which an exported network is compared with the trained one."""


@dataclass(frozen=True, slots=True)
class TrainedPredictor:
    """A trained predictor.

    Attributes:
        folder: Its folder.
        figures: Its figures on held-out segments.
        epochs: The number of epochs that were trained.
        segments: The numbers of segments trained on, and held out.
    """

    folder: Path
    figures: dict[str, MeasuredFigure]
    epochs: int
    segments: tuple[int, int]


def train(
    segments: Sequence[Segment],
    out: Path,
    settings: TrainSettings,
    *,
    onnx: bool = False,
    say: Say = lambda _: None,
) -> TrainedPredictor:
    """Train a predictor and write it to a folder.

    Args:
        segments: Labelled segments, of at least two questions.
        out: A new folder, or one in which the same training was stopped.
        settings: How to train.
        onnx: Write `model.onnx`, too.
        say: Prints a line about what is going on.

    Raises:
        MissingExtra: torch or transformers is not installed.
        DataError: There are too few segments, or all are of one kind.
        ConfigError: The base can't be used, or not with these options; or `out` holds something
            else.
    """
    if settings.base == _GONE and not Path(_GONE).is_dir():
        raise ConfigError(
            f"there is no base {_GONE} any more",
            hint=f"leave --base out for {WINDOW}, or name a folder or an id of Hugging Face",
        )
    try:
        import torch  # noqa: F401
        import transformers  # noqa: F401
    except ImportError:
        raise MissingExtra(
            "training needs torch and transformers", hint=install_hint("train")
        ) from None
    if settings.base == WINDOW and (onnx or settings.shift):
        raise ConfigError(
            f"the base {WINDOW} takes neither --onnx nor --shift: it is no classifier of tokens",
            hint=f"leave the option out, and use window:{out}; or name a base of Hugging Face",
        )
    learned, held = check(segments, settings)
    _open(out, segments, settings)
    predictor: WindowPredictor | ClassifierPredictor
    if settings.base == WINDOW:
        predictor, epochs = _window(learned, held, out, settings, say)
    else:
        predictor, epochs = _classifier(learned, held, out, settings, say, onnx=onnx)
    return finish(predictor, out, settings, learned, held, epochs)


def finish(
    predictor: WindowPredictor | ClassifierPredictor,
    out: Path,
    settings: TrainSettings,
    learned: Sequence[Segment],
    held: Sequence[Segment],
    epochs: int,
) -> TrainedPredictor:
    """Measure a trained predictor, and write how to read it, its figures and its card.

    Args:
        predictor: The predictor, calibrated.
        out: Its folder, which holds the network.
        settings: How it was trained.
        learned: The segments that it learned.
        held: Segments that it did not learn.
        epochs: The number of epochs that were trained.
    """
    found = figures(counted(held, labellings(predictor, held)))
    result = TrainedPredictor(out, found, epochs, (len(learned), len(held)))
    _write(result, predictor.settings, settings, [*learned, *held])
    return result


def _window(
    learned: Sequence[Segment],
    held: Sequence[Segment],
    out: Path,
    settings: TrainSettings,
    say: Say,
) -> tuple[WindowPredictor, int]:
    """Train a `window` predictor; returns it and the number of epochs."""
    from tessy.boundary.training import window

    network = window.TrainedWindow(settings.hidden, seed=settings.seed)
    to_learn, to_compare = window.examples(learned), window.examples(held)
    epochs = window.fit(network, to_learn, to_compare, settings, say)
    predictor = window.save(network, to_compare, out, cost=settings.cost)
    return predictor, epochs


def _classifier(
    learned: Sequence[Segment],
    held: Sequence[Segment],
    out: Path,
    settings: TrainSettings,
    say: Say,
    *,
    onnx: bool,
) -> tuple[ClassifierPredictor, int]:
    """Train a token classifier; returns it and the number of epochs."""
    from tessy.boundary.training import fit

    network, tokenizer, epochs = fit.fit(learned, held, out, settings, say)
    shape = ClassifierSettings(
        shift=int(settings.shift),
        window=settings.window,
        lookahead=_LOOKAHEAD if looks_ahead(network, tokenizer, held) else 0,
        vocabulary=tokenizer.get_vocab_size(),
    )
    say("calibrating")
    name = f"transformers:{out}"
    raw = ClassifierPredictor(name, tokenizer, network, shape)
    chosen = calibrated(raw, held, cost=settings.cost)
    if onnx:
        texts = [segment.text for segment in held[:_COMPARED]]
        ids = [encoding.ids for encoding in tokenizer.encode_batch(texts, add_special_tokens=False)]
        apart = fit.export(network.model, out, ids)
        say(f"model.onnx: its log-odds differ by at most {apart:.4f}")
    shutil.rmtree(out / fit.CHECKPOINTS, ignore_errors=True)
    return ClassifierPredictor(name, tokenizer, network, chosen), epochs


def check(
    segments: Sequence[Segment], settings: TrainSettings
) -> tuple[list[Segment], list[Segment]]:
    """Split segments into those to learn from and those held out, and check both parts.

    Raises:
        DataError: Either part is empty, or without style or capability.
    """
    learned, held = split(segments, settings.held_out, settings.seed)
    for name, part in (("to learn from", learned), ("held out", held)):
        if not part:
            raise DataError(
                f"of {count_of(len(segments), 'segment')}, none is left {name}: there are too few",
                hint="correct or annotate more, of several questions",
            )
        kinds = {kind for segment in part for kind in is_style(segment, units(segment.text))}
        if len(kinds) < 2:
            what = {True: "all style", False: "all capability"}.get(*kinds) if kinds else "none"
            raise DataError(
                f"the {len(part)} segments {name} are {what}; both kinds are needed",
                hint="annotate more segments, of more questions",
            )
    return learned, held


def looks_ahead(network: Network, tokenizer: Tokenizer, segments: Sequence[Segment]) -> bool:
    """Whether the label of a token depends on the tokens after it; it does not in a causal one."""
    ids = tokenizer.encode(segments[0].text, add_special_tokens=False).ids
    half = len(ids) // 2
    whole, first = network([ids, ids[:half]])
    return any(abs(a - b) > _NOISE for a, b in zip(first, whole, strict=False))


def _open(out: Path, segments: Sequence[Segment], settings: TrainSettings) -> None:
    """Make the folder, or check that it belongs to the same training."""
    digest = hashlib.sha256(b"".join(map(dump, segments))).hexdigest()
    identity = {"settings": settings.model_dump(), "segments_sha256": digest}
    path = out / TRAINING_FILE
    if path.is_file():
        if orjson.loads(path.read_bytes()) != identity:
            raise ConfigError(
                f"{out} holds a predictor trained with other settings or segments",
                hint="name another folder, or remove this one",
            )
        return
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ConfigError(f"{out} exists and is no training", hint="name a new folder")
    out.mkdir(parents=True, exist_ok=True)
    path.write_bytes(orjson.dumps(identity, option=orjson.OPT_INDENT_2))


def _write(
    trained: TrainedPredictor,
    reading: ClassifierSettings | WindowSettings,
    settings: TrainSettings,
    segments: Sequence[Segment],
) -> None:
    """Write what belongs to a network: how to read it, its figures, and its card."""
    out = trained.folder
    (out / SETTINGS_FILE).write_text(reading.model_dump_json(indent=2) + "\n", "utf-8")
    numbers = {name: (f.value, f.low, f.high) for name, f in trained.figures.items()}
    (out / METRICS_FILE).write_bytes(orjson.dumps(numbers, option=orjson.OPT_INDENT_2))
    (out / "README.md").write_text(_card(trained, reading, settings, segments), "utf-8")


def _card(
    trained: TrainedPredictor,
    reading: ClassifierSettings | WindowSettings,
    settings: TrainSettings,
    segments: Sequence[Segment],
) -> str:
    """The card of a predictor, in Markdown."""
    shown = settings.model_dump()
    if settings.base == WINDOW:
        shown = {name: value for name, value in shown.items() if name not in _OF_CLASSIFIERS}
    if Path(settings.base).is_dir():  # a card is read on other machines, too
        shown["base"] = Path(settings.base).name
    figures = {name: trained.figures[name] for name in trained.figures if name in _ON_CARD}
    sources = {
        "Annotated by": [segment.annotator for segment in segments],
        "Written by": [segment.model for segment in segments],
        "About": [segment.subject for segment in segments],
        "From": [segment.source for segment in segments],
    }
    lines = [
        "# A boundary predictor of tessy",
        "",
        "It tells style from capability in the thinking of reasoning models.",
        "",
        f"Trained on {trained.segments[0]} segments; {trained.segments[1]} others were held out to "
        "choose the epoch and to calibrate, so these figures of them are a little too good. "
        "Intervals: 95%, bootstrap.",
        "",
        "| on held-out segments | | |",
        "|---|---|---|",
        *(
            f"| {name} | {f.value:.3f} | {f.low:.3f} to {f.high:.3f} |"
            for name, f in figures.items()
        ),
        "",
        "| setting | |",
        "|---|---|",
        *(f"| {name} | {value} |" for name, value in shown.items()),
        *_calibration(reading),
        f"| threshold for the teacher's text | {reading.thresholds.teacher} |",
        f"| threshold for the student's text | {reading.thresholds.student} |",
        "",
    ]
    for title, values in sources.items():
        counted = Counter(value for value in values if value).most_common()
        if counted:
            lines += [f"{title}: " + ", ".join(f"{value} ({n})" for value, n in counted), ""]
    return "\n".join(lines)


def _calibration(reading: ClassifierSettings | WindowSettings) -> list[str]:
    """Rows of the card."""
    if isinstance(reading, ClassifierSettings):
        return [f"| temperature, bias | {reading.temperature:.3f}, {reading.bias:.3f} |"]
    waits = ", ".join(map(str, reading.unsure))
    return [f"| P(style) so near to it waits, with 0, 1, 2 words after it | {waits} |"]
