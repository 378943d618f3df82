"""Generation: a script's text as tokens, and tokens as the text that a client sees."""

from __future__ import annotations

import codecs
from collections.abc import Iterator

from tessy.testing.calls import Call
from tessy.testing.codec import Codec, Token
from tessy.testing.scripts import Script

_LONGEST_CHARACTER = 4


def generate(script: Script, codec: Codec, prompt: bytes) -> Iterator[Token]:
    """What the model writes behind a prompt, token by token, its end token included.

    A prompt may end in mid-character, where a client cut the ids; the script goes on from before
    that character, and if that is the one it writes, only the missing bytes are generated.
    """
    whole = _whole(prompt)
    held = prompt[whole:]
    pieces = script.continue_(prompt[:whole].decode("utf-8", "replace"))
    for piece in pieces:
        data = piece.encode()
        if held and data:
            data = data.removeprefix(held)
            held = b""
        yield from codec.tokens(data)
    if codec.end is not None:
        yield codec.end


def _whole(data: bytes) -> int:
    """Where the incomplete character at the end of `data` begins, if there is one."""
    for back in range(1, min(_LONGEST_CHARACTER, len(data) + 1)):
        byte = data[-back]
        if byte & 0xC0 == 0x80:
            continue
        length = 4 if byte >= 0xF0 else 3 if byte >= 0xE0 else 2 if byte >= 0xC0 else 1
        return len(data) - back if length > back else len(data)
    return len(data)


class Output:
    """The text of one completion, as it grows.

    Bytes of a character that is not complete are held back, and so is text that may turn out to
    be the beginning of a stop text.

    Args:
        call: What the client asked for.
        end: The model's end token.
    """

    def __init__(self, call: Call, end: Token | None) -> None:
        self._call = call
        self._end = end
        self._longest = max(map(len, call.stop), default=0)
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._text = ""
        self._sent = 0
        self.count = 0
        self.finish: str | None = None
        self.stop_reason: str | int | None = None

    def push(self, token: Token) -> str:
        """Take in a token.

        Returns:
            Text that can be shown now.
        """
        call = self._call
        self.count += 1
        if token is self._end:
            self.finish = "stop"
            return self.flush()
        if call.stop_token_ids and token.key in call.stop_token_ids:
            self.finish = "stop"
            self.stop_reason = token.key if isinstance(token.key, int) else None
            return self.flush()
        if not token.special or not call.skip_special_tokens:
            self._grow(self._decoder.decode(token.data))
        if self.finish is None and self.count >= call.max_tokens:
            self.finish = "length"
        if self.finish is not None:
            return self.flush()
        return self._release(len(self._text) - max(0, self._longest - 1))

    def end(self) -> str:
        """The model wrote all it had, without an end token."""
        self.finish = "stop"
        return self.flush()

    def flush(self, *, broken: bool = False) -> str:
        """Text that was held back.

        Args:
            broken: Show what is there of an incomplete character, as U+FFFD.
        """
        if broken and self.stop_reason is None:
            self._text += self._decoder.decode(b"", True)
        return self._release(len(self._text))

    def _grow(self, text: str) -> None:
        before = len(self._text)
        self._text += text
        found = [
            (at, stop)
            for stop in self._call.stop
            if (at := self._text.find(stop, max(0, before - len(stop) + 1))) >= 0
        ]
        if found:
            at, stop = min(found)
            self._text = self._text[:at]
            self.finish, self.stop_reason = "stop", stop

    def _release(self, end: int) -> str:
        if end <= self._sent:
            return ""
        text = self._text[self._sent : end]
        self._sent = end
        return text
