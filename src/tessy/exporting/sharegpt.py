"""For LLaMA-Factory and Axolotl: `conversations` of `from` and `value` (ShareGPT).

The thinking stays in the assistant's `value`, between `<think>` and `</think>`. LLaMA-Factory
0.9.5 takes it as it is with the template `qwen3` (`data/template.py`, `ReasoningTemplate`; its
data/README.md wants it there). Axolotl 0.19.0 renders with the tokenizer's own chat template,
which for Qwen3 finds the markers itself (`prompt_strategies/chat_template.py`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson

from tessy.exporting.counts import Counts
from tessy.exporting.drops import Drop, Reason
from tessy.exporting.jsonl import JsonlWriter
from tessy.exporting.sample import Sample, turns

_FROM = {"system": "system", "user": "human", "assistant": "gpt"}
OUT_OF_TURN = "user and assistant do not take turns, or a system prompt is not first"


class ShareGpt:
    """Lines of `id` and `conversations`; a system prompt is the first of these."""

    def row(self, sample: Sample) -> dict[str, Any] | Drop:
        """A line; LLaMA-Factory would skip a conversation in which nobody takes turns."""
        if turns(sample) is None:
            return Drop(Reason.NOT_EXPRESSIBLE, OUT_OF_TURN)
        said = [{"from": _FROM[m["role"]], "value": m["content"]} for m in sample.messages]
        return {"id": sample.id, "conversations": said}

    def open(self, folder: Path, split: str) -> JsonlWriter:
        """Where the lines of a split go."""
        return JsonlWriter(folder / f"{split}.jsonl")

    def finish(self, folder: Path, name: str, counts: Counts) -> None:
        """Write what the two tools want to be told: dataset_info.json and axolotl.yaml."""
        columns = {"messages": "conversations"}
        about = {"formatting": "sharegpt", "columns": columns}
        write_dataset_info(folder, name, counts, about)
        (folder / "axolotl.yaml").write_text(_axolotl(counts), "utf-8")


def write_dataset_info(folder: Path, name: str, counts: Counts, about: dict[str, Any]) -> None:
    """Write LLaMA-Factory's list of data sets, with an entry a split.

    Args:
        folder: What `dataset_dir` is to name.
        name: The data set's; other splits have theirs behind it.
        counts: What was written.
        about: What every entry says.
    """
    info = {
        name if split == "train" else f"{name}_{split}": {"file_name": f"{split}.jsonl", **about}
        for split in counts.kept
    }
    (folder / "dataset_info.json").write_bytes(orjson.dumps(info, option=orjson.OPT_INDENT_2))


def _axolotl(counts: Counts) -> str:
    """Settings to put into an Axolotl configuration; paths are those in this folder."""
    lines = ["chat_template: tokenizer_default"]
    for key, split in (("datasets", "train"), ("test_datasets", "validation")):
        if split in counts.kept:
            lines += [
                f"{key}:",
                f"  - path: {split}.jsonl  # put this folder before it",
                "    ds_type: json",
                *(["    split: train"] if split != "train" else []),
                "    type: chat_template",
                "    field_messages: conversations",
                "    message_property_mappings:",
                "      role: from",
                "      content: value",
                "    roles_to_train: [assistant]",
                "    train_on_eos: turn",
            ]
    return "\n".join(lines) + "\n"
