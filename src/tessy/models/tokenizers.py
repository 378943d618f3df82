"""Text to token ids and back, for id prompts.

There are two kinds of text: *control*, which comes from a chat format and in which special tokens
are special, and plain text (questions, thinking), in which `<|im_end|>` is ten characters and never
a token. Plain text is encoded by itself, and its ids are checked: whatever a tokenizer's vocabulary
or normalizer makes of it, no control token comes out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from tessy import lab
from tessy.data.fetched import local_folder
from tessy.data.remote import is_url
from tessy.errors import BadResponse, ConfigError, meant
from tessy.method.trajectory import Failure, SampleFailed
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
            self._control = Tokenizer.from_str(json.dumps(without_extras(raw)))
            self._text = TextEncoder(raw)
            self._is_byte_level = (raw.get("decoder") or {}).get("type") == "ByteLevel"
        except Exception as error:  # tokenizers raises bare Exception
            raise ConfigError(f"{path}: {error}") from None
        self._begin = _begin_id(folder, self._control)
        self._known: dict[int, Token] = {}
        self._sentinel: list[int] = self._text.encode("a").ids

    async def encode(self, piece: PromptPiece, *, begin: bool = False) -> list[int]:
        """See `Tokenizer.encode`."""
        if piece.control:
            ids: list[int] = self._control.encode(piece.text, add_special_tokens=False).ids
        else:
            ids = self._text.encode(piece.text).ids
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

    @property
    def control_texts(self) -> frozenset[str]:
        """What plain text must not become."""
        return frozenset(self._text.control)

    def control_id(self, text: str) -> int | None:
        """See `Tokenizer.control_id`."""
        found: int | None = self._control.token_to_id(text)
        return found


class EncodedText(NamedTuple):
    """T token ids, and each token's half-open character offsets into the text."""

    ids: list[int]
    offsets: list[tuple[int, int]]


class ControlInText(SampleFailed):
    """A tokenizer makes a control token of a text, however the text is cut.

    Args:
        text: The text that becomes a control token.
    """

    def __init__(self, text: str) -> None:
        detail = f"its tokenizer makes a control token of the text {text!r}"
        super().__init__(Failure.BAD_PROMPT, detail)


class TextEncoder:
    """Encodes plain text, so that no control token comes out.

    Control tokens are all added tokens (special or not) but words and blanks, and whatever in the
    vocabulary looks like one. Where a text becomes one nevertheless, because it is in the
    vocabulary or a normalizer makes it, the text is encoded in parts, cut inside that token.

    Args:
        raw: What a `tokenizer.json` holds.
    """

    def __init__(self, raw: dict[str, Any]) -> None:
        from tokenizers import Tokenizer

        self._tokenizer = Tokenizer.from_str(json.dumps(without_extras(raw, added=False)))
        model = raw["model"]
        vocabulary = self._tokenizer.get_vocab()
        self.control = {
            token["content"]: int(token["id"])
            for token in raw.get("added_tokens") or ()
            if re.search(r"[^\w\s▁]", token["content"])
        }
        self.control |= {text: i for text, i in vocabulary.items() if looks_like_control(text)}
        unknown = model.get("unk_token")
        if isinstance(model.get("unk_id"), int):
            unknown = model["vocab"][model["unk_id"]][0]
        self.control.pop(unknown, None)  # of what it does not know; no text is hidden in it
        self._ids = frozenset(self.control.values())

    def encode(self, text: str) -> EncodedText:
        """Encode a text by itself.

        Raises:
            ControlInText: It can't be encoded without a control token.
        """
        found = EncodedText([], [])
        left = [(0, len(text))]
        while left:
            start, end = left.pop()
            part = self._tokenizer.encode(text[start:end], add_special_tokens=False)
            if self._ids.isdisjoint(part.ids):
                found.ids.extend(part.ids)
                found.offsets.extend((start + a, start + b) for a, b in part.offsets)
                continue
            pairs = zip(part.ids, part.offsets, strict=True)
            tokens = [offsets for token, offsets in pairs if token in self._ids]
            if any(b - a < 2 for a, b in tokens):
                raise ControlInText(text[start:end][slice(*tokens[0])])
            edges = [start, *(start + a + 1 for a, _ in tokens), end]
            left += reversed(list(pairwise(edges)))
        return found


