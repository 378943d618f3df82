"""Training a boundary predictor: `tessy predictor train`.

    segments      are split by question: most to train on, some held out
    base          a Hugging Face model, or `small`: the network of `tagger`, with a vocabulary made
                  from the segments
    labels        each token has its word's; with `shift`, that of the token after it
    cuts          half of the segments end at a random word each time they are seen, so that the
                  network learns to judge the end of a chunk as well as what has words behind it
    best          the epoch with the best style F1 on held-out tokens is kept; training ends when
                  it has not been beaten for `patience` epochs
    calibration   held-out segments give temperature, bias and thresholds (`calibrate`)

The same command goes on where it was stopped: checkpoints lie in `OUT/checkpoints` until the end.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import orjson
from tokenizers import Tokenizer

from tessy.boundary.classifier import Network
from tessy.boundary.settings import SETTINGS_FILE, ClassifierSettings, TrainSettings
from tessy.boundary.training.calibrate import calibrated
from tessy.boundary.training.card import card
from tessy.boundary.training.metrics import Figure, count, figures
from tessy.boundary.training.segments import Segment, dump, is_style, split
from tessy.boundary.training.walk import labellings, truth
from tessy.display import Say
from tessy.errors import ConfigError, DataError, MissingExtra
from tessy.method.words import units

TRAINING_FILE = "training.json"
METRICS_FILE = "metrics.json"
_LOOKAHEAD = 3
"""Words that a predictor waits for when it is unsure (docs/boundary.md measures others)."""
_NOISE = 1e-2
_COMPARED = 16
"""Held-out segments by which an exported network is compared with the trained one."""


@dataclass(frozen=True, slots=True)
class Trained:
    """What came out.

    Attributes:
        folder: Where it lies.
        figures: On held-out segments.
        epochs: How many were trained.
        segments: Trained on, and held out.
    """

    folder: Path
    figures: dict[str, Figure]
    epochs: int
    segments: tuple[int, int]


def train(
    segments: Sequence[Segment],
    out: Path,
    settings: TrainSettings,
    *,
    onnx: bool = False,
    say: Say = lambda _: None,
) -> Trained:
    """Train a predictor and write it to a folder.

    Args:
        segments: Labelled ones, of at least two questions.
        out: A new folder, or one in which the same training was stopped.
        settings: How.
        onnx: Write `model.onnx`, too.
        say: Told what is going on, in a line.

    Raises:
        MissingExtra: torch or transformers is not installed.
        DataError: Too few segments, or all of one kind.
        ConfigError: The base can't be used, or `out` holds something else.
    """
    try:
        import torch  # noqa: F401
        import transformers  # noqa: F401
    except ImportError:
        raise MissingExtra(
            "training needs torch and transformers", hint="pip install 'tessy[train]'"
        ) from None
    learned, held = check(segments, settings)
    _open(out, segments, settings)
    from tessy.boundary.training import fit

    network, tokenizer, epochs = fit.fit(learned, held, out, settings, say)
    shape = ClassifierSettings(
        shift=int(settings.shift),
        window=settings.window,
        reach=getattr(network.model.config, "reach", None),
        lookahead=_LOOKAHEAD if looks_ahead(network, tokenizer, held) else 0,
        vocabulary=tokenizer.get_vocab_size(),
    )
    say("calibrating")
    name = f"transformers:{out}"
    predictor = calibrated(name, tokenizer, network, shape, held, cost=settings.cost)
    found = figures(
        [
            count(truth(segment), labelling, len(segment.text))
            for segment, labelling in zip(held, labellings(predictor, held), strict=True)
        ]
    )
    result = Trained(out, found, epochs, (len(learned), len(held)))
    _write(result, predictor.settings, settings, segments)
    if onnx:
        from tessy.boundary.training.export import export

        texts = [segment.text for segment in held[:_COMPARED]]
        ids = [encoding.ids for encoding in tokenizer.encode_batch(texts, add_special_tokens=False)]
        apart = export(network.model, out, ids)
        say(f"model.onnx: its log-odds differ by at most {apart:.4f}")
    shutil.rmtree(out / fit.CHECKPOINTS, ignore_errors=True)
    return result


def check(
    segments: Sequence[Segment], settings: TrainSettings
) -> tuple[list[Segment], list[Segment]]:
    """Split segments into those to learn from and those held out, and check both.

    Raises:
        DataError: Either part is empty, or without style or capability.
    """
    learned, held = split(segments, settings.held_out, settings.seed)
    for name, part in (("to learn from", learned), ("held out", held)):
        kinds = {kind for segment in part for kind in is_style(segment, units(segment.text))}
        if len(kinds) < 2:
            what = {True: "all style", False: "all capability"}.get(*kinds) if kinds else "none"
            raise DataError(
                f"the {len(part)} segments {name} are {what}; both kinds are needed",
                hint="annotate more segments, of more questions",
            )
    return learned, held


def looks_ahead(network: Network, tokenizer: Tokenizer, segments: Sequence[Segment]) -> bool:
    """Whether what a network says of a token depends on those behind it; not if it is causal."""
    ids = tokenizer.encode(segments[0].text, add_special_tokens=False).ids
    half = len(ids) // 2
    whole, first = network([ids, ids[:half]])
    return any(abs(a - b) > _NOISE for a, b in zip(first, whole, strict=False))


def _digest(segments: Sequence[Segment]) -> str:
    digest = hashlib.sha256()
    for segment in segments:
        digest.update(dump(segment))
    return digest.hexdigest()


def _open(out: Path, segments: Sequence[Segment], settings: TrainSettings) -> None:
    """Make the folder, or see that it is that of the same training."""
    identity = {"settings": settings.model_dump(), "segments_sha256": _digest(segments)}
    path = out / TRAINING_FILE
    if path.is_file():
        if orjson.loads(path.read_bytes()) != identity:
            raise ConfigError(
                f"{out} holds a predictor trained with other settings or segments",
                hint="name another folder, or remove this one",
            )
        return
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ConfigError(f"{out} is there already, and no training", hint="name a new folder")
    out.mkdir(parents=True, exist_ok=True)
    path.write_bytes(orjson.dumps(identity, option=orjson.OPT_INDENT_2))


def _write(
    trained: Trained,
    reading: ClassifierSettings,
    settings: TrainSettings,
    segments: Sequence[Segment],
) -> None:
    out = trained.folder
    (out / SETTINGS_FILE).write_text(reading.model_dump_json(indent=2) + "\n", "utf-8")
    numbers = {name: (f.value, f.low, f.high) for name, f in trained.figures.items()}
    (out / METRICS_FILE).write_bytes(orjson.dumps(numbers, option=orjson.OPT_INDENT_2))
    (out / "README.md").write_text(
        card(settings.model_dump(), trained.segments, trained.figures, reading, segments), "utf-8"
    )
