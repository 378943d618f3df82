"""Tokens of a scripted server: real ones of a byte-level tokenizer, or pieces of text.

A token stands for some bytes. Scripts see special tokens as text; clients do not see them.
Not covered: tokenizers that are not byte-level (SentencePiece and the like).
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import orjson

from tessy.errors import ConfigError
from tessy.testing.scripts import Script

_PIECE = re.compile(r"\s*\S{1,6}|\s+")
_REMEMBERED = 65_536
_LONGEST_CHARACTER = 4


class ScriptedToken(NamedTuple):
    """One generated token.

    Attributes:
        key: Its id, or its text where there are no ids.
        data: The UTF-8 bytes that it stands for; possibly part of a character.
        special: It is a special token: not shown unless the client asks for it.
    """

    key: Hashable
    data: bytes
    special: bool = False


class ScriptedTokenizer(Protocol):
    """Turns text into tokens.

    Attributes:
        vocabulary: The number of ids, or None if tokens have none.
        end: The token that ends a text, if the model has one.
    """

    vocabulary: int | None
    end: ScriptedToken | None

    def encode(self, text: str, *, begin: bool) -> list[Hashable]:
        """Tokens of a prompt; `begin`: with what the tokenizer puts before a text."""
        ...

    def data(self, ids: Sequence[Any]) -> bytes:
        """The bytes of ids, special tokens as their text."""
        ...

    def tokens(self, data: bytes) -> Iterator[ScriptedToken]:
        """Tokens of a piece that a script wrote; it may begin within a character."""
        ...


class PieceTokenizer:
    """Tokens without ids: up to six characters, with the white space before them."""

    vocabulary: int | None = None
    end: ScriptedToken | None = None

    def encode(self, text: str, *, begin: bool) -> list[Hashable]:
        """See `ScriptedTokenizer.encode`."""
        return list(_PIECE.findall(text))

    def data(self, ids: Sequence[Any]) -> bytes:
        """See `ScriptedTokenizer.data`."""
        raise TypeError("these tokens have no ids")

    def tokens(self, data: bytes) -> Iterator[ScriptedToken]:
        """See `ScriptedTokenizer.tokens`."""
        for piece in _PIECE.findall(data.decode()):
            yield ScriptedToken(piece, piece.encode())


class IdTokenizer:
    """Tokens of a byte-level `tokenizer.json`.

    Args:
        folder: Where `tokenizer.json` and `tokenizer_config.json` are.

    Raises:
        ConfigError: There is no tokenizer, or it is not a byte-level one.
    """

    vocabulary: int | None
    end: ScriptedToken | None

    def __init__(self, folder: Path) -> None:
        from tokenizers import Tokenizer

        path = folder / "tokenizer.json"
        if not path.exists():
            raise ConfigError(f"{folder} has no tokenizer.json")
        if '"ByteLevel"' not in path.read_text(encoding="utf-8"):
            raise ConfigError(
                f"{path} is not a byte-level tokenizer",
                hint="tessy.testing.build_tokenizer makes one",
            )
        self._tokenizer: Any = Tokenizer.from_file(str(path))
        self._table = _table(self._tokenizer)
        self._single = {token.data: token for token in self._table if len(token.data) == 1}
        self.vocabulary = len(self._table)
        config_path = folder / "tokenizer_config.json"
        config = orjson.loads(config_path.read_bytes()) if config_path.exists() else {}
        name = config.get("eos_token")
        name = name.get("content") if isinstance(name, dict) else name
        end = self._tokenizer.token_to_id(name) if name else None
        self.end = None if end is None else self._table[end]
        self._piece = lru_cache(maxsize=_REMEMBERED)(self._encode_piece)

    def encode(self, text: str, *, begin: bool) -> list[Hashable]:
        """See `ScriptedTokenizer.encode`."""
        ids: list[Hashable] = self._tokenizer.encode(text, add_special_tokens=begin).ids
        return ids

    def data(self, ids: Sequence[Any]) -> bytes:
        """See `ScriptedTokenizer.data`."""
        table = self._table
        return b"".join([table[token_id].data for token_id in ids])

    def tokens(self, data: bytes) -> Iterator[ScriptedToken]:
        """See `ScriptedTokenizer.tokens`."""
        start = 0
        while start < len(data) and data[start] & 0xC0 == 0x80:  # the rest of a character
            yield self._single[data[start : start + 1]]
            start += 1
        yield from self._piece(data[start:])

    def _encode_piece(self, data: bytes) -> tuple[ScriptedToken, ...]:
        ids = self._tokenizer.encode(data.decode(), add_special_tokens=False).ids
        return tuple(self._table[token_id] for token_id in ids)


def _table(tokenizer: Any) -> list[ScriptedToken]:
    """Every token by its id; ids that stand for nothing get no bytes."""
    byte_of = _byte_alphabet()
    vocabulary: dict[str, int] = tokenizer.get_vocab(with_added_tokens=True)
    added = tokenizer.get_added_tokens_decoder()
    table = [ScriptedToken(token_id, b"") for token_id in range(max(vocabulary.values()) + 1)]
    for text, token_id in vocabulary.items():
        if token_id in added:
            table[token_id] = ScriptedToken(token_id, text.encode(), added[token_id].special)
        else:
            data = bytes(byte_of[character] for character in text)
            table[token_id] = ScriptedToken(token_id, data)
    return table


def _byte_alphabet() -> dict[str, int]:
    """Which byte each character of a byte-level vocabulary stands for (GPT-2's table).

    Printable Latin-1 stands for itself; the other bytes are moved, in order, to U+0100 and on.
    """
    plain = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    moved = [byte for byte in range(256) if byte not in plain]
    return {chr(byte): byte for byte in plain} | {
        chr(0x100 + place): byte for place, byte in enumerate(moved)
    }


def generate(
    script: Script, tokenizer: ScriptedTokenizer, prompt: str | list[int]
) -> Iterator[ScriptedToken]:
    """What the model writes after a prompt, token by token, its end token included.

    A prompt of ids may end within a character. The script then continues from before that
    character, and if it writes the same character, only the missing bytes are generated.
    """
    data = prompt.encode() if isinstance(prompt, str) else tokenizer.data(prompt)
    whole = whole_characters(data)
    held = data[whole:]
    for piece in script.continue_(data[:whole].decode("utf-8", "replace")):
        written = piece.encode()
        if held and written:
            written = written.removeprefix(held)
            held = b""
        yield from tokenizer.tokens(written)
    if tokenizer.end is not None:
        yield tokenizer.end


def whole_characters(data: bytes) -> int:
    """The length of `data` without the incomplete UTF-8 character at its end, if there is one."""
    for back in range(1, min(_LONGEST_CHARACTER, len(data) + 1)):
        byte = data[-back]
        if byte & 0xC0 == 0x80:
            continue
        length = 4 if byte >= 0xF0 else 3 if byte >= 0xE0 else 2 if byte >= 0xC0 else 1
        return len(data) - back if length > back else len(data)
    return len(data)
