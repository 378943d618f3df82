"""Training one of the models: `tessy lab train`.

    vocabulary    a tokenizer is trained on the corpus, or is that of the model one begins with
    batches       are made by their numbers, so nothing of the corpus is kept
    model         a Llama of transformers, from random weights or another model's
    log           `log.jsonl`: loss, tokens and seconds; now and then accuracy on questions that are
                  neither trained on nor tested with
    result        the folder is a model of transformers in float16, and holds a GGUF file of it

The same command goes on where it was stopped: `checkpoint.pt` is written every few steps, and
goes when the training is over.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tessy.display import Say
from tessy.errors import ConfigError, MissingExtra
from tessy.lab.batches import IGNORED, batches
from tessy.lab.card import CARD_FILE, card
from tessy.lab.encode import Encoder
from tessy.lab.families import FAMILIES, TARGET
from tessy.lab.members import Member
from tessy.lab.network import check_sizes, load_network, network, optimizers, set_rate
from tessy.lab.questions import Split, questions
from tessy.lab.score import accuracy
from tessy.lab.settings import LabSettings
from tessy.lab.vocabulary import TOKENIZER_FILES, write_vocabulary
from tessy.models.weights import lab_folder
from tessy.training.gguf import write_gguf

TRAINING_FILE = "training.json"
LOG_FILE = "log.jsonl"
MODEL_FILE = "model.safetensors"
GGUF_FILE = "model.gguf"
_CHECKPOINT = "checkpoint.pt"
_LOGGED = 50
_CLIP = 1.0


def train(member: Member, out: Path, settings: LabSettings, *, say: Say = lambda _: None) -> Path:
    """Train a model and write it to a folder.

    Args:
        member: Which.
        out: A new folder, or one in which the same training was stopped.
        settings: How.
        say: Told what is going on, in a line.

    Returns:
        `out`.

    Raises:
        MissingExtra: torch, transformers or reasoning-gym is not installed.
        ConfigError: `out` holds something else, or the sizes are not those of the model that it
            begins with.
    """
    try:
        import torch
        import transformers  # noqa: F401
    except ImportError:
        raise MissingExtra(
            "training needs torch and transformers", hint="pip install 'tessy[lab,train]'"
        ) from None
    if first := _first(member):
        check_sizes(first, settings)
    _open(out, member, settings)
    if (out / GGUF_FILE).is_file():
        say(f"{out} is trained already")
        return out
    torch.set_num_threads(settings.threads)
    if not (out / "tokenizer.json").is_file():
        say("making the vocabulary")
        _make_vocabulary(member, out, settings)
    encoder = Encoder(out, member.role)
    _Training(member, out, settings, encoder, say).run()
    return out


def _open(out: Path, member: Member, settings: LabSettings) -> None:
    """Make the folder, or see that it is that of the same training."""
    identity = {"model": member.value, "settings": settings.model_dump()}
    if first := _first(member):
        digest = hashlib.sha256((first / MODEL_FILE).read_bytes()).hexdigest()
        identity["begun_with"] = digest
    path = out / TRAINING_FILE
    if path.is_file():
        if json.loads(path.read_text("utf-8")) != identity:
            raise ConfigError(
                f"{out} holds a model trained with other settings",
                hint="name another folder, or remove this one",
            )
        return
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ConfigError(f"{out} is there already, and no training", hint="name a new folder")
    out.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(identity, indent=2) + "\n", "utf-8")


def _first(member: Member) -> Path | None:
    """The folder of the model that a training begins with."""
    return lab_folder(member.begins_as) if member.begins_as else None


def _make_vocabulary(member: Member, out: Path, settings: LabSettings) -> None:
    if first := _first(member):
        for name in TOKENIZER_FILES:  # tokenizer.json, the last, says that all are there
            shutil.copyfile(first / name, out / name)
    else:
        write_vocabulary(member.role, out, seed=settings.seed)


class _Training:
    """One training, from where it is to its end."""

    def __init__(
        self, member: Member, out: Path, settings: LabSettings, encoder: Encoder, say: Say
    ) -> None:
        self.member, self.out, self.settings, self.encoder, self.say = (
            *(member, out, settings, encoder, say),
        )
        first = _first(member)
        self.model = load_network(first) if first else network(settings, encoder)
        self.optimizers = optimizers(self.model, settings)
        self.step = 0
        self.seconds = 0.0

    def run(self) -> None:
        """Go on to the end, and write the model."""
        self._resume()
        settings = self.settings
        began = time.monotonic() - self.seconds
        losses: list[float] = []
        tokens = 0
        for batch in batches(
            self.member,
            self.encoder,
            size=settings.batch,
            seed=settings.seed,
            first=self.step,
            end=settings.steps,
        ):
            losses.append(self._learn(batch))
            tokens += batch.ids.numel()
            self.step += 1
            self.seconds = time.monotonic() - began
            if self.step % _LOGGED == 0 or self.step == settings.steps:
                self._log(loss=round(sum(losses) / len(losses), 4), tokens=tokens)
                losses, tokens = [], 0
            if self.step % settings.examine_every == 0 or self.step == settings.steps:
                self._examine()
            if self.step % settings.save_every == 0 or self.step == settings.steps:
                self._save()
        self._finish()

    def _learn(self, batch: Any) -> float:
        import torch

        # Causal attention never looks at the padding behind a token: no mask is needed.
        logits = self.model(input_ids=batch.ids, use_cache=False).logits[:, :-1]
        loss = torch.nn.functional.cross_entropy(
            logits.flatten(0, 1), batch.labels[:, 1:].flatten(), ignore_index=IGNORED
        )
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), _CLIP)
        for optimizer in self.optimizers:
            set_rate(optimizer, self.step, self.settings)
            optimizer.step()
            optimizer.zero_grad()
        return float(loss.detach())

    def _log(self, **entries: Any) -> None:
        line = {"step": self.step, "seconds": round(self.seconds, 1), **entries}
        with (self.out / LOG_FILE).open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        if "loss" in entries:
            self.say(f"step {self.step} of {self.settings.steps}: loss {entries['loss']:.4f}")
        else:
            shown = ", ".join(f"{name} {share:.0%}" for name, share in entries["right"].items())
            self.say(f"step {self.step}: {shown}")

    def _examine(self) -> None:
        count = self.settings.examined
        rows = [
            row for family in FAMILIES.values() for row in questions(family, Split.SFT, count, 0)
        ]
        if not rows:
            return
        self.model.eval()
        found = accuracy(self.model, self.encoder, self.member, rows)
        self.model.train()
        self._log(right={name: round(share, 4) for name, share in found.items()})

    def _save(self) -> None:
        import torch

        state = {
            "model": self.model.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            "step": self.step,
            "seconds": self.seconds,
        }
        _replace(self.out / _CHECKPOINT, lambda path: torch.save(state, path))

    def _resume(self) -> None:
        import torch

        path = self.out / _CHECKPOINT
        if not path.is_file():
            return
        state = torch.load(path, weights_only=True)
        self.model.load_state_dict(state["model"])
        for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        self.step, self.seconds = state["step"], state["seconds"]
        self.say(f"going on from step {self.step}")

    def _finish(self) -> None:
        import torch

        self._write_card()
        # The GGUF file marks the end, so it comes last but for what may be missing.
        self.model.to(torch.float16).save_pretrained(self.out)
        _replace(self.out / GGUF_FILE, lambda path: write_gguf(self.out, path, dtype="f16"))
        (self.out / _CHECKPOINT).unlink(missing_ok=True)

    def _write_card(self) -> None:
        log = [json.loads(line) for line in (self.out / LOG_FILE).read_text("utf-8").splitlines()]
        text = card(
            self.member,
            self.settings,
            parameters=self.model.num_parameters(),
            vocabulary=self.encoder.tokenizer.get_vocab_size(),
            target=TARGET,
            right=next((line["right"] for line in reversed(log) if "right" in line), {}),
        )
        (self.out / CARD_FILE).write_text(text, "utf-8")


def _replace(path: Path, write: Callable[[Path], Any]) -> None:
    """Write a file so that it is there as a whole or not at all."""
    scratch = path.with_name(path.name + ".tmp")
    write(scratch)
    scratch.replace(path)
