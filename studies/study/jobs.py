"""One job of the study; in a process of its own: `python -m studies.study.jobs ROOT NAME`.

It is a run, a training, an evaluation or a report of tessy's. All but the last can be resumed in
their folders; `job.json` is written at the end and has the results.
"""

from __future__ import annotations

import datetime
import os
import platform
import re
import signal
import statistics
import sys
import threading
import time
from pathlib import Path
from typing import Any

import orjson

from studies.lab.corpus import REFERENCE
from studies.lab.families import FAMILIES, OTHERS, TARGET
from studies.lab.questions import Split, questions
from studies.study import plan
from studies.study.plan import DONE, SETTINGS, Compare, Train, Untouched, Write
from studies.study.settings import (
    ALONE,
    SCORED,
    SHARED_WORDS,
    STUDENT,
    StudySettings,
    load,
    split_arm,
)
from tessy.config import Config, HandOver, Limits, ModelSettings, OnWrong, Prompts, Sampling
from tessy.data.files import write_atomically
from tessy.errors import RunLocked
from tessy.evaluation.evaluate import evaluate
from tessy.evaluation.measure import EvalOutcome, ModelScores
from tessy.evaluation.settings import load as load_evaluation
from tessy.method.trajectory import Role
from tessy.runs.folder import RunFolder
from tessy.synthesis.run import synthesize

_QUESTIONS, _TESTS = "questions.jsonl", "tests.jsonl"
_LIMITS = Limits(thinking_tokens=400, answer_tokens=60, context_tokens=1024)
_CONCURRENCY = 16
_DATE = datetime.date(2026, 1, 1)
"""For chat templates; the pair's do not use it."""
_LOCKED_S, _AGAIN_S = 60.0, 0.5


def write_questions(root: Path, settings: StudySettings) -> None:
    """Write the files that the jobs share, unless they exist: questions and tests of each seed."""
    for seed in settings.main.seeds:
        folder = root / f"seed-{seed}"
        if (folder / _TESTS).is_file():
            continue
        asked = questions(FAMILIES[TARGET], Split.SFT, settings.questions, seed)
        _write_rows(folder / _QUESTIONS, list(asked))
        tests = list(questions(FAMILIES[TARGET], Split.TEST, settings.tests_target, seed))
        for name in OTHERS:
            tests += questions(FAMILIES[name], Split.TEST, settings.tests_other, seed)
        _write_rows(folder / _TESTS, tests)


def do(root: Path, name: str) -> None:
    """Do a job, unless it is done.

    Args:
        root: The study's folder, with its settings and questions.
        name: Of the job.
    """
    settings = load(root / SETTINGS)
    job = next(job for job in plan.jobs(settings) if job.name == name)
    if plan.is_done(root, job):
        return
    folder = root / name
    folder.mkdir(parents=True, exist_ok=True)
    date, began = time.time(), time.monotonic()
    match job:
        case Untouched():
            name = job.teacher.model if job.teacher else "lab:student"
            found = _evaluate(root, job.seed, _model(settings, name), folder / "eval")
        case Write():
            found = _write(root, settings, job)
        case Train():
            found = _train(root, job)
        case Compare():
            found = _compare(root, job)
    found |= {"began": round(date, 1), "seconds": round(time.monotonic() - began, 1)}
    found["machine"] = _machine()
    write_atomically(folder / DONE, orjson.dumps(found, option=orjson.OPT_INDENT_2))


def _model(settings: StudySettings, name: str, **more: Any) -> ModelSettings:
    is_lab = name.startswith("lab:")
    return ModelSettings(model=name, format=None if is_lab else settings.teacher_format, **more)


def _machine() -> str:
    """The machine that did this, for those who read how long it took."""
    try:  # Linux has the model
        text = Path("/proc/cpuinfo").read_text("utf-8", "replace")
        processor = re.findall(r"model name\s*: (.*)", text)[0]
    except (OSError, IndexError):
        processor = platform.machine()
    return f"{processor}, {os.cpu_count() or 1} cores, Python {platform.python_version()}"


def _evaluate(root: Path, seed: int, model: ModelSettings, out: Path) -> dict[str, Any]:
    """Measure a model on the tests of a seed; see `scores`."""
    config = load_evaluation(
        None,
        {
            "student.model": model.model,
            "student.tokenizer": model.tokenizer,
            "student.format": model.format,
            **{f"limits.{name}": value for name, value in _LIMITS.model_dump().items()},
            "seed": seed,
            "concurrency": _CONCURRENCY,
        },
    )
    tests = root / f"seed-{seed}" / _TESTS
    result = evaluate(tests, config=config, out=out, group="family")
    if result.run.stopped:
        raise KeyboardInterrupt
    return scores(result.scores)


def scores(found: ModelScores) -> dict[str, Any]:
    """What `results.Accuracy` needs of an evaluation by family."""
    target = found.groups[TARGET]
    answered = sum(target.outcomes.get(each, 0) for each in (EvalOutcome.RIGHT, EvalOutcome.WRONG))
    return {
        "right": {name: group.pass_at[1].value for name, group in found.groups.items()},
        "unanswered": 1 - answered / target.samples,
    }


