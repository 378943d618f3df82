"""Trains the network of `tessy.boundary.window`, with torch; it takes a minute or two.

Each word of a segment is an example. How many of the words after it the network sees is drawn again
each time, so that it learns to judge a word as soon as it is written, and again when more is.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from tessy.boundary.settings import SETTINGS_FILE, TrainSettings
from tessy.boundary.training.calibrate import calibration, margins
from tessy.boundary.training.segments import Segment, is_style
from tessy.boundary.window import (
    BEFORE_TEXT,
    LEFT,
    MODEL_FILE,
    NOT_WRITTEN,
    RIGHT,
    Array,
    WindowPredictor,
    WindowSettings,
    buckets,
    load,
    with_breaks,
    words_before,
    write,
)
from tessy.display import Say
from tessy.method.words import is_neutral, units

VECTORS = 2**15
"""Vectors of features, by default."""
_DIMENSIONS = 32
_SECOND = 64
"""Outputs of the second layer."""
_DROPOUT = 0.2
_AT_ONCE = 8192
"""Examples that are judged at once to measure."""
_WORDS = 60
"""Words of a segment, for the number of examples in a step."""
_WARMUP = 50
"""Most steps until the learning rate is at its highest."""
_STYLE = 0.5
"""P(style) from which a word is taken for style."""


@dataclass(frozen=True, slots=True)
class WindowExamples:
    """Words with the words around them.

    Attributes:
        rows: Rows of the vectors of each distinct word's features, [words, features], filled up
            with the number of vectors. Word 0 is one that is not written, word 1 one before the
            text.
        windows: The words of each window, [examples, LEFT + 1 + RIGHT].
        style: P(style) of the word in the middle, [examples].
    """

    rows: Tensor
    windows: Tensor
    style: Tensor


def examples(
    segments: Sequence[Segment],
    style: Sequence[Sequence[float]] | None = None,
    *,
    vectors: int = VECTORS,
) -> WindowExamples:
    """The words of segments, without those of punctuation.

    Args:
        segments: Segments; labelled ones, unless `style` is given.
        style: P(style) of each unit of each segment; NaN where it is not known.
        vectors: The number of vectors of the network.
    """
    numbers: dict[str, int] = {}
    windows: list[list[int]] = []
    wanted: list[float] = []

    def number(word: str) -> int:
        return numbers.setdefault(word, len(numbers) + 2)

    for index, segment in enumerate(segments):
        text, words = segment.text, units(segment.text)
        kinds = is_style(segment, words) if style is None else style[index]
        real = [at for at, word in enumerate(words) if word.word_end > word.word_start]
        names = [number(name) for name in with_breaks(text, words)]
        for at, unit in enumerate(real):
            word = words[unit]
            if is_neutral(text[word.word_start : word.word_end]) or np.isnan(kinds[unit]):
                continue
            left, _ = words_before(segment.before + text[: word.word_start])
            right = names[at + 1 : at + 1 + RIGHT]
            windows.append(
                [1] * (LEFT - len(left))
                + [number(each) for each in left]
                + [names[at], *right]
                + [0] * (RIGHT - len(right))
            )
            wanted.append(float(kinds[unit]))
    found = [[NOT_WRITTEN], [BEFORE_TEXT], *(buckets(word, vectors) for word in numbers)]
    width = max(map(len, found))
    rows = torch.full((len(found), width), vectors)
    for at, row in enumerate(found):
        rows[at, : len(row)] = torch.tensor(row)
    return WindowExamples(rows, torch.tensor(windows), torch.tensor(wanted))


class TrainedWindow(nn.Module):
    """The network of `WindowNetwork` while it is trained; its scores are log-odds of style.

    Args:
        hidden: Outputs of the first layer.
        vectors: Vectors of features.
        seed: Of the weights that it starts with.
    """

    def __init__(self, hidden: int, *, vectors: int = VECTORS, seed: int = 0) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.vectors = nn.EmbeddingBag(vectors + 1, _DIMENSIONS, mode="sum", padding_idx=vectors)
        with torch.no_grad():
            self.vectors.weight[:vectors].normal_(std=0.1)
        sizes = [(LEFT + 1 + RIGHT) * _DIMENSIONS, hidden, _SECOND, 1]
        self.layers = nn.ModuleList(map(nn.Linear, sizes[:-1], sizes[1:]))
        self.dropout = nn.Dropout(_DROPOUT)

    def forward(self, windows: Tensor, rows: Tensor) -> Tensor:
        """Log-odds [examples] of windows [examples, LEFT + 1 + RIGHT]; see `WindowExamples`."""
        words, places = torch.unique(windows, return_inverse=True)
        hidden: Tensor = self.vectors(rows[words])[places].flatten(1)
        *inner, last = self.layers
        for layer in inner:
            hidden = torch.relu(layer(self.dropout(hidden)))
        odds: Tensor = last(self.dropout(hidden)).squeeze(1)
        return odds

    def odds(self, examples: WindowExamples, right: int = RIGHT) -> NDArray[np.float64]:
        """Log-odds of style, [examples], with at most `right` words after each one."""
        self.eval()
        seen = _hidden(examples.windows, torch.full((len(examples.windows),), right))
        with torch.no_grad():
            parts = [self(part, examples.rows) for part in seen.split(_AT_ONCE)]
        found: NDArray[np.float64] = torch.cat(parts).double().numpy()
        return found

    def divide(self, temperature: float, bias: float) -> None:
        """Divide all log-odds by a temperature, and add a bias to them."""
        last = self.layers[-1]
        with torch.no_grad():
            last.weight.div_(temperature)
            last.bias.div_(temperature).add_(bias)

    def arrays(self) -> tuple[Array, list[tuple[Array, Array]]]:
        """The arguments of a `WindowNetwork` with these weights."""
        layers = [(_array(layer.weight), _array(layer.bias)) for layer in self.layers]
        return _array(self.vectors.weight[:-1]), layers


def fit(
    network: TrainedWindow,
    learned: WindowExamples,
    held: WindowExamples,
    settings: TrainSettings,
    say: Say,
) -> int:
    """Train a network; it ends with the weights of the epoch with the best held-out style F1.

    Args:
        network: The network.
        learned: What it learns.
        held: Examples to choose the best epoch with.
        settings: How to train.
        say: Prints a line about what is going on.

    Returns:
        The number of epochs that were trained.
    """
    with torch.no_grad():  # features that are never seen say nothing, and cost no room in the file
        unseen = torch.ones(len(network.vectors.weight), dtype=torch.bool)
        unseen[learned.rows.unique()] = False
        network.vectors.weight[unseen] = 0.0
    chance = torch.Generator().manual_seed(settings.seed)
    torch.manual_seed(settings.seed)
    size = settings.batch_size * _WORDS
    steps = settings.epochs * -(-len(learned.windows) // size)
    warmup = min(_WARMUP, 1 + steps // 10)
    optimizer = torch.optim.AdamW(network.parameters(), settings.rate, weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min(1.0, (step + 1) / warmup) * max(0.02, 1 - step / steps)
    )
    best, best_epoch, kept = -1.0, 0, copy.deepcopy(network.state_dict())
    for epoch in range(1, settings.epochs + 1):
        network.train()
        for batch in torch.randperm(len(learned.windows), generator=chance).split(size):
            right = torch.randint(0, RIGHT + 1, (len(batch),), generator=chance)
            odds = network(_hidden(learned.windows[batch], right), learned.rows)
            loss = nn.functional.binary_cross_entropy_with_logits(odds, learned.style[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        found = _style_f1(network.odds(held) > 0, held.style.numpy() > _STYLE)
        if found > best:
            best, best_epoch, kept = found, epoch, copy.deepcopy(network.state_dict())
        say(
            f"epoch {epoch} of at most {settings.epochs}: held-out style F1 {found:.3f} before "
            f"calibration, best {best:.3f}"
        )
        if epoch - best_epoch >= settings.patience:
            break
    network.load_state_dict(kept)
    return epoch


def save(
    network: TrainedWindow, held: WindowExamples, folder: Path, *, cost: float
) -> WindowPredictor:
    """Calibrate a network, and write it and its settings to a folder.

    Args:
        network: The network; it is calibrated in place.
        held: Labelled examples that it was not trained on.
        folder: The folder.
        cost: As for `calibrate.calibration`.

    Returns:
        The predictor, as it will be loaded.
    """
    style = (held.style > _STYLE).double().numpy()
    found = calibration(network.odds(held), style, cost=cost)
    network.divide(found.temperature, found.bias)
    scores = [1 / (1 + np.exp(-network.odds(held, right))) for right in range(RIGHT + 1)]
    settings = WindowSettings(thresholds=found.thresholds, unsure=margins(scores, found.thresholds))
    write(folder / MODEL_FILE, *network.arrays())
    (folder / SETTINGS_FILE).write_text(settings.model_dump_json(indent=2) + "\n", "utf-8")
    return load(folder)


def _hidden(windows: Tensor, right: Tensor) -> Tensor:
    """Windows in which no more than `right` words after the word are written, [examples]."""
    shown = torch.arange(-LEFT, RIGHT + 1) <= right[:, None]
    return torch.where(shown, windows, 0)


def _style_f1(found: NDArray[np.bool_], true: NDArray[np.bool_]) -> float:
    return float(2 * (found & true).sum() / max(1, found.sum() + true.sum()))


def _array(weights: Tensor) -> Array:
    """Weights in the precision in which they are stored."""
    found: Array = weights.detach().half().float().numpy()
    return found
