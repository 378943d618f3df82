"""The part of training that needs torch: a base, segments in tokens, `Trainer`, the ONNX file.

base       a Hugging Face model, with a head of two labels
examples   segments in tokens with a label for each; some are cut at a random word
fit        Hugging Face's `Trainer` keeps the best epoch
export     the trained network as an ONNX file, compared with the original
"""

from __future__ import annotations

import random
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer
from transformers import (
    AutoConfig,
    AutoModelForTokenClassification,
    AutoTokenizer,
    EarlyStoppingCallback,
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)
from transformers.utils import logging

from tessy.boundary.onnx import MODEL_FILE, OnnxNetwork
from tessy.boundary.settings import LABELS, TrainSettings
from tessy.boundary.training.segments import Segment, is_style
from tessy.boundary.transformers import TorchNetwork
from tessy.display import Say
from tessy.errors import ConfigError, MissingExtra, PredictorError, install_hint
from tessy.method.words import is_neutral, units

CHECKPOINTS = "checkpoints"
IGNORED = -100
"""The label of tokens that don't count: torch's `ignore_index`."""
_TOLERANCE = 0.05
"""Log-odds by which the exported network may differ."""


def fit(
    learned: Sequence[Segment],
    held: Sequence[Segment],
    out: Path,
    settings: TrainSettings,
    say: Say,
) -> tuple[TorchNetwork, Tokenizer, int]:
    """Train a network, and save it and its tokenizer.

    Args:
        learned: Segments to learn from.
        held: Segments to choose the best epoch with.
        out: The folder to save to.
        settings: How to train.
        say: Prints a line about what is going on.

    Returns:
        The network, its tokenizer, and the number of epochs that were trained.

    Raises:
        ConfigError: The base can't be used.
    """
    logging.disable_progress_bar()
    torch.manual_seed(settings.seed)
    model, tokenizer = _base(settings)
    backend = tokenizer.backend_tokenizer
    to_learn, to_compare = (
        list(tokenized(part, backend, window=settings.window, shift=settings.shift))
        for part in (learned, held)
    )
    training = _Examples(to_learn, settings.cut_share, settings.seed)
    gpu = torch.cuda.is_available()
    arguments = TrainingArguments(
        output_dir=str(out / CHECKPOINTS),
        num_train_epochs=settings.epochs,
        per_device_train_batch_size=settings.batch_size,
        per_device_eval_batch_size=2 * settings.batch_size,
        learning_rate=settings.rate,
        warmup_steps=max(1, len(to_learn) // settings.batch_size),
        weight_decay=0.01,
        eval_strategy="epoch",
        save_strategy="epoch",
        save_total_limit=1,
        load_best_model_at_end=True,
        restore_callback_states_from_checkpoint=True,  # also how long no epoch was better
        metric_for_best_model="style_f1",
        bf16=gpu and torch.cuda.is_bf16_supported(),
        fp16=gpu and not torch.cuda.is_bf16_supported(),
        seed=settings.seed,
        data_seed=settings.seed,
        use_cpu=not gpu,
        dataloader_pin_memory=gpu,
        report_to=[],
        disable_tqdm=True,
        logging_strategy="no",
        remove_unused_columns=False,
        label_names=["labels"],
    )
    trainer = Trainer(
        model=model,
        args=arguments,
        train_dataset=training,
        eval_dataset=_Examples(to_compare, 0.0, settings.seed),
        data_collator=_Collator(tokenizer.pad_token_id),
        compute_loss_func=_WeightedLoss(to_learn, settings.balance),
        compute_metrics=_style_f1,
        preprocess_logits_for_metrics=lambda logits, _: logits.argmax(-1),
        callbacks=[
            EarlyStoppingCallback(settings.patience),
            _EpochReport(training, settings.epochs, say),
        ],
    )
    trainer.remove_callback(PrinterCallback)
    last = _last_checkpoint(out / CHECKPOINTS)
    if last:
        say(f"continuing from {last.name}")
    trainer.train(resume_from_checkpoint=str(last) if last else None)
    trained = trainer.model.eval()
    trained.save_pretrained(out)
    tokenizer.save_pretrained(out)
    epochs = round(trainer.state.epoch or 0)
    return TorchNetwork(trained, tokenizer.pad_token_id, style=1), backend, epochs


def _last_checkpoint(folder: Path) -> Path | None:
    """The newest complete checkpoint; its trainer state is written last."""
    found = [path.parent for path in folder.glob("checkpoint-*/trainer_state.json")]
    return max(found, key=lambda path: int(path.name.rpartition("-")[2]), default=None)


def _labels() -> dict[str, Any]:
    return {"id2label": dict(enumerate(LABELS)), "label2id": {n: i for i, n in enumerate(LABELS)}}


def _base(settings: TrainSettings) -> tuple[Any, Any]:
    """A Hugging Face model with a new head of two labels, or with its own two."""
    try:
        config = AutoConfig.from_pretrained(settings.base)
        tokenizer = AutoTokenizer.from_pretrained(settings.base)
    except Exception as error:  # a broken folder may raise anything
        raise ConfigError(
            f"{settings.base}: {error}", hint="a base is window, a folder or a Hugging Face id"
        ) from None
    if not tokenizer.is_fast:
        raise ConfigError(
            f"{settings.base} has no fast tokenizer, so tokens can't be located in the text",
            hint="choose a base with a tokenizer.json",
        )
    classifies = any("TokenClassification" in name for name in config.architectures or ())
    if classifies and config.num_labels != len(LABELS):
        raise ConfigError(
            f"{settings.base} is a classifier of {config.num_labels} labels, not of "
            f"{len(LABELS)} ({', '.join(LABELS)})",
            hint="choose the model that it was made from",
        )
    if tokenizer.pad_token is None:  # any token will do: it is masked
        tokenizer.pad_token = tokenizer.eos_token or tokenizer.convert_ids_to_tokens(0)
    try:
        model = AutoModelForTokenClassification.from_pretrained(
            settings.base, dtype=torch.float32, **_labels()
        )
    except Exception as error:
        raise ConfigError(f"{settings.base} can't classify tokens: {error}") from None
    return model, tokenizer


# --- Segments in tokens ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class TokenizedSegment:
    """A segment in tokens.

    Attributes:
        ids: Token ids of context and text, [tokens].
        labels: 1 for style, 0 for capability, `IGNORED` for the context and for words of
            punctuation, [tokens].
        ends: Offsets into `ids` after which a word of the text is complete.
    """

    ids: list[int]
    labels: list[int]
    ends: tuple[int, ...]

    def cut(self, chance: random.Random) -> TokenizedSegment:
        """The segment up to the end of a random word."""
        end = chance.choice(self.ends) if self.ends else len(self.ids)
        return replace(self, ids=self.ids[:end], labels=self.labels[:end])


def tokenized(
    segments: Sequence[Segment], tokenizer: Tokenizer, *, window: int, shift: bool
) -> Iterator[TokenizedSegment]:
    """Put segments into tokens.

    Args:
        segments: Labelled segments.
        tokenizer: The tokenizer of the network.
        window: The number of tokens to keep at most, from the right.
        shift: Each token gets the label of the one after it.
    """
    texts = [segment.before + segment.text for segment in segments]
    encodings = tokenizer.encode_batch(texts, add_special_tokens=False)
    for segment, encoding in zip(segments, encodings, strict=True):
        begin = len(segment.before)
        words = units(segment.text)
        style = is_style(segment, words)
        labels, ends, at = [], [], 0
        for index, (start, end) in enumerate(encoding.offsets[-window:], 1):
            start, end = start - begin, end - begin
            while at < len(words) and words[at].word_end <= start:
                at += 1
            label = IGNORED
            if at < len(words) and end > max(start, 0, words[at].word_start):
                word = words[at]
                if not is_neutral(segment.text[word.word_start : word.word_end]):
                    label = int(style[at])
                if end >= word.word_end:
                    ends.append(index)
            labels.append(label)
        if shift:
            labels = [*labels[1:], IGNORED]
        yield TokenizedSegment(encoding.ids[-window:], labels, tuple(ends))


class _Examples(torch.utils.data.Dataset[TokenizedSegment]):
    """Segments, some of them cut; which and where depends on seed, epoch and number only."""

    def __init__(self, segments: list[TokenizedSegment], cut_share: float, seed: int) -> None:
        self.epoch = 0
        self._segments, self._cut_share, self._seed = segments, cut_share, seed

    def __len__(self) -> int:
        return len(self._segments)

    def __getitem__(self, number: int) -> TokenizedSegment:
        chance = random.Random(f"{self._seed}:{self.epoch}:{number}")
        segment = self._segments[number]
        return segment.cut(chance) if chance.random() < self._cut_share else segment


class _Collator:
    """Pads a batch to its longest segment, on the right."""

    def __init__(self, pad: int) -> None:
        self._pad = pad

    def __call__(self, batch: list[TokenizedSegment]) -> dict[str, torch.Tensor]:
        width = max(len(segment.ids) for segment in batch)

        def padded(rows: list[list[int]], filler: int) -> torch.Tensor:
            return torch.tensor([row + [filler] * (width - len(row)) for row in rows])

        return {
            "input_ids": padded([segment.ids for segment in batch], self._pad),
            "attention_mask": padded([[1] * len(segment.ids) for segment in batch], 0),
            "labels": padded([segment.labels for segment in batch], IGNORED),
        }


class _WeightedLoss:
    """Cross entropy, the rarer kind weighted up by `balance`."""

    def __init__(self, segments: Sequence[TokenizedSegment], balance: float) -> None:
        kinds = np.concatenate([segment.labels for segment in segments])
        counts = np.array([(kinds == label).sum() for label in range(len(LABELS))], float)
        self._weights = torch.tensor((counts.mean() / counts) ** balance, dtype=torch.float32)

    def __call__(self, outputs: Any, labels: torch.Tensor, **_: Any) -> torch.Tensor:
        logits = outputs.logits.flatten(0, 1).float()
        return torch.nn.functional.cross_entropy(
            logits, labels.flatten(), self._weights.to(logits.device), ignore_index=IGNORED
        )


def _style_f1(prediction: Any) -> dict[str, float]:
    counted = prediction.label_ids != IGNORED
    true = (prediction.label_ids == 1) & counted
    said = (prediction.predictions == 1) & counted
    return {"style_f1": float(2 * (true & said).sum() / max(1, true.sum() + said.sum()))}


class _EpochReport(TrainerCallback):
    """Prints a line for each epoch, and sets the epoch of the examples."""

    def __init__(self, training: _Examples, epochs: int, say: Say) -> None:
        self._training, self._epochs, self._say = training, epochs, say

    def on_epoch_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._training.epoch = round(state.epoch or 0)

    def on_evaluate(self, args: Any, state: Any, control: Any, metrics: Any, **_: Any) -> None:
        best = f", best {state.best_metric:.3f}" if state.best_metric else ""
        self._say(
            f"epoch {round(state.epoch or 0)} of at most {self._epochs}: held-out style F1 "
            f"{metrics['eval_style_f1']:.3f} before calibration{best}"
        )


# --- ONNX -----------------------------------------------------------------------------------------


class _Logits(torch.nn.Module):
    """A classifier that returns its logits only, as an ONNX file does."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.model(input_ids=input_ids, attention_mask=attention_mask).logits
        return logits


def export(model: Any, folder: Path, sample: Sequence[Sequence[int]]) -> float:
    """Write `model.onnx` beside a trained model.

    Args:
        model: A token classifier of transformers; it is moved to the CPU.
        folder: The folder to write to.
        sample: Token ids of some texts, for which both networks are compared.

    Returns:
        The largest difference between their log-odds.

    Raises:
        MissingExtra: `onnx` is not installed.
        PredictorError: The exported network differs.
    """
    try:
        import onnx  # noqa: F401
    except ImportError:
        raise MissingExtra("--onnx needs onnx", hint=install_hint("train")) from None
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
