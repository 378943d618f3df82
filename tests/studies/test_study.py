"""The study's pure parts: which jobs, which samples, which verdicts, by hand."""

from __future__ import annotations

import math
import re
from types import SimpleNamespace

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from studies.lab.families import OTHERS, TARGET
from studies.study import jobs, plan
from studies.study.expectations import Expectation, Met, ahead, expectations
from studies.study.page import page, percent, points, what_differs
from studies.study.plots import draw
from studies.study.results import (
    Accuracy,
    Mean,
    Results,
    TrainedStudent,
    accuracy,
    clock,
    read,
)
from studies.study.settings import METHODS, Condition, StudySettings, load
from tessy.errors import ConfigError
from tessy.evaluation.measure import EvalOutcome

CONDITIONS = (
    Condition(name="main", seeds=(0, 1)),
    Condition(name="style", arms=("tessy", "tessy+25", "teacher-only"), seeds=(1,)),
)


def planned(*conditions):
    return plan.jobs(StudySettings(conditions=conditions))


def test_every_job_comes_once_and_after_those_that_it_needs():
    jobs = planned(*CONDITIONS)
    assert len({job.name for job in jobs}) == len(jobs)
    for at, job in enumerate(jobs):
        assert set(job.needs) <= set(jobs[:at])
    trained = [job for job in jobs if isinstance(job, plan.Train)]
    assert len(trained) == 2 * len(METHODS) + 3
    assert sum(isinstance(job, plan.Write) for job in jobs) == 2 * len(METHODS)


def test_the_main_condition_of_every_seed_comes_first():
    trained = [job.condition.name for job in planned(*CONDITIONS) if isinstance(job, plan.Train)]
    assert trained == ["main"] * 2 * len(METHODS) + ["style"] * 3


MAIN = Condition(name="main", arms=("tessy", "teacher-only"), seeds=(0, 1))
KIN = Condition(name="kin", arms=("tessy", "teacher-only"), seeds=(1,), teacher="lab:relative")


@pytest.mark.parametrize(
    ("conditions", "others", "stands"),
    [
        ([MAIN], {}, True),
        ([MAIN, Condition(name="hot", arms=("tessy",), seeds=(1,), learning_rate=1e-3)], {}, True),
        ([MAIN, Condition(**{**KIN.model_dump(), "arms": ("tessy",)})], {}, True),
        ([MAIN, Condition(name="style", arms=("tessy+50",), seeds=(0,))], {}, True),
        ([Condition(name="hot", arms=("tessy",), seeds=(0, 1)), MAIN], {}, False),  # another main
        ([MAIN, Condition(name="all", seeds=(0,))], {}, False),  # others to compare with
        ([MAIN, Condition(name="many", arms=("tessy",), seeds=(0,), questions=900)], {}, False),
        ([MAIN.model_copy(update={"epochs": 3})], {}, False),
        ([MAIN.model_copy(update={"seeds": (0,)})], {}, False),
        ([MAIN], {"tests_target": 10}, False),
    ],
)
def test_a_study_is_resumed_with_conditions_that_were_added_if_what_was_done_still_counts(
    conditions, others, stands
):
    smaller = StudySettings(conditions=(MAIN,))
    assert plan.extends(StudySettings(conditions=tuple(conditions), **others), smaller) is stands


def test_a_condition_with_a_teacher_of_its_own_has_data_of_its_own_too():
    """What the student writes by itself is the same for both, and both are compared with it."""
    jobs = {job.name: job for job in planned(*CONDITIONS, KIN)}
    own = {name for name in jobs if "/kin/" in name}

    def needs(name):
        return tuple(job.name for job in jobs[name].needs)

    assert own == {
        *(
            f"seed-1/kin/{name}"
            for name in ("untouched/teacher", "data/tessy", "data/teacher-only")
        ),
        *(f"seed-1/kin/{name}" for name in ("tessy", "teacher-only", "compared")),
    }
    assert needs("seed-1/kin/tessy") == ("seed-1/kin/data/tessy",)
    assert needs("seed-1/kin/compared") == (
        *("seed-1/data/student-only", "seed-1/kin/data/tessy", "seed-1/kin/data/teacher-only"),
    )
    assert {write.method for write in jobs["seed-1/compared"].writes} == set(METHODS)


