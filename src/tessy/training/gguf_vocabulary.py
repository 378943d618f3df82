"""A tokenizer as llama.cpp has it: byte-level BPE that splits text into words in a known way.

llama.cpp has several ways to split text in its code, each with a name, and a file holds only the
name. So the way is recognised in the model's own `tokenizer.json`. A tokenizer with another way is
refused, since a wrong name would give other tokens without a warning. llama.cpp does not normalise
text; NFC, which Qwen's tokenizers apply, changes nothing in text that is NFC already.
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
"""From the `tokenizer.json` of Llama 3 and Qwen 2."""
_HINT = "serve the folder with vLLM, or convert it with llama.cpp's convert_hf_to_gguf.py"


@dataclass(frozen=True, slots=True)
class GgufVocabulary:
    """The parts of a tokenizer that a GGUF file holds.

    Attributes:
        pre: llama.cpp's name of the way in which text is split into words.
        tokens: By id.
        special: Control tokens.
        added: Other tokens that are found in text before it is split.
        merges: In order, as "a b".
        ids: Of `bos`, `eos`, `pad` and `unk`, if there are such tokens.
        adds_bos: Whether encoding puts the begin token before a text.
        adds_eos: Whether encoding puts the end token after a text.
        template: The chat template, if there is one.
    """

    pre: str
    tokens: tuple[str, ...]
    special: frozenset[str]
    added: frozenset[str]
    merges: tuple[str, ...]
    ids: dict[str, int]
    adds_bos: bool
    adds_eos: bool
    template: str | None


def read_vocabulary(tokenizer: Any) -> GgufVocabulary:
    """Take a tokenizer of transformers apart.

    Raises:
        ConfigError: llama.cpp would encode text otherwise.
    """
    raw = json.loads(tokenizer.backend_tokenizer.to_str())
    model, added = raw["model"], raw["added_tokens"]
    _check_model(model)
    ids = dict(model["vocab"])
    for token in added:
        if token["lstrip"] or token["rstrip"] or token["single_word"]:
            raise refused(f"its token {token['content']!r} includes the blanks around it")
        ids[token["content"]] = token["id"]
    tokens = sorted(ids, key=ids.__getitem__)
    if [ids[token] for token in tokens] != list(range(len(tokens))):
        raise refused("its ids have gaps, or two tokens have one id")
    adds_bos, adds_eos = _added_around(tokenizer)
    roles = {role: getattr(tokenizer, f"{role}_token_id") for role in ("bos", "eos", "pad", "unk")}
    template = tokenizer.chat_template
    return GgufVocabulary(
        pre=_pre_tokenizer(raw["pre_tokenizer"], ignores_merges=bool(model.get("ignore_merges"))),
        tokens=tuple(tokens),
        special=frozenset(token["content"] for token in added if token["special"]),
        added=frozenset(token["content"] for token in added if not token["special"]),
        merges=tuple(m if isinstance(m, str) else " ".join(m) for m in model["merges"]),
        ids={role: number for role, number in roles.items() if number is not None},
        adds_bos=adds_bos,
        adds_eos=adds_eos,
        template=template if isinstance(template, str) else None,
    )


def add_vocabulary(writer: Any, types: Any, vocabulary: GgufVocabulary, size: int) -> None:
    """Write a tokenizer into a GGUF file.

    Args:
        writer: A `gguf.GGUFWriter`.
        types: `gguf.TokenType`.
        vocabulary: The tokenizer.
        size: Rows of the model's embeddings; rows without a token get a name that is never used.
    """
    spare = [f"[UNUSED{number}]" for number in range(len(vocabulary.tokens), size)]
    kinds = dict.fromkeys(vocabulary.special, types.CONTROL)
    kinds |= dict.fromkeys(vocabulary.added, types.USER_DEFINED)
    kinds |= dict.fromkeys(spare, types.UNUSED)
    tokens = [*vocabulary.tokens, *spare]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(vocabulary.pre)
    writer.add_token_list(tokens)
    writer.add_token_types([kinds.get(token, types.NORMAL) for token in tokens])
    writer.add_token_merges(list(vocabulary.merges))
    for role, number in vocabulary.ids.items():
        getattr(writer, f"add_{role}_token_id")(number)
    writer.add_add_bos_token(vocabulary.adds_bos)
    writer.add_add_eos_token(vocabulary.adds_eos)
    if vocabulary.template:
        writer.add_chat_template(vocabulary.template)


def refused(why: str) -> ConfigError:
    """The error that no GGUF file can be made."""
    return ConfigError(f"no GGUF can be made of this model: {why}", hint=_HINT)


def _check_model(model: dict[str, Any]) -> None:
    if model["type"] != "BPE":
        raise refused(f"its tokenizer is a {model['type']}, not a byte-level BPE")
    if model.get("byte_fallback"):
        raise refused("its tokenizer is SentencePiece's, not a byte-level BPE")
    for setting in ("dropout", "continuing_subword_prefix", "end_of_word_suffix"):
        if model.get(setting):
            raise refused(f"its tokenizer has {setting} = {model[setting]!r}")


def _pre_tokenizer(found: Any, *, ignores_merges: bool) -> str:
    """llama.cpp's name of a pre-tokenizer."""
    steps = [] if found is None else found.get("pretokenizers", [found])
    # The last step has GPT-2's regular expression of its own, unless it says otherwise.
    splits = bool(steps) and steps[-1].get("use_regex", True)
    name = None
    match [step["type"] for step in steps]:
        case ["ByteLevel"] if splits:
            name = "gpt-2"
        case ["Digits", "ByteLevel"] if splits and steps[0]["individual_digits"]:
            name = "smollm"
        case ["Split", "ByteLevel"] if not splits:
            isolates = steps[0]["behavior"] == "Isolated" and not steps[0]["invert"]
            name = _REGEXES.get(steps[0]["pattern"].get("Regex", "")) if isolates else None
    if name is None or any(step.get("add_prefix_space") for step in steps):
        raise refused("its tokenizer splits text into words in a way that tessy does not know")
    if ignores_merges != (name == "llama-bpe"):  # llama.cpp goes by the name alone
        raise refused(f"its tokenizer has ignore_merges = {ignores_merges}, unlike {name}")
    return name


def _added_around(tokenizer: Any) -> tuple[bool, bool]:
    """Whether encoding puts the begin token before a text, and the end token after it."""
    whole = tokenizer("a")["input_ids"]
    plain = tokenizer("a", add_special_tokens=False)["input_ids"]
    at = next(n for n in range(len(whole)) if whole[n : n + len(plain)] == plain)
    before, after = whole[:at], whole[at + len(plain) :]
    if before not in ([], [tokenizer.bos_token_id]) or after not in ([], [tokenizer.eos_token_id]):
        raise refused("its tokenizer puts more than a begin and an end token around a text")
    return bool(before), bool(after)
