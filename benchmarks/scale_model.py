"""A cluster on paper: how long a run takes, and what it asks of each part (docs/scale.md).

    python benchmarks/scale_model.py              # the table
    python benchmarks/scale_model.py assumptions  # what it is made of, with the sources

Each engine works in steps, which take the longest of three times: the chip's, with a prompt in the
step or without, and the engine process's. A trajectory is a chain of spans: for each, the wait for
a first token, then a step a token. How many are written at once follows from the room that the
weights leave for their texts. The step, the sequences in it and the requests a second depend on
each other; the model repeats that until they agree.
"""

from __future__ import annotations

import argparse
import ast
import inspect
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import NamedTuple


@dataclass(frozen=True)
class Engine:
    """One model on the GPUs of one server; times in seconds, H100 with 80 GB and 3.35 TB/s.

    Attributes:
        gpus: GPUs of a server.
        weights_gb: GB of its weights.
        token_bytes: Bytes of cache for a token of text.
    """

    gpus: int
    weights_gb: float
    token_bytes: int


STUDENT = Engine(gpus=1, weights_gb=16, token_bytes=36 * 2 * 8 * 128 * 2)
TEACHER = Engine(gpus=2, weights_gb=63, token_bytes=18 * 2 * 8 * 64 * 2)


@dataclass(frozen=True)
class World:
    """What is assumed. The source of each is beside it."""

    questions: int = 80_000
    """A large run."""
    tokens: int = 14_600
    """Tokens of a response: paper, Fig. 12, with gpt-oss."""
    hand_overs: float = 110
    """In 1,000 words: counted, docs/serving.md."""
    words: float = 1_000 / 1_600
    """A token: counted, docs/serving.md."""
    student_share: float = 0.16
    """The student's share of the tokens: counted, docs/serving.md."""
    discarded_words: float = 2.2
    """Discarded at a hand-over: docs/performance.md."""
    nodes: int = 8
    """Of 8 H100 each."""
    students: int = 4
    """Servers of a node, one GPU each: what gives the least hours here, of those that fit."""
    teachers: int = 2
    """Servers of a node, two GPUs each."""
    memory: float = 0.9 * 80
    """GB of a GPU that vLLM uses: its default share."""
    room: float = 0.9
    """Of the room for texts that is used, at their mean length (half of the whole): a guess."""
    step_s: float = 0.0065
    """A step: measured, Qwen3-8B's shape, H200 (docs/performance.md); taken for both models."""
    sequence_s: float = 0.00002
    """More for each sequence in it: measured, as above, with contexts of 1,000 tokens."""
    prompt_step_s: float = 0.0095
    """At least, with a prompt in it: measured with full graphs. Prompts come by chance."""
    bandwidth: float = 0.8 * 3_350
    """GB a second that attention reads: 80% of the chip's; a guess."""
    core_step_s: float = 0.004
    """The engine process, a step: measured with full graphs."""
    core_request_s: float = 0.0015
    """The engine process, a request: the same."""
    api_request_s: float = 0.005
    """The API servers, a request: the same."""
    api_token_s: float = 0.000018
    """The API servers, a token: measured."""
    first_steps: float = 3.6
    """Steps to a first token, prefix cached: 36 ms at 10 ms a token, measured with full graphs."""
    client_word_s: float = 0.000220
    """The client, a kept word, 50 at once, predictor included: docs/performance.md, real text."""
    record_bytes: int = 136_000
    """A line of dataset.jsonl: 4 scripted samples of 9,125 words and 1,000 spans."""
    journal_bytes: int = 167_000
    """The same in the journal."""

    @property
    def spans(self) -> float:
        """Requests of a trajectory."""
        return self.tokens * self.words * self.hand_overs / 1_000


class Load(NamedTuple):
    """One role's servers, each of them.

    Attributes:
        running: Sequences in a step, in the mean.
        step_s: Seconds of a step.
        requests_s: Requests a second.
        engine_cores: Cores of its engine process; one is all that there is.
        api_cores: Cores of its API servers.
    """

    running: float
    step_s: float
    requests_s: float
    engine_cores: float
    api_cores: float


class Run(NamedTuple):
    """What a run comes to."""

    at_once: float
    trajectory_s: float
    hours: float
    requests_s: float
    student: Load
    teacher: Load


def places(world: World, engine: Engine, servers: int) -> float:
    """How many trajectories' texts the caches of all servers of a model hold."""
    free = engine.gpus * world.memory - engine.weights_gb
    return servers * world.room * free * 1e9 / (engine.token_bytes * world.tokens / 2)


def step(world: World, engine: Engine, running: float, requests_s: float, before_s: float) -> float:
    """Seconds of a step with so many sequences, half written in the mean.

    Args:
        world: What is assumed.
        engine: The server.
        running: Sequences in a step.
        requests_s: Requests a second.
        before_s: Seconds of the step before it, in which requests came.
    """
    read_gb = engine.token_bytes * world.tokens / 2 / 1e9 / engine.gpus
    chip = world.step_s + running * (world.sequence_s + read_gb / world.bandwidth)
    prompted = 1 - math.exp(-requests_s * before_s)
    chip += prompted * max(0.0, world.prompt_step_s - chip)
    free = 1 - min(requests_s * world.core_request_s, 0.95)
    return max(chip, world.core_step_s / free)


