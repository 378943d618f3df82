"""`build_tokenizer`: small tokenizers with the control tokens of real model families."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

Flavour = Literal["qwen3", "gpt-oss", "deepseek-r1", "plain"]

_SMALLEST = 300
_LINES = (
    "Okay, let's see. Wait, maybe we should check that again before going on.",
    "Hmm, so the answer is x = 7, since 3 * 7 = 21 and 21 - 3 = 18.",
    "Actually, note that n + 3 is even; hence n is odd. Therefore f(n) = 2 * n + 1.",
    "Thus we recall the claim: the sum of the first n numbers is n * (n + 1) / 2.",
    "def solve(n):\n    total = 0\n    for i in range(n):\n        total += i\n    return total\n",
    "Alternatively, let us consider the following example, which is clearly simpler.",
    "Alright, right, but perhaps the final result follows directly from this: 42.",
    "Die Lösung ist größer als fünf. L'été, ça commence bientôt. ¿Qué pasa mañana?",
    "因此我们可以得到答案。让我想想，显然这是对的。つまり、答えは三です。",
    "∑ x² ≤ π · √2 ≈ 4.44, ∀ n ∈ ℕ: n ≥ 0 ⇒ n² ≥ 0",
)


@dataclass(frozen=True, slots=True)
class ControlTokens:
    """What a model family adds to a vocabulary, and its chat template.

    Attributes:
        special: Special tokens.
        end: The token that ends an answer.
        template: The chat template, in Jinja.
        shown: Added tokens that show in text.
        begin: The token before a text, if there is one.
        pad: The token that fills batches.
        puts_begin: The tokenizer puts `begin` before each text.
    """

    special: tuple[str, ...]
    end: str
    template: str
    shown: tuple[str, ...] = ()
    begin: str | None = None
    pad: str = "<|endoftext|>"
    puts_begin: bool = False


_HARMONY = (
    "<|startoftext|>", "<|endoftext|>", "<|return|>", "<|constrain|>", "<|channel|>", "<|start|>",
    "<|end|>", "<|message|>", "<|call|>",
)  # fmt: skip
_CONTROL: dict[Flavour, ControlTokens] = {
    "qwen3": ControlTokens(
        special=("<|endoftext|>", "<|im_start|>", "<|im_end|>"),
        shown=("<think>", "</think>"),
        end="<|im_end|>",
        template=(
            "{% for message in messages %}"
            "{{ '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}"
            "{% endfor %}"
            "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}"
            "{% if enable_thinking is defined and not enable_thinking %}"
            "{{ '<think>\\n\\n</think>\\n\\n' }}{% endif %}{% endif %}"
        ),
    ),
    "gpt-oss": ControlTokens(
        special=_HARMONY,
        begin="<|startoftext|>",
        end="<|return|>",
        template=(
            "{{ '<|start|>system<|message|>Date: ' + strftime_now('%Y-%m-%d') }}"
            "{{ '\\nReasoning: ' + (reasoning_effort or 'medium') + '<|end|>' }}"
            "{% for message in messages %}"
            "{{ '<|start|>' + {'system': 'developer'}.get(message.role, message.role) }}"
            "{% if message.role == 'assistant' %}{{ '<|channel|>final' }}{% endif %}"
            "{{ '<|message|>' + message.content + '<|end|>' }}"
            "{% endfor %}"
            "{% if add_generation_prompt %}{{ '<|start|>assistant' }}{% endif %}"
        ),
    ),
    "deepseek-r1": ControlTokens(
        special=(
            "<｜begin▁of▁sentence｜>",
            "<｜end▁of▁sentence｜>",
            "<｜User｜>",
            "<｜Assistant｜>",
        ),
        shown=("<think>", "</think>"),
        begin="<｜begin▁of▁sentence｜>",
        end="<｜end▁of▁sentence｜>",
        pad="<｜end▁of▁sentence｜>",
        puts_begin=True,
        template=(
            "{{ bos_token }}"
            "{% for message in messages %}"
            "{% if message.role == 'user' %}{{ '<｜User｜>' + message.content }}"
            "{% elif message.role == 'assistant' %}"
            "{{ '<｜Assistant｜>' + message.content + '<｜end▁of▁sentence｜>' }}"
            "{% else %}{{ message.content }}{% endif %}"
            "{% endfor %}"
            "{% if add_generation_prompt %}{{ '<｜Assistant｜><think>\\n' }}{% endif %}"
        ),
    ),
    "plain": ControlTokens(
        special=("<|endoftext|>",),
        end="<|endoftext|>",
        template=(
            "{% for message in messages %}"
            "{{ {'user': 'User', 'assistant': 'Assistant'}.get(message.role, 'System') }}"
            "{{ ': ' + message.content + '\\n\\n' }}"
            "{% endfor %}"
            "{% if add_generation_prompt %}{{ 'Assistant:\\n' }}{% endif %}"
        ),
    ),
}


def build_tokenizer(
    folder: Path,
    *,
    vocabulary: int = 600,
    flavour: Flavour = "qwen3",
    seed: int = 0,
    words: Sequence[str] = (),
) -> Path:
    """Train a byte-level BPE and write it as a model's tokenizer folder.

    Any text survives encoding and decoding (without the tokenizer's own begin marker, and with
    special tokens shown). The ids of two seeds are unrelated, so ids that reach the wrong model
    show as nonsense at once. The chat templates are short ones, written for tests.

    Args:
        folder: Where to write `tokenizer.json`, `tokenizer_config.json` and
            `chat_template.jinja`; made if it is not there.
        vocabulary: How many tokens, at least 300.
        flavour: Whose control tokens and format to have.
        seed: Draws other merges and other ids.
        words: Words of letters or of digits, each of which becomes one token, with a blank before
            it; they come on top of `vocabulary`.

    Returns:
        The folder.

    Raises:
        ValueError: The vocabulary is too small, or there is no such flavour.
    """
    if flavour not in _CONTROL:
        raise ValueError(f"{flavour!r} is not a flavour; one of {', '.join(_CONTROL)}")
    if vocabulary < _SMALLEST:
        raise ValueError(f"a vocabulary has at least {_SMALLEST} tokens, not {vocabulary}")
    control = _CONTROL[flavour]
    tokenizer = _train(vocabulary - len(control.special) - len(control.shown), seed, words)
    _add_control(tokenizer, control)
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "add_bos_token": control.puts_begin,
        "add_prefix_space": False,
        "bos_token": control.begin,
        "eos_token": control.end,
        "pad_token": control.pad,
        "clean_up_tokenization_spaces": False,
        "model_max_length": 131072,
    }
    text = json.dumps(config, ensure_ascii=False, indent=2)
    (folder / "tokenizer_config.json").write_text(text + "\n", encoding="utf-8")
    (folder / "chat_template.jinja").write_text(control.template, encoding="utf-8")
    return folder


def _train(size: int, seed: int, words: Sequence[str]) -> Any:
    """A byte-level BPE of `size` tokens, and of some words, whose ids are shuffled."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    draw = random.Random(f"tokenizer\0{seed}")
    tokenizer.train_from_iterator(_corpus(draw, size), trainer)
    raw = json.loads(tokenizer.to_str())
    _add_words(raw["model"], words)
    ids = list(range(len(raw["model"]["vocab"])))
    draw.shuffle(ids)
    raw["model"]["vocab"] = dict(zip(sorted(raw["model"]["vocab"]), ids, strict=True))
    return Tokenizer.from_str(json.dumps(raw))