def test_without_the_students_own_data_nothing_is_compared_with_it():
    main = Condition(name="main", arms=("tessy",), seeds=(1,))
    names = [job.name for job in planned(main, KIN)]
    assert "seed-1/compared" in names
    assert "seed-1/kin/compared" not in names


def test_data_is_written_once_for_the_largest_condition():
    few = Condition(name="few", arms=("tessy",), questions=10)
    settings = StudySettings(conditions=(few, Condition(name="many", arms=("tessy",))))
    assert settings.questions == 800
    writes = [job for job in plan.jobs(settings) if isinstance(job, plan.Write)]
    assert [job.method for job in writes] == ["tessy"] * 5


@given(st.integers(0, 100), st.integers(1, 400))
def test_a_share_is_spread_evenly_and_exact(percent_, count):
    foreign = [plan.is_foreign(place, percent_) for place in range(count)]
    for end in range(count + 1):
        assert sum(foreign[:end]) == end * percent_ // 100


@pytest.mark.parametrize("arm", ["tesy", "tessy+", "tessy+0", "tessy+100", "tessy+x", ""])
def test_an_arm_that_does_not_exist_is_refused(tmp_path, arm):
    path = tmp_path / "study.toml"
    path.write_text(f"[[conditions]]\nname = 'main'\narms = ['{arm}']\n")
    with pytest.raises(ConfigError, match=re.escape(f"'{arm}' is no arm of a study")):
        load(path)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("questions = 3", "conditions"),
        ("[[conditions]]\nname = 'a'\nepoch = 3", "epoch"),
        ("x", "study.toml"),
        ("conditions = []", "at least 1 item"),
        ("[[conditions]]\nname = 'a'\n[[conditions]]\nname = 'a'", "two conditions are called 'a'"),
        ("[[conditions]]\nname = 'data'", "no condition can be called 'data'"),
        ("[[conditions]]\nname = '../a'", "should match pattern"),
        ("[[conditions]]\nname = 'a'\nteacher = 'lab:teacher'", "is the main condition"),
        (
            "[[conditions]]\nname = 'a'\nseeds = [0]\n[[conditions]]\nname = 'b'\nseeds = [0, 7]",
            "seed 7 of 'b' is not a seed of 'a'",
        ),
        (
            "[[conditions]]\nname = 'a'\n[[conditions]]\nname = 'b'\nteacher = 'lab:relative'",
            "'b' has its own teacher, which student-only does not use: name its arms",
        ),
        ("teacher = 'lab:nobody'\n[[conditions]]\nname = 'a'", "lab:nobody"),
    ],
)
def test_settings_that_cannot_be_used_are_named(tmp_path, text, wanted):
    path = tmp_path / "study.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=wanted):
        load(path)


def test_a_mean_over_seeds_has_students_interval():
    """Of 1, 2, 3: the mean is 2, the deviation 1, t with two degrees of freedom 4.303."""
    found = Mean((1.0, 2.0, 3.0))
    assert found.value == 2
    assert found.half == pytest.approx(4.303 / math.sqrt(3), rel=1e-4)
    assert math.isnan(Mean((1.0,)).half)


@pytest.mark.parametrize(
    ("values", "margin", "met"),
    [
        ((0.10, 0.12, 0.11), 0.0, Met.YES),
        ((-0.10, -0.12, -0.11), 0.0, Met.NO),
        ((0.10, -0.12, 0.11), 0.0, Met.OPEN),
        ((-0.01, -0.012, -0.011), 0.03, Met.YES),
        ((-0.1, -0.11, -0.12), 0.03, Met.NO),
        ((0.5,), 0.0, Met.OPEN),
    ],
)
def test_an_expectation_is_met_only_if_the_seeds_can_tell(values, margin, met):
    assert Expectation("", Mean(values), margin).met is met


def test_differences_are_taken_seed_by_seed():
    found = Mean((0.5, 0.9)) - Mean((0.4, 0.8))
    assert found.value == pytest.approx(0.1)
    assert found.half == pytest.approx(0, abs=1e-12)
    assert points(found) == "+10.0 ± 0.0"
    assert percent(Mean((0.25,))) == "25.0"


