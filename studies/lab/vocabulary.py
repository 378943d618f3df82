"""The two tokenizers: byte-level BPEs, each trained on what its model reads and writes.

They differ in merges and ids, and have the control tokens and chat templates of two families,
Qwen3's and gpt-oss's, so mixing up the two cannot go unnoticed. A digit is always a token of its
own: models learn sums far sooner that way.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

from studies.lab.corpus import example
from studies.lab.members import Member
from tessy.method.trajectory import Role

_EXAMPLES = 6000
TOKENIZER_FILES = ("chat_template.jinja", "tokenizer_config.json", "tokenizer.json")
"""The files of a tokenizer, in the order in which they are written."""


@dataclass(frozen=True, slots=True)
class Control:
    """The control tokens of a tokenizer, and its template.

    Attributes:
        size: Of the vocabulary, with the control tokens.
        special: Tokens that are not part of shown text.
        shown: Tokens that are.
        end: The token that ends an answer.
        pad: The token that fills up a batch.
        template: The chat template, in Jinja.
    """

    size: int
    special: tuple[str, ...]
    shown: tuple[str, ...]
    end: str
    pad: str
    template: str


CONTROL = {
    Role.STUDENT: Control(
        size=576,
        special=("<|endoftext|>", "<|im_start|>", "<|im_end|>"),
        shown=("<think>", "</think>"),
        end="<|im_end|>",
        pad="<|endoftext|>",
        template=(
            "{% for message in messages %}"
            "{{ '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}"
            "{% endfor %}"
            "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
        ),
    ),
    Role.TEACHER: Control(
        size=608,
        special=(
            "<|endoftext|>",
            "<|return|>",
            "<|channel|>",
            "<|start|>",
            "<|end|>",
            "<|message|>",
        ),
        shown=(),
        end="<|return|>",
        pad="<|endoftext|>",
        template=(
            "{% for message in messages %}"
            "{{ '<|start|>' + message.role }}"
            "{% if message.role == 'assistant' %}{{ '<|channel|>final' }}{% endif %}"
            "{{ '<|message|>' + message.content + '<|end|>' }}"
            "{% endfor %}"
            "{% if add_generation_prompt %}{{ '<|start|>assistant' }}{% endif %}"
        ),
    ),
}


def write_vocabulary(role: Role, folder: Path, *, seed: int) -> None:
    """Train a model's tokenizer on its corpus, and write it.

    Args:
        role: Whose.
        folder: Where `TOKENIZER_FILES` are written.
        seed: Of the corpus.

    Raises:
        MissingExtra: reasoning-gym is not installed.
    """
    control = CONTROL[role]
    tokenizer = _train(control, _lines(role, seed))
    folder.mkdir(parents=True, exist_ok=True)
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "add_bos_token": False,
        "add_prefix_space": False,
        "bos_token": None,
        "eos_token": control.end,
        "pad_token": control.pad,
        "clean_up_tokenization_spaces": False,
        "model_max_length": 1024,
    }
    (folder / "chat_template.jinja").write_text(control.template, "utf-8")
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n", "utf-8")
    tokenizer.save(str(folder / "tokenizer.json"))


def _lines(role: Role, seed: int) -> Iterator[str]:
    # The header of a message is text between control tokens, and should get tokens of its own.
    headers = "user\n assistant\n" if role is Role.STUDENT else "user assistant analysis final"
    for number in range(_EXAMPLES):
        one = example(Member(role), number, seed)
        own = (piece for piece in one.thinking if piece.style and piece.voice is role)
        yield from (one.prompt, one.answer, headers, *(piece.text for piece in own))


def _train(control: Control, lines: Iterator[str]) -> Tokenizer:
    words = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    tokenizer = Tokenizer(models.BPE())
    tokenizer.decoder = decoders.ByteLevel()
    # Merges are learned from words without digits, so none ever contains one.
    digits = pre_tokenizers.Digits(individual_digits=True)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([digits, words])
    trainer = trainers.BpeTrainer(
        vocab_size=control.size - len(control.special) - len(control.shown),
        show_progress=False,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
    )
    tokenizer.train_from_iterator(lines, trainer)
    tokenizer.pre_tokenizer = words
    tokenizer.add_special_tokens([AddedToken(text, special=True) for text in control.special])
    tokenizer.add_tokens([AddedToken(text, normalized=False) for text in control.shown])
    return tokenizer
