"""What libraries of training say of themselves, held back: `say` tells what a user can use."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import datasets
from transformers.utils import logging


@contextmanager
def quiet() -> Iterator[None]:
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
