"""One job of the study, in a process of its own: `python -m tessy.lab.study.job ROOT NAME`.

Whatever it has to do is a run, a training or an evaluation as users have them, in folders that go
on where they were; `job.json` is written last, and says that it is done.
"""

from __future__ import annotations

import contextlib
import datetime
import os
import platform
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

import orjson

from tessy.config import Config, Limits, ModelSettings, OnWrong, Prompts, Sampling
from tessy.errors import RunLocked
from tessy.evaluation.evaluate import evaluate
from tessy.evaluation.settings import load as evaluation_settings
from tessy.lab.corpus import REFERENCE
from tessy.lab.families import FAMILIES
from tessy.lab.questions import Split, questions
from tessy.lab.study import plan
from tessy.lab.study.plan import Compare, Train, Untouched, Write
from tessy.lab.study.settings import STUDENT, Condition, StudySettings, load
from tessy.method.trajectory import Role
from tessy.models.weights import lab_folder
from tessy.runs.folder import RunFolder, write_atomically
from tessy.synthesis.run import synthesize

SETTINGS = "study.toml"
DONE = "job.json"
LIMITS = Limits(thinking_tokens=400, answer_tokens=60, context_tokens=1024)
SCORED = 200
"""Questions of a seed on which likelihood is measured."""
DATE = datetime.date(2026, 1, 1)
"""Of chat templates; the pair's do not name it."""
_STUDENT = f"lab:{STUDENT}"
_CONCURRENCY = 16
_LOCKED_S, _AGAIN_S = 60.0, 0.5


def main(root: Path, name: str) -> None:
    """Do a job, unless it is done."""
    settings = load(root / SETTINGS)
    job = next(job for job in plan.jobs(settings) if job.name == name)
    where = plan.folder(root, job)
    if (where / DONE).is_file():
        return
    where.mkdir(parents=True, exist_ok=True)
    date, began = time.time(), time.monotonic()
    match job:
        case Untouched():
            found = _untouched(root, settings, job, where)
        case Write():
            found = _write(root, settings, job, where)
        case Train():
            found = _train(root, settings, job, where)
        case Compare():
            found = _compare(root, job)
    found |= {"began": round(date, 1), "seconds": round(time.monotonic() - began, 1)}
    found["machine"] = _machine()
    write_atomically(where / DONE, orjson.dumps(found, option=orjson.OPT_INDENT_2))


def _machine() -> str:
    """What computed this, for whoever reads how long it took."""
    processor = platform.machine()
    with contextlib.suppress(OSError):  # Linux tells more
        lines = Path("/proc/cpuinfo").read_text("utf-8", "replace").splitlines()
        names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
        processor = names[0] if names else processor
    cores = f"{os.cpu_count() or 1} cores"
    return f"{processor}, {cores}, Python {platform.python_version()}"


def _untouched(root: Path, settings: StudySettings, job: Untouched, where: Path) -> dict[str, Any]:
    model = _STUDENT if job.role == "student" else _teacher(settings, job.apart)
    tests = _tests(root, settings, job.seed)
    return {"evaluation": _evaluated(tests, ModelSettings(model=model), job.seed, where / "eval")}


def _teacher(settings: StudySettings, apart: Condition | None) -> str:
    """The teacher's address: the study's, or that of a condition with its own."""
    own = apart.teacher if apart is not None else None
    return own or settings.teacher


def _write(root: Path, settings: StudySettings, job: Write, where: Path) -> dict[str, Any]:
    source = _asked(root, settings, job.seed)
    sampling = Sampling(temperature=settings.temperature)
    answers_by_teacher = job.method == "tessy-teacher-answers"
    config = Config(
        student=ModelSettings(model=_STUDENT, sampling=sampling),
        teacher=ModelSettings(model=_teacher(settings, job.apart), sampling=sampling),
        predictor=settings.predictor,
        method="tessy" if answers_by_teacher else job.method,
        answer_by=Role.TEACHER if answers_by_teacher else Role.STUDENT,
        candidates=settings.candidates,
        prompts=Prompts(reference=REFERENCE),
        verify="auto",
        on_wrong=OnWrong.KEEP,
        limits=LIMITS,
        seed=job.seed,
        concurrency=_CONCURRENCY,
    )
    result = synthesize(source, out=where / "run", config=config)
    return {
        "total": result.total,
        "finished": result.finished,
        "failed": {reason.value: count for reason, count in result.failed.items()},
    }


