"""A task of inspect_ai, the questions of the demo; run it in a clone of tessy.

TESSY_API_KEY=none TESSY_BASE_URL=http://127.0.0.1:8200/v1 \
  inspect eval examples/clients/inspect_sums.py --model openai-api/tessy/tessy --temperature 0
"""

from pathlib import Path

from inspect_ai import Task, task
from inspect_ai.dataset import FieldSpec, json_dataset
from inspect_ai.scorer import match
from inspect_ai.solver import generate

QUESTIONS = Path(__file__).parent.parent / "sums.jsonl"


@task
def sums() -> Task:
    data = json_dataset(str(QUESTIONS), FieldSpec(input="prompt", target="answer", id="id"))
    return Task(dataset=data, solver=generate(), scorer=match(numeric=True))
