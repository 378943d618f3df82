"""The whole selection: every question is kept once, or dropped once with one reason."""

from __future__ import annotations

import json
import tracemalloc
from functools import partial

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import tessy
from commands import run
from evaluated import question_rows, read_rows, write_evaluation, write_ratings, write_rows
from tessy.data.rows import rows as rows_at
from tessy.errors import ConfigError, DataError
from tessy.runs.progress import Progress, Show
from tessy.selection.conditions import parse
from tessy.selection.job import dropped_file
from tessy.selection.settings import SelectSettings, load_judge

LONG = "The farmer has nine sheep and sells four of them at the market before noon on Monday"


def selected(tmp_path, **more):
    """Select from `q.jsonl`; the result, the rows that are kept, and reasons of the others."""
    out = tmp_path / "out.jsonl"
    result = tessy.select(tmp_path / "q.jsonl", out=out, **more)
    dropped = read_rows(tmp_path / "out.dropped.jsonl")
    return result, read_rows(out), {row["id"]: row["reason"] for row in dropped}


ENDS = st.lists(st.booleans(), min_size=2, max_size=2)
MEASURED = st.dictionaries(st.integers(0, 11), ENDS, min_size=1)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    MEASURED,
    MEASURED,
    st.lists(st.sampled_from(["teacher>=0.5", "student<1", "teacher>0", "student!=0.5"])),
    st.booleans(),
    st.none() | st.integers(1, 12),
    st.booleans(),
    st.integers(0, 3),
)
def test_every_question_is_kept_once_or_dropped_once_with_one_reason(
    tmp_path, student, teacher, keep, keep_unmeasured, count, stratified, seed
):
    rows = [{**row, "level": n % 3, "x": [n, None]} for n, row in enumerate(question_rows(12))]
    write_rows(tmp_path / "q.jsonl", rows)
    by = {}
    for name, ends in (("student", student), ("teacher", teacher)):
        by[name] = tmp_path / f"{name}.json"
        tree = {"model": "m", "right": {f"q{n}": [sum(e), 2] for n, e in ends.items()}}
        by[name].write_text(json.dumps(tree))
    rates = {"student": student, "teacher": teacher}
    more = {"stratify": "level"} if stratified and count else {}
    given = dict(keep=keep, keep_unmeasured=keep_unmeasured, count=count, seed=seed, by=by, **more)
    first: dict[str, str] = {}
    for number in range(12):
        for written in keep or ["teacher>0", "student<1"]:
            condition = parse(written)
            ends = rates[condition.name].get(number)
            if ends is None and not keep_unmeasured:
                first.setdefault(f"q{number}", "unmeasured")
            elif ends is not None and not condition.holds(sum(ends) / 2):
                first.setdefault(f"q{number}", "condition")
    left = [row for row in rows if row["id"] not in first]
    if not left:
        with pytest.raises(DataError, match="no question is kept"):
            selected(tmp_path, **given)
        return
    result, kept, dropped = selected(tmp_path, **given)
    drawn = {name for name, reason in dropped.items() if reason == "not_drawn"}
    assert {name: reason for name, reason in dropped.items() if name not in drawn} == first
    assert kept == [row for row in left if row["id"] not in drawn]  # in order, with all columns
    assert len(kept) == min(count or 12, len(left))
    assert (result.read, result.kept) == (12, len(kept))
    assert result.dropped.total() == len(dropped) == 12 - len(kept)
    if more:
        sizes = {str(level): sum(r["level"] == level for r in left) for level in range(3)}
        assert {name: of for name, (_, of) in result.strata.items()} == {
            name: of for name, of in sizes.items() if of
        }
        assert sum(number for number, _ in result.strata.values()) == len(kept)
    again = selected(tmp_path, **given)
    assert again == (result, kept, dropped)


