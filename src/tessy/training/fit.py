"""The part of training that is TRL's: its `SFTTrainer` on tokens and labels of our own.

The trainer gets `input_ids` and `labels`, so which tokens carry loss was decided before it began
(`masks`); it pads and batches, and its labels are ours, which a test looks at. A state is saved at
the end of each epoch, every `save_steps`, and when the process is asked to stop (Ctrl-C, SIGTERM).
"""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from transformers import PrinterCallback, TrainerCallback
from trl import SFTConfig, SFTTrainer

from tessy.errors import ConfigError, TrainingError
from tessy.printable import Say
from tessy.training.folder import SFTFolder
from tessy.training.prepare import TOKENS_FILE
from tessy.training.settings import PATIENCE_S, Precision, Schedule, SFTSettings

_TOKENS_AT_ONCE = 32_768
"""Tokens of a micro batch, where its size is not given: 40k-token samples go one by one."""
_EVERY_S = 15.0


class Trainer(SFTTrainer):
    """TRL's trainer, less the card that it writes with every checkpoint."""

    def create_model_card(self, *_: Any, **__: Any) -> None:
        """Nothing: `card` writes one that says what the data are."""


def trainer(
    model: Any, tokenizer: Any, folder: SFTFolder, settings: SFTSettings, *, longest: int
) -> Trainer:
    """A trainer on the tokens that `prepare` wrote.

    Args:
        model: The student's weights.
        tokenizer: Its tokenizer.
        folder: Of the training.
        settings: How.
        longest: Tokens of the longest sample.

    Raises:
        ConfigError: The batch can't be shared out, or several GPUs have one process.
    """
    arguments = _arguments(folder, settings)
    if arguments.n_gpu > 1:
        raise ConfigError(
            f"{arguments.n_gpu} GPUs are visible to one process",
            hint="accelerate launch -m tessy sft …, or CUDA_VISIBLE_DEVICES=0",
        )
    micro, accumulation = shared_out(settings, arguments.world_size, longest)
    arguments.per_device_train_batch_size = micro
    arguments.gradient_accumulation_steps = accumulation
    samples = Dataset.from_file(str(folder.path / TOKENS_FILE))
    steps = settings.epochs * math.ceil(len(samples) / settings.batch_size)
    if settings.max_steps and settings.max_steps < steps:  # more would mean more epochs
        arguments.max_steps = settings.max_steps
    made = Trainer(
        model=model,
        args=arguments,
        train_dataset=samples,
        processing_class=tokenizer,
        peft_config=_lora(settings),
    )
    made.remove_callback(PrinterCallback)
    return made


