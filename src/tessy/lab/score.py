"""How many questions a model answers rightly, alone and greedily; for the training's log."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from tessy.lab.encode import Encoder
from tessy.lab.members import Member
from tessy.lab.questions import score

_BATCH = 64
_LONGEST = 320


def accuracy(
    model: Any, encoder: Encoder, member: Member, rows: Sequence[dict[str, Any]]
) -> dict[str, float]:
    """The share of right answers by family.

    Args:
        model: A causal language model of transformers.
        encoder: Of its tokenizer.
        member: Whose voice its answers have.
        rows: Questions.

    Returns:
        By family, from 0 to 1: answers that reasoning-gym's scorer gives 1.0.
    """
    right: dict[str, list[bool]] = defaultdict(list)
    ordered = sorted(rows, key=lambda row: len(row["prompt"]))
    for first in range(0, len(ordered), _BATCH):
        batch = ordered[first : first + _BATCH]
        for row, answer in zip(batch, _answers(model, encoder, batch), strict=True):
            found = member.voice.answered(answer)
            right[row["family"]].append(found is not None and score(row, found) == 1.0)
    return {family: sum(each) / len(each) for family, each in right.items()}


def _answers(model: Any, encoder: Encoder, rows: Sequence[dict[str, Any]]) -> list[str]:
    import torch

    prompts = [encoder.prompt(row["prompt"]) for row in rows]
    width = max(map(len, prompts))
    ids = torch.full((len(prompts), width), encoder.pad)
    mask = torch.zeros((len(prompts), width), dtype=torch.long)
    for row, prompt in enumerate(prompts):
        ids[row, width - len(prompt) :] = torch.tensor(prompt)
        mask[row, width - len(prompt) :] = 1
    with torch.no_grad():
        written = model.generate(
            input_ids=ids,
            attention_mask=mask,
            do_sample=False,
            max_new_tokens=_LONGEST,
            eos_token_id=encoder.end,
            pad_token_id=encoder.pad,
        )
    found = []
    for row in written[:, width:].tolist():
        text = row[: row.index(encoder.end)] if encoder.end in row else []
        found.append(encoder.split(text)[1])
    return found
