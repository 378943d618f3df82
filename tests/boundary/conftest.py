"""For tests of predictors."""

import pytest


@pytest.fixture(autouse=True)
def no_hub(monkeypatch):
    """Nothing asks the Hugging Face hub: without a network it would retry for many seconds."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
