"""What is kept of each epoch: a folder with a whole model in it, which any engine loads."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tessy.errors import ConfigError
from tessy.training.gguf import DType, write_gguf
from tessy.training.settings import Export, SFTSettings

GGUF_FILE = "model.gguf"
ADAPTER_FOLDER = "adapter"
_WEIGHTS = ("*.safetensors", "*.safetensors.index.json", "config.json", "generation_config.json")
_ADAPTER = ("adapter_model.safetensors", "adapter_config.json")


@dataclass(frozen=True, slots=True)
class Epoch:
    """An epoch that was trained.

    Attributes:
        number: From 1.
        folder: A whole model with its tokenizer; of LoRA, with the adapters merged.
        loss: Mean over the epoch's steps.
    """

    number: int
    folder: Path
    loss: float

    @property
    def gguf(self) -> Path | None:
        """The model as a file for llama.cpp; None if none was written."""
        path = self.folder / GGUF_FILE
        return path if path.is_file() else None


def keep_epoch(checkpoint: Path, folder: Path, tokenizer: Any, settings: SFTSettings) -> None:
    """Make the folder of an epoch from a checkpoint; a crash leaves all of it or none.

    Weights are linked, not copied, where the file system can: the checkpoint is removed later.

    Args:
        checkpoint: As the trainer saved it.
        folder: The folder to make; one that a crash left there is replaced.
        tokenizer: The student's.
        settings: Of the training.

    Raises:
        ConfigError: The trainer saved no whole model.
    """
    part = folder.with_name(folder.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir()
    if settings.lora:
        _merge(settings.model, checkpoint, part)
        _link(checkpoint, part / ADAPTER_FOLDER, _ADAPTER)
    else:
        _link(checkpoint, part, _WEIGHTS)
    if not any(part.glob("*.safetensors")):
        raise ConfigError(
            f"{checkpoint} holds no whole model",
            hint="have the weights gathered when they are saved: FSDP's FULL_STATE_DICT, "
            "DeepSpeed's stage3_gather_16bit_weights_on_model_save",
        )
    tokenizer.save_pretrained(part)
    if settings.export is Export.GGUF:
        add_gguf(part, settings.export_dtype)
    shutil.rmtree(folder, ignore_errors=True)
    part.replace(folder)


def add_gguf(folder: Path, dtype: DType) -> None:
    """Write `model.gguf` into the folder of a model."""
    part = folder / (GGUF_FILE + ".part")
    write_gguf(folder, part, dtype=dtype)
    part.replace(folder / GGUF_FILE)


def _link(source: Path, target: Path, patterns: tuple[str, ...]) -> None:
    target.mkdir(exist_ok=True)
    for pattern in patterns:
        for path in source.glob(pattern):
            try:
                os.link(path, target / path.name)
            except OSError:
                shutil.copy2(path, target / path.name)


def _merge(model: str, checkpoint: Path, folder: Path) -> None:
    """Write the base model with the adapters added to its weights."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    base = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)
    merged = PeftModel.from_pretrained(base, checkpoint).merge_and_unload()
    merged.save_pretrained(folder)
