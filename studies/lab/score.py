"""How many questions a model answers right by itself, greedily; for the training's log."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import torch

from studies.lab.encode import Encoder
from studies.lab.members import Member
from studies.lab.questions import score

_BATCH = 64
_LONGEST = 320


def right_by_family(
    model: Any, encoder: Encoder, member: Member, rows: Sequence[dict[str, Any]]
) -> dict[str, float]:
    """The share of right answers by family.

    Args:
        model: A causal language model of transformers.
        encoder: Of its tokenizer.
        member: Which model it is; an answer counts only in its voice.
        rows: Questions.

    Returns:
        By family, from 0 to 1: answers that reasoning-gym's scorer gives 1.0.
    """
    right: dict[str, list[bool]] = defaultdict(list)
    ordered = sorted(rows, key=lambda row: len(row["prompt"]))
    for first in range(0, len(ordered), _BATCH):
        batch = ordered[first : first + _BATCH]
        for row, text in zip(batch, _answers(model, encoder, batch), strict=True):
            answer = member.voice.answered(text)
            right[row["family"]].append(answer is not None and score(row, answer) == 1.0)
    return {family: sum(each) / len(each) for family, each in right.items()}


def _answers(model: Any, encoder: Encoder, rows: Sequence[dict[str, Any]]) -> list[str]:
    """The text of each answer; empty if the response does not end."""
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
    for response in written[:, width:].tolist():
        ended = encoder.end in response
        found.append(encoder.split(response[: response.index(encoder.end)])[1] if ended else "")
    return found
