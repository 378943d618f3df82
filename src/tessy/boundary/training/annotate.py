"""Annotating segments: `tessy predictor annotate`.

    draw       random segments of the thinking of traces (`segments.draw`)
    ask        an annotator for the style spans of each: a served model, or a predictor
    locate     them exactly, or reject the segment with a reason (`locate`)
    write      what was accepted to a segment file, what was not beside it

Many are asked at once. What is written stays: the same command goes on with the segments that are
in neither file.
"""

from __future__ import annotations

import asyncio
import datetime
import fcntl
import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import orjson

from tessy.boundary.protocol import Predictor
from tessy.boundary.training.locate import Rejected, Rejection, locate, parse
from tessy.boundary.training.segments import Segment, dump, spans_of
from tessy.boundary.training.walk import walk
from tessy.config import Config
from tessy.display import Say
from tessy.errors import ConfigError, ModelError, Outage, Refused, RunLocked, Unreachable
from tessy.method.trajectory import Outcome, Part, Role, Trajectory, Turn
from tessy.method.words import units
from tessy.models.capabilities import takes_schemas
from tessy.models.open import open_one
from tessy.models.replicas import Replicas
from tessy.models.session import ContextFull, Model

_BATCH = 64
_ANSWER_TOKENS = 1024
_SCHEMA = {"type": "array", "items": {"type": "string", "minLength": 1}}
_LOST = (401, 403, 404)

PROMPT = """\
You mark up the thinking of a reasoning model. Its text is of two kinds:

STYLE changes only the voice: hesitation and reactions ("Okay", "Hmm, wait"), links that open a \
sentence ("So", "Therefore,", "First,", "For example,"), frames ("I think", "The problem says \
that", "Note that"), plans up to and with their verb ("Let me compute", "We need to find"), \
verdicts and questions without content ("That makes sense.", "Is that right?").

CAPABILITY carries the solution: facts, conditions, quantities, formulas, code, deductions, \
reasons and results, and what a plan is about ("3·4" in "Let me compute 3·4").

List every style span of the text below: each copied letter by letter, with its punctuation, in \
the order in which they stand in the text, each as long as the style goes on without a \
capability word. Answer with a JSON array of strings and nothing else; [] if there is no style.

Example text: Okay, so I need to find the area of the triangle. The base is 4 and the height is \
3, so the area is 6. Wait, is that right? Let me check: 4·3/2 = 6. Yes, that works.
Example answer: ["Okay, so I need to find", "Wait, is that right? Let me check:", \
"Yes, that works."]

Text: """

Progress = Callable[["Tally"], None]


@dataclass(slots=True)
class Tally:
    """How it goes.

    Attributes:
        total: Segments drawn.
        accepted: Of them, those whose spans were all located.
        bare: Of these, those without any span: the answer of a model that does nothing.
        rejected: The others, by reason.
    """

    total: int
    accepted: int = 0
    bare: int = 0
    rejected: Counter[Rejection] = field(default_factory=Counter)

    @property
    def done(self) -> int:
        """Segments that have ended."""
        return self.accepted + self.rejected.total()

    @property
    def rate(self) -> float:
        """Accepted segments as a share of those that have ended."""
        return self.accepted / self.done if self.done else 0.0


def rejected_file(out: Path) -> Path:
    """Where the segments go that were not accepted."""
    return out.with_name(out.stem + ".rejected.jsonl")


class Store:
    """What is written: accepted segments in one file, rejected ones with their reason in another.

    Args:
        out: The segment file; what is in it already, and beside it, is done.
        segments: What was drawn, not labelled.
        annotator: Who labels.

    Raises:
        ConfigError: What is there was drawn or labelled otherwise, or is no segment file.
        RunLocked: Another process is writing to it.
    """

    def __init__(self, out: Path, segments: Sequence[Segment], annotator: str) -> None:
        self._annotator = annotator
        known = {segment.id: segment for segment in segments}
        self._take_up(out, known)  # before anything is opened: what is refused stays as it is
        self._good: BinaryIO = out.open("ab")
        _hold(self._good)
        done = self._take_up(out, known)
        for path in (out, rejected_file(out)):
            _mend(path)
        self.todo = [segment for segment in segments if segment.id not in done]
        self._bad: BinaryIO = rejected_file(out).open("ab")

    def _take_up(self, out: Path, known: Mapping[str, Segment]) -> set[str]:
        """Count what is done already; returns the ids."""
        self.tally = Tally(len(known))
        done: set[str] = set()
        for row in _rows(out):
            same, by = known.get(row["id"]), row.get("annotator")
            if same is None or row["text"] != same.text or by != self._annotator:
                raise ConfigError(
                    f"{out} holds other segments, or another annotator's ({by})",
                    hint="name another file, or the count, seed and annotator that made it",
                )
            done.add(row["id"])
            self.tally.bare += not row.get("spans")
        self.tally.accepted = len(done)
        for row in _rows(rejected_file(out)):
            own = row.get("annotator") == self._annotator  # another one may do better
            if own and row["id"] in known and row["id"] not in done:
                done.add(row["id"])
                self.tally.rejected[Rejection(row["reason"])] += 1
        return done

    def accept(self, segment: Segment, spans: tuple[tuple[int, int], ...]) -> None:
        """Write a labelled segment."""
        labelled = segment.model_copy(update={"spans": spans, "annotator": self._annotator})
        self._good.write(dump(labelled))
        self._good.flush()
        self.tally.accepted += 1
        self.tally.bare += not spans

    def reject(self, segment: Segment, reason: Rejection, detail: str, answer: str) -> None:
        """Write why a segment was not accepted."""
        row = {"id": segment.id, "reason": reason, "detail": detail, "answer": answer}
        row |= {"text": segment.text, "annotator": self._annotator}
        self._bad.write(orjson.dumps(row) + b"\n")
        self._bad.flush()
        self.tally.rejected[reason] += 1

    def close(self) -> None:
        """Close both files; that of rejected segments goes if it is empty."""
        self._bad.close()
        path = Path(self._bad.name)
        if path.exists() and not path.stat().st_size:
            path.unlink()
        self._good.close()  # and with it the lock


