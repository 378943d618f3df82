"""The part of training that needs torch: base, tokenizer, and Hugging Face's `Trainer`."""

from __future__ import annotations

import random
from collections.abc import Sequence
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
    PreTrainedTokenizerFast,
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)
from transformers.utils import logging

from tessy.boundary.settings import LABELS, TrainSettings
from tessy.boundary.tagger import Tagger, TaggerConfig
from tessy.boundary.training.encode import IGNORED, Example, examples
from tessy.boundary.training.segments import Segment
from tessy.boundary.transformers import TorchNetwork
from tessy.errors import ConfigError
from tessy.printable import Say

CHECKPOINTS = "checkpoints"
_PAD = "<pad>"


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
        out: Where to save.
        settings: How.
        say: Told what is going on, in a line.

    Returns:
        The network, its tokenizer, and how many epochs were trained.

    Raises:
        ConfigError: The base can't be used.
    """
    logging.disable_progress_bar()
    torch.manual_seed(settings.seed)
    model, tokenizer = _small(learned, settings) if settings.base == "small" else _base(settings)
    backend = tokenizer.backend_tokenizer
    made = [
        list(examples(part, backend, window=settings.window, shift=settings.shift))
        for part in (learned, held)
    ]
    training = _Examples(made[0], settings.cut_share, settings.seed)
    gpu = torch.cuda.is_available()
    arguments = TrainingArguments(
        output_dir=str(out / CHECKPOINTS),
        num_train_epochs=settings.epochs,
        per_device_train_batch_size=settings.batch_size,
        per_device_eval_batch_size=2 * settings.batch_size,
        learning_rate=settings.rate,
        warmup_steps=max(1, len(made[0]) // settings.batch_size),
        weight_decay=0.01,
        eval_strategy="epoch",
        save_strategy="epoch",
        save_total_limit=1,
        load_best_model_at_end=True,
        restore_callback_states_from_checkpoint=True,  # how long it has been patient
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
    progress = _Progress(training, settings, say)
    trainer = Trainer(
        model=model,
        args=arguments,
        train_dataset=training,
        eval_dataset=_Examples(made[1], 0.0, settings.seed),
        data_collator=_Collator(tokenizer.pad_token_id),
        compute_loss_func=_Loss(made[0], settings.balance),
        compute_metrics=_style_f1,
        preprocess_logits_for_metrics=lambda logits, _: logits.argmax(-1),
        callbacks=[EarlyStoppingCallback(settings.patience), progress],
    )
    trainer.remove_callback(PrinterCallback)
    last = _last_checkpoint(out / CHECKPOINTS)
    if last:
        say(f"going on from {last.name}")
    trainer.train(resume_from_checkpoint=str(last) if last else None)
    trained = trainer.model.eval()
    trained.save_pretrained(out)
    tokenizer.save_pretrained(out)
    epochs = round(trainer.state.epoch or 0)
    return TorchNetwork(trained, tokenizer.pad_token_id, style=1), backend, epochs


def _last_checkpoint(folder: Path) -> Path | None:
    """The newest checkpoint that is whole: what says so is written last."""
    found = [path.parent for path in folder.glob("checkpoint-*/trainer_state.json")]
    return max(found, key=lambda path: int(path.name.rpartition("-")[2]), default=None)


def _small(
    learned: Sequence[Segment], settings: TrainSettings
) -> tuple[Any, PreTrainedTokenizerFast]:
    """A new small network, and a byte-level vocabulary made from the segments."""
    from tokenizers import decoders, models, pre_tokenizers, trainers

    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    made.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=settings.vocabulary,
        special_tokens=[_PAD],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        min_frequency=3,
        show_progress=False,
    )
    made.train_from_iterator((segment.before + segment.text for segment in learned), trainer)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=made, pad_token=_PAD)
    config = TaggerConfig(
        vocab_size=made.get_vocab_size(), hidden_size=settings.hidden, **_labels()
    )
    return Tagger(config), tokenizer


def _labels() -> dict[str, Any]:
    return {"id2label": dict(enumerate(LABELS)), "label2id": {n: i for i, n in enumerate(LABELS)}}


def _base(settings: TrainSettings) -> tuple[Any, Any]:
    """A Hugging Face model with a new head of two labels, or with its own two."""
    try:
        config = AutoConfig.from_pretrained(settings.base)
        tokenizer = AutoTokenizer.from_pretrained(settings.base)
    except Exception as error:  # whatever a broken folder makes of itself
        raise ConfigError(
            f"{settings.base}: {error}", hint="a base is small, a folder or a Hugging Face id"
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


class _Examples(torch.utils.data.Dataset[Example]):
    """Examples, some of them cut; which and where depends on seed, epoch and number only."""

    def __init__(self, made: list[Example], cut_share: float, seed: int) -> None:
        self.epoch = 0
        self._made, self._cut_share, self._seed = made, cut_share, seed

    def __len__(self) -> int:
        return len(self._made)

    def __getitem__(self, number: int) -> Example:
        chance = random.Random(f"{self._seed}:{self.epoch}:{number}")
        made = self._made[number]
        return made.cut(chance) if chance.random() < self._cut_share else made


class _Collator:
    def __init__(self, pad: int) -> None:
        self._pad = pad

    def __call__(self, batch: list[Example]) -> dict[str, torch.Tensor]:
        width = max(len(example.ids) for example in batch)

        def padded(rows: list[list[int]], filler: int) -> torch.Tensor:
            return torch.tensor([row + [filler] * (width - len(row)) for row in rows])

        return {
            "input_ids": padded([example.ids for example in batch], self._pad),
            "attention_mask": padded([[1] * len(example.ids) for example in batch], 0),
            "labels": padded([example.labels for example in batch], IGNORED),
        }


class _Loss:
    """Cross entropy, the rarer kind weighted up by `balance`."""

    def __init__(self, made: Sequence[Example], balance: float) -> None:
        kinds = np.concatenate([example.labels for example in made])
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


class _Progress(TrainerCallback):
    """Says a line each epoch, and tells the examples which epoch it is."""

    def __init__(self, training: _Examples, settings: TrainSettings, say: Say) -> None:
        self.epochs = 0
        self._training, self._settings, self._say = training, settings, say

    def on_epoch_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._training.epoch = round(state.epoch or 0)

    def on_evaluate(self, args: Any, state: Any, control: Any, metrics: Any, **_: Any) -> None:
        self.epochs = round(state.epoch or 0)
        best = "" if not state.best_metric else f", best {state.best_metric:.3f}"
        self._say(
            f"epoch {self.epochs} of at most {self._settings.epochs}: held-out style F1 "
            f"{metrics['eval_style_f1']:.3f}{best}"
        )
