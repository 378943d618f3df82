"""What a student's chat template and tokenizer make of the samples of an export, counted.

A trainer such as TRL renders messages with the student's own template, without a word about what
that drops or changes. So each sample is rendered here first, and the command says what was found.
"""

from __future__ import annotations

import datetime
import re
from collections import Counter
from pathlib import Path

from tessy.data.record import MARKERS
from tessy.display import count_of
from tessy.errors import ConfigError
from tessy.exporting.samples import ExportSample
from tessy.models.chat_template import ChatTemplate
from tessy.models.rendering import NotShown, render
from tessy.models.tokenizers import (
    LocalTokenizer,
    fetch_tokenizer,
    read_config,
    read_template,
    special_tokens,
)


class TemplateTrial:
    """Tries a chat template on samples.

    Args:
        name: The student's tokenizer: a folder or a Hugging Face id.

    Raises:
        ConfigError: It can't be read, or has no chat template.
    """

    def __init__(self, name: str) -> None:
        folder: Path = fetch_tokenizer(name)
        source = read_template(folder)
        if source is None:
            raise ConfigError(f"{name} has no chat template")
        values = special_tokens(read_config(folder))
        today = datetime.datetime.now().date()
        try:
            self._template = ChatTemplate(source, special=values, arguments={}, date=today)
        except ValueError as error:
            raise ConfigError(f"chat template of {name}: {error}") from None
        self._name, self._marks = name, re.search(r"{%-?\s*generation\b", source) is not None
        self._control = [*LocalTokenizer(folder).control_texts]
        self._samples = 0
        self._found: Counter[str] = Counter()
        self._refusal = ""

    def look_at(self, sample: ExportSample) -> None:
        """Render a sample, and count what happens to it."""
        self._samples += 1
        try:
            whole = render(self._template, sample.messages, prompt=False)
        except NotShown as error:
            self._refuse("a message is not shown as it is", error)
        except Exception as error:  # a template may raise anything
            self._refuse("the template refuses it", error)
        else:
            if whole.response_begin() is None:
                self._found[
                    "the response is changed: thinking left out, or no place for a mask"
                ] += 1
            if any(whole.left_out(part).strip() for part in whole.parts[:-1]):
                self._found["thinking of earlier turns is left out"] += 1
        if self._holds_control(sample):
            self._found["text in it becomes control tokens (`tessy sft` keeps it text)"] += 1

    def _refuse(self, what: str, error: Exception) -> None:
        self._found[what] += 1
        self._refusal = self._refusal or str(error)

    def _holds_control(self, sample: ExportSample) -> bool:
        return any(
            token in message["content"]
            for message in sample.messages
            for token in self._control
            if message["role"] != "assistant" or token not in MARKERS
        )

    def lines(self) -> list[str]:
        """What was found, for people, a line each."""
        head = f"tried the chat template of {self._name} on {count_of(self._samples, 'sample')}: "
        if not self._found:
            head += "all are rendered as they are"
        found = [f"  {number}: {what}" for what, number in self._found.most_common()]
        if self._refusal:
            found.append(f"  the first one: {self._refusal}")
        if not self._marks:
            needed = "that is needed only with assistant_only_loss"
            found.append(f"  it has no {{% generation %}}: {needed}")
        return [head.removesuffix(": ") if self._found else head, *found]
