"""Writing a trained classifier as an ONNX file, and checking that it says the same."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tessy.boundary.onnx import MODEL_FILE, OnnxNetwork
from tessy.errors import MissingExtra, PredictorError

_TOLERANCE = 0.05
"""Log-odds by which the exported network may differ."""


def export(model: Any, folder: Path, sample: Sequence[Sequence[int]]) -> float:
    """Write `model.onnx` beside a trained model.

    Args:
        model: A token classifier of transformers, on the CPU.
        folder: Where to write.
        sample: Token ids of some texts, to compare both networks with.

    Returns:
        The largest difference of the log-odds between both.

    Raises:
        MissingExtra: `onnx` is not installed.
        PredictorError: The exported network differs.
    """
    import torch

    from tessy.boundary.transformers import TorchNetwork

    try:
        import onnx  # noqa: F401
    except ImportError:
        raise MissingExtra("--onnx needs onnx", hint="pip install 'tessy[train]'") from None
    path = folder / MODEL_FILE
    model = model.to("cpu").eval()  # it may have been trained on a GPU
    ids = torch.ones((2, 16), dtype=torch.long)
    axes = {0: "batch", 1: "tokens"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            _Logits(model),
            (ids, torch.ones_like(ids)),
            str(path),
            input_names=["input_ids", "attention_mask"],
            output_names=["logits"],
            dynamic_axes={"input_ids": axes, "attention_mask": axes, "logits": axes},
            opset_version=17,
            dynamo=False,
        )
    before, after = TorchNetwork(model, 0, 1)(sample), OnnxNetwork(path)(sample)
    apart = max(
        float(np.abs(np.array(a) - np.array(b)).max(initial=0.0))
        for a, b in zip(before, after, strict=True)
    )
    if apart > _TOLERANCE:
        raise PredictorError(f"{path}: its log-odds differ from the trained ones by {apart:.3f}")
    return apart


def _Logits(model: Any) -> Any:
    import torch

    class Logits(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, input_ids: Any, attention_mask: Any) -> Any:
            return self.model(input_ids=input_ids, attention_mask=attention_mask).logits

    return Logits()
