"""docs/sft.md names every loss, and its examples are true."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from transformers import AutoTokenizer

from tessy.testing import build_tokenizer
from tessy.training.masks import IGNORED, LossPart
from tessy.training.settings import SFTSettings
from training.made import TEMPLATES, sample

TEXT = (Path(__file__).parents[2] / "docs" / "sft.md").read_text("utf-8")


@pytest.mark.parametrize("loss", LossPart)
def test_every_loss_has_a_row(loss):
    assert f"| `{loss}` |" in TEXT


def test_the_settings_file_is_one():
    (block,) = re.findall(r"```toml\n(.*?)```", TEXT, re.S)
    SFTSettings.model_validate(tomllib.loads(block))


def test_the_masks_for_a_trainer_of_ones_own(tmp_path):
    code = next(b for b in re.findall(r"```python\n(.*?)```", TEXT, re.S) if "runs =" in b)
    folder = build_tokenizer(tmp_path / "t", flavour="qwen3")
    (folder / "chat_template.jinja").write_text((TEMPLATES / "qwen3.jinja").read_text("utf-8"))
    tokenizer, record = AutoTokenizer.from_pretrained(folder), sample(4)
    text = tokenizer.apply_chat_template(record["messages"], tokenize=False).rstrip()
    names = {"record": record, "tokenizer": tokenizer, "text": text}
    exec(code, names)
    trained = [label for label in names["row"]["labels"] if label != IGNORED]
    assert tokenizer.decode(trained) == " 4+4 is 8,"