def without_extras(raw: dict[str, Any], *, added: bool = True) -> dict[str, Any]:
    """Change a tokenizer so that it adds nothing before or after a text.

    Args:
        raw: What its `tokenizer.json` holds.
        added: It keeps its added tokens, special or not.
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
    begin = special_tokens(config).get("bos_token")
    found: int | None = None
    if config.get("add_bos_token") and begin:
        found = tokenizer.token_to_id(begin)
    return found


_SMALL = 16 << 20
"""Bytes of the largest tokenizer_config.json or template that is read."""


def read_config(folder: Path) -> dict[str, Any]:
    """The `tokenizer_config.json` of a folder; empty if there is none.

    Raises:
        ConfigError: It can't be read, or is no object.
    """
    return _read_object(folder / "tokenizer_config.json")


def read_template(folder: Path) -> str | None:
    """The source of a folder's chat template; None if it has none.

    As transformers reads it: `chat_template.jinja`, else `chat_template.json`, else the one in
    `tokenizer_config.json`; of several, the one named `default`.

    Raises:
        ConfigError: A file can't be read, or is not what it should be.
    """
    path = folder / "chat_template.jinja"
    if path.exists():
        return _read(path)
    for path in (folder / "chat_template.json", folder / "tokenizer_config.json"):
        found = _read_object(path).get("chat_template")
        if isinstance(found, list):  # several, by name
            try:
                found = {one["name"]: one["template"] for one in found}
            except (TypeError, KeyError):
                raise ConfigError(f"{path}: chat_template is no list of templates") from None
        if isinstance(found, dict):
            if "default" not in found:
                raise ConfigError(
                    f"{path}: chat_template has {', '.join(map(str, found)) or 'nothing'}, and no "
                    "default",
                    hint="write the one to use into chat_template.jinja beside it",
                )
            found = found["default"]
        if found is None:
            continue
        if not isinstance(found, str):
            raise ConfigError(f"{path}: chat_template is {type(found).__name__}, not text")
        return found
    return None


def special_tokens(config: Mapping[str, Any]) -> dict[str, str]:
    """The special tokens that a chat template may name, such as `bos_token`.

    Args:
        config: As `read_config` returns it.
    """
    extra = config.get("extra_special_tokens")
    found = {**config, **(extra if isinstance(extra, dict) else {})}
    texts = {
        key: value.get("content") if isinstance(value, dict) else value
        for key, value in found.items()
        if key.endswith("_token")
    }
    return {key: text for key, text in texts.items() if isinstance(text, str) and text}


def _read_object(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    try:
        found = json.loads(_read(path))
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path}: {error}") from None
    if not isinstance(found, dict):
        raise ConfigError(f"{path}: it must be an object, not {type(found).__name__}")
    return found


def _read(path: Path) -> str:
    try:
        if not path.is_file() or path.stat().st_size > _SMALL:
            raise ConfigError(f"{path}: it is no file, or too large")
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: {error}") from None


def refuse_missing(name: str) -> None:
    """Make sure that a tokenizer or a model may be there, without asking anybody for it.

    Args:
        name: As for `fetch_tokenizer`.

    Raises:
        ConfigError: It can only be a folder, and there is none.
    """
    if is_url(name) or Path(name).is_dir() or lab.own_folder(name):
        return
    is_path = name.startswith((".", "/", "~")) or name.count("/") != 1
    if is_path or Path(name).parent.is_dir():
        beside = Path(name).parent
        near = [each.name for each in beside.iterdir()] if beside.is_dir() else []
        hint = meant(Path(name).name, near) + "a folder, or a Hugging Face id"
        raise ConfigError(f"{name}: no such folder", hint=hint)


def fetch_tokenizer(name: str) -> Path:
    """The folder of a tokenizer, downloaded from Hugging Face if it is not a local folder.

    Args:
        name: A folder, also at a URL, a Hugging Face id, or a model that ships: `lab:student`.

    Raises:
        ConfigError: There is no such folder, and it can't be downloaded.
        RemoteError: The URL can't be read.
    """
    refuse_missing(name)
    folder = lab.own_folder(name) or Path(local_folder(name))
    if folder.is_dir():
        return folder
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError

    wanted = ["tokenizer.json", "tokenizer_config.json", "chat_template*", "config.json"]
    try:
        return Path(snapshot_download(name, allow_patterns=wanted))
    except (HfHubHTTPError, OSError, ValueError) as error:
        raise ConfigError(
            f"{name}: no such folder, and it can't be fetched: {error}",
            hint="name a folder that holds tokenizer.json",
        ) from None


LONGEST_CONTROL = 80
"""The maximum number of characters in anything that looks like a control token."""
_OWN = re.compile(r"(?=.*[^\w▁])\S{2,80}")
"""A control token: not a word, and without blanks, so that text can be cut at these."""
_CONTROL = re.compile(
    r"<(?=\|[^<>|\s]{1,64}\|>"  # <|im_end|>, <|channel|>
    r"|｜[^<>｜\s]{1,64}｜>"  # <｜User｜>
    r"|/?(?:think|s|tool_call|tool_response)>|(?:[be]os|pad|unk|mask)>"
    r"|(?:start|end)_of_(?:turn|image)>)"
    r"|\[(?=/?[A-Z_]{3,20}\])"  # [INST], [SYSTEM_PROMPT]
)


def escape_special_tokens(text: str, own: re.Pattern[str] | None = None) -> str:
    """Escape `text`, so that a server that parses special tokens in text prompts finds none.

    A word joiner (U+2060, zero width) goes after the first character of anything that looks like a
    control token of a common family. This changes only the prompt, never the stored text.

    Args:
        text: The text.
        own: Matches the first character of the model's own control tokens; see `own_control`.
    """
    for pattern in (_CONTROL, own) if own else (_CONTROL,):
        text = pattern.sub(lambda match: match.group() + "\u2060", text)
    return text


def own_control(config: Mapping[str, Any], template: str) -> re.Pattern[str] | None:
    """Matches the first character of a tokenizer's control tokens; None if none are known.

    Args:
        config: As `read_config` returns it.
        template: Its chat template: what is in it is control, even if it is not special.
    """
    added = config.get("added_tokens_decoder")
    tokens = [one for one in (added.values() if isinstance(added, dict) else ())
              if isinstance(one, dict) and isinstance(one.get("content"), str)]  # fmt: skip
    texts = {one["content"] for one in tokens if one.get("special") or one["content"] in template}
    texts |= set(special_tokens(config).values())
    ours = sorted(t for t in texts if _OWN.fullmatch(t) and not looks_like_control(t))
    rests = (f"{re.escape(text[0])}(?={re.escape(text[1:])})" for text in ours)
    return re.compile("|".join(rests)) if ours else None


def looks_like_control(token: str) -> bool:
    """Whether a whole token looks like a control token of a common family."""
    return bool(_CONTROL.match(token)) and token.endswith((">", "]")) and " " not in token


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