@pytest.mark.parametrize(
    ("values", "whose"),
    [
        ((0.10, 0.12, 0.11), "TESSY"),
        ((-0.10, -0.12, -0.11), "Teacher-Only"),
        ((0.10, -0.12, 0.11), "open"),
        ((0.5,), "open"),  # one seed has no interval
    ],
)
def test_whose_data_does_more_is_said_only_if_the_seeds_can_tell(values, whose):
    assert ahead(Mean(values)) == whose


def test_a_condition_is_told_by_what_differs_from_the_main_one():
    main = Condition(name="main")
    assert what_differs(main, main) == ""
    assert what_differs(KIN, main) == "the teacher is `lab:relative`"
    other = Condition(name="other", questions=200, epochs=12, learning_rate=1e-3, batch_size=8)
    assert what_differs(other, main) == "200 questions, 12 epochs, a rate of 0.001, batches of 8"


def evaluation(target, other=1.0, **outcomes):
    """An evaluation, as far as the study reads it."""

    def group(share, **outcomes):
        counts = {EvalOutcome(name): count for name, count in outcomes.items()}
        pass_at = {1: SimpleNamespace(value=share)}
        return SimpleNamespace(pass_at=pass_at, samples=sum(counts.values()), outcomes=counts)

    groups = {name: group(other) for name in OTHERS}
    return SimpleNamespace(groups={TARGET: group(target, **outcomes), **groups})


def test_what_never_came_to_an_answer_is_counted_apart_from_what_is_wrong():
    found = accuracy(
        [
            jobs.scores(evaluation(0.5, right=5, wrong=3, truncated=1, broken=1)),
            jobs.scores(evaluation(0.25, other=0.4, right=1, wrong=1, no_answer=2)),
        ]
    )
    assert found.target.values == (0.5, 0.25)
    assert found.elsewhere.values == pytest.approx((1.0, 0.4))
    assert found.unanswered.values == pytest.approx((0.2, 0.5))


def record(position, text="", *, right=True, **stats):
    return {
        "id": f"chain_sum-sft-0-{position:05d}",
        "text": text,
        "verdict": {"outcome": "right" if right else "wrong"},
        "stats": {
            **dict.fromkeys(("student_tokens", "teacher_tokens", "hand_overs"), 0),
            **dict.fromkeys(("student_discarded_tokens", "teacher_discarded_tokens"), 0),
            **stats,
        },
    }


def test_the_accounts_of_a_methods_data():
    """By hand: 40 tokens kept, 30 of them the teacher's; 10 of 50 discarded."""
    found = jobs.accounts(
        [
            record(0, student_tokens=10, teacher_tokens=20, hand_overs=3),
            record(1, teacher_tokens=10, student_discarded_tokens=4, right=False),
            record(2, teacher_discarded_tokens=6, hand_overs=3),
        ]
    )
    assert found == pytest.approx(
        {
            "right": 2 / 3,
            "teacher_share": 0.75,
            "tokens": 40 / 3,
            "hand_overs": 2,
            "discarded": 0.2,
        }
    )


@pytest.mark.parametrize(
    ("arm", "wanted"),
    [
        ("tessy", ["own 0", "own 1", "own 3"]),  # the sample of question 2 failed
        ("tessy+50", ["own 0", "foreign 1", "foreign 3"]),
        ("teacher-only", ["foreign 0", "foreign 1", "foreign 3"]),
    ],
)
def test_an_arm_is_trained_on_its_share_of_foreign_samples(tmp_path, arm, wanted):
    condition = Condition(name="main", arms=(arm,), questions=4)
    teacher = plan.StudyTeacher("lab:teacher")
    for method, text in (("tessy", "own"), ("teacher-only", "foreign")):
        run = tmp_path / plan.Write(0, method, teacher).name / "run"
        run.mkdir(parents=True)
        rows = [record(position, f"{text} {position}") for position in (0, 1, 3, 4)]
        (run / "dataset.jsonl").write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in rows))
    rows = jobs.dataset(tmp_path, plan.Train(0, condition, arm, teacher))
    assert [row["text"] for row in rows] == wanted