def test_filters_come_after_conditions_and_before_the_draw(tmp_path):
    rows = question_rows(6)
    for number, text in enumerate([LONG, LONG + " again", f"Say: {LONG}!", "Why?", "How?", "Who?"]):
        rows[number]["prompt"] = text
    write_rows(tmp_path / "q.jsonl", rows)
    write_rows(tmp_path / "test.jsonl", [{"prompt": "Who?"}])
    run_ = write_evaluation(tmp_path / "run", rows, {r["id"]: [r["id"] != "q0"] for r in rows})
    given = dict(near_duplicates=0.5, decontaminate=[str(tmp_path / "test.jsonl")], count=2)
    result, _, dropped = selected(tmp_path, by={"teacher": run_}, **given)
    assert (dropped["q0"], dropped["q2"]) == ("condition", "near_duplicate")
    assert dropped["q5"] == "contaminated"
    assert [*dropped.values()].count("not_drawn") == 1
    details = {r["id"]: r["detail"] for r in read_rows(tmp_path / "out.dropped.jsonl")}
    assert details["q0"] == "teacher 0 (0 of 1 right): not teacher>0"
    assert details["q2"].endswith("like q1")  # q0 is dropped, so q1 is the first of its kind
    assert details["q5"].endswith("test.jsonl 000000: who")
    assert dict(result.dropped) == {
        "condition: not teacher>0": 1, "contaminated": 1, "near_duplicate": 1, "not_drawn": 1,
    }  # fmt: skip


def test_fewer_questions_than_asked_for_are_told(tmp_path):
    path, said = write_rows(tmp_path / "q.jsonl", question_rows(3)), []
    progress = Progress(Show.PLAIN)
    progress.say = said.append
    for count, told in ((3, False), (9, True)):
        said.clear()
        tessy.select(path, out=tmp_path / "out.jsonl", count=count, progress=progress)
        assert ("only 3 questions are left, of 9 asked for" in said) == told


def test_what_all_questions_share_in_a_system_prompt_makes_them_no_duplicates(tmp_path):
    system = {"role": "system", "content": LONG}
    texts = ["What is the area of the circle?", "Which of these towns is the oldest?"]
    rows = [{"messages": [system, {"role": "user", "content": text}]} for text in texts]
    write_rows(tmp_path / "q.jsonl", rows)
    assert selected(tmp_path, near_duplicates=0.3)[1] == rows


def test_bad_lines_stop_it_or_are_dropped(tmp_path):
    rows = [{"id": "a", "prompt": "?"}, {"id": "b"}, {"id": "a", "prompt": "!"}, {"prompt": "x"}]
    write_rows(tmp_path / "q.jsonl", rows)
    with pytest.raises(DataError, match="2 bad lines"):
        selected(tmp_path)
    assert not (tmp_path / "out.jsonl").exists()
    result, kept, dropped = selected(tmp_path, skip_bad=True, count=9)
    assert kept == [rows[0], rows[3]]
    assert dropped == {"bad-line:2": "bad_question", "bad-line:3": "bad_question"}
    assert result.read == 4


def test_strata_are_values_of_a_column_and_those_without_one_are_one_stratum(tmp_path):
    levels = ["hard", None, ["a", 1], 3, "hard", "missing", "(none)"]
    rows = [{**row, "level": level} for row, level in zip(question_rows(7), levels, strict=True)]
    del rows[5]["level"]
    write_rows(tmp_path / "q.jsonl", rows)
    result, _, _ = selected(tmp_path, count=7, stratify="level")
    assert result.strata == {"hard": (2, 2), "(none)": (3, 3), '["a",1]': (1, 1), "3": (1, 1)}
    assert selected(tmp_path, count=4, stratify="level")[0].strata == {
        "hard": (1, 2), "(none)": (1, 3), '["a",1]': (1, 1), "3": (1, 1),
    }  # fmt: skip
    with pytest.raises(DataError, match="no question has a column 'levels'") as refused:
        selected(tmp_path, count=7, stratify="levels")
    assert refused.value.hint.startswith("did you mean level?")


def test_the_scores_of_a_judge_are_compared_with_rates(tmp_path):
    rows = question_rows(40)
    write_rows(tmp_path / "q.jsonl", rows)
    ends = {row["id"]: [n % 4 > 0, n % 4 > 1] for n, row in enumerate(rows)}
    by = {
        "teacher": write_evaluation(tmp_path / "teacher", rows, ends, several=2),
        "judge": write_ratings(
            tmp_path / "judge", rows, {r["id"]: [f"Score: {n % 4}"] for n, r in enumerate(rows)}
        ),
    }
    result, kept, _ = selected(tmp_path, by=by, keep=["judge>=2", "teacher>0"])
    assert len(kept) == 20
    rho, area = result.agreements
    assert (rho.what, area.what) == ("judge and teacher", "judge and teacher>0")
    assert (rho.verdict(), area.value, area.count) == ("agrees", 1, 30)
    done = run(
        *("select", tmp_path / "q.jsonl", "--out", tmp_path / "o.jsonl", "--keep", "judge>=2"),
        *(f"--by={name}={folder}" for name, folder in by.items()),
    )
    assert "judge and teacher  rho 0.95" in done.out
    assert "agrees" in done.out


