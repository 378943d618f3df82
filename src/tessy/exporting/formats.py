"""What a format is, and those that are lines of JSON: for TRL, LLaMA-Factory and Axolotl.

In all of them the thinking stays in the assistant's message, between `<think>` and `</think>`.
"""

from __future__ import annotations

import shutil
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import orjson

from tessy.data.exact import dumps
from tessy.exporting.samples import Drop, ExportCounts, ExportSample, Reason
from tessy.exporting.settings import Mask
from tessy.exporting.trial import TemplateTrial
from tessy.training.masks import LossPart, character_weights

WriteRow = Callable[[dict[str, Any]], None]
"""Writes a row of one split."""
_LOSS = {
    Mask.CAPABILITY: LossPart.CAPABILITY,
    Mask.STYLE: LossPart.STYLE,
    Mask.NONE: LossPart.RESPONSE,
}
_SHAREGPT_NAMES = {"system": "system", "user": "human", "assistant": "gpt"}

_AXOLOTL = """\
{key}:
  - path: {split}.jsonl  # put this folder before it
    ds_type: json
    split: train
    type: chat_template
    field_messages: conversations
    message_property_mappings:
      role: from
      content: value
    roles_to_train: [assistant]
    train_on_eos: turn
"""
"""For an Axolotl configuration; `datasets` calls the only split of a JSON file `train`."""


class Format(ABC):
    """What one tool reads: rows, the files that they are in, and files that go with them."""

    takes_thinking = False
    """Messages may have their thinking beside their content, in `reasoning_content`."""

    @abstractmethod
    def row(self, sample: ExportSample) -> dict[str, Any] | Drop:
        """A sample as a row, or why it can't be one."""

    def open(self, folder: Path, split: str) -> AbstractContextManager[WriteRow]:
        """Open the files of a split; they are complete when the context ends without an error."""
        return write_jsonl(folder / f"{split}.jsonl")

    def finish(self, folder: Path, name: str, counts: ExportCounts) -> None:  # noqa: B027
        """Write what goes with the data.

        Args:
            folder: The export's folder, in which all rows are.
            name: The data set's name.
            counts: What was written.
        """

    def findings(self) -> list[str]:
        """What the user should know about the samples in this format, a line each."""
        return []


@contextmanager
def write_jsonl(path: Path) -> Iterator[WriteRow]:
    """Write a new file of lines of JSON."""
    with path.open("wb") as file:

        def write(row: dict[str, Any]) -> None:
            file.write(dumps(row) + b"\n")

        yield write


class Trl(Format):
    """For TRL: lines of `id`, `messages` and, with a mask, `weights`.

    `tessy.training.masks` makes the weights, and turns them into the labels that TRL trains on.

    Args:
        mask: What carries loss; None for no weights.
        trial: Tries the student's chat template on the samples, or says why that can't be.
    """

    takes_thinking = True

    def __init__(self, mask: Mask | None = None, trial: TemplateTrial | str = "") -> None:
        self._mask, self._trial = mask, trial

    def row(self, sample: ExportSample) -> dict[str, Any] | Drop:
        """A line; `weights` are `[start, end, weight]`, half-open offsets into the response."""
        row: dict[str, Any] = {"id": sample.id, "messages": sample.messages}
        if isinstance(self._trial, TemplateTrial):
            self._trial.look_at(sample)
        if self._mask is not None:
            loss = frozenset({_LOSS[self._mask]})
            runs = character_weights(sample.content, sample.spans, loss)
            row["weights"] = [list(run) for run in runs]
        return row

    def findings(self) -> list[str]:
        """What the student's chat template makes of the samples."""
        if isinstance(self._trial, TemplateTrial):
            return self._trial.lines()
        return [self._trial] if self._trial else []


