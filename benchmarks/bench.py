"""The table of docs/performance.md: `make bench`, about eight minutes on two cores.

Each row is a run of its own: model servers and client in processes of their own, new folders, and
what comes out is checked word by word. `python benchmarks/bench.py ROW …` runs some rows only.
"""

from __future__ import annotations

import heapq
import json
import math
import platform
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import replay
import world

from tessy.boundary.registry import SHIPPED, load
from tessy.boundary.training.evaluate import speed
from tessy.boundary.training.segments import gold_file
from tessy.method.reading import Reading
from tessy.method.trajectory import Role, Trajectory

HERE = Path(__file__).parent


@dataclass
class Case:
    """One run.

    Attributes:
        questions: How many.
        at_once: Trajectories at once.
        words: Of thinking.
        answer_words: Of answer.
        slowness: What latencies are multiplied by.
        most: Sequences at once that a teacher takes; 0: no limit.
        teachers: Replicas of the teacher.
        client: The program that is measured.
        settings: Of tessy.
    """

    questions: int = 200
    at_once: int = 100
    words: int = 1000
    answer_words: int = 200
    slowness: float = 1.0
    most: int = 0
    teachers: int = 1
    client: str = "client.py"
    settings: dict[str, object] = field(default_factory=dict)


@dataclass
class Measured:
    """What came of it.

    Attributes:
        wall_s: Seconds from start to end, opening and probing included.
        bound_s: The least that it could have been.
        cpu_us: Of the client, for each token kept.
        discarded: Share of the generated tokens that were discarded, as the servers count them.
        rss_mib: Resident memory of the client at its highest.
        most_in_flight: Calls at once, of all servers together.
    """

    wall_s: float
    bound_s: float
    cpu_us: float
    discarded: float
    rss_mib: float
    most_in_flight: int


@contextmanager
def served(case: Case, folder: Path) -> Iterator[dict[Role, list[str]]]:
    """Servers for a case; yields their URLs."""
    processes: list[subprocess.Popen[str]] = []
    urls: dict[Role, list[str]] = {}
    try:
        for role in Role:
            several = case.teachers if role is Role.TEACHER else 1
            most = case.most if role is Role.TEACHER else 0
            for _ in range(several):
                command = [sys.executable, str(HERE / "serve.py"), role.value, str(folder / role)]
                command += [str(n) for n in (case.words, case.answer_words, case.slowness, most)]
                process = subprocess.Popen(
                    command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
                )
                processes.append(process)
                assert process.stdout is not None
                urls.setdefault(role, []).append(process.stdout.readline().strip())
        yield urls
    finally:
        for process in processes:
            assert process.stdin is not None
            process.stdin.close()
            process.wait()


def run(case: Case) -> Measured:
    """Run a case and measure it."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        world.write_tokenizers(folder)
        with served(case, folder) as urls:
            asked = {
                "folder": name,
                "student": ",".join(urls[Role.STUDENT]),
                "teacher": ",".join(urls[Role.TEACHER]),
                "questions": case.questions,
                "at_once": case.at_once,
                "words": case.words,
                "answer_words": case.answer_words,
                "settings": case.settings,
            }
            done = subprocess.run(
                [sys.executable, str(HERE / case.client), json.dumps(asked)],
                stdout=subprocess.PIPE,
                check=True,
            )
            found = json.loads(done.stdout)
            stats = [stats_of(url) for all_ in urls.values() for url in all_]
    generated = sum(each["generated_tokens"] for each in stats)
    bound = world.run_bound_s(case.questions, case.at_once, case.words, case.answer_words)
    return Measured(
        wall_s=found["wall_s"],
        bound_s=bound * case.slowness,
        cpu_us=1e6 * found["cpu_s"] / found["kept"],
        discarded=1 - found["kept"] / generated,
        rss_mib=found["rss_mib"],
        most_in_flight=sum(each["most_in_flight"] for each in stats),
    )


def stats_of(url: str) -> dict[str, int]:
    """A server's own counts."""
    with urllib.request.urlopen(url.removesuffix("/v1") + "/stats") as answer:
        found: dict[str, int] = json.load(answer)
    return found


def show(name: str, made: Measured) -> str:
    """A row."""
    ratio = made.wall_s / made.bound_s
    cells = [
        f"{made.wall_s:.1f} s",
        f"{ratio:.3f}",
        f"{made.discarded:.1%}",
        f"{made.cpu_us:.1f} µs",
    ]
    return f"| {name} | {' | '.join(cells)} |"


def schedule(name: str, **changes: object) -> str:
    """A row of the first table."""
    return show(name, run(Case(**changes)))  # type: ignore[arg-type]


