"""Real reasoning replayed: what TESSY costs with the predictor that ships, on servers that sleep.

    python benchmarks/replay.py DATA [ROW …]

DATA holds `traces_qwen3_8b_thinking/traces.jsonl.gz` (model, thinking). Both servers write the same
trace, whichever is asked, so the text that comes out is the trace; it is checked.
Servers and client are processes of their own. The bound is made of the spans that were kept: each
token's time, by the model that wrote it, and a time to first token for each span.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import re
import resource
import select
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from world import LATENCY

import tessy
from tessy.boundary.registry import SHIPPED
from tessy.event_loop import run_loop
from tessy.method.repetition import RepetitionGuard
from tessy.method.trajectory import Role
from tessy.testing import ScriptedServer, build_tokenizer
from tessy.testing.prompts import question_key, read

SOURCE = "traces_qwen3_8b_thinking/traces.jsonl.gz"
WORDS = 500
ANSWER = "That is all."
_EVER = 10**9


@dataclass(frozen=True)
class Case:
    """One run.

    Attributes:
        name: Its row.
        predictor: Which one.
        traces: How many.
        at_once: Trajectories at once.
        busy: Other processes that keep a core busy.
    """

    name: str
    predictor: str = SHIPPED
    traces: int = 100
    at_once: int = 50
    busy: int = 0


CASES = {
    "50": Case(f"`{SHIPPED}`, 50 at once"),
    "10": Case(f"`{SHIPPED}`, 10 at once", traces=40, at_once=10),
    "lexicon": Case("`lexicon`, 50 at once", predictor="lexicon"),
    "busy": Case(f"`{SHIPPED}`, 50 at once, both cores busy otherwise", busy=2),
}


def traces(data: Path, count: int, words: int | None = WORDS) -> dict[str, str]:
    """Pieces of traces that do not repeat themselves, by key.

    Args:
        data: The folder of the traces.
        count: The number of pieces.
        words: Words of a piece, from the traces' first ones on; None: whole traces.
    """
    found: dict[str, str] = {}
    with gzip.open(data / SOURCE, "rt", encoding="utf-8") as file:
        for row in map(json.loads, file):
            if row["model"] != "Qwen3-8B":
                continue
            text = row["thinking"]
            places = [match.span() for match in re.finditer(r"\S+", text)]
            length = words or len(places)
            for last in range(length, len(places) + 1, length or 1):
                piece = text[places[last - length][0] : places[last - 1][1]]
                if not RepetitionGuard().feed(piece):
                    found[f"t{len(found)}"] = piece
                if len(found) == count:
                    return found
    return found


@dataclass(frozen=True)
class ReplayScript:
    """A model that goes on with a question's trace, wherever a prompt ends.

    Attributes:
        texts: The traces by key.
    """

    texts: dict[str, str]

    def continue_(self, prompt: str) -> Iterator[str]:
        """See `tessy.testing.scripts.Script.continue_`."""
        situation = read(prompt, _EVER)
        yield situation.lead
        if not situation.answering:
            text = self.texts[question_key(situation.head)]
            for word in re.finditer(r"\s*\S+", text[len(situation.written) :]):
                yield word.group()
            yield situation.closes
        yield ANSWER


async def serve(role: str, folder: str) -> None:
    """A server in a process of its own: prints its URL, and stops with its standard input."""
    texts = json.loads((Path(folder) / "texts.json").read_text())
    server = ScriptedServer(
        ReplayScript(texts),
        tokenizer=Path(folder) / role,
        latency=LATENCY[Role(role)],
        context_length=200_000,
    )
    async with server:
        print(server.url, flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


async def client(folder: str, predictor: str, at_once: str, student: str, teacher: str) -> None:
    """One run of `tessy.asynthesize`: prints its wall and CPU time."""
    place = Path(folder)
    before, began = time.process_time(), time.perf_counter()
    result = await tessy.asynthesize(
        place / "questions.jsonl",
        out=place / "run",
        student__model=student,
        student__tokenizer=str(place / "student"),
        teacher__model=teacher,
        teacher__tokenizer=str(place / "teacher"),
        predictor=predictor,
        concurrency=int(at_once),
        limits__context_tokens=200_000,
    )
    wall, used = time.perf_counter() - began, time.process_time() - before
    failed = (place / "run" / "failures.jsonl").read_text()[:1500]
    assert not result.failed, failed
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = used + children.ru_utime + children.ru_stime
    print(json.dumps({"wall_s": wall, "cpu_s": cpu}))


@dataclass
class Bound:
    """The least time of a run, from the spans that were kept.

    Attributes:
        each: Seconds of each trajectory.
        tokens: Tokens kept.
        words: Words kept.
        spans: Spans of thinking.
    """

    each: list[float] = field(default_factory=list)
    tokens: int = 0
    words: int = 0
    spans: int = 0

    def add(self, record: dict[str, object], text: str, encoders: dict[Role, object]) -> None:
        """Add a record, and check its text."""
        content = record["messages"][-1]["content"]  # type: ignore[index]
        thinking = content.removeprefix("<think>\n").partition("\n</think>\n\n")[0]
        assert thinking.split() == text.split(), f"{record['id']}: another text"
        seconds = 0.0
        for span in record["spans"]:  # type: ignore[attr-defined]
            if span["role"] == "format":
                continue
            role = Role(span["role"])
            kept = content[span["start"] : span["end"]]
            tokens = len(encoders[role].encode(kept).ids)  # type: ignore[attr-defined]
            seconds += LATENCY[role].first_token_s + tokens * LATENCY[role].token_s
            self.tokens += tokens
            self.words += len(kept.split())
        self.spans += len(record["spans"]) - 3  # type: ignore[arg-type]
        self.each.append(seconds)

    def wall_s(self, at_once: int) -> float:
        """Of the longest trajectory, or of all, shared out."""
        return max(*self.each, sum(self.each) / at_once)


def run(case: Case, data: Path) -> str:
    """Run a case; its row."""
    from tokenizers import Tokenizer

    texts = traces(data, case.traces)
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        (folder / "texts.json").write_text(json.dumps(texts))
        rows = ({"id": key, "prompt": f"[[{key}]] What is it?"} for key in texts)
        (folder / "questions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        words = sorted({word for text in texts.values() for word in re.findall("[A-Za-z]+", text)})
        build_tokenizer(folder / "student", flavour="qwen3", seed=1, words=words)
        build_tokenizer(folder / "teacher", flavour="gpt-oss", seed=2, words=words)
        urls = [stack.enter_context(process("serve", role, name)) for role in Role]
        for _ in range(case.busy):
            stack.enter_context(process("busy"))
        asked = [name, case.predictor, str(case.at_once), *urls]
        done = subprocess.run(
            [sys.executable, __file__, "client", *asked], stdout=subprocess.PIPE, check=True
        )
        measured = json.loads(done.stdout)
        generated = sum(map(_generated, urls))
        bound = Bound()
        encoders = {
            role: Tokenizer.from_file(str(folder / role / "tokenizer.json")) for role in Role
        }
        for line in (folder / "run" / "dataset.jsonl").read_text().splitlines():
            record = json.loads(line)
            bound.add(record, texts[record["id"]], encoders)
    cells = [
        f"{measured['wall_s']:.1f} s",
        f"{measured['wall_s'] / bound.wall_s(case.at_once):.3f}",
        f"{1 - bound.tokens / generated:.1%}",
        f"{1e6 * measured['cpu_s'] / bound.words:.0f} µs",
        f"{1000 * bound.spans / bound.words:.0f}",
    ]
    return f"| {case.name} | {' | '.join(cells)} |"


@contextmanager
def process(*arguments: str) -> Iterator[str]:
    """A process of this file; yields its first line. It ends with its standard input."""
    command = [sys.executable, __file__, *arguments]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as started:
        assert started.stdin is not None
        assert started.stdout is not None
        yield started.stdout.readline().strip()
        started.stdin.close()


def busy() -> None:
    """Keep a core busy until standard input ends."""
    print("busy", flush=True)
    while not select.select([sys.stdin], [], [], 0)[0]:
        sum(range(100_000))


def _generated(url: str) -> int:
    with urllib.request.urlopen(url.removesuffix("/v1") + "/stats") as answer:
        return int(json.load(answer)["generated_tokens"])


HEAD = (
    "| replayed traces | wall | wall ÷ bound | discarded | client CPU a kept word | "
    "spans in 1,000 words |\n|---|---|---|---|---|---|"
)

if __name__ == "__main__":
    match sys.argv[1:]:
        case ["serve", role, folder]:
            run_loop(serve(role, folder))
        case ["client", *arguments]:
            run_loop(client(*arguments))
        case ["busy"]:
            busy()
        case [data, *names]:
            print(HEAD, flush=True)
            for name in names or CASES:
                print(run(CASES[name], Path(data)), flush=True)
        case _:
            sys.exit(__doc__)
