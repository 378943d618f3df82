"""The part of training that is TRL's: its `SFTTrainer` on our own tokens and labels.

The trainer gets `input_ids` and `labels`, so which tokens carry loss was decided before it began
(`masks`). It pads and batches; a test checks that its labels are ours. A state is saved at the end
of each epoch, every `save_steps`, and when the process is asked to stop (Ctrl-C, SIGTERM, SIGHUP).
"""

from __future__ import annotations

import math
import signal
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import datasets
import torch
from transformers import PrinterCallback, TrainerCallback
from transformers.utils import logging
from trl import SFTConfig, SFTTrainer

from tessy.display import Say
from tessy.errors import ConfigError, TrainingError
from tessy.event_loop import leave_closed_terminal, stopping_signals
from tessy.tracking.log import RunLog
from tessy.training.epochs import Epoch, keep_epoch
from tessy.training.folder import SFTFolder
from tessy.training.losses import epoch_of, from_log
from tessy.training.plots import plot_losses
from tessy.training.prepare import TOKENS_FILE
from tessy.training.settings import PATIENCE_S, Precision, Schedule, SFTSettings
from tessy.training.signals import on_signal
from tessy.training.student import Student

_TOKENS_AT_ONCE = 32_768
"""Tokens of a micro batch whose size is not given: samples of 40k tokens go one by one."""
_SAY_EVERY_S = 15.0
_PLOT_EVERY_S = 60.0
"""A plot may take longer than an epoch of a small model."""


class TessyTrainer(SFTTrainer):
    """TRL's trainer without the card that it writes with every checkpoint."""

    def create_model_card(self, *_: Any, **__: Any) -> None:
        """Does nothing: `card` writes one that says what the data are."""


