"""TESSY on an engine's time model, against the teacher alone: `make bench-engine`.

    python benchmarks/engine.py [ROW …]        the table, or some rows of it
    python benchmarks/engine.py calibrate      the model against what was measured on an H200
    DATA=FOLDER python benchmarks/engine.py …  where the traces are (default: ../shared/data)
    SLOWNESS=2 python benchmarks/engine.py …   a slower clock, for a busy machine

One scripted server stands for one engine that serves both roles (`tessy.testing.engine`), in a
process of its own; the client is `tessy.asynthesize` in another one. Two kinds of text: `spans`,
random words whose spans have 7 and 24 tokens in the mean, told apart at no cost; and `replay`, real
traces with the predictor that ships. Each is written by both models and by the teacher alone.
Times are the engine's: the clock runs slower or faster where a row says so.
"""

from __future__ import annotations

import asyncio
import json
import math
import os
import random
import re
import resource
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import replay
import world

import tessy
from tessy.boundary.registry import SHIPPED
from tessy.event_loop import run_loop
from tessy.method.repetition import RepetitionGuard
from tessy.testing import ScriptedServer, build_tokenizer
from tessy.testing.engine import EngineTimes
from tessy.testing.scripts import Script

DATA = Path(os.environ.get("DATA", "../shared/data"))
SLOWNESS = float(os.environ.get("SLOWNESS", "1"))
QUESTION_WORDS = 120
SPAN_TOKENS = 512
"""Tokens of a request of one model alone: the default of `span_tokens`."""
FULL = {"core_request_s": 0.0015, "core_step_s": 0.004, "prefill_s": 0.0095, "api_request_s": 0.005}
"""vLLM with `cudagraph_mode` FULL, as it was measured with four API servers."""
LATE = 0.1
"""A row is flagged if steps were late by more than this share of their time."""


@dataclass(frozen=True)
class Case:
    """One run.

    Attributes:
        kind: `spans` or `replay`.
        count: Questions.
        at_once: Trajectories at once.
        words: Of thinking; a word of `spans` is a token, one of `replay` about 1.4.
        alone: The teacher writes everything.
        method: Otherwise: how it is written.
        minimum: Words of style from which on the student takes over.
        engine: What differs from the default times.
        slowness: What times are multiplied by.
    """

    kind: str = "spans"
    count: int = 64
    at_once: int = 64
    words: int = 1000
    alone: bool = False
    method: str = "tessy"
    minimum: int = 1
    engine: dict[str, float] | None = None
    slowness: float = 1.0

    @property
    def times(self) -> EngineTimes:
        """The engine, not slowed."""
        return EngineTimes(**(self.engine or {}))  # type: ignore[arg-type]


APIS4 = {"api_servers": 4}
SHORT = {"spans": Case(), "replay": Case("replay", words=720)}
LONG = {
    "spans": Case(count=4, at_once=4, words=14_600, slowness=0.4),
    "replay": Case("replay", count=4, at_once=4, words=10_500, slowness=0.4),
}
SMALL = {"cache_tokens": 98_304}
"""Too small at the end of four trajectories: 120,000 tokens in the prompts of two models."""
ROWS: dict[str, Case] = {
    f"{kind}-{length}{suffix}": replace(case, engine=engine)
    for length, cases in (("1k", SHORT), ("15k", LONG))
    for kind, case in cases.items()
    for suffix, engine in (("", None), ("-apis4", APIS4))
} | {"spans-15k-small": replace(LONG["spans"], engine=SMALL)}
MEASURED = {
    "teacher alone": (Case(count=192, alone=True), 28.6, 103, 7.8, 576),
    "TESSY": (Case(count=192), 74.1, 94, 12.5, 12_483),
    "TESSY, 4 API servers": (Case(count=192, engine=APIS4), 70.1, 50, 16.0, 12_466),
    "128 at once, 500 tokens: alone": (
        Case(count=256, at_once=128, words=500, alone=True), 14.3, 214, 9.1, 512,
    ),
    "128 at once, 500 tokens: TESSY": (
        Case(count=256, at_once=128, words=500), 44.1, 121, 15.8, 8_587,
    ),
    "full graphs, 4 API servers: alone": (
        Case(count=192, alone=True, engine=APIS4 | FULL), 28.5, 60, 7.9, 576,
    ),
    "full graphs, 4 API servers: TESSY": (
        Case(count=192, engine=APIS4 | FULL), 47.1, 36, 10.0, 12_547,
    ),
}  # fmt: skip
"""Wall s, TTFT ms, ms a token and requests, on one H200 (docs/serving.md)."""


