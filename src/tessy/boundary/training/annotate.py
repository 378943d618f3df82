"""Annotating segments: `tessy predictor annotate`.

    draw       random segments of the thinking of traces (`segments.draw`)
    ask        an annotator for the style spans of each: a served model, or a predictor
    locate     these spans exactly, or reject the segment with a reason (`locate`)
    write      accepted segments to a segment file, rejected ones to a file beside it

Many segments are asked for at once. What is written stays: the same command continues with the
segments that are in neither file.
"""

from __future__ import annotations

import asyncio
import datetime
import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Self

import orjson

from tessy.boundary.protocol import Predictor
from tessy.boundary.training.locate import Rejected, RejectReason, locate, parse
from tessy.boundary.training.segments import Segment, dump, spans_of
from tessy.boundary.training.walk import walk
from tessy.config import Config
from tessy.data.files import lock_file
from tessy.display import Say
from tessy.errors import ConfigError, ModelError, Outage, Refused, RunLocked, Unreachable
from tessy.method.trajectory import Outcome, Part, Role, Trajectory, Turn
from tessy.method.words import units
from tessy.models.open import open_one
from tessy.models.probe import takes_schemas
from tessy.models.replicas import Replicas
from tessy.models.session import ContextFull, Model, ModelSession

_BATCH = 64
_ANSWER_TOKENS = 1024
_SCHEMA = {"type": "array", "items": {"type": "string", "minLength": 1}}
_SERVER_UNUSABLE = (401, 403, 404)
"""HTTP statuses that every other request would get, too."""

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


@dataclass(slots=True)
class AnnotationCounts:
    """How many segments are annotated so far.

    Attributes:
        total: Segments to annotate.
        accepted: Segments whose spans were all located.
        bare: Accepted segments without any span: what a model that does nothing would answer.
        rejected: Segments that were not accepted, by reason.
    """

    total: int
    accepted: int = 0
    bare: int = 0
    rejected: Counter[RejectReason] = field(default_factory=Counter)

    @property
    def done(self) -> int:
        """Segments that were accepted or rejected."""
        return self.accepted + self.rejected.total()

    @property
    def rate(self) -> float:
        """The share of accepted segments, from 0 to 1."""
        return self.accepted / self.done if self.done else 0.0


def rejected_file(out: Path) -> Path:
    """The file of rejected segments beside a segment file."""
    return out.with_name(out.stem + ".rejected.jsonl")


class AnnotationStore:
    """Writes accepted segments to one file, rejected ones with their reason to another.

    Segments that are in either file already are done. A context manager, which closes both files.

    Args:
        out: The segment file.
        segments: The segments to annotate, without labels.
        annotator: Who labels them.

    Raises:
        ConfigError: A file exists that holds other segments or another annotator's labels, or is
            no segment file. It stays as it is.
        RunLocked: Another process is writing to it.
    """

    def __init__(self, out: Path, segments: Sequence[Segment], annotator: str) -> None:
        self._annotator = annotator
        known = {segment.id: segment for segment in segments}
        self._read(out, known)  # before anything is opened: a file that is refused stays as it is
        self._accepted: BinaryIO = out.open("ab")
        _lock(self._accepted)
        done = self._read(out, known)
        for path in (out, rejected_file(out)):
            _end_last_line(path)
        self.todo = [segment for segment in segments if segment.id not in done]
        self._rejected: BinaryIO = rejected_file(out).open("ab")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _read(self, out: Path, known: Mapping[str, Segment]) -> set[str]:
        """Count what is done already, and return the ids."""
        self.counts = AnnotationCounts(len(known))
        done: set[str] = set()
        for row in _rows(out):
            same, annotator = known.get(row["id"]), row.get("annotator")
            if same is None or row["text"] != same.text or annotator != self._annotator:
                raise ConfigError(
                    f"{out} holds other segments, or another annotator's ({annotator})",
                    hint="name another file, or the count, seed and annotator that made it",
                )
            done.add(row["id"])
            self.counts.bare += not row.get("spans")
        self.counts.accepted = len(done)
        for row in _rows(rejected_file(out)):
            own = row.get("annotator") == self._annotator  # another annotator may do better
            if own and row["id"] in known and row["id"] not in done:
                done.add(row["id"])
                self.counts.rejected[RejectReason(row["reason"])] += 1
        return done

    def accept(self, segment: Segment, spans: tuple[tuple[int, int], ...]) -> None:
        """Write a labelled segment."""
        labelled = segment.model_copy(update={"spans": spans, "annotator": self._annotator})
        self._accepted.write(dump(labelled))
        self._accepted.flush()
        self.counts.accepted += 1
        self.counts.bare += not spans

    def reject(self, segment: Segment, reason: RejectReason, detail: str, answer: str) -> None:
        """Write why a segment was not accepted."""
        row = {"id": segment.id, "reason": reason, "detail": detail, "answer": answer}
        row |= {"text": segment.text, "annotator": self._annotator}
        self._rejected.write(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE))
        self._rejected.flush()
        self.counts.rejected[reason] += 1

    def close(self) -> None:
        """Close both files and remove an empty file of rejected segments."""
        self._rejected.close()
        path = Path(self._rejected.name)
        if path.exists() and not path.stat().st_size:
            path.unlink()
        self._accepted.close()  # this also releases the lock