def _write(root: Path, settings: StudySettings, job: Write) -> dict[str, Any]:
    sampling = Sampling(temperature=settings.temperature)
    answers_by_teacher = job.method == "tessy-teacher-answers"
    method, _, minimum = job.method.replace("-shared", "-min-2").partition("-min-")
    config = Config(
        student=ModelSettings(model="lab:student", sampling=sampling),
        teacher=_model(settings, job.teacher.model, sampling=sampling),
        predictor=settings.predictor,
        method="tessy" if answers_by_teacher else method,
        handover=HandOver(
            min_style_words=int(minimum or 1),
            shared_words=SHARED_WORDS if job.method.endswith("-shared") else (),
        ),
        answer_by=Role.TEACHER if answers_by_teacher else Role.STUDENT,
        candidates=settings.candidates,
        prompts=Prompts(reference=REFERENCE),
        verify="auto",
        on_wrong=OnWrong.KEEP,
        limits=_LIMITS,
        seed=job.seed,
        concurrency=_CONCURRENCY,
    )
    source = root / f"seed-{job.seed}" / _QUESTIONS
    result = synthesize(source, out=_run(root, job).path, config=config)
    if result.stopped:
        raise KeyboardInterrupt
    records = list(_records(root, job).values())
    return {
        "failed": {reason.value: count for reason, count in result.failed.items()},
        "finished": len(records),
        **(accounts(records) if records else {}),
        "sample": records[0] if records else None,
    }


def accounts(records: list[dict[str, Any]]) -> dict[str, float]:
    """What a method's records are like; see `results.MethodData`."""

    def total(name: str) -> int:
        return sum(record["stats"][name] for record in records)

    kept = total("student_tokens") + total("teacher_tokens")
    discarded = total("student_discarded_tokens") + total("teacher_discarded_tokens")
    return {
        "right": statistics.fmean(record["verdict"]["outcome"] == "right" for record in records),
        "teacher_share": total("teacher_tokens") / kept,
        "tokens": kept / len(records),
        "hand_overs": total("hand_overs") / len(records),
        "discarded": discarded / (discarded + kept),
    }


def _train(root: Path, job: Train) -> dict[str, Any]:
    from tessy.training.settings import Export, SFTSettings
    from tessy.training.train import train

    folder = root / job.name
    _write_rows(folder / "data.jsonl", dataset(root, job))
    trained = train(
        folder / "data.jsonl",
        SFTSettings(
            model=str(STUDENT),
            epochs=job.condition.epochs,
            batch_size=job.condition.batch_size,
            learning_rate=job.condition.learning_rate,
            seed=job.seed,
            export=Export.GGUF,
        ),
        folder / "sft",
    )
    curve = []
    for epoch in trained.epochs:
        model = ModelSettings(model=f"gguf:{epoch.gguf}", tokenizer=str(epoch.folder))
        curve.append(_evaluate(root, job.seed, model, folder / f"eval-{epoch.number}"))
    return {
        "samples": trained.counts.kept,
        "first_loss": trained.losses.first,
        "losses": [step.loss for step in trained.losses.steps],
        "curve": curve,
    }


def dataset(root: Path, job: Train) -> list[dict[str, Any]]:
    """The records that an arm is trained on, in the order of the questions."""
    _, percent = split_arm(job.arm)
    own, *foreign = (_records(root, write) for write in job.needs)
    rows = []
    for position in range(job.condition.questions):
        source = foreign[0] if plan.is_foreign(position, percent) else own
        if position in source:  # else it failed
            rows.append(source[position])
    return rows


def _compare(root: Path, job: Compare) -> dict[str, Any]:
    """Similarity to what the student writes by itself, and likelihood under it, by method.

    As `tessy report` computes them, on the questions that all methods answered.
    """
    from tessy.report.job import ReportSettings, make_report
    from tessy.report.scoring import open_weights

    report = make_report(
        ReportSettings(
            runs=[_run(root, write).path for write in job.writes],
            tokenizer=str(STUDENT),
            traces=0,
            open_scorer=lambda say: open_weights(STUDENT, None, _DATE, say),
            scored=SCORED,
        )
    )
    assert report.scores is not None
    labels = {write.method: run.label for write, run in zip(job.writes, report.runs, strict=True)}
    alone = labels.get(ALONE)
    methods = {
        method: {
            "similarity": report.similarity.between(label, alone).value
            if report.similarity and alone
            else None,
            "nll": {
                author: figure.value for author, figure in report.scores.runs[label].nll.items()
            },
        }
        for method, label in labels.items()
    }
    return {"questions": report.shared, "methods": methods}


def _run(root: Path, job: Write) -> RunFolder:
    return RunFolder(root / job.name / "run")


def _records(root: Path, job: Write) -> dict[int, dict[str, Any]]:
    """A method's records, by the position of their question."""
    records = map(orjson.loads, _run(root, job).dataset.read_bytes().splitlines())
    return {int(record["id"].rpartition("-")[2]): record for record in records}


def _write_rows(path: Path, rows: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, b"".join(orjson.dumps(row) + b"\n" for row in rows))


def _stop_with_parent() -> None:
    """Stop as at Ctrl-C when standard input ends: the parent holds the other end open."""

    def watch() -> None:
        while os.read(0, 1):  # not through sys.stdin, whose lock would be held at the end
            pass
        os.kill(os.getpid(), signal.SIGINT)

    signal.signal(signal.SIGINT, signal.default_int_handler)  # under nohup it would be ignored
    threading.Thread(target=watch, daemon=True).start()


def main(root: Path, name: str) -> int:
    """Do a job, and end when the study does; returns the exit code."""
    _stop_with_parent()
    deadline = time.monotonic() + _LOCKED_S
    while True:
        try:
            do(root, name)
            return 0
        except RunLocked:  # by the same job of a study that was killed, which is about to end
            if time.monotonic() > deadline:
                raise
            time.sleep(_AGAIN_S)
        except KeyboardInterrupt:
            return 130


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2]))