def test_the_command_prints_what_it_did_and_writes_it(tmp_path):
    rows = [{**row, "level": n % 30} for n, row in enumerate(question_rows(60))]
    write_rows(tmp_path / "q.jsonl", rows)
    out = tmp_path / "out.jsonl"
    done = run("select", tmp_path / "q.jsonl", "--out", out, "--count", "30", "--stratify", "level")
    assert done.code == 0
    assert "kept                30   50.0%" in done.out
    assert "… and 10 more" in done.out
    assert f"written: {out}" in done.err
    assert len(read_rows(out)) == 30
    assert len(read_rows(tmp_path / "out.dropped.jsonl")) == 30
    assert {row["level"] for row in read_rows(out)} == {*range(30)}
    quiet = run("select", tmp_path / "q.jsonl", "--out", out, "--quiet")
    assert (quiet.code, quiet.err) == (0, "")
    assert read_rows(out) == rows


def test_an_output_at_a_url_comes_with_what_was_dropped(tmp_path):
    rows = question_rows(5)
    write_rows(tmp_path / "q.jsonl", rows)
    url = f"memory://selected-{tmp_path.name}/out.parquet"
    result = tessy.select(tmp_path / "q.jsonl", out=url, count=3)
    assert result.kept == 3
    again = tessy.select(url, out=tmp_path / "again.jsonl")
    assert again.kept == 3
    dropped = rows_at(dropped_file(url), what="rows")
    assert {row["reason"] for _, row in dropped} == {"not_drawn"}


@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
def test_questions_are_not_held_in_memory(tmp_path, suffix):
    texts = (f"{number} " * 1500 for number in range(3000))
    write_rows(
        tmp_path / "q.jsonl", ({"id": f"q{n}", "prompt": text} for n, text in enumerate(texts))
    )
    size = (tmp_path / "q.jsonl").stat().st_size
    select = partial(tessy.select, tmp_path / "q.jsonl", out=tmp_path / f"out.{suffix}")
    select(limit=1)  # imports
    tracemalloc.start()
    try:
        assert select(count=2900).kept == 2900
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert size > 18_000_000
    assert peak < (size / 10 if suffix == "jsonl" else size)  # a row group has 1,000 rows


def test_the_file_of_what_was_dropped_is_named_if_something_was(tmp_path):
    questions = write_rows(tmp_path / "q.jsonl", question_rows(3))
    select = ["select", questions, "--out", tmp_path / "out.jsonl"]
    assert "what was dropped" not in run(*select).err
    assert f"what was dropped: {tmp_path / 'out.dropped.jsonl'}" in run(*select, "--count", "2").err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--keep", "student<1"], "nothing named student was measured"),
        (["--by", "student=nowhere"], "nowhere is no run: there is no such folder"),
        (["--stratify", "level"], "--stratify says how --count questions are drawn"),
        (["--count", "0"], "--count 0: should be at least 1"),
        (["--near-duplicates", "2"], "--near-duplicates 2: should be at most 1"),
        (["--decontaminate", "nowhere.jsonl"], "nowhere.jsonl: no such file"),
        (["--judge", "lab:teacher"], "--judge-out runs/judge keeps its scores"),
        (["--judge-out", "j"], "no judge is given"),
        (["--rubric", "r.txt"], "--rubric is for a judge: give --judge-out"),
        (["--config", "c.toml"], "--config is for a judge: give --judge-out"),
        (["--config", "c.toml", "--judge-out", "j"], "no such configuration file"),
        (["--retry-failed"], "--retry-failed is for a judge"),
        (["--judge", "lab:teacher", "--judge-out", "j", "--rubric", "no.txt"], "no such file"),
        (["--judge", "lab:x", "--judge-out", "j"], "lab:x"),
        (["--judge", "http://h", "--judge-out", "j"], "the judge's chat format is not known"),
    ],
)
def test_bad_options_are_refused_before_any_work(tmp_path, monkeypatch, options, said):
    monkeypatch.chdir(tmp_path)
    write_rows(tmp_path / "q.jsonl", question_rows(2))
    done = run("select", "q.jsonl", "--out", "out.jsonl", *options)
    assert done.code == 2
    assert said in done.err
    assert [each.name for each in tmp_path.iterdir()] == ["q.jsonl"]


