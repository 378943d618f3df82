"""Text to token ids and back, for id prompts.

There are two kinds of text: *control*, which comes from a chat format and in which special tokens
are special, and plain text (questions, thinking), in which `<|im_end|>` is ten characters and never
a token.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from tessy.errors import BadResponse, ConfigError
from tessy.models.wire import checked_ids, shown

if TYPE_CHECKING:
    from tessy.models.replicas import Replicas


_BROKEN = "\ufffd"
_LONGEST_CHARACTER = 4
"""The most ids that a character can be spread over: its bytes in UTF-8."""
_LONGEST_RUN = 16
"""Ids without text that are decoded together: a character, and special tokens before it."""
_REMEMBERED = 50_000
_ADDED = 8
"""The most ids that a tokenizer adds to a text: a begin of text, a space that becomes one."""


@dataclass(frozen=True, slots=True)
class PromptPiece:
    """A part of a prompt.

    Attributes:
        text: Its text.
        control: It is control: special tokens in it are special.
    """

    text: str
    control: bool = False


class Token(NamedTuple):
    """One or more ids that stand for whole characters.

    If the UTF-8 bytes of a character are spread over several ids, these are one `Token`, so that no
    seam can be inside a character. Where ids make no character, a few of them are one `Token` with
    U+FFFD in its text: more ids would not help, and decoding takes linear time so.
    """

    ids: tuple[int, ...]
    text: str


class Tokenizer(Protocol):
    """Encodes text for one model."""

    async def encode(self, piece: PromptPiece, *, begin: bool = False) -> list[int]:
        """Encode a piece by itself.

        Args:
            piece: The piece.
            begin: Put the model's begin-of-text token first, if it has one.
        """
        ...

    async def tokens(self, ids: Sequence[int]) -> list[Token]:
        """Decode generated ids; special tokens have no text."""
        ...

    def control_id(self, text: str) -> int | None:
        """The id of a special token; None if the model does not have it."""
        ...


class LocalTokenizer:
    """A tokenizer from a `tokenizer.json`.

    Args:
        folder: The folder of `tokenizer.json` and `tokenizer_config.json`.

    Raises:
        ConfigError: There is no `tokenizer.json`, or it can't be read.
    """

    def __init__(self, folder: Path) -> None:
        from tokenizers import Tokenizer

        path = folder / "tokenizer.json"
        if not path.exists():
            raise ConfigError(
                f"{folder} has no tokenizer.json",
                hint="a fast tokenizer is needed; tokenizer.save_pretrained() writes one",
            )
        try:
            raw = json.loads(path.read_text(encoding="utf-8"))
            self._control = Tokenizer.from_str(json.dumps(_without_extras(raw)))
            self._text = Tokenizer.from_str(json.dumps(_without_extras(raw, added=False)))
        except Exception as error:  # tokenizers raises bare Exception
            raise ConfigError(f"{path}: {error}") from None
        self._begin = _begin_id(folder, self._control)
        self._is_byte_level = (raw.get("decoder") or {}).get("type") == "ByteLevel"
        self._known: dict[int, Token] = {}
        self._sentinel: list[int] = self._text.encode("a", add_special_tokens=False).ids

    async def encode(self, piece: PromptPiece, *, begin: bool = False) -> list[int]:
        """See `Tokenizer.encode`."""
        tokenizer = self._control if piece.control else self._text
        ids: list[int] = tokenizer.encode(piece.text, add_special_tokens=False).ids
        return [self._begin, *ids] if begin and self._begin is not None else ids

    async def tokens(self, ids: Sequence[int]) -> list[Token]:
        """See `Tokenizer.tokens`."""
        try:
            return [self._known[token_id] for token_id in ids]
        except KeyError:
            found = self._decode(ids)
        if self._is_byte_level:  # an id that is whole characters always decodes to the same ones
            self._known |= {token.ids[0]: token for token in found if len(token.ids) == 1}
        return found

    def _decode(self, ids: Sequence[int]) -> list[Token]:
        stream, found = self._new_stream(), []
        silent: list[int] = []  # ids without text: special tokens
        open_ids: list[int] = []
        for token_id in ids:
            open_ids.append(token_id)
            text = stream.step(self._control, token_id)
            if not text and len(open_ids) == _LONGEST_RUN:
                text, stream = self._broken(open_ids), self._new_stream()
                if not text:
                    silent, open_ids = silent + open_ids, []
            if text:
                found.append(Token((*silent, *open_ids), text))
                silent, open_ids = [], []
        return found

    def _new_stream(self) -> Any:
        """A decoder, with a sentinel before the first id for those that strip a leading space."""
        from tokenizers.decoders import DecodeStream

        stream = DecodeStream(skip_special_tokens=True)
        for sentinel in self._sentinel:
            stream.step(self._control, sentinel)
        return stream

    def _broken(self, ids: list[int]) -> str:
        """The text of ids that are no whole characters, with U+FFFD for what is missing."""
        before = self._control.decode(self._sentinel)
        text: str = self._control.decode([*self._sentinel, *ids])[len(before) :]
        return text

    def control_id(self, text: str) -> int | None:
        """See `Tokenizer.control_id`."""
        found: int | None = self._control.token_to_id(text)
        return found


def _without_extras(raw: dict[str, Any], *, added: bool = True) -> dict[str, Any]:
    """Change a tokenizer so that it adds nothing before or after a text.

    Without `added`, it treats special tokens as text.
    """
    raw = {**raw, "post_processor": None, "truncation": None, "padding": None}
    if not added:
        raw["added_tokens"] = []
    raw["normalizer"] = _no_prepend(raw.get("normalizer"))
    raw["pre_tokenizer"] = _no_prepend(raw.get("pre_tokenizer"))
    return raw


def _no_prepend(node: Any) -> Any:
    """Remove what puts a space before a text (SentencePiece's dummy prefix)."""
    if not isinstance(node, dict):
        return node
    if node.get("type") == "Prepend":
        return None
    node = dict(node)
    if node.get("type") == "Metaspace":
        node["prepend_scheme"] = "never"
        node.pop("add_prefix_space", None)
    if node.get("type") == "ByteLevel":
        node["add_prefix_space"] = False
    for key in ("normalizers", "pretokenizers"):
        if key in node:
            node[key] = [kept for child in node[key] if (kept := _no_prepend(child)) is not None]
    return node


def _begin_id(folder: Path, tokenizer: Any) -> int | None:
    config = read_config(folder)
    if not config.get("add_bos_token"):
        return None
    begin = config.get("bos_token")
    begin = begin.get("content") if isinstance(begin, dict) else begin
    found: int | None = tokenizer.token_to_id(begin) if begin else None
    return found


def read_config(folder: Path) -> dict[str, Any]:
    """The `tokenizer_config.json` of a folder; empty if there is none."""
    path = folder / "tokenizer_config.json"
    if not path.exists():
        return {}
    try:
        config: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ConfigError(f"{path}: {error}") from None
    return config


def fetch_tokenizer(name: str) -> Path:
    """The folder of a tokenizer, downloaded from Hugging Face if it is not a local folder.

    Args:
        name: A folder or a Hugging Face id.

    Raises:
        ConfigError: There is no such folder, and it can't be downloaded.
    """
    folder = Path(name)
    if folder.is_dir():
        return folder
    if name.startswith((".", "/", "~")) or name.count("/") != 1:
        raise ConfigError(f"{name}: no such folder", hint="a folder, or a Hugging Face id")
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError

    wanted = ["tokenizer.json", "tokenizer_config.json", "chat_template*"]
    try:
        return Path(snapshot_download(name, allow_patterns=wanted))
    except (HfHubHTTPError, OSError, ValueError) as error:
        raise ConfigError(
            f"{name}: no such folder, and it can't be fetched: {error}",
            hint="name a folder that holds tokenizer.json",
        ) from None


class ServerTokenizer:
    """A tokenizer that calls llama.cpp's `/tokenize`, where no `tokenizer.json` is given.

    Results for short texts are cached, since the same markers recur.

    Args:
        servers: The model's replicas; any of them that is up is asked.
    """

    def __init__(self, servers: Replicas) -> None:
        self._servers = servers
        self._known: dict[tuple[str, bool, bool], list[int]] = {}
        self._texts: dict[tuple[int, ...], str] = {}
        self._controls: dict[str, int | None] = {}

    async def learn(self, texts: Sequence[str]) -> None:
        """Find out which of `texts` are special tokens of the model.

        Raises:
            ModelError: A call failed.
        """
        for text in texts:
            ids = await self.encode(PromptPiece(text, control=True))
            plain = await self.encode(PromptPiece(text))
            self._controls[text] = ids[0] if len(ids) == 1 and ids != plain else None

    async def encode(self, piece: PromptPiece, *, begin: bool = False) -> list[int]:
        """See `Tokenizer.encode`.

        Raises:
            BadResponse: The server's answer holds no token ids, or more than the text has bytes.
            ModelError: The call failed.
        """
        if not piece.text and not begin:
            return []
        key = (piece.text, piece.control, begin)
        if (known := self._known.get(key)) is not None:
            return list(known)
        answer = await self._servers.post(
            "/tokenize",
            {"content": piece.text, "add_special": begin, "parse_special": piece.control},
        )
        ids = list(checked_ids(answer.get("tokens") if isinstance(answer, dict) else answer))
        if len(ids) > len(piece.text.encode()) + _ADDED:
            raise BadResponse(
                f"{self._servers.base_url}/tokenize: {len(ids):,} ids for {len(piece.text):,} "
                "characters"
            )
        if len(piece.text) <= 64 and len(self._known) < _REMEMBERED:
            self._known[key] = ids
        return list(ids)

    async def tokens(self, ids: Sequence[int]) -> list[Token]:
        """See `Tokenizer.tokens`."""
        found: list[Token] = []
        silent: list[int] = []  # ids without text: special tokens
        open_ids: list[int] = []
        for token_id in ids:
            open_ids.append(token_id)
            text = await self._decode(tuple(open_ids))
            if not text:
                silent, open_ids = silent + open_ids, []
            elif _BROKEN not in text or len(open_ids) == _LONGEST_CHARACTER:
                found.append(Token((*silent, *open_ids), text))
                silent, open_ids = [], []
        return found

    async def _decode(self, ids: tuple[int, ...]) -> str:
        if ids not in self._texts:
            answer = await self._servers.post("/detokenize", {"tokens": list(ids)})
            text = answer.get("content") if isinstance(answer, dict) else None
            if not isinstance(text, str):
                raise BadResponse(f"{self._servers.base_url}/detokenize: no text: {shown(answer)}")
            if len(self._texts) >= _REMEMBERED:
                self._texts.clear()
            self._texts[ids] = text
        return self._texts[ids]

    def control_id(self, text: str) -> int | None:
        """See `Tokenizer.control_id`."""
        return self._controls.get(text)