_BEGINS = b'{"id":'
"""How each of our lines does, also one that is not whole."""


def _rows(path: Path) -> list[dict[str, Any]]:
    """The rows of a file, less a last one that a crash left unfinished.

    Raises:
        ConfigError: It is the file of something else.
    """
    raw = path.read_bytes() if path.exists() else b""
    try:
        rows = [orjson.loads(line) for line in _whole(raw).splitlines()]
    except orjson.JSONDecodeError:
        rows = [None]
    ours = all(isinstance(row, dict) and {"id", "text"} <= row.keys() for row in rows)
    if not ours or (raw and not rows and not raw.startswith(_BEGINS)):
        raise ConfigError(f"{path} is there, and no segment file", hint="name another file")
    return rows


def _whole(raw: bytes) -> bytes:
    """The lines that are whole; the last one may lack its end."""
    end = raw.rfind(b"\n") + 1
    try:
        orjson.loads(raw[end:])
    except orjson.JSONDecodeError:
        return raw[:end]
    return raw


def _mend(path: Path) -> None:
    """Cut off a last line that a crash left unfinished, or end one that is whole."""
    raw = path.read_bytes() if path.exists() else b""
    whole = _whole(raw)
    if len(whole) < len(raw):
        os.truncate(path, len(whole))
    elif raw and not raw.endswith(b"\n"):
        with path.open("ab") as file:
            file.write(b"\n")


def _hold(file: BinaryIO) -> None:
    """Keep other processes out of a file; the lock goes with it.

    Raises:
        RunLocked: Another one is writing to it.
    """
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        raise RunLocked(f"{file.name}: another process is writing to it") from None


def by_predictor(predictor: Predictor, store: Store, progress: Progress) -> None:
    """Label segments with a predictor; all are accepted."""
    for first in range(0, len(store.todo), _BATCH):
        batch = store.todo[first : first + _BATCH]
        for segment, style in zip(batch, walk(predictor, batch), strict=True):
            store.accept(segment, spans_of(units(segment.text), style))
        progress(store.tally)


async def by_model(config: Config, store: Store, progress: Progress, say: Say) -> None:
    """Label segments by asking a served model.

    Args:
        config: The annotator is its student; `concurrency` and `seed` count, too.
        store: What to label, and where to write.
        progress: Told after each.
        say: Told what is going on, in a line.

    Raises:
        Outage: The server is gone; what is written stays.
        ModelError: It can't be used at all.
    """
    async with AsyncExitStack() as stack:
        date = datetime.date.today()
        opened = await open_one(config, Role.STUDENT, date, stack, say)
        for note in opened.notes:
            say(note.replace("student", "annotator"))
        follows = await takes_schemas(opened.client)
        say("its server takes a JSON schema" if follows else "its server takes no JSON schema")
        model = Model(
            role=Role.STUDENT,
            name=opened.abilities.served_name,
            servers=Replicas([opened.client]),
            format=opened.format,
            codec=opened.codec,
            settings=config.student,
            context_tokens=min(
                config.limits.context_tokens, opened.abilities.context_tokens or 2**31
            ),
            ends=(),
        )
        waiting = iter(store.todo)

        async def work() -> None:
            for segment in waiting:
                await _one(model, segment, config.seed, store)
                progress(store.tally)

        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(min(config.concurrency, len(store.todo))):
                    group.create_task(work())
        except* ModelError as errors:
            error = errors.exceptions[0]
            raise Outage(f"the annotator is gone: {error}", hint="start it, then go on") from None


async def _one(model: Model, segment: Segment, seed: int, store: Store) -> None:
    answer = ""
    try:
        answer = await ask(model, segment.text, seed)
        store.accept(segment, locate(segment.text, parse(answer)))
    except Rejected as rejected:
        store.reject(segment, rejected.reason, rejected.detail, answer)
    except (ModelError, ContextFull) as error:
        if isinstance(error, Unreachable):
            raise
        if isinstance(error, Refused) and error.status in _LOST:
            raise
        store.reject(segment, Rejection.MODEL_ERROR, str(error), answer)


async def ask(model: Model, text: str, seed: int) -> str:
    """Ask a model for the style of a text; it answers at once, without thinking."""
    voice = model.join([{"role": "user", "content": PROMPT + text}])
    trajectory = Trajectory()
    trajectory.apply(Turn(Role.STUDENT, Part.THINKING, Outcome.CUT_OFF))
    try:
        return (await voice.answer(trajectory, _ANSWER_TOKENS, seed, _SCHEMA)).text
    finally:
        voice.leave()