def least() -> str:
    """What no schedule can do without here: the bound's own slack, and chunks of fixed sizes."""
    each = [world.bound_s(f"q{n}", 1000, 200) for n in range(200)]
    places = [0.0] * 100
    for seconds in each:
        heapq.heapreplace(places, places[0] + seconds)
    listed = max(places) / (sum(each) / len(places))
    best = {}
    for role in Role:
        first_s, token_s = world.LATENCY[role].first_token_s, world.LATENCY[role].token_s
        own = [
            length
            for n in range(200)
            for length in world.spans(f"q{n}", 1000)[role is Role.TEACHER :: 2]
        ]
        took = {
            size: sum(math.ceil((length + 1) / size) for length in own) * (first_s + size * token_s)
            for size in range(2, 65)
        }
        best[role] = min(took.values())
    answers = 200 * (world.LATENCY[Role.STUDENT].first_token_s + 200 * 0.006)
    chunks = (sum(best.values()) + answers) / sum(each)
    return (
        f"without any loss: {listed:.3f} of the bound, since trajectories are of unequal length; "
        f"chunks of the two best sizes: {chunks:.3f}, and {chunks * listed:.3f} with that"
    )


def lengths() -> str:
    """Client CPU per kept token of long thinking against short."""
    same = {"at_once": 4, "answer_words": 20, "slowness": 0.1}
    short = run(Case(questions=96, words=1000, **same))  # type: ignore[arg-type]
    long = run(Case(questions=4, words=32_000, **same))  # type: ignore[arg-type]
    return (
        f"client CPU per kept token: {short.cpu_us:.1f} µs at 1,000 words of thinking, "
        f"{long.cpu_us:.1f} µs at 32,000: {long.cpu_us / short.cpu_us:.2f} times"
    )


def many() -> str:
    """Two thousand trajectories at once."""
    made = run(Case(questions=2000, at_once=2000, words=200, answer_words=40, slowness=8))
    return (
        f"2,000 trajectories at once: {made.rss_mib:.0f} MiB resident, {made.most_in_flight:,} "
        f"calls at once, wall {made.wall_s / made.bound_s:.3f} of the bound"
    )


def replicas() -> str:
    """Two teachers against one, each with fifty places."""
    same = {"questions": 600, "at_once": 300, "words": 150, "answer_words": 10}
    same |= {"slowness": 2.5, "most": 50}
    one = run(Case(teachers=1, **same))  # type: ignore[arg-type]
    two = run(Case(teachers=2, **same))  # type: ignore[arg-type]
    return (
        f"teacher with 50 places, 300 trajectories at once: one {one.wall_s:.1f} s, two replicas "
        f"{two.wall_s:.1f} s: {one.wall_s / two.wall_s:.2f} times the throughput"
    )


def predictors() -> str:
    """Milliseconds a decision, in batches, on one core; and of a word that comes in a stream."""
    gold = gold_file()
    took = {name: speed(load(name), gold).milliseconds for name in ("lexicon", SHIPPED)}
    made = [f"{name}: {each:.2f} ms a decision" for name, each in took.items()]
    return ", ".join([*made, streamed()])


def streamed() -> str:
    """Microseconds for each word of a stream, from one hand-over to the next, one at a time."""
    predictor, spent, count = load(SHIPPED), 0.0, 0
    for segment in gold_file():
        before, text, role = segment.before, segment.text + " ", Role.STUDENT
        count += len(text.split())
        while text.strip():
            reading = Reading(Trajectory(thinking=before, role=role))
            for end in reading.add(text):
                view = reading.view(end)
                began = time.perf_counter()
                judgement = predictor.judge([view])[0]
                spent += time.perf_counter() - began
                reading.take(judgement)
                if reading.boundary is not None:
                    break
            if reading.boundary is None:
                break
            kept = reading.boundary.boundary or text.index(text.split()[0]) + len(text.split()[0])
            before, text, role = before + text[:kept], text[kept:], role.other
    return f"{SHIPPED}: {1e6 * spent / count:.1f} µs a streamed word, one at a time"


def replayed() -> str:
    """The table of `replay`; a line that says so where there are no traces."""
    if not DATA.is_dir():
        return f"replayed traces: left out, since there is no {DATA.name} to replay"
    rows = [replay.run(case, DATA) for case in replay.CASES.values()]
    return "\n".join(["", replay.HEAD, *rows])


HEAD = (
    "| schedule | wall | wall ÷ bound | discarded | client CPU per kept token |\n"
    "|---|---|---|---|---|"
)
DIGITS = {"predictor": "python:tessy.testing.predictors:digits"}
ROWS: dict[str, Callable[[], str]] = {
    "lockstep": lambda: schedule("rounds, as published", client="lockstep.py"),
    "stream": lambda: schedule("streamed spans"),
    "words": lambda: schedule("… a word is judged when it is whole", settings=DIGITS),
    "events": lambda: schedule(
        "… the teacher's events have two tokens", settings={"teacher__event_tokens": 2}
    ),
    "chunks": lambda: schedule("chunks of learned size", settings={"mode": "chunks"}),
    "least": least,
    "lengths": lengths,
    "many": many,
    "replicas": replicas,
    "predictors": predictors,
    "replay": replayed,
}
DATA = HERE.parent.parent / "shared" / "data"
"""Real traces; they do not ship."""


def main(names: list[str]) -> None:
    """Run the rows and print them."""
    print(f"Python {platform.python_version()}, {platform.machine()}\n\n{HEAD}", flush=True)
    for name in names or list(ROWS):
        if name == "least":
            print()
        line = ROWS[name]()
        print(line if line.startswith(("|", "\n")) else f"- {line}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
