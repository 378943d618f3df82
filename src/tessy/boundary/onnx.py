"""`onnx:FOLDER`: a classifier run by onnxruntime, without torch.

A folder holds `model.onnx` (inputs `input_ids` and `attention_mask` [batch, tokens], int64; output
`logits` [batch, tokens, 2]), `tokenizer.json` and `predictor.json`; `tessy predictor train --onnx`
writes all three.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Tokenizer

from tessy.boundary.classifier import ClassifierPredictor
from tessy.boundary.settings import SETTINGS_FILE, read_settings
from tessy.errors import ConfigError

MODEL_FILE = "model.onnx"
_HINT = "tessy predictor train --onnx writes such a folder"
TOKENIZER_FILE = "tokenizer.json"


class OnnxNetwork:
    """Runs an ONNX file on the CPU.

    Args:
        path: The file.
        style: Which of its two labels is style.
        threads: The number of threads, 0 for one a core. One leaves the other cores to the models.

    Raises:
        ConfigError: The file is no ONNX file of a token classifier with two labels.
    """

    def __init__(self, path: Path, *, style: int = 1, threads: int = 1) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        try:
            self._session: Any = onnxruntime.InferenceSession(
                str(path), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # a broken file may raise anything
            raise ConfigError(f"{path}: {error}") from None
        self._inputs = {entry.name for entry in self._session.get_inputs()}
        shape = self._session.get_outputs()[0].shape
        if "input_ids" not in self._inputs or len(shape) != 3 or shape[2] != 2:
            raise ConfigError(
                f"{path} takes {', '.join(sorted(self._inputs))} and gives {shape}; a predictor "
                "takes input_ids and attention_mask and gives [batch, tokens, 2]",
                hint="tessy predictor train --onnx writes such a file",
            )
        self._style = style

    def __call__(self, ids: Sequence[Sequence[int]]) -> list[list[float]]:
        """See `Network`."""
        width = max(map(len, ids), default=0)
        if not width:
            return [[] for _ in ids]
        rows = np.zeros((len(ids), width), np.int64)
        mask = np.zeros((len(ids), width), np.int64)
        for index, row in enumerate(ids):
            rows[index, : len(row)] = row
            mask[index, : len(row)] = 1
        feed = {"input_ids": rows, "attention_mask": mask}
        logits = self._session.run(
            None, {name: value for name, value in feed.items() if name in self._inputs}
        )[0]
        odds = logits[..., self._style] - logits[..., 1 - self._style]
        return [row[: len(own)].tolist() for row, own in zip(odds, ids, strict=True)]


def load(place: str | Path, *, name: str = "") -> ClassifierPredictor:
    """Load a predictor from a folder.

    Args:
        place: The folder.
        name: The name in the records; by default `onnx:` and the folder.

    Raises:
        ConfigError: A file is missing, or they don't match each other.
    """
    folder = Path(place)
    if not folder.is_dir():
        raise ConfigError(f"onnx:{place}: no such folder", hint=_HINT)
    for file in (MODEL_FILE, TOKENIZER_FILE, SETTINGS_FILE):
        if not (folder / file).is_file():
            raise ConfigError(
                f"onnx:{place}: there is no {file} in it",
                hint=_HINT,
            )
    settings = read_settings(folder)
    assert settings is not None
    try:
        tokenizer = Tokenizer.from_file(str(folder / TOKENIZER_FILE))
    except Exception as error:  # the library raises no class of its own
        raise ConfigError(f"{folder / TOKENIZER_FILE}: {error}") from None
    size = tokenizer.get_vocab_size()
    if settings.vocabulary not in (None, size):
        raise ConfigError(
            f"onnx:{place}: its tokenizer has {size} tokens, but its network was trained with "
            f"{settings.vocabulary}: they don't belong together",
            hint="take all files of the folder from the same training",
        )
    network = OnnxNetwork(folder / MODEL_FILE, style=settings.style)
    return ClassifierPredictor(name or f"onnx:{place}", tokenizer, network, settings)