class EpochCallback(TrainerCallback):
    """Keeps the model of each epoch, has states saved, and stops when asked.

    Args:
        student: That is trained.
        folder: Of the training.
        finished: Is called with each epoch whose folder is there.
        say: Is called with a line about progress.
        log: Of the losses.
        main: This process writes the files.
    """

    def __init__(
        self,
        student: Student,
        folder: SFTFolder,
        finished: Callable[[Epoch], None],
        say: Say,
        log: RunLog,
        *,
        main: bool,
    ) -> None:
        self._student, self._settings, self._folder = student, student.settings, folder
        self._finished, self._say, self._log, self._main = finished, say, log, main
        self._stopping = False
        self._said = self._plotted = time.monotonic()

    def stop(self, number: int, frame: Any) -> None:
        """Handle a signal: stop after this step; a second signal does not wait for it."""
        self._stopping = True  # and nothing else: it may have interrupted a print
        leave_closed_terminal()
        for each in stopping_signals():
            signal.signal(each, signal.default_int_handler)

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Have a state saved when it is time, or when the process is to stop."""
        every = self._settings.save_steps
        if _ends_epoch(state):
            return  # `on_epoch_end` has it saved
        if self._stopping:
            self._say(f"stopping after step {state.global_step}; its state is saved")
            control.should_save = control.should_training_stop = True
        elif every and state.global_step % every == 0:
            control.should_save = True

    def on_epoch_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Have the epoch saved; it may also have been stopped in the middle."""
        control.should_save = _ends_epoch(state)

    def on_log(self, args: Any, state: Any, control: Any, logs: Any, **_: Any) -> None:
        """Log; refuse a loss that is not finite; say now and then where the training is."""
        if "loss" not in logs:
            return
        self._log.log({f"train/{name}": each for name, each in logs.items()}, state.global_step)
        if not math.isfinite(logs["loss"]):
            raise TrainingError(
                f"the loss of step {state.global_step} is {logs['loss']}",
                hint="a lower --learning-rate or --dtype float32, in another folder (--out)",
            )
        if time.monotonic() - self._said >= _SAY_EVERY_S:
            self._said = time.monotonic()
            self._say(f"step {state.global_step} of {state.max_steps}: loss {logs['loss']:.3f}")

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Mark the checkpoint as complete; at the end of an epoch keep its model first."""
        if not self._main:
            return
        checkpoint = self._folder.state / f"checkpoint-{state.global_step}"
        if _ends_epoch(state):
            self._end_epoch(epoch_of(state.epoch), checkpoint, state.log_history)
        else:
            self._folder.seal(checkpoint)

    def _end_epoch(self, number: int, checkpoint: Path, log: list[dict[str, Any]]) -> None:
        folder = self._folder.epoch(number)
        keep_epoch(checkpoint, folder, self._student.tokenizer, self._settings)
        self._folder.seal(checkpoint)
        losses = from_log(log)
        losses.write(self._folder.path)
        if time.monotonic() - self._plotted > _PLOT_EVERY_S:
            plot_losses(losses, self._folder.path)
            self._plotted = time.monotonic()
        epoch = Epoch(number, folder, losses.epochs()[number])
        self._say(f"epoch {number} of {self._settings.epochs}: loss {epoch.loss:.4f}")
        if self._stopping:  # an evaluation may take hours
            self._say(f"stopping after epoch {number}; its state is saved")
            raise KeyboardInterrupt
        self._finished(epoch)


def _ends_epoch(state: Any) -> bool:
    return float(state.epoch).is_integer() or state.global_step >= state.max_steps


def fit(
    student: Student,
    folder: SFTFolder,
    callback: EpochCallback,
    checkpoint: Path | None,
    *,
    longest: int,
) -> None:
    """Train to the end, from a checkpoint if there is one.

    Ctrl-C, SIGTERM and SIGHUP finish the step and save a state. With several processes no process
    could tell at which step the others stop, so a signal just ends them.

    Args:
        student: To be trained.
        folder: Of the training.
        callback: Keeps what comes out.
        checkpoint: Where the training was stopped.
        longest: Tokens of the longest sample.

    Raises:
        ConfigError: The batch can't be split, or several GPUs have one process.
        TrainingError: The loss is not finite.
        KeyboardInterrupt: It was asked to stop; a state was saved.
    """
    trainer = make_trainer(student, folder, longest=longest)
    trainer.add_callback(callback)
    with on_signal(callback.stop) if trainer.args.world_size == 1 else nullcontext():
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    if trainer.state.global_step < trainer.state.max_steps:
        raise KeyboardInterrupt


def make_trainer(student: Student, folder: SFTFolder, *, longest: int) -> TessyTrainer:
    """A trainer on the tokens that `prepare` wrote; arguments and errors as those of `fit`."""
    settings = student.settings
    arguments = _arguments(folder, settings)
    if arguments.n_gpu > 1:
        raise ConfigError(
            f"{arguments.n_gpu} GPUs are visible to one process",
            hint="accelerate launch -m tessy sft …, or CUDA_VISIBLE_DEVICES=0",
        )
    micro, accumulation = split_batch(settings, arguments.world_size, longest)
    arguments.per_device_train_batch_size = micro
    arguments.gradient_accumulation_steps = accumulation
    samples = datasets.Dataset.from_file(str(folder.path / TOKENS_FILE))
    steps = settings.epochs * math.ceil(len(samples) / settings.batch_size)
    if settings.max_steps and settings.max_steps < steps:  # more would mean more epochs
        arguments.max_steps = settings.max_steps
    trainer = TessyTrainer(
        model=student.weights(),
        args=arguments,
        train_dataset=samples,
        processing_class=student.tokenizer,
        peft_config=_lora(settings),
    )
    trainer.remove_callback(PrinterCallback)
    return trainer


def split_batch(settings: SFTSettings, processes: int, longest: int) -> tuple[int, int]:
    """Samples that a process computes at once, and how many times in a step.

    Args:
        settings: Of the training.
        processes: That share a batch.
        longest: Tokens of the longest sample.

    Raises:
        ConfigError: The batch is no multiple of processes and micro batch.
    """
    share, rest = divmod(settings.batch_size, processes)
    if rest:
        raise ConfigError(
            f"batch_size = {settings.batch_size} can't be split between {processes} processes",
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
    constant = settings.schedule is Schedule.CONSTANT
    checkpointing = settings.gradient_checkpointing
    return SFTConfig(
        output_dir=str(folder.state),
        num_train_epochs=settings.epochs,
        learning_rate=settings.learning_rate,
        lr_scheduler_type="constant_with_warmup" if constant else settings.schedule.value,
        warmup_steps=settings.warmup,
        weight_decay=settings.weight_decay,
        max_grad_norm=settings.max_grad_norm,
        bf16=bfloat16,
        gradient_checkpointing=gpu if checkpointing is None else checkpointing,
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


@contextmanager
def quiet_libraries() -> Iterator[None]:
    """No progress bars, deprecations and advice of transformers, TRL and datasets; errors stay."""
    bars, level = logging.is_progress_bar_enabled(), logging.get_verbosity()
    data_bars = datasets.is_progress_bar_enabled()
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    datasets.disable_progress_bars()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
        if data_bars:
            datasets.enable_progress_bars()