def run(world: World, at_once: float | None = None) -> Run:
    """Go round until steps, sequences and requests agree."""
    servers = {STUDENT: world.nodes * world.students, TEACHER: world.nodes * world.teachers}
    share = {STUDENT: world.student_share, TEACHER: 1 - world.student_share}
    held = at_once or min(places(world, engine, n) for engine, n in servers.items())
    held = min(held, world.questions)
    spans = world.spans / 2  # of each model
    read = {
        engine: part * world.tokens + spans * world.discarded_words / world.words
        for engine, part in share.items()
    }
    steps = dict.fromkeys(servers, world.step_s)
    for _ in range(200):
        own = {e: steps[e] * (read[e] + spans * world.first_steps) for e in servers}
        total = sum(own.values())
        for engine, count in servers.items():
            running = held / count * steps[engine] * read[engine] / total
            requests_s = held / count * spans / total
            wanted = step(world, engine, running, requests_s, steps[engine])
            steps[engine] += 0.2 * (wanted - steps[engine])
    loads = {}
    for engine, count in servers.items():
        requests_s = held / count * spans / total
        loads[engine] = Load(
            running=held / count * steps[engine] * read[engine] / total,
            step_s=steps[engine],
            requests_s=requests_s,
            engine_cores=world.core_step_s / steps[engine] + world.core_request_s * requests_s,
            api_cores=world.api_request_s * requests_s
            + world.api_token_s * held / count * read[engine] / total,
        )
    hours = world.questions * total / held / 3600
    rate = held * world.spans / total
    return Run(held, total, hours, rate, loads[STUDENT], loads[TEACHER])


PLAIN = {  # vLLM as it comes: no full graphs, one API server (docs/performance.md)
    "prompt_step_s": 0.014,
    "core_step_s": 0.003,
    "core_request_s": 0.0042,
    "api_request_s": 0.0042,
    "first_steps": 92 / 12.2,
}


def rows(world: World) -> Iterator[tuple[str, World]]:
    """The settings that the table compares."""
    yield "full graphs, 4 API servers", world
    yield "vLLM as it comes", replace(world, **PLAIN)  # type: ignore[arg-type]
    kept = 76 / 159  # spans that are left of Qwen3-8B's traces
    yield "`--min-style-words 2`", replace(world, hand_overs=world.hand_overs * kept)
    yield "ten times the questions", replace(world, questions=10 * world.questions)
    more = replace(world, questions=10 * world.questions, nodes=10 * world.nodes)
    yield "… on ten times the nodes", more


def table(world: World) -> Iterator[str]:
    """The table, in Markdown."""
    yield (
        "| | at once | a trajectory | hours | requests/s | a step: student, teacher "
        "| engine cores a server | API cores a server | client cores | data set | journals |"
    )
    yield "|---|---|---|---|---|---|---|---|---|---|---|"
    for name, each in rows(world):
        found = run(each)
        roles = (found.student, found.teacher)
        words = each.questions * each.tokens * each.words
        cores = words * each.client_word_s / (found.hours * 3600)
        yield (
            f"| {name} | {found.at_once:,.0f} | {found.trajectory_s:.0f} s | {found.hours:.1f} "
            f"| {found.requests_s:,.0f} | {_pair(1000 * load.step_s for load in roles)} ms "
            f"| {_pair(load.engine_cores for load in roles)} "
            f"| {_pair(load.api_cores for load in roles)} | {cores:.1f} "
            f"| {each.questions * each.record_bytes / 1e9:,.0f} GB "
            f"| {each.questions * each.journal_bytes / 1e9:,.0f} GB |"
        )


def _pair(values: Iterator[float]) -> str:
    return ", ".join(f"{value:.1f}" for value in values)


def assumptions() -> Iterator[str]:
    """Each assumption with its value and source, as `World` has them, in Markdown."""
    yield "| | | |"
    yield "|---|---|---|"
    (world,) = ast.parse(inspect.getsource(World)).body
    assert isinstance(world, ast.ClassDef)
    for field, said in pairwise(world.body):
        if isinstance(field, ast.AnnAssign) and field.value is not None:
            yield f"| `{ast.unparse(field.target)}` | {ast.unparse(field.value)} | {_text(said)} |"


def _text(node: ast.stmt) -> str:
    return str(ast.literal_eval(node.value)) if isinstance(node, ast.Expr) else ""


def main() -> None:
    """Print the table or the assumptions."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", nargs="?", choices=("table", "assumptions"), default="table")
    print("\n".join(table(World()) if parser.parse_args().what == "table" else assumptions()))


if __name__ == "__main__":
    main()