def test_questions_may_be_in_memory(tmp_path):
    result = tessy.select(["What?", "Why?"], out=tmp_path / "out.jsonl", count=1)
    assert result.read == 2
    assert read_rows(tmp_path / "out.jsonl")[0]["prompt"] in ("What?", "Why?")


def test_inputs_are_not_overwritten(tmp_path):
    path = write_rows(tmp_path / "q.jsonl", question_rows(2))
    with pytest.raises(ConfigError, match=r"q\.jsonl is an input"):
        tessy.select(path, out=path)
    odd = write_rows(tmp_path / "q.dropped.jsonl", question_rows(2))
    with pytest.raises(ConfigError, match="is an input"):
        tessy.select(odd, out=path)
    assert len(read_rows(path)) == len(read_rows(odd)) == 2


def test_only_an_older_selection_is_replaced(tmp_path):
    write_rows(tmp_path / "q.jsonl", question_rows(2))
    out = write_rows(tmp_path / "other.jsonl", question_rows(3))
    with pytest.raises(ConfigError, match=r"no selection wrote it: it has no other\.dropped"):
        tessy.select(tmp_path / "q.jsonl", out=out)
    assert len(read_rows(out)) == 3
    for _ in range(2):
        tessy.select(tmp_path / "q.jsonl", out=tmp_path / "new.jsonl")


def test_nothing_is_written_when_nothing_is_kept(tmp_path):
    write_rows(tmp_path / "q.jsonl", rows := question_rows(2))
    out = tmp_path / "out.jsonl"
    for older in (out, tmp_path / "out.dropped.jsonl"):
        older.write_text("older")
    run_ = write_evaluation(tmp_path / "run", rows, {"q0": [False], "q1": [False]})
    with pytest.raises(DataError, match="no question is kept\n  2 condition: not teacher>0"):
        tessy.select(tmp_path / "q.jsonl", out=out, by={"teacher": run_})
    assert out.read_text() == "older"
    assert (tmp_path / "out.dropped.jsonl").read_text() == "older"


def test_the_judges_settings_are_those_of_the_teacher_in_a_file(tmp_path):
    path = tmp_path / "run.toml"
    path.write_text(
        'method = "teacher-score"\nverify = "number"\nattempts = 3\nsamples_per_question = 4\n'
        '[student]\nmodel = "lab:student"\n[teacher]\nmodel = "lab:teacher"\nretries = 3\n'
        "[limits]\ncontext_tokens = 9000\n"
    )
    found = load_judge(path)
    assert (found.method, found.verify, found.attempts) == ("judge", None, 1)
    assert (found.teacher.model, found.teacher.retries, found.student.model) == (
        "lab:teacher", 3, None,
    )  # fmt: skip
    assert (found.limits.context_tokens, found.limits.thinking_tokens) == (9000, 4000)
    assert found.samples_per_question == 1
    path.write_text("[teacher]\nmodle = 'x'\n")
    with pytest.raises(ConfigError, match=r"teacher\.modle"):
        load_judge(path)


def test_settings_are_given_in_one_way(tmp_path):
    write_rows(tmp_path / "q.jsonl", question_rows(3))
    both = {"out": tmp_path / "out.jsonl", "config": SelectSettings()}
    for more in ({"by": {"student": "x"}}, {"count": 1}):
        with pytest.raises(ConfigError, match="both SelectSettings and single settings"):
            tessy.select(tmp_path / "q.jsonl", **both, **more)
    assert not (tmp_path / "out.jsonl").exists()


def test_one_condition_and_one_run_may_be_texts(tmp_path):
    write_rows(tmp_path / "q.jsonl", question_rows(3))
    run = tmp_path / "evaluation.json"
    run.write_text(json.dumps({"model": "m", "right": {"q0": [1, 1], "q1": [0, 1], "q2": [1, 1]}}))
    given = {"by": f"student={run}", "keep": "student<1"}
    assert tessy.select(tmp_path / "q.jsonl", out=tmp_path / "out.jsonl", **given).kept == 1