def _train(root: Path, settings: StudySettings, job: Train, where: Path) -> dict[str, Any]:
    from tessy.training.settings import Export, SFTSettings
    from tessy.training.train import train

    condition = job.condition
    data = where / "data.jsonl"
    rows = _dataset(root, job)
    write_atomically(data, b"".join(orjson.dumps(row) + b"\n" for row in rows))
    trained = train(
        data,
        SFTSettings(
            model=str(lab_folder(STUDENT)),
            epochs=condition.epochs,
            batch_size=condition.batch,
            learning_rate=condition.learning_rate,
            seed=job.seed,
            export=Export.GGUF,
        ),
        where / "sft",
    )
    tests = _tests(root, settings, job.seed)
    curve = []
    for epoch in trained.epochs:
        model = ModelSettings(model=f"gguf:{epoch.gguf}", tokenizer=str(epoch.folder))
        found = _evaluated(tests, model, job.seed, where / f"eval-{epoch.number}")
        curve.append({"epoch": epoch.number, "loss": epoch.loss, "evaluation": found})
    return {
        "samples": trained.counts.kept,
        "tokens": trained.counts.tokens,
        "first_loss": trained.losses.first,
        "losses": [step.loss for step in trained.losses.steps],
        "curve": curve,
    }


def _compare(root: Path, job: Compare) -> dict[str, Any]:
    """Similarity to what the student writes alone, and likelihood under it, by method.

    As `tessy report` computes them, on the questions that all methods answered.
    """
    from tessy.report.make import Wanted, make
    from tessy.report.scoring.weights import open_weights

    student = lab_folder(STUDENT)
    report = make(
        Wanted(
            runs=[plan.folder(root, write) / "run" for write in job.writes],
            tokenizer=str(student),
            traces=0,
            opens=lambda say: open_weights(student, None, DATE, say),
            scored=SCORED,
        )
    )
    methods = [write.method for write in job.writes]
    labels = {method: run.label for method, run in zip(methods, report.runs, strict=True)}
    alone = labels.get(plan.ALONE)
    alike = report.similarity
    likely = report.scores.runs if report.scores else {}
    return {
        "questions": report.shared,
        "methods": {
            method: {
                "similarity": alike.between(label, alone).value if alike and alone else None,
                "nll": {name: figure.value for name, figure in likely[label].nll.items()},
            }
            for method, label in labels.items()
        },
    }


def _dataset(root: Path, job: Train) -> list[dict[str, Any]]:
    """The records that an arm is trained on, in the order of the questions."""
    method, percent = plan.shared(job.arm)
    own = _records(root, job.data(method))
    foreign = _records(root, job.data(plan.FOREIGN)) if percent else {}
    rows = []
    for position in range(job.condition.questions):
        source = foreign if plan.is_foreign(position, percent) else own
        if position in source:  # else it failed
            rows.append(source[position])
    return rows


def _records(root: Path, job: Write) -> dict[int, dict[str, Any]]:
    """A method's records by the place of their question."""
    lines = RunFolder(plan.folder(root, job) / "run").dataset.read_bytes().splitlines()
    records = map(orjson.loads, lines)
    return {int(record["id"].rpartition("-")[2]): record for record in records}


def _evaluated(tests: Path, model: ModelSettings, seed: int, out: Path) -> dict[str, Any]:
    asked = {
        "student": model.model_dump(exclude_unset=True),
        "limits": LIMITS.model_dump(),
        "seed": seed,
        "concurrency": _CONCURRENCY,
    }
    config = evaluation_settings(None, asked)
    return evaluate(tests, config=config, out=out, group="family").scores.as_json()


def _asked(root: Path, settings: StudySettings, seed: int) -> Path:
    """The questions of the target for which data is written."""
    rows = [
        row
        for family in FAMILIES.values()
        if family.target
        for row in questions(family, Split.SFT, settings.questions, seed)
    ]
    return _written(root / f"seed-{seed}" / "questions.jsonl", rows)


def _tests(root: Path, settings: StudySettings, seed: int) -> Path:
    rows = []
    for family in FAMILIES.values():
        count = settings.tests_target if family.target else settings.tests_other
        rows += list(questions(family, Split.TEST, count, seed))
    return _written(root / f"seed-{seed}" / "tests.jsonl", rows)


def _written(path: Path, rows: list[dict[str, Any]]) -> Path:
    """A file that jobs of a seed share; two that begin at once write the same, each on its own."""
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        scratch = path.with_name(f"{path.name}.{os.getpid()}")
        scratch.write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in rows))
        scratch.replace(path)
    return path


def _stop_with_parent() -> None:
    """Stop as at Ctrl-C when standard input ends: the parent holds the other end open."""

    def watch() -> None:
        while os.read(0, 1):  # not through sys.stdin, whose lock would be held at the end
            pass
        os.kill(os.getpid(), signal.SIGINT)

    signal.signal(signal.SIGINT, signal.default_int_handler)  # under nohup it would be ignored
    threading.Thread(target=watch, daemon=True).start()


def _main() -> int:
    """Do the job that the command line names; returns the exit code."""
    _stop_with_parent()
    deadline = time.monotonic() + _LOCKED_S
    while True:
        try:
            main(Path(sys.argv[1]), sys.argv[2])
        except RunLocked:  # by the same job of a study that was killed, which is ending
            if time.monotonic() > deadline:
                raise
            time.sleep(_AGAIN_S)
        except KeyboardInterrupt:
            return 130
        else:
            return 0


if __name__ == "__main__":
    sys.exit(_main())