LINE_BEGINS = b'{"id":'
"""How each of our lines begins."""


def _rows(path: Path) -> list[dict[str, Any]]:
    """The rows of a file, without a last one that a crash left unfinished.

    Raises:
        ConfigError: It is another kind of file.
    """
    raw = path.read_bytes() if path.exists() else b""
    try:
        rows = [orjson.loads(line) for line in _whole_lines(raw).splitlines()]
    except orjson.JSONDecodeError:
        rows = [None]
    ours = all(isinstance(row, dict) and {"id", "text"} <= row.keys() for row in rows)
    if not ours or (raw and not rows and not raw.startswith(LINE_BEGINS)):
        raise ConfigError(f"{path} exists and is no segment file", hint="name another file")
    return rows


def _whole_lines(raw: bytes) -> bytes:
    """The lines that are whole; the last one may lack its new line."""
    end = raw.rfind(b"\n") + 1
    try:
        orjson.loads(raw[end:])
    except orjson.JSONDecodeError:
        return raw[:end]
    return raw


def _end_last_line(path: Path) -> None:
    """Cut off a last line that a crash left unfinished, or add the new line that one lacks."""
    raw = path.read_bytes() if path.exists() else b""
    whole = _whole_lines(raw)
    if len(whole) < len(raw):
        os.truncate(path, len(whole))
    elif raw and not raw.endswith(b"\n"):
        with path.open("ab") as file:
            file.write(b"\n")


def _lock(file: BinaryIO) -> None:
    """Keep other processes from writing to a file until it is closed.

    Raises:
        RunLocked: Another process is writing to it.
    """
    if not lock_file(file.fileno(), Path(file.name)):
        file.close()
        raise RunLocked(f"{file.name}: another process is writing to it")


def by_predictor(
    predictor: Predictor, store: AnnotationStore, progress: Callable[[AnnotationCounts], None]
) -> None:
    """Label segments with a predictor; all are accepted.

    Args:
        predictor: Labels the segments, as `walk` does.
        store: Holds the segments to label, and writes them.
        progress: Called with the counts after each batch.
    """
    for first in range(0, len(store.todo), _BATCH):
        batch = store.todo[first : first + _BATCH]
        for segment, style in zip(batch, walk(predictor, batch), strict=True):
            store.accept(segment, spans_of(units(segment.text), style))
        progress(store.counts)


async def by_model(
    config: Config,
    store: AnnotationStore,
    progress: Callable[[AnnotationCounts], None],
    say: Say,
) -> None:
    """Label segments by asking a served model.

    Args:
        config: The annotator is its student; `concurrency` and `seed` hold, too.
        store: Holds the segments to label, and writes them.
        progress: Called with the counts after each segment.
        say: Prints a line about what is going on.

    Raises:
        Outage: The server failed for good; what is written stays.
        ModelError: The model can't be used at all.
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
            called=config.called(Role.STUDENT),
            name=opened.name,
            servers=Replicas([opened.client]),
            format=opened.format,
            tokenizer=opened.tokenizer,
            settings=config.student,
            context_tokens=min(
                config.limits.context_tokens, opened.capabilities.context_tokens or 2**31
            ),
            ends=(),
        )
        waiting = iter(store.todo)

        async def work() -> None:
            for segment in waiting:
                await _annotate(model, segment, config.seed, store)
                progress(store.counts)

        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(min(config.concurrency, len(store.todo))):
                    group.create_task(work())
        except* ModelError as errors:
            error = errors.exceptions[0]
            raise Outage(
                f"the annotator's server failed: {error}", hint="start it, then run this again"
            ) from None


async def _annotate(model: Model, segment: Segment, seed: int, store: AnnotationStore) -> None:
    """Ask for one segment, and write what comes of it.

    Raises:
        ModelError: The server would fail for every other segment, too.
    """
    answer = ""
    try:
        answer = await ask(model, segment.text, seed)
        store.accept(segment, locate(segment.text, parse(answer)))
    except Rejected as rejected:
        store.reject(segment, rejected.reason, rejected.detail, answer)
    except (ModelError, ContextFull) as error:
        refused = isinstance(error, Refused) and error.status in _SERVER_UNUSABLE
        if refused or isinstance(error, Unreachable):
            raise
        store.reject(segment, RejectReason.MODEL_ERROR, str(error), answer)


async def ask(model: Model, text: str, seed: int) -> str:
    """Ask a model for the style of a text; it answers at once, without thinking."""
    session = ModelSession(model, [{"role": "user", "content": PROMPT + text}], key="")
    trajectory = Trajectory()
    trajectory.apply(Turn(Role.STUDENT, Part.THINKING, Outcome.CUT_OFF))
    try:
        request = await session.request(trajectory, _ANSWER_TOKENS, seed, schema=_SCHEMA)
        streams = model.servers.capabilities.streams
        completion = await session.complete(request, stream=streams)
        return (await session.chunk(request, completion, trajectory)).text
    finally:
        session.close()
