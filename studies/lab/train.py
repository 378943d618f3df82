"""Training one of the models: `python -m studies.lab train`.

    vocabulary    a tokenizer is trained on the corpus, or copied from the model it begins with
    batches       are made from their numbers, so nothing of the corpus is kept
    network       a Llama of transformers, from random weights or another model's
    log           `log.jsonl`: loss, tokens and seconds; sometimes accuracy on questions that are
                  used neither for training nor for tests
    result        a model of transformers in float16, and a GGUF file of it

The same command resumes a training that was stopped: `checkpoint.pt` is written every few steps and
removed at the end.
"""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import time
from pathlib import Path
from typing import Any

import torch

from studies.lab.batches import IGNORED, Batch, batches
from studies.lab.card import card
from studies.lab.encode import Encoder
from studies.lab.families import FAMILIES
from studies.lab.members import Member
from studies.lab.network import check_sizes, load_network, new_network, optimizers, set_rates
from studies.lab.questions import Split, questions
from studies.lab.score import right_by_family
from studies.lab.settings import LabSettings
from studies.lab.vocabulary import TOKENIZER_FILES, write_vocabulary
from tessy import lab
from tessy.data.files import write_atomically
from tessy.display import Say
from tessy.errors import ConfigError
from tessy.training.gguf import write_gguf

TRAINING_FILE = "training.json"
LOG_FILE = "log.jsonl"
_GGUF_FILE = "model.gguf"
_CHECKPOINT = "checkpoint.pt"
_LOG_EVERY = 50
_CLIP = 1.0


def train(member: Member, out: Path, settings: LabSettings, *, say: Say = lambda _: None) -> None:
    """Train a model and write it to a folder.

    Args:
        member: Which.
        out: A new folder, or one in which the same training was stopped.
        settings: How.
        say: Called with a line about the progress.

    Raises:
        MissingExtra: reasoning-gym is not installed.
        ConfigError: `out` holds something else, or the sizes differ from those of the model that
            the training begins with.
    """
    origin = lab.folder(member.begins_as) if member.begins_as else None
    if origin:
        check_sizes(origin, settings)
    _open(out, member, settings, origin)
    if (out / _GGUF_FILE).is_file():
        say(f"{out} is trained already")
        return
    torch.set_num_threads(settings.threads)
    if not (out / "tokenizer.json").is_file():
        say("making the vocabulary")
        _make_vocabulary(member, out, settings, origin)
    training = LabTraining(member, out, settings, origin, say)
    training.resume()
    training.run()
    training.finish()


def _open(out: Path, member: Member, settings: LabSettings, origin: Path | None) -> None:
    """Make the folder, or check that it belongs to the same training."""
    identity = {"model": member.value, "settings": settings.model_dump()}
    if origin:
        weights = (origin / "model.safetensors").read_bytes()
        identity["begun_with"] = hashlib.sha256(weights).hexdigest()
    path = out / TRAINING_FILE
    if path.is_file():
        if json.loads(path.read_text("utf-8")) != identity:
            raise ConfigError(
                f"{out} holds a model trained with other settings",
                hint="name another folder, or remove this one",
            )
        return
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ConfigError(f"{out} exists already, and is no training", hint="name a new folder")
    out.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(identity, indent=2) + "\n", "utf-8")


def _make_vocabulary(member: Member, out: Path, settings: LabSettings, origin: Path | None) -> None:
    if origin is None:
        write_vocabulary(member.role, out, seed=settings.seed)
        return
    for name in TOKENIZER_FILES:  # tokenizer.json is the last: with it, all are there
        shutil.copyfile(origin / name, out / name)


