"""Fewer hand-overs: what each arm does to the student, against TESSY's data (docs/handover.md).

    python -m studies.study.handover STUDY

STUDY is the folder of a study, which need not be finished: each arm has the seeds that are done in
it and in TESSY's. Changes are against the untouched student and against TESSY's data, seed by seed,
in points, with 95% intervals by Student's t.
"""

from __future__ import annotations

import statistics
import sys
from pathlib import Path
from typing import Any

import orjson

from studies.lab.families import OTHERS, TARGET
from studies.study.plan import DONE, SETTINGS, Compare, Train, Untouched, is_done, jobs
from studies.study.results import Mean, over
from studies.study.settings import FEWER, load

REFERENCE = "tessy"
ARMS = (REFERENCE, *FEWER, "student-only", "teacher-only")
CONDITIONS = ("main", "handover")
HEAD = (
    "| data | seeds | hand-overs a sample | right, % | similarity | first loss | target: change | "
    "… to TESSY's | elsewhere: change | … to TESSY's |\n" + "|---" * 10 + "|"
)


def results(root: Path) -> dict[str, dict[int, dict[str, Any]]]:
    """What is done, by arm (`untouched` too) and seed: the student, its data, similarity."""
    found: dict[str, dict[int, dict[str, Any]]] = {}
    similar: dict[tuple[str, int], float] = {}
    for job in jobs(load(root / SETTINGS)):
        if not is_done(root, job):
            continue
        done = orjson.loads((root / job.name / DONE).read_bytes())
        if isinstance(job, Untouched) and job.teacher is None:
            found.setdefault("untouched", {})[job.seed] = done
        elif isinstance(job, Train) and job.condition.name in CONDITIONS and job.arm in ARMS:
            data = orjson.loads((root / job.needs[0].name / DONE).read_bytes())
            last = {"right": done["curve"][-1]["right"], "first_loss": done["first_loss"]}
            found.setdefault(job.arm, {})[job.seed] = {"data": data, **last}
        elif isinstance(job, Compare) and not job.teacher.condition:
            for name, method in done["methods"].items():
                similar[name, job.seed] = method["similarity"]
    for (name, seed), value in similar.items():
        if seed in found.get(name, {}):
            found[name][seed]["similarity"] = value
    return found


def row(arm: str, found: dict[str, dict[int, dict[str, Any]]]) -> str:
    """A row of the table."""
    seeds = sorted(set(found[arm]) & set(found[REFERENCE]) & set(found["untouched"]))
    own = [found[arm][seed] for seed in seeds]

    def points(name: str, where: str) -> Mean:
        rights = [found[name][seed]["right"] for seed in seeds]
        families = [TARGET] if where == TARGET else OTHERS
        return over(100 * statistics.fmean(right[each] for each in families) for right in rights)

    cells = [arm, " ".join(map(str, seeds))]
    cells.append(f"{over(each['data'].get('hand_overs') for each in own).value:.1f}")
    cells.append(f"{100 * over(each['data'].get('right') for each in own).value:.1f}")
    cells.append(f"{over(each.get('similarity') for each in own).value:.3f}")
    cells.append(f"{over(each['first_loss'] for each in own).value:.2f}")
    for where in (TARGET, "elsewhere"):
        mean = points(arm, where)
        for other in ("untouched", REFERENCE):
            difference = mean - points(other, where)
            same = arm == other
            cells.append("" if same else f"{difference.value:+.1f} ± {difference.half:.1f}")
    return f"| {' | '.join(cells)} |"


def main(root: Path) -> None:
    """Print the table."""
    found = results(root)
    print(HEAD)
    for arm in ARMS:
        if set(found.get(arm, {})) & set(found.get(REFERENCE, {})):
            print(row(arm, found))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