def shared_out(settings: SFTSettings, processes: int, longest: int) -> tuple[int, int]:
    """Samples that a process computes at once, and how often it does so in a step.

    Raises:
        ConfigError: The batch is no multiple of processes and micro batch.
    """
    share, rest = divmod(settings.batch_size, processes)
    if rest:
        raise ConfigError(
            f"batch_size = {settings.batch_size} can't be shared out to {processes} processes",
            hint=f"--batch-size {max(1, round(settings.batch_size / processes)) * processes}",
        )
    if settings.micro_batch_size is None:
        most = max(1, _TOKENS_AT_ONCE // max(longest, 1))
        micro = max(size for size in range(1, share + 1) if share % size == 0 and size <= most)
        return micro, share // micro
    if share % settings.micro_batch_size:
        raise ConfigError(
            f"micro_batch_size = {settings.micro_batch_size} does not divide {share}, the share of "
            f"each of {processes} processes in a batch of {settings.batch_size}",
            hint="leave it out, or give a divisor",
        )
    return settings.micro_batch_size, share // settings.micro_batch_size


def _arguments(folder: SFTFolder, settings: SFTSettings) -> SFTConfig:
    gpu = torch.cuda.is_available()
    bfloat16 = settings.dtype is Precision.BFLOAT16 or (
        settings.dtype is Precision.AUTO and gpu and torch.cuda.is_bf16_supported()
    )
    saving = settings.gradient_checkpointing
    schedule = {Schedule.CONSTANT: "constant_with_warmup"}
    return SFTConfig(
        output_dir=str(folder.state),
        num_train_epochs=settings.epochs,
        learning_rate=settings.learning_rate,
        lr_scheduler_type=schedule.get(settings.schedule, settings.schedule.value),
        warmup_steps=settings.warmup,
        weight_decay=settings.weight_decay,
        max_grad_norm=settings.max_grad_norm,
        bf16=bfloat16,
        gradient_checkpointing=gpu if saving is None else saving,
        seed=settings.seed,
        data_seed=settings.seed,
        use_cpu=not gpu,
        dataloader_pin_memory=gpu,
        ddp_timeout=PATIENCE_S,
        max_length=None,
        dataset_kwargs={"skip_prepare_dataset": True},
        save_strategy="no",
        logging_strategy="steps",
        logging_steps=1,
        logging_nan_inf_filter=False,
        disable_tqdm=True,
        report_to=[],
    )


def _lora(settings: SFTSettings) -> Any:
    if settings.lora is None:
        return None
    from peft import LoraConfig

    return LoraConfig(
        r=settings.lora.rank,
        lora_alpha=settings.lora.alpha,
        lora_dropout=settings.lora.dropout,
        target_modules="all-linear",
        task_type="CAUSAL_LM",
    )


class Progress(TrainerCallback):
    """Says where it is, has states saved, and hands over each epoch that is done.

    Args:
        settings: Of the training.
        folder: Of the training.
        main: This is the process that writes.
        done: Called with the number of an epoch, its checkpoint, and what was logged so far.
        say: Told what is going on.
    """

    def __init__(
        self,
        settings: SFTSettings,
        folder: SFTFolder,
        *,
        main: bool,
        done: Callable[[int, Path, list[dict[str, Any]]], None],
        say: Say,
    ) -> None:
        self.stopping = False
        self._settings, self._folder, self._main = settings, folder, main
        self._done, self._say = done, say
        self._at_end_of_epoch = False
        self._said = time.monotonic()

    def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """A step that begins is in the middle of an epoch."""
        self._at_end_of_epoch = False

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Have a state saved when it is time, or when the process is to stop."""
        every = self._settings.save_steps
        if float(state.epoch).is_integer() or state.global_step >= state.max_steps:
            return  # the epoch's end will be saved
        if self.stopping:
            self._say(f"stopping behind step {state.global_step}, whose state is saved")
            control.should_save = control.should_training_stop = True
        elif every and state.global_step % every == 0:
            control.should_save = True

    def on_epoch_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Have the epoch saved, if it was not left in the middle."""
        whole = float(state.epoch).is_integer() or state.global_step >= state.max_steps
        if whole or not self.stopping:
            self._at_end_of_epoch = True
            control.should_save = True

    def on_log(self, args: Any, state: Any, control: Any, logs: Any, **_: Any) -> None:
        """Stop at a loss that is no number; else say where the training is."""
        if "loss" not in logs:
            return
        if not math.isfinite(logs["loss"]):
            raise TrainingError(
                f"the loss of step {state.global_step} is {logs['loss']}",
                hint="a lower --learning-rate or --dtype float32, in another folder (--out)",
            )
        if time.monotonic() - self._said >= _EVERY_S:
            self._said = time.monotonic()
            self._say(f"step {state.global_step} of {state.max_steps}: loss {logs['loss']:.3f}")

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Hand the epoch over, or mark the state within one as whole."""
        if not self._main:
            return
        checkpoint = self._folder.state / f"checkpoint-{state.global_step}"
        if self._at_end_of_epoch:
            self._done(math.ceil(round(state.epoch, 6)), checkpoint, state.log_history)
        else:
            self._folder.seal(checkpoint)

    @contextmanager
    def stoppable(self, *, alone: bool) -> Iterator[None]:
        """Ctrl-C and SIGTERM have the step finished and a state saved; a second one does not.

        With several processes none would know at which step the others stop, so they just end.
        """

        def stop(number: int, frame: Any) -> None:
            self.stopping = True  # no more: a handler may have come into the middle of a print
            for each in before:
                signal.signal(each, signal.default_int_handler)

        before: dict[int, Any] = {}
        if alone and threading.current_thread() is threading.main_thread():
            before = {each: signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)}
            for each in before:
                signal.signal(each, stop)
        try:
            yield
        finally:
            for each, handler in before.items():
                signal.signal(each, handler)
