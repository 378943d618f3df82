"""A tokenizer as llama.cpp keeps it: byte-level BPE whose way of cutting text into words it knows.

llama.cpp has these ways in its code, each under a name, and a file only gives the name. So a
tokenizer is told by its own `tokenizer.json`; one that cuts otherwise is refused, since a wrong
name would give other tokens without a word of warning. llama.cpp does not normalise text; NFC,
which Qwen's tokenizers have, changes nothing in text that is NFC already.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from tessy.errors import ConfigError

_WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|"
    "DIGITS"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_REGEXES = {
    _WORDS.replace("DIGITS", r"\p{N}{1,3}"): "llama-bpe",
    _WORDS.replace("DIGITS", r"\p{N}"): "qwen2",
}
"""As the tokenizers of Llama 3 and Qwen 2 have them in `tokenizer.json`."""
_HINT = "serve the folder with vLLM, or convert it with llama.cpp's convert_hf_to_gguf.py"


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """What a GGUF file holds of a tokenizer.

    Attributes:
        pre: llama.cpp's name of how text is cut into words.
        tokens: By id.
        special: Which of them are control tokens.
        added: Which are found in text before it is cut into words, and are not control.
        merges: In order, as "a b".
        ids: Of `bos`, `eos`, `pad` and `unk`, those that there are.
        begins: Whether encoding puts the begin token before a text,
        ends: and the end token behind it.
        template: The chat template, if there is one.
    """

    pre: str
    tokens: tuple[str, ...]
    special: frozenset[str]
    added: frozenset[str]
    merges: tuple[str, ...]
    ids: dict[str, int]
    begins: bool
    ends: bool
    template: str | None


def vocabulary(tokenizer: Any) -> Vocabulary:
    """Take a tokenizer of transformers apart.

    Raises:
        ConfigError: llama.cpp would read text otherwise.
    """
    raw = json.loads(tokenizer.backend_tokenizer.to_str())
    model = raw["model"]
    _check_model(model)
    ids = dict(model["vocab"])
    for token in raw["added_tokens"]:
        if token["lstrip"] or token["rstrip"] or token["single_word"]:
            raise _refused(f"its token {token['content']!r} takes blanks around it along")
        ids[token["content"]] = token["id"]
    tokens = sorted(ids, key=ids.__getitem__)
    if [ids[token] for token in tokens] != list(range(len(tokens))):
        raise _refused("its ids have gaps, or two tokens have one id")
    begins, ends = _put_around(tokenizer)
    roles = {role: getattr(tokenizer, f"{role}_token_id") for role in ("bos", "eos", "pad", "unk")}
    template = tokenizer.chat_template
    return Vocabulary(
        pre=_pre_tokenizer(raw["pre_tokenizer"], ignores_merges=bool(model.get("ignore_merges"))),
        tokens=tuple(tokens),
        special=frozenset(t["content"] for t in raw["added_tokens"] if t["special"]),
        added=frozenset(t["content"] for t in raw["added_tokens"] if not t["special"]),
        merges=tuple(m if isinstance(m, str) else " ".join(m) for m in model["merges"]),
        ids={role: number for role, number in roles.items() if number is not None},
        begins=begins,
        ends=ends,
        template=template if isinstance(template, str) else None,
    )


def add_vocabulary(writer: Any, kinds: Any, found: Vocabulary, size: int) -> None:
    """Write a tokenizer into a GGUF file.

    Args:
        writer: A `gguf.GGUFWriter`.
        kinds: `gguf.TokenType`.
        found: The tokenizer.
        size: Rows of the model's embeddings; those without a token are named, and never used.
    """
    spare = [f"[UNUSED{number}]" for number in range(len(found.tokens), size)]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(found.pre)
    writer.add_token_list([*found.tokens, *spare])
    writer.add_token_types(
        [
            *(
                kinds.CONTROL
                if token in found.special
                else kinds.USER_DEFINED
                if token in found.added
                else kinds.NORMAL
                for token in found.tokens
            ),
            *[kinds.UNUSED] * len(spare),
        ]
    )
    writer.add_token_merges(list(found.merges))
    for role, number in found.ids.items():
        getattr(writer, f"add_{role}_token_id")(number)
    writer.add_add_bos_token(found.begins)
    writer.add_add_eos_token(found.ends)
    if found.template:
        writer.add_chat_template(found.template)


def _check_model(model: dict[str, Any]) -> None:
    if model["type"] != "BPE":
        raise _refused(f"its tokenizer is a {model['type']}, not a byte-level BPE")
    if model.get("byte_fallback"):
        raise _refused("its tokenizer is SentencePiece's, not a byte-level BPE")
    for setting in ("dropout", "continuing_subword_prefix", "end_of_word_suffix"):
        if model.get(setting):
            raise _refused(f"its tokenizer has {setting} = {model[setting]!r}")


def _pre_tokenizer(found: Any, *, ignores_merges: bool) -> str:
    """llama.cpp's name of a pre-tokenizer."""
    steps = [] if found is None else found.get("pretokenizers", [found])
    name = None
    match [step["type"] for step in steps]:
        case ["ByteLevel"] if _cuts(steps[-1]):
            name = "gpt-2"
        case ["Digits", "ByteLevel"] if steps[0]["individual_digits"] and _cuts(steps[-1]):
            name = "smollm"
        case ["Split", "ByteLevel"] if not _cuts(steps[-1]) and _isolates(steps[0]):
            name = _REGEXES.get(steps[0]["pattern"].get("Regex", ""))
    if name is None or any(step.get("add_prefix_space") for step in steps):
        raise _refused("its tokenizer cuts text into words in a way that tessy does not know")
    if ignores_merges != (name == "llama-bpe"):  # llama.cpp goes by the name alone
        raise _refused(f"its tokenizer has ignore_merges = {ignores_merges}, unlike {name}")
    return name


def _cuts(byte_level: dict[str, Any]) -> bool:
    """Whether it has GPT-2's regular expression; absent means so."""
    return bool(byte_level.get("use_regex", True))


def _isolates(split: dict[str, Any]) -> bool:
    return split["behavior"] == "Isolated" and not split["invert"]


def _put_around(tokenizer: Any) -> tuple[bool, bool]:
    """Whether encoding puts the begin token before a text, and the end token behind it."""
    whole = tokenizer("a")["input_ids"]
    plain = tokenizer("a", add_special_tokens=False)["input_ids"]
    at = next(n for n in range(len(whole)) if whole[n : n + len(plain)] == plain)
    before, behind = whole[:at], whole[at + len(plain) :]
    if before not in ([], [tokenizer.bos_token_id]) or behind not in ([], [tokenizer.eos_token_id]):
        raise _refused("its tokenizer puts more than a begin and an end token around a text")
    return bool(before), bool(behind)


def _refused(why: str) -> ConfigError:
    return ConfigError(f"no GGUF can be made of this model: {why}", hint=_HINT)