class ShareGpt(Format):
    """For LLaMA-Factory and Axolotl: lines of `id` and `conversations` of `from` and `value`.

    LLaMA-Factory 0.9.5 takes the thinking as it is with the template `qwen3` (`data/template.py`,
    `ReasoningTemplate`; its data/README.md asks for it there). Axolotl 0.19.0 renders with the
    tokenizer's own chat template, and Qwen3's finds the markers itself
    (`prompt_strategies/chat_template.py`).
    """

    def row(self, sample: ExportSample) -> dict[str, Any] | Drop:
        """A line; LLaMA-Factory would skip a conversation in which nobody takes turns."""
        if isinstance(pairs := _pairs(sample), Drop):
            return pairs
        conversations = [
            {"from": _SHAREGPT_NAMES[message["role"]], "value": message["content"]}
            for message in sample.messages
        ]
        return {"id": sample.id, "conversations": conversations}

    def finish(self, folder: Path, name: str, counts: ExportCounts) -> None:
        """Write LLaMA-Factory's dataset_info.json, and axolotl.yaml."""
        columns = {"messages": "conversations"}
        _write_dataset_info(folder, name, counts, "sharegpt", columns)
        text = "chat_template: tokenizer_default\n"
        for key, split in (("datasets", "train"), ("test_datasets", "validation")):
            if split in counts.kept:
                text += _AXOLOTL.format(key=key, split=split)
        (folder / "axolotl.yaml").write_text(text, "utf-8")


class Alpaca(Format):
    """For LLaMA-Factory and others: `instruction`, `input`, `output`, `system` and `history`.

    Earlier turns go into `history`, as pairs. `input` is empty, since a question has one text.
    `datasets`, with which LLaMA-Factory reads, takes a column's type from the first 10 MB of a
    file, and fails if `history` is empty there and filled later. So samples with a history come
    first in the file.
    """

    def row(self, sample: ExportSample) -> dict[str, Any] | Drop:
        """A line, or a drop if nobody takes turns in the conversation."""
        if isinstance(pairs := _pairs(sample), Drop):
            return pairs
        first = sample.messages[0]
        question, response = pairs[-1]
        return {
            "id": sample.id,
            "instruction": question,
            "input": "",
            "output": response,
            "system": first["content"] if first["role"] == "system" else "",
            "history": [list(pair) for pair in pairs[:-1]],
        }

    @contextmanager
    def open(self, folder: Path, split: str) -> Iterator[WriteRow]:
        """Open the file of a split, and one in which lines without a history wait."""
        path, waiting = folder / f"{split}.jsonl", folder / f"{split}.waiting"
        with write_jsonl(path) as write_now, write_jsonl(waiting) as write_later:
            yield lambda row: write_now(row) if row["history"] else write_later(row)
        with path.open("ab") as file, waiting.open("rb") as rest:
            shutil.copyfileobj(rest, file, 1 << 20)
        waiting.unlink()

    def finish(self, folder: Path, name: str, counts: ExportCounts) -> None:
        """Write LLaMA-Factory's dataset_info.json."""
        columns = {
            "prompt": "instruction",
            "query": "input",
            "response": "output",
            "system": "system",
            "history": "history",
        }
        _write_dataset_info(folder, name, counts, "alpaca", columns)


def _pairs(sample: ExportSample) -> list[tuple[str, str]] | Drop:
    """The conversation as pairs of a question and a response, without a system prompt.

    Returns:
        The pairs; a drop if user and assistant do not alternate, or if a system prompt is
        anywhere but first.
    """
    messages = sample.messages[sample.messages[0]["role"] == "system" :]
    roles = [message["role"] for message in messages]
    if not messages or roles != ["user", "assistant"] * (len(messages) // 2):
        detail = "user and assistant do not take turns, or a system prompt is not first"
        return Drop(Reason.NOT_EXPRESSIBLE, detail)
    contents = [message["content"] for message in messages]
    return list(zip(contents[::2], contents[1::2], strict=True))


def _write_dataset_info(
    folder: Path, name: str, counts: ExportCounts, formatting: str, columns: dict[str, str]
) -> None:
    """Write LLaMA-Factory's list of data sets: `name` is the training split.

    Args:
        folder: The folder that `dataset_dir` will name.
        name: The data set's name; other splits are `name_SPLIT`.
        counts: What was written.
        formatting: LLaMA-Factory's name of the format.
        columns: LLaMA-Factory's names of columns, and ours.
    """
    info = {
        name if split == "train" else f"{name}_{split}": {
            "file_name": f"{split}.jsonl",
            "formatting": formatting,
            "columns": columns,
        }
        for split in counts.kept
    }
    (folder / "dataset_info.json").write_bytes(orjson.dumps(info, option=orjson.OPT_INDENT_2))
