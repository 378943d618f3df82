"""The small models that ship: `lab:student`, `lab:teacher`, `lab:relative`, and their predictor.

Each is a folder here, with its weights, tokenizer and chat template. docs/lab.md says how they were
made and how good they are; the code that made them is in studies/lab of the repository.
"""

from __future__ import annotations

from importlib import resources
from pathlib import Path

MEMBERS = ("student", "teacher", "relative")
"""The models, by the name in their address."""
PREDICTOR = "predictor"
"""The folder of their boundary predictor, a network as `window:FOLDER` has it."""


def folder(name: str) -> Path:
    """The folder of a model, or of the predictor.

    Args:
        name: One of `MEMBERS`, or `PREDICTOR`.
    """
    return Path(str(resources.files(__name__).joinpath(name)))


def own_folder(model: str) -> Path | None:
    """The folder of the model that an address such as `lab:student` names; None for other names."""
    scheme, _, name = model.partition(":")
    return folder(name) if scheme == "lab" and name in MEMBERS else None