class LabTraining:
    """One training: `resume`, `run`, `finish`.

    Args:
        member: Which model.
        out: Its folder, which has the tokenizer.
        settings: How it is trained.
        origin: The folder of the model that it begins with; None for random weights.
        say: Called with a line about the progress.
    """

    def __init__(
        self, member: Member, out: Path, settings: LabSettings, origin: Path | None, say: Say
    ) -> None:
        self.member = member
        self.out = out
        self.settings = settings
        self.say = say
        self.encoder = Encoder(out, member.role)
        self.model = load_network(origin) if origin else new_network(settings, self.encoder)
        self.optimizers = optimizers(self.model, settings)
        self.step = 0
        self.seconds = 0.0

    def run(self) -> None:
        """Train to the last step."""
        settings = self.settings
        began = time.monotonic() - self.seconds
        losses: list[float] = []
        tokens = 0
        for batch in batches(
            self.member,
            self.encoder,
            size=settings.batch_size,
            seed=settings.seed,
            first=self.step,
            end=settings.steps,
        ):
            losses.append(self.learn(batch))
            tokens += batch.ids.numel()
            self.step += 1
            self.seconds = time.monotonic() - began
            if self._is_time(_LOG_EVERY):
                loss = sum(losses) / len(losses)
                self._log(loss=round(loss, 4), tokens=tokens)
                self.say(f"step {self.step} of {settings.steps}: loss {loss:.4f}")
                losses, tokens = [], 0
            if self._is_time(settings.examine_every) and settings.examined:
                self._examine()
            if self._is_time(settings.save_every):
                self._save()

    def _is_time(self, every: int) -> bool:
        return self.step % every == 0 or self.step == self.settings.steps

    def learn(self, batch: Batch) -> float:
        """Do one step; returns the loss."""
        # Causal attention never looks at the padding after a token: no mask is needed.
        logits = self.model(input_ids=batch.ids, use_cache=False).logits[:, :-1]
        loss = torch.nn.functional.cross_entropy(
            logits.flatten(0, 1), batch.labels[:, 1:].flatten(), ignore_index=IGNORED
        )
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), _CLIP)
        set_rates(self.optimizers, self.step, self.settings)
        for optimizer in self.optimizers:
            optimizer.step()
            optimizer.zero_grad()
        return float(loss.detach())

    def _log(self, **entries: Any) -> None:
        line = {"step": self.step, "seconds": round(self.seconds, 1), **entries}
        with (self.out / LOG_FILE).open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")

    def _examine(self) -> None:
        count = self.settings.examined
        rows = [
            row for family in FAMILIES.values() for row in questions(family, Split.SFT, count, 0)
        ]
        self.model.eval()
        right = right_by_family(self.model, self.encoder, self.member, rows)
        self.model.train()
        self._log(right={name: round(share, 4) for name, share in right.items()})
        shown = ", ".join(f"{name} {share:.0%}" for name, share in right.items())
        self.say(f"step {self.step}: {shown}")

    def _save(self) -> None:
        state = io.BytesIO()
        torch.save(
            {
                "model": self.model.state_dict(),
                "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
                "step": self.step,
                "seconds": self.seconds,
            },
            state,
        )
        write_atomically(self.out / _CHECKPOINT, state.getvalue())

    def resume(self) -> None:
        """Go to where the last checkpoint was, if there is one."""
        path = self.out / _CHECKPOINT
        if not path.is_file():
            return
        state = torch.load(path, weights_only=True)
        self.model.load_state_dict(state["model"])
        for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        self.step, self.seconds = state["step"], state["seconds"]
        self.say(f"resuming at step {self.step}")

    def finish(self) -> None:
        """Write the card and the model. The GGUF file comes last: with it, the model is whole."""
        log = [json.loads(line) for line in (self.out / LOG_FILE).read_text("utf-8").splitlines()]
        text = card(
            self.member,
            self.settings,
            parameters=self.model.num_parameters(),
            vocabulary=self.encoder.tokenizer.get_vocab_size(),
            right=next((line["right"] for line in reversed(log) if "right" in line), {}),
        )
        (self.out / "README.md").write_text(text, "utf-8")
        self.model.to(torch.float16).save_pretrained(self.out)
        unfinished = self.out / f"{_GGUF_FILE}.part"
        write_gguf(self.out, unfinished, dtype="f16")
        unfinished.replace(self.out / _GGUF_FILE)
        (self.out / _CHECKPOINT).unlink(missing_ok=True)
