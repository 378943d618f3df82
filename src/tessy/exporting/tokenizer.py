"""Counting a sample's tokens with the tokenizer of the model that is to be trained."""

from __future__ import annotations

from pathlib import Path

from tessy.errors import ConfigError
from tessy.exporting.limits import Count
from tessy.exporting.sample import Sample


def counter(name: str) -> Count:
    """Make a counter of a tokenizer.

    It counts the text of all messages; what a chat template puts around them, a few tokens a
    message, is not counted.

    Args:
        name: A folder with `tokenizer.json`, or an id on Hugging Face.

    Raises:
        ConfigError: There is no such tokenizer.
    """
    from tokenizers import Tokenizer

    folder = Path(name)
    try:
        if folder.is_dir():
            tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        else:
            tokenizer = Tokenizer.from_pretrained(name)
    except Exception as error:  # the library raises nothing narrower
        raise ConfigError(
            f"{name} is no tokenizer that can be read: {error}",
            hint="a folder with tokenizer.json, or an id on Hugging Face",
        ) from None
    tokenizer.no_truncation()
    tokenizer.no_padding()

    def count(sample: Sample) -> int:
        texts = [message["content"] for message in sample.messages]
        return sum(len(found) for found in tokenizer.encode_batch(texts, add_special_tokens=False))

    return count