def _add_words(model: Any, words: Sequence[str]) -> None:
    """Add the merges by which each word becomes one token, from its first character on."""
    merges = model["merges"]
    ranks = {tuple(pair): rank for rank, pair in enumerate(merges)}
    for word in words:
        symbols = [chr(288), *word]  # byte-level tokenizers' blank
        while len(symbols) > 1:
            pairs = list(pairwise(symbols))
            known = [pair for pair in pairs if pair in ranks]
            pair = min(known, key=ranks.__getitem__) if known else pairs[0]
            if not known:
                ranks[pair] = len(merges)
                merges.append(list(pair))
                model["vocab"].setdefault("".join(pair), len(model["vocab"]))
            at = pairs.index(pair)
            symbols[at : at + 2] = ["".join(pair)]


def _corpus(draw: random.Random, size: int) -> list[str]:
    """The built-in lines, some more often than others, and invented words for large sizes."""
    lines = [line for line in _LINES for _ in range(draw.randrange(1, 5))]
    syllables = [a + b + c for a in "bdfgklmnprstvz" for b in "aeiou" for c in ("", *"nrst")]
    for _ in range(size // 8 + 2 * max(0, size - 700)):
        lines.append(" " + "".join(draw.choices(syllables, k=draw.randrange(1, 5))))
    return lines


def _add_control(tokenizer: Any, control: ControlTokens) -> None:
    from tokenizers import AddedToken, processors

    tokenizer.add_special_tokens([AddedToken(t, special=True) for t in control.special])
    if control.shown:
        tokenizer.add_tokens([AddedToken(t, normalized=False) for t in control.shown])
    if control.puts_begin and control.begin:
        begin = (control.begin, tokenizer.token_to_id(control.begin))
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"{control.begin} $A", pair=f"{control.begin} $A $B", special_tokens=[begin]
        )