@cache
def texts(words: int, count: int) -> dict[str, str]:
    """Real reasoning by key: traces one after the other, cut to length; none is used twice."""
    every = iter(replay.traces(DATA, 10**6, words=None).values())
    found: dict[str, str] = {}
    text = ""
    while len(found) < count:
        text += next(every) + "\n\n"
        ends = [word.end() for word in re.finditer(r"\S+", text)]
        if len(ends) >= words:
            if not RepetitionGuard().feed(text[: ends[words - 1]]):
                found[f"t{len(found)}"] = text[: ends[words - 1]]
            text = ""
    return found


def prepare(case: Case, folder: Path) -> None:
    """Write questions, texts and the one tokenizer of both roles."""
    found = texts(case.words, case.count) if case.kind == "replay" else {}
    keys = list(found) or [f"q{n}" for n in range(case.count)]
    (folder / "texts.json").write_text(json.dumps(found))
    known = (*world.STYLE, *world.NUMBERS)
    rows = []
    for key in keys:
        draw = random.Random(f"question {key}")
        filler = " ".join(draw.choices(known, k=QUESTION_WORDS))
        rows.append(json.dumps({"id": key, "prompt": f"[[{key}]] {filler}"}) + "\n")
    (folder / "questions.jsonl").write_text("".join(rows))
    words = {word for text in found.values() for word in re.findall("[A-Za-z]+", text)}
    build_tokenizer(folder / "model", flavour="qwen3", words=sorted({*known, *words}))


@dataclass
class Watched:
    """A script that notes when it is first asked to go on with a question.

    Attributes:
        script: The script.
        first_s: When that was, by the machine's clock.
    """

    script: Script
    first_s: float | None = None

    def continue_(self, prompt: str) -> Iterator[str]:
        """See `tessy.testing.scripts.Script.continue_`."""
        if self.first_s is None and "[[" in prompt:
            self.first_s = time.monotonic()
        return self.script.continue_(prompt)