def test_a_study_that_is_not_finished_is_refused(tmp_path):
    (tmp_path / plan.SETTINGS).write_text("[[conditions]]\nname = 'a'\nseeds = [0]\n")
    with pytest.raises(
        plan.StudyError, match="21 jobs are missing, such as seed-0/untouched/student"
    ):
        read(tmp_path)


def test_time_counts_once_where_jobs_were_at_work_together_and_not_where_none_was():
    """From 0 to 10 and 4 to 12 are 12 s, a pause, then 5 s with another one within them."""
    assert clock([(100.0, 5.0), (0.0, 10.0), (101.0, 1.0), (4.0, 8.0)]) == 17.0
    assert clock([]) == 0.0


# --- A whole study, made up ---------------------------------------------------------------------


def of(target, elsewhere):
    """An accuracy: of the target and of every other family, by seed."""
    others = {name: Mean(tuple(elsewhere)) for name in OTHERS}
    return Accuracy({TARGET: Mean(tuple(target)), **others}, unanswered=Mean((0.0,) * len(target)))


def trained(*curve):
    count = len(curve[0].target.values)
    return TrainedStudent(
        Mean((8.0,) * count), Mean((1.0,) * count), [[2.0, 1.0]] * count, list(curve)
    )


STYLE = ("tessy", "tessy+25", "tessy+50", "tessy+75", "teacher-only")


@pytest.fixture
def whole():
    """Two seeds in the main condition; the other one has the second seed only, then both."""
    conditions = (
        Condition(name="main", arms=("tessy", "teacher-only"), seeds=(3, 5), epochs=1),
        Condition(name="hot", arms=("tessy", "teacher-only"), seeds=(5,), epochs=1, batch_size=7),
        Condition(name="style", arms=STYLE, seeds=(3, 5), epochs=1),
    )
    lost = {arm: 0.1 * share for share, arm in enumerate(STYLE)}
    return Results(
        settings=StudySettings(conditions=conditions),
        student=of((0.3, 0.5), (0.9, 0.8)),
        teacher=of((1.0, 1.0), (1.0, 1.0)),
        data={},
        others={},
        trained={
            "main": {
                "tessy": trained(of((0.7, 0.9), (0.9, 0.8))),
                "teacher-only": trained(of((0.2, 0.4), (0.3, 0.2))),
            },
            "hot": {
                "tessy": trained(of((0.6,), (0.7,))),
                "teacher-only": trained(of((0.9,), (0.1,))),
            },
            "style": {
                arm: trained(of((0.5, 0.5), (0.9 - lost[arm], 0.8 - lost[arm]))) for arm in STYLE
            },
        },
        seconds=1.0,
        machines=("a machine",),
    )


def test_a_condition_of_some_seeds_is_compared_with_these_seeds(whole):
    text = page(whole, pictures=[], command="make study", notes="")
    # The seed of `hot` began with 50% and 80%; the mean over both seeds would be 40% and 85%.
    assert "| hot | batches of 7 | 5 | tessy | +10.0 | -10.0 |" in text
    assert "| hot | batches of 7 | 5 | teacher-only | +40.0 | -70.0 |" in text
    assert "| hot (batches of 7) | -30.0 | open | +60.0 | open |" in text  # one seed can't tell
    assert "| main | +50.0 ± 0.0 | TESSY | +60.0 ± 0.0 | TESSY |" in text


def test_forgetting_is_a_slope_over_shares_of_style(whole):
    assert [share for share, _ in whole.by_share()] == [0, 25, 50, 75, 100]
    (found,) = [e for e in expectations(whole) if "the more is lost" in e.text]
    assert found.difference.values == pytest.approx((0.1, 0.1))
    assert found.met is Met.YES


def test_pictures_of_all_conditions_are_drawn(whole, tmp_path):
    pytest.importorskip("matplotlib")
    names = [path.name for path in draw(whole, tmp_path / "study")]
    assert names == [f"study-{name}.png" for name in ("curves", "losses", "conditions", "style")]
    assert all((tmp_path / "study" / name).stat().st_size > 5000 for name in names)
