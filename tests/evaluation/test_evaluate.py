"""`evaluate` from Python, with a tiny model that llama.cpp serves."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path

import pytest

from tessy.errors import ConfigError
from tessy.evaluation.evaluate import evaluate
from tessy.evaluation.settings import load
from tessy.training.gguf import write_gguf
from training.made import student, write

QUESTIONS = [
    {"id": f"q{number}", "prompt": f"What is {number}?", "answer": str(number)}
    for number in range(3)
]


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    """Arguments of `evaluate`."""
    folder = tmp_path_factory.mktemp("evaluate")
    model = student(folder / "model")
    return {
        "questions": write(folder / "q.jsonl", QUESTIONS),
        "model": f"gguf:{write_gguf(model, folder / 'model.gguf', dtype='f32')}",
        "student__tokenizer": str(model),
        "verify": "exact",
        "limits__thinking_tokens": 8,
        "limits__answer_tokens": 4,
    }


def test_plain_arguments_are_enough_and_a_run_that_is_done_is_not_done_again(given, tmp_path):
    result = evaluate(**given, out=tmp_path / "run", limit=2)
    assert (result.scores.whole.questions, result.scores.whole.samples) == (2, 2)
    assert not result.run.stopped
    folder = Path(given["model"].removeprefix("gguf:")).parent.name
    assert result.scores.model == folder, "epochs have names of their own"
    assert re.fullmatch(r"<EvalResult of .+: pass@1 [\d.]+%, samples 2 = .+>", repr(result))
    tree = json.loads((tmp_path / "run" / "evaluation.json").read_text())
    assert tree == json.loads(json.dumps(result.scores.as_json()))
    assert evaluate(**given, out=tmp_path / "run", limit=2).scores == result.scores


def test_it_works_where_an_event_loop_is_running(given, tmp_path):
    async def notebook():
        return evaluate(**given, out=tmp_path / "run")

    assert asyncio.run(notebook()).scores.whole.samples == 3


def test_a_config_and_single_settings_are_refused(given, tmp_path):
    config = load(None, {"student.model": "http://localhost:1/v1"})
    with pytest.raises(ConfigError, match="both a Config and single settings"):
        evaluate(given["questions"], out=tmp_path / "run", config=config, verify="exact")


def test_a_config_without_a_verifier_is_refused(given, tmp_path):
    config = load(None, {"student.model": "http://localhost:1/v1"})
    config = config.model_copy(update={"verify": None})
    with pytest.raises(ConfigError, match="nothing says which answers are right"):
        evaluate(given["questions"], out=tmp_path / "run", config=config)
    assert not (tmp_path / "run").exists()