async def serve(folder: Path, case: Case) -> None:
    """An engine: prints its URL; when its input ends, when it began and what CPU it used."""
    found = json.loads((folder / "texts.json").read_text())
    script = Watched(replay.ReplayScript(found) if found else world.Script(case.words, 9))
    server = ScriptedServer(
        script,
        tokenizer=folder / "model",
        engine=case.times.slowed(case.slowness),
        context_length=32_768,
    )
    async with server:
        print(server.url, flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
        told = {"first_s": script.first_s, "cpu_s": time.process_time()}
        print(json.dumps(told), flush=True)


async def client(folder: Path, url: str, case: Case) -> None:
    """One run of `tessy.asynthesize`: prints when it ended and what CPU it used."""
    settings: dict[str, Any] = {}
    for role in ("student", "teacher"):
        settings[f"{role}__model"] = url
        settings[f"{role}__tokenizer"] = str(folder / "model")
        settings[f"{role}__system_prompt"] = f"You are the {role}."
    free = "python:tessy.testing.predictors:digits"
    before = time.process_time()
    result = await tessy.asynthesize(
        folder / "questions.jsonl",
        out=folder / "run",
        method="teacher-only" if case.alone else case.method,
        handover__min_style_words=1 if case.alone else case.minimum,
        predictor=SHIPPED if case.kind == "replay" else free,
        concurrency=case.at_once,
        limits__context_tokens=32_768,
        **settings,
    )
    ended = time.monotonic()
    assert not result.failed, (folder / "run" / "failures.jsonl").read_text()[:1500]
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = time.process_time() - before + children.ru_utime + children.ru_stime
    print(json.dumps({"ended_s": ended, "cpu_s": cpu}))


@dataclass(frozen=True)
class Work:
    """What a trajectory demands of any schedule.

    Attributes:
        tokens: Kept ones, and one word for each hand-over, which has to be seen to be judged.
        requests: One for each span, and one for the answer.
    """

    tokens: float
    requests: int


@dataclass(frozen=True)
class Floor:
    """The least seconds that a run could take on an engine, by what binds it.

    Nothing waits for a core, the client takes no time, and hand-overs fall independently of each
    other, so that a step has as many new requests as chance gives it. Only a client that made
    hand-overs fall together could do better.

    Attributes:
        api: The API servers' cores.
        engine: The engine's core.
        steps: All tokens in full batches.
        chain: Trajectories one after the other in their places: steps, and first tokens.
    """

    api: float
    engine: float
    steps: float
    chain: float

    @property
    def seconds(self) -> float:
        """The largest."""
        return max(asdict(self).values())

    @property
    def name(self) -> str:
        """What binds."""
        return max(asdict(self).items(), key=lambda item: item[1])[0]


def expected_step_s(times: EngineTimes, sequences: float, admitted: float, prompt: float) -> float:
    """The mean step if new requests come by chance, `admitted` a step in the mean.

    Args:
        times: The engine.
        sequences: In a step.
        admitted: New requests in a step.
        prompt: Prompt tokens that a request computes.
    """
    total, chance = 0.0, math.exp(-admitted)
    for number in range(int(admitted + 12 * math.sqrt(admitted) + 12)):
        total += chance * times.step_s(
            sequences=round(sequences),
            admitted=number,
            prefill_tokens=math.ceil(prompt) * number,
        )
        chance *= admitted / (number + 1)
    return total


def floor(times: EngineTimes, works: list[Work], at_once: int, prompt: float) -> Floor:
    """The floor of a run.

    Args:
        times: The engine.
        works: Of each trajectory.
        at_once: Trajectories at once.
        prompt: Prompt tokens that a request computes at least.
    """
    tokens = sum(work.tokens for work in works)
    requests = sum(work.requests for work in works)
    places = min(at_once, len(works))
    steps = tokens / places
    api = (requests * times.api_request_s + tokens * times.api_token_s) / times.api_servers
    engine = steps * times.core_step_s + requests * times.core_request_s
    step_s = expected_step_s(times, places, requests / steps, prompt)
    chain, pace_s = 0.0, step_s
    for _ in range(50):  # the longer it takes, the fewer requests are in a step
        first_s = times.api_request_s + 1.5 * pace_s  # scheduled one step ahead
        each = [work.tokens * pace_s + work.requests * first_s for work in works]
        chain = max(*each, sum(each) / places)
        pace_s = expected_step_s(times, tokens * pace_s / chain, requests * pace_s / chain, prompt)
    return Floor(api, engine, steps * step_s, chain)


@dataclass(frozen=True)
class Made:
    """What came of a run; seconds are the engine's.

    Attributes:
        wall_s: From the first request to the end.
        requests: Requests.
        first_ms: Time to first token.
        token_ms: Time a token after it.
        kept: Tokens.
        words: Words, with the answers.
        hand_overs: Hand-overs.
        tolerated: Words of the other kind that stayed with their writer.
        dropped: Tokens read and discarded.
        unseen: Tokens generated that nobody read.
        cached: Share of prompt tokens in the cache.
        prefill_steps: Share of the steps that had a prefill in them.
        preempted: Requests that lost their blocks.
        start_s: Seconds of the client's process before and after that, by the machine's clock.
        late: Share of the steps' time by which they were late.
        client: Share of a core that the client used.
        server: Share of a core that the scripted server used.
        floor: The least that it could have been.
    """

    wall_s: float
    requests: int
    first_ms: float
    token_ms: float
    kept: int
    words: int
    hand_overs: int
    tolerated: int
    dropped: int
    unseen: int
    cached: float
    prefill_steps: float
    preempted: int
    start_s: float
    late: float
    client: float
    server: float
    floor: Floor


def run(case: Case) -> Made:
    """Run a case."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        prepare(case, folder)
        asked = [sys.executable, __file__, "serve", name, json.dumps(asdict(case))]
        with subprocess.Popen(
            asked, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as server:
            assert server.stdin is not None
            assert server.stdout is not None
            url = server.stdout.readline().strip()
            began = time.monotonic()
            done = subprocess.run(
                [sys.executable, __file__, "client", name, url, json.dumps(asdict(case))],
                stdout=subprocess.PIPE,
                check=True,
            )
            took_s = time.monotonic() - began
            with urllib.request.urlopen(url.removesuffix("/v1") + "/stats") as answer:
                stats = json.load(answer)
            server.stdin.write("\n")
            server.stdin.flush()
            told = json.loads(server.stdout.readline())
        lines = (folder / "run" / "dataset.jsonl").read_text().splitlines()
        client = {**json.loads(done.stdout), "took_s": took_s}
        return _made(case, [json.loads(line) for line in lines], stats, client, told)


def _made(
    case: Case,
    records: list[dict[str, Any]],
    stats: dict[str, Any],
    client: dict[str, float],
    server: dict[str, float],
) -> Made:
    expected = texts(case.words, case.count) if case.kind == "replay" else {}
    kept = dropped = words = tolerated = 0
    for record in records:
        content = record["messages"][-1]["content"]
        if expected:
            thinking = content.removeprefix("<think>\n").partition("\n</think>\n\n")[0]
            written, wanted = thinking.split(), expected[record["id"]].split()
            if case.method == "rewrite":  # a span may end a word sooner or later than it was cut
                assert abs(len(written) - len(wanted)) < 0.1 * len(wanted), "another text"
            else:
                assert written == wanted, "another text"
        else:
            world.check(content, record["id"], case.words, 9)
        counts = record["stats"]
        kept += counts["student_tokens"] + counts["teacher_tokens"]
        dropped += counts["student_discarded_tokens"] + counts["teacher_discarded_tokens"]
        words += len(content.split())
        short = [span for span in record["spans"] if span["tolerated"]]
        tolerated += sum(len(content[span["start"] : span["end"]].split()) for span in short)
    assert len(records) == case.count
    engine, slow = stats["engine"], case.slowness
    real_s = client["ended_s"] - server["first_s"]
    works = [_work(record["stats"], kept / words, alone=case.alone) for record in records]
    requests = sum(work.requests for work in works)
    return Made(
        wall_s=real_s / slow,
        requests=stats["requests"],
        first_ms=1000 * engine["first_token_s"] / engine["answered"] / slow,
        token_ms=1000 * engine["later_s"] / engine["later_tokens"] / slow,
        kept=kept,
        words=words,
        hand_overs=sum(record["stats"]["hand_overs"] for record in records),
        tolerated=tolerated,
        dropped=dropped,
        unseen=stats["generated_tokens"] - kept - dropped,
        cached=stats["cached_tokens"] / stats["prompt_tokens"],
        prefill_steps=engine["prefill_steps"] / engine["steps"],
        preempted=engine["preempted"],
        start_s=client["took_s"] - real_s,
        late=engine["late_s"] / engine["step_s"],
        client=client["cpu_s"] / real_s,
        server=server["cpu_s"] / real_s,
        floor=floor(case.times, works, case.at_once, _new_tokens(case, kept, requests)),
    )


def _work(stats: dict[str, int], word: float, *, alone: bool) -> Work:
    spans = math.ceil(stats["thinking_tokens"] / SPAN_TOKENS) if alone else stats["hand_overs"] + 1
    kept = stats["student_tokens"] + stats["teacher_tokens"]
    return Work(kept + word * stats["hand_overs"], spans + 1)


def _new_tokens(case: Case, kept: int, requests: int) -> float:
    """Prompt tokens that a request computes at least: questions, and the other model's words."""
    models = 1 if case.alone else 2
    computed = models * case.count * QUESTION_WORDS + (0 if case.alone else kept)
    return computed / requests


HEAD = (
    "| run | wall | ÷ alone | requests | TTFT | a token | dropped + unseen | cached | steps with a "
    "prefill | floor | wall ÷ floor | client, server CPU; late |\n" + "|---" * 12 + "|"
)


def show(name: str, made: Made, alone: Made | None) -> str:
    """A row."""
    generated = made.kept + made.dropped + made.unseen
    ratio = made.wall_s / made.kept / (alone.wall_s / alone.kept) if alone else None
    cells = [
        name,
        f"{made.wall_s:.1f} s",
        f"{ratio:.2f}" if ratio else "",
        f"{made.requests:,}",
        f"{made.first_ms:.0f} ms",
        f"{made.token_ms:.1f} ms",
        f"{made.dropped / generated:.1%} + {max(made.unseen, 0) / generated:.1%}",
        f"{made.cached:.1%}" + (f", {made.preempted} preempted" if made.preempted else ""),
        f"{made.prefill_steps:.0%}",
        f"{made.floor.seconds:.1f} s ({made.floor.name})",
        f"{made.wall_s / made.floor.seconds:.2f}",
        f"{made.client:.0%}, {made.server:.0%}; {made.late:.1%}"
        + (" **the server was late**" if made.late > LATE else ""),
    ]
    return f"| {' | '.join(cells)} |"


def calibrate() -> None:
    """Compare the model with what was measured: the whole command, so its start is added."""
    print("| run | wall: model | measured | | TTFT, ms | a token, ms | requests | late |")
    print("|---|---|---|---|---|---|---|---|", flush=True)
    for name, (case, wall_s, first_ms, token_ms, requests) in MEASURED.items():
        made = run(replace(case, slowness=SLOWNESS))
        whole_s = made.wall_s + made.start_s
        cells = [
            name,
            f"{whole_s:.1f} s",
            f"{wall_s} s",
            f"{whole_s / wall_s - 1:+.0%}",
            f"{made.first_ms:.0f}, {first_ms}",
            f"{made.token_ms:.1f}, {token_ms}",
            f"{made.requests:,}, {requests:,}",
            f"{made.late:.1%}",
        ]
        print(f"| {' | '.join(cells)} |", flush=True)


def main(names: list[str]) -> None:
    """Print rows of the table, each after the teacher alone."""
    print(HEAD, flush=True)
    alone: dict[str, Made] = {}
    for name in names or list(ROWS):
        case = replace(ROWS[name], slowness=ROWS[name].slowness * SLOWNESS)
        # A few sequences of one model alone fill no API server and no cache.
        base = replace(
            case,
            alone=True,
            method="tessy",
            minimum=1,
            engine=None if case.at_once < 64 else case.engine,
        )
        if (key := json.dumps(asdict(base))) not in alone:
            alone[key] = run(base)
            print(show(f"{name}: teacher alone", alone[key], None), flush=True)
        print(show(f"{name}: TESSY", run(case), alone[key]), flush=True)


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["serve", folder, asked]:
            run_loop(serve(Path(folder), Case(**json.loads(asked))))
        case ["client", folder, url, asked]:
            run_loop(client(Path(folder), url, Case(**json.loads(asked))))
        case ["calibrate"]:
            calibrate()
        case names:
            main(names)
