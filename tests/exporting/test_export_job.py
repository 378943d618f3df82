"""The whole export: *kept + dropped = input*, there whole or not at all, bad input named."""

from __future__ import annotations

import fcntl
import json
import re
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

import fsspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from export_samples import many_records, record, write_records
from tessy.data.rows import rows
from tessy.errors import ConfigError, DataError, RunLocked
from tessy.exporting.job import export, split_of
from tessy.exporting.samples import ExportCounts, ExportSample, Reason, check
from tessy.exporting.settings import ExportSettings
from tessy.exporting.staging import staged
from tessy.runs.folder import RunFolder
from tessy.runs.reviews import Decision, Review, add, digest
from tessy.runs.schema import Mark
from tessy.settings.loading import load_settings
from tessy.training.dataset import read_rows, rejected_in
from tessy.verifiers.verify import verify
from written import Written, journals_of, write_run


def lines(path):
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def ids(folder):
    """The ids of what was kept, by split, in order; of any format."""
    found = {}
    for pattern in ("*.jsonl", "*.parquet", "data/*.parquet"):
        for path in sorted(folder.glob(pattern)):
            name = path.name.split("-")[0].removesuffix(".jsonl")
            if name != "dropped":
                found[name] = [row["id"] for _, row in rows(path, what="rows")]
    return found


def run(source, out, to="trl", force=False, **options):
    return export(source, out=out, to=to, force=force, **options)


filters = st.fixed_dictionaries(
    {
        "min_teacher_share": st.none() | st.floats(0, 0.5),
        "max_teacher_share": st.none() | st.floats(0.5, 1),
        "max_tokens": st.none() | st.integers(1, 200),
        "drop_forced": st.booleans(),
        "near_duplicates": st.none() | st.sampled_from([0.5, 0.9]),
        "validation": st.none() | st.sampled_from([0.3, 0.9]),
        "ngram": st.integers(1, 4),
    }
)


@settings(max_examples=50)  # each is a whole export, with fsync
@given(
    records=many_records(),
    to=st.sampled_from(["trl", "sharegpt", "alpaca", "parquet", "hf"]),
    chosen=filters,
    tested=st.booleans(),
)
def test_kept_and_dropped_are_the_input(records, to, chosen, tested):
    with TemporaryDirectory() as name:
        folder = Path(name)
        source = write_records(folder / "dataset.jsonl", records)
        if tested:
            questions = folder / "test.jsonl"
            questions.write_text('{"question": "okay, let\'s see, so x=7 wait"}\n')
            chosen = {**chosen, "decontaminate": (str(questions),)}
        out = folder / "out"
        try:
            counts = run(source, out, to, **chosen)
        except DataError:
            assert not out.exists()
            return  # no sample is kept, which has tests of its own
        kept, dropped = ids(out), lines(out / "dropped.jsonl")
        assert all(drop["reason"] in set(Reason) and drop["detail"] for drop in dropped)
        gone = [drop["id"] for drop in dropped]
        everything = [*gone, *(one for split_ in kept.values() for one in split_)]
        assert sorted(everything) == sorted(record["id"] for record in records)
        assert {name: len(found) for name, found in kept.items()} == dict(counts.kept)
        assert Counter(drop["reason"] for drop in dropped) == Counter(counts.dropped)
        assert counts.read == counts.kept.total() + counts.dropped.total() == len(records)
        if to != "alpaca":  # there, samples with a history come first
            order = [record["id"] for record in records]
            assert all(found == [o for o in order if o in found] for found in kept.values())
        manifest = json.loads((out / "export.json").read_text("utf-8"))
        assert manifest["read"] == len(records)
        assert manifest["kept"] == dict(counts.kept)
        assert manifest["dropped"] == dict(counts.dropped)


def test_each_sample_is_dropped_for_one_reason_the_first(tmp_path):
    records = [
        record("forced", forced=True, tokens=(9, 0)),
        record("low", tokens=(9, 1)),
        record("long", tokens=(50, 50)),
        record("good"),
        record("again"),
    ]
    source = write_records(tmp_path / "dataset.jsonl", records)
    counts = run(
        *(source, tmp_path / "out"),
        **{"drop_forced": True, "min_teacher_share": 0.5, "max_tokens": 90, "near_duplicates": 0.9},
    )
    assert [(drop["id"], drop["reason"]) for drop in lines(tmp_path / "out" / "dropped.jsonl")] == [
        ("forced", "forced"),
        ("low", "teacher_share_low"),
        ("long", "too_long"),
        ("again", "near_duplicate"),
    ]
    assert counts.lines()[0] == "5 read = 1 kept + 4 dropped"


def test_wrong_answers_among_what_is_kept_are_told(tmp_path):
    outcomes = ["right", "wrong", "wrong", "no_answer", None]
    records = [
        record(f"q{n}", **({"verdict": {"outcome": outcome}} if outcome else {}))
        for n, outcome in enumerate(outcomes)
    ]
    source = write_records(tmp_path / "dataset.jsonl", records)
    said = []
    run(source, tmp_path / "out", say=said.append)
    told = "not right among what is kept: 2 wrong, 1 no answer, 1 not verified"
    assert f"{told} (--right leaves them out)" in said
    said.clear()
    counts = run(source, tmp_path / "right", right=True, say=said.append)
    assert counts.lines()[0] == "5 read = 1 kept + 4 dropped"
    assert not any("not right among" in line for line in said)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"right": True}, "no sample that finished has a verdict: --verify was not given, or"),
        ({"accepted": True}, "accept some first: tessy view RUN, key a"),
        ({"max_tokens": 1}, "filter less"),
    ],
)
async def test_when_nothing_is_kept_the_hint_fits_the_filter(tmp_path, more, said):
    folder = RunFolder(tmp_path / "run")
    await write_run(folder, [Written("q0")])
    folder.settings.touch()
    with pytest.raises(DataError, match="no sample is kept") as error:
        run(folder.path, tmp_path / "out", **more)
    assert said in error.value.hint


WRONG = {"outcome": "wrong"}


def test_verdicts_of_later_take_the_place_of_the_runs_own(tmp_path):
    """As for a run that was written without a verifier, or with another one."""
    columns = [{"gold": "7"}, {"gold": "8"}, {}]
    records = [record(f"q{n}", verdict=WRONG, **row) for n, row in enumerate(columns)]
    source = write_records(tmp_path / "dataset.jsonl", records)
    verdicts = tmp_path / "verdicts.jsonl"
    verify(source, "number:gold", out=verdicts, skip_bad=True)
    counts = run(source, tmp_path / "out", right=True, verdicts=(str(verdicts),))
    assert [row["id"] for row in lines(tmp_path / "out" / "train.jsonl")] == ["q0"]
    dropped = {row["id"]: row["detail"] for row in lines(tmp_path / "out" / "dropped.jsonl")}
    assert dropped == {"q1": "wrong", "q2": "not verified"}
    assert counts.verified == 2


def test_a_verdict_on_another_response_is_not_used(tmp_path):
    """Two runs of the same questions have the same ids."""
    one, two = (
        write_records(tmp_path / f"{n}.jsonl", [record("q0", answer=answer, gold="7")])
        for n, answer in enumerate(("It is 7", "That is 7"))
    )
    files = [str(tmp_path / name) for name in ("one-verdicts.jsonl", "two-verdicts.jsonl")]
    verify(one, "number:gold", out=files[0])
    said = []
    run(two, tmp_path / "two", verdicts=(files[0],), say=said.append)
    assert "1 sample not verified: the verdict with this id is on another response" in said
    with pytest.raises(DataError, match="no sample is kept"):
        run(two, tmp_path / "none", right=True, verdicts=(files[0],))
    verify(two, "number:gold", out=files[1])
    counts = run([one, two], tmp_path / "both", right=True, verdicts=tuple(files))
    assert counts.kept["train"] == 2


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ('{"id": "q0"]', "verdicts.jsonl:1: "),
        ("[1]", "a verdict is an object, not int"),
        ('{"id": "q0", "text": "x"}', "outcome must be right, wrong, no_answer, error, not None"),
        ('{"id": "q0", "text": "x", "outcome": ["right"]}', ", not ['right']"),
        ('{"id": "q0", "outcome": "right"}', "a verdict has id and text"),
        ('{"id": 3, "text": "x", "outcome": "right"}', "a verdict has id and text"),
        (
            '{"id": "q0", "text": "x", "outcome": "right"}\n'
            '{"id": "q0", "text": "x", "outcome": "wrong"}',
            "2: another verdict on q0",
        ),
    ],
)
def test_a_file_of_something_else_than_verdicts_is_refused(tmp_path, line, why):
    source = write_records(tmp_path / "dataset.jsonl", [record("q0")])
    (tmp_path / "verdicts.jsonl").write_text(line + "\n")
    with pytest.raises(DataError) as error:
        run(source, tmp_path / "out", verdicts=(str(tmp_path / "verdicts.jsonl"),))
    assert why in str(error.value)
    assert "tessy verify RUN --out" in error.value.hint
    assert not (tmp_path / "out").exists()


def test_where_only_unverified_ones_are_left_that_is_told():
    counts = ExportCounts(read=3, verified=2)
    counts.outcomes[None] = 1  # the two others were dropped
    assert counts.wrong() == "not right among what is kept: 1 not verified"
    assert ExportCounts(read=1, outcomes=Counter({None: 1})).wrong() is None, "nothing was verified"


async def test_a_run_that_is_not_complete_is_said_to_be_so(tmp_path):
    folder, said = RunFolder(tmp_path / "run"), []
    await write_run(folder, [Written("q0")])
    folder.settings.touch()
    run(folder.path, tmp_path / "whole", say=said.append)
    assert not any("not complete" in line for line in said)
    async with journals_of(folder) as journals:
        await journals.all[0].set_mark(Mark.SAMPLES, "3")
    run(folder.path, tmp_path / "part", say=said.append)
    lacking = "2 of 3 samples have not ended"
    assert f"run is not complete: {lacking}, and short responses end first" in said
    manifest = json.loads((tmp_path / "part" / "export.json").read_text())
    assert manifest["not_complete"] == [f"run is not complete: {lacking}"]


async def test_an_evaluation_is_said_to_be_one(tmp_path):
    await write_run(RunFolder(tmp_path / "run"), [Written("q0")])
    (tmp_path / "run" / "run.toml").touch()
    said = []
    export(tmp_path / "run", out=tmp_path / "one", to="trl", say=said.append)
    assert not any("is an evaluation" in line for line in said)
    evaluation = 'method = "student-only"\non_wrong = "keep_judged"\nverify = "exact"\n'
    (tmp_path / "run" / "run.toml").write_text(evaluation)
    export(tmp_path / "run", out=tmp_path / "two", to="trl", say=said.append)
    assert "run is an evaluation: its questions may be those of your tests" in said


def test_without_verdicts_nothing_is_said_about_them(tmp_path):
    source = write_records(tmp_path / "dataset.jsonl", [record("q0")])
    assert run(source, tmp_path / "out").wrong() is None


def test_a_sample_that_the_format_can_not_hold_does_not_hide_its_like(tmp_path):
    """Only what is kept is compared with."""
    twice = [{"role": "user", "content": "One."}, {"role": "user", "content": "Two."}]
    records = [record("a", messages=twice), record("b")]
    source = write_records(tmp_path / "dataset.jsonl", records)
    run(source, tmp_path / "out", "sharegpt", near_duplicates=0.9)
    assert ids(tmp_path / "out") == {"train": ["b"]}
    assert lines(tmp_path / "out" / "dropped.jsonl")[0]["reason"] == "not_expressible"


def test_several_sources_are_put_together(tmp_path):
    sources = [
        str(write_records(tmp_path / f"{name}.jsonl", [record(name)])) for name in ("one", "two")
    ]
    export(sources, out=tmp_path / "out", to="trl")
    assert ids(tmp_path / "out") == {"train": ["one", "two"]}
    assert json.loads((tmp_path / "out" / "export.json").read_text())["sources"] == [
        "one.jsonl",
        "two.jsonl",
    ]


def test_ids_that_several_sources_have_are_counted_and_their_samples_kept(tmp_path):
    one = write_records(tmp_path / "one.jsonl", [record("a"), record("b"), record("c")])
    two = write_records(tmp_path / "two.jsonl", [record("b"), record("c"), record("d")])
    said: list[str] = []
    counts = export([str(one), str(two)], out=tmp_path / "out", to="trl", say=said.append)
    assert ids(tmp_path / "out") == {"train": ["a", "b", "c", "b", "c", "d"]}
    assert counts.repeated == 2
    assert "2 samples have the id of an earlier one, and are kept beside it" in said
    said.clear()
    export(str(one), out=tmp_path / "alone", to="trl", say=said.append)
    assert not any("earlier" in line for line in said)


# --- Splits -------------------------------------------------------------------------------------


@given(st.lists(st.text(), min_size=1, max_size=20), st.floats(0.01, 0.99), st.integers(0, 9))
def test_samples_of_one_question_are_in_one_split(answers, validation, seed):
    splits = {split_of(ExportSample(record(answer=answer)), validation, seed) for answer in answers}
    assert len(splits) == 1


def test_a_split_has_about_its_share_and_another_seed_has_others():
    samples = [ExportSample(record(question=f"What is {n}?")) for n in range(2000)]
    chosen = [
        {n for n, sample in enumerate(samples) if split_of(sample, 0.1, seed) == "validation"}
        for seed in (0, 0, 1)
    ]
    assert chosen[0] == chosen[1]
    assert all(160 < len(found) < 240 for found in chosen)
    assert len(chosen[0] & chosen[2]) < 60


# --- There whole or not at all ------------------------------------------------------------------


@pytest.fixture
def source(tmp_path):
    return write_records(tmp_path / "dataset.jsonl", [record(f"q{n}") for n in range(3)])


def hidden(folder):
    return [path.name for path in folder.iterdir() if path.name.startswith(".")]


def test_an_earlier_export_is_overwritten_only_if_asked(tmp_path, source):
    out = tmp_path / "out"
    run(source, out)
    with pytest.raises(ConfigError, match="holds an export already") as caught:
        run(source, out, "alpaca")
    assert "--force" in caught.value.hint
    run(source, out, "alpaca", force=True)
    assert "instruction" in lines(out / "train.jsonl")[0]
    assert hidden(tmp_path) == []


@pytest.mark.parametrize("force", [False, True])
def test_what_no_export_wrote_is_never_overwritten(tmp_path, source, force):
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.tex").write_text("years of work")
    for out in (mine, source):
        with pytest.raises(ConfigError, match="is no export"):
            run(source, out, force=force)
    assert (mine / "thesis.tex").read_text() == "years of work"
    assert len(lines(source)) == 3


@pytest.mark.parametrize("to", ["trl", "sharegpt", "parquet", "hf"])
def test_the_folder_of_an_export_is_its_training_part(tmp_path, source, to):
    several = [record(f"q{n}", question=f"What is {n}?") for n in range(40)]
    source = write_records(tmp_path / "more.jsonl", several)
    run(source, tmp_path / "out", to, validation=0.2, min_teacher_share=0)
    found = [row.get("id") for _, row in read_rows(tmp_path / "out")]
    assert 20 < len(found) < 40
    if to != "sharegpt":  # which has no place for an id
        assert found == ids(tmp_path / "out")["train"]


@pytest.mark.parametrize("to", ["trl", "hf"])
@pytest.mark.parametrize("name", ["my-notes.md", "data/mine.txt", ".git/HEAD", "lock"])
def test_what_was_put_beside_an_export_is_not_overwritten(tmp_path, source, to, name):
    out = tmp_path / "out"
    run(source, out, to)
    mine = out / name
    mine.parent.mkdir(exist_ok=True)
    mine.write_text("years of work")
    with pytest.raises(ConfigError, match=f"out holds {re.escape(name)}, which") as caught:
        run(source, out, to, force=True)
    assert caught.value.hint == "move it elsewhere, or give another --out"
    assert mine.read_text() == "years of work"
    mine.unlink()
    (out / ".cache").mkdir()
    (out / ".cache" / "uploaded").touch()
    run(source, out, to, force=True)
    assert not (out / ".cache").exists()


def test_what_was_put_beside_an_export_at_a_url_is_not_overwritten(source):
    system, out = fsspec.filesystem("memory"), "memory://exports/out"
    system.store.clear()
    run(source, out)
    run(source, out, force=True)
    system.pipe_file("/exports/out/data/mine.txt", b"years of work")
    with pytest.raises(ConfigError, match=r"out holds data/mine\.txt, which"):
        run(source, out, force=True)
    assert system.cat_file("/exports/out/data/mine.txt") == b"years of work"
    assert system.exists("/exports/out/train.jsonl")


@pytest.mark.parametrize("manifest", ["", "[]", "{"])
def test_an_export_whose_manifest_is_broken_is_kept(tmp_path, source, manifest):
    out = tmp_path / "out"
    run(source, out)
    (out / "export.json").write_text(manifest)
    with pytest.raises(ConfigError, match=r"export\.json can't be read"):
        run(source, out, force=True)
    assert ids(out) == {"train": ["q0", "q1", "q2"]}


@pytest.mark.parametrize("force", [False, True])
def test_what_came_there_during_an_export_is_not_overwritten(tmp_path, force):
    out = tmp_path / "out"

    def export_slowly():
        with staged(out, force=force) as part:
            (part / "train.jsonl").write_text("{}\n")
            out.mkdir()
            (out / "thesis.tex").write_text("years of work")

    with pytest.raises(ConfigError, match="is no export"):
        export_slowly()
    assert (out / "thesis.tex").read_text() == "years of work"
    assert hidden(tmp_path) == []


def test_a_link_stays_one_and_what_it_names_is_written_again_and_again(tmp_path, source):
    there, link = tmp_path / "large disk" / "data", tmp_path / "out"
    there.mkdir(parents=True)
    link.symlink_to(there)
    for _ in range(3):
        run(source, link, force=True)
        assert link.is_symlink()
        assert ids(there) == {"train": ["q0", "q1", "q2"]}
    assert hidden(tmp_path) == hidden(there.parent) == []


def test_an_empty_folder_may_be_given(tmp_path, source):
    (tmp_path / "out").mkdir()
    run(source, tmp_path / "out")
    assert ids(tmp_path / "out") == {"train": ["q0", "q1", "q2"]}


def test_a_failed_export_leaves_nothing_and_the_earlier_one(tmp_path, source):
    out = tmp_path / "out"
    run(source, out)
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    with source.open("a") as file:
        file.write('{"id": "q3"}\n')
    for to in ("trl", "alpaca", "hf"):
        with pytest.raises(DataError, match=r"dataset.jsonl:4: messages is missing"):
            run(source, out, to, force=True)
        with pytest.raises(DataError):
            run(source, tmp_path / "other", to)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    assert not (tmp_path / "other").exists()
    assert hidden(tmp_path) == []


def test_what_a_killed_export_left_behind_is_removed(tmp_path, source):
    left = tmp_path / ".out.part"
    (left / "data").mkdir(parents=True)
    for name in ("lock", "train.jsonl", "data/train-00000.part"):
        (left / name).write_text("half")
    run(source, tmp_path / "out", "parquet")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        *("train-00000-of-00001.parquet", "dropped.jsonl", "export.json"),
    }
    assert hidden(tmp_path) == []


def test_two_at_once_do_not_write_into_one_folder(tmp_path, source):
    with staged(tmp_path / "out") as folder:
        with pytest.raises(RunLocked, match="another process is exporting"):
            run(source, tmp_path / "out")
        (folder / "mine").write_text("still there")
    assert (tmp_path / "out" / "mine").read_text() == "still there"


def test_a_lock_that_somebody_holds_is_respected_and_its_folder_left_alone(tmp_path, source):
    left = tmp_path / ".out.part"
    left.mkdir()
    with (left / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(RunLocked):
            run(source, tmp_path / "out")
    assert left.exists()


def test_a_folder_that_can_not_be_is_named(tmp_path, source):
    with pytest.raises(ConfigError, match="can't be a folder"):
        run(source, source / "out")


# --- Bad input ----------------------------------------------------------------------------------


def broken(**fields):
    made = record()
    for name, value in fields.items():
        made[name] = value
    return made


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ([1], "a record is an object, not list"),
        ({"id": "a"}, "messages is missing"),
        (broken(id=7), "id must be text, not 7"),
        (broken(messages="What?"), "messages must be a list"),
        (broken(messages=record()["messages"][1:]), "a list with a question and a response"),
        (broken(messages=[{"role": "tool", "content": ""}] * 2), r"messages\[0\].role"),
        (broken(messages=[{"role": "user", "content": 1}] * 2), r"messages\[0\].content"),
        (broken(messages=[{"role": "user", "content": "a"}] * 2), "end with the assistant"),
        (broken(messages=[{"role": "user", "content": "a", "image": 1}] * 2), "image of the user"),
        (broken(models="small"), "models must be names by role"),
        (broken(spans=record()["spans"][1:]), r"spans\[0\] is 8 to 14"),
        (broken(spans=record()["spans"][:-1]), "`spans` end at"),
        (broken(stats={"student_tokens": 1}), "stats.teacher_tokens must be a number"),
        (broken(stats={"student_tokens": True, "teacher_tokens": 1}), "stats.student_tokens"),
    ],
)
def test_what_is_no_record_is_refused(row, said):
    with pytest.raises(ValueError, match=said):
        check(row)


def test_a_source_that_is_none_is_named(tmp_path):
    for given_, said in (
        (tmp_path, "is no run: it has no shards with a journal"),
        (tmp_path / "nothing.jsonl", "no such file"),
        (write_records(tmp_path / "a.txt", []), ".txt is not known"),
    ):
        with pytest.raises(DataError, match=said):
            run(given_, tmp_path / "out")


def test_nothing_to_export_is_said(tmp_path, source):
    with pytest.raises(DataError, match="there is no sample to export"):
        run(write_records(tmp_path / "empty.jsonl", []), tmp_path / "out")
    with pytest.raises(DataError, match=r"no sample is kept\n  3 read = 0 kept \+ 3 dropped"):
        run(source, tmp_path / "out", min_teacher_share=1.0)
    assert not (tmp_path / "out").exists()


def test_bad_test_questions_stop_it_before_anything_is_written(tmp_path, source):
    questions = tmp_path / "test.jsonl"
    questions.write_text('{"question": "What?"}\n{"promt": "What?"}\n')
    with pytest.raises(DataError, match=r"test.jsonl:2: none of prompt, question"):
        run(source, tmp_path / "out", decontaminate=(str(questions),))
    assert hidden(tmp_path) == []


@pytest.mark.parametrize(
    ("given_", "said"),
    [
        ({"to": "csv"}, r"to = 'csv': input should be 'trl', 'sharegpt'"),
        ({"to": "trl", "mask": "both"}, "mask = 'both': input should be 'capability'"),
        ({"to": "parquet", "mask": "none"}, "--mask is for --to trl"),
        ({"to": "trl", "min_teacher_share": 2.0}, "min_teacher_share = 2.0"),
        ({"to": "trl", "min_teacher_share": 0.9, "max_teacher_share": 0.1}, "is above --max"),
        ({"to": "trl", "tokenizer": "x"}, "--tokenizer counts for --max-tokens"),
        ({"to": "trl", "near_duplicates": 0.0}, "near_duplicates = 0.0"),
        ({"to": "trl", "validation": 1.0}, "validation = 1.0"),
        ({"to": "trl", "licence": "mit"}, "--licence is for the card of --to hf"),
        ({"to": "hf", "licence": "Apache 2.0"}, "licence = 'Apache 2.0'"),
        ({"to": "trl", "ngram": 0}, "ngram = 0"),
    ],
)
def test_a_setting_that_can_not_be_is_named(given_, said):
    with pytest.raises(ConfigError, match=said):
        load_settings(ExportSettings, overrides=given_)


def reviewed(run, sample: Written, decision, comment="", text=None):
    content = sample.ending(0).record["messages"][-1]["content"]
    named = digest(content if text is None else text)
    add(run, Review(id=sample.id, text=named, decision=decision, comment=comment))


async def test_only_what_a_reader_accepted(tmp_path):
    run_folder = tmp_path / "run"
    samples = [Written(name) for name in ("good", "bad", "other", "open", "later")]
    await write_run(RunFolder(run_folder), samples)
    good, bad, other, _, later = samples
    reviewed(run_folder, good, Decision.ACCEPTED)
    reviewed(run_folder, bad, Decision.REJECTED, "too long")
    reviewed(run_folder, other, Decision.ACCEPTED, text="another response")
    reviewed(run_folder, later, Decision.ACCEPTED)
    reviewed(run_folder, later, None, "not sure")
    out = tmp_path / "out"
    counts = run(run_folder, out, "sharegpt", accepted=True)
    assert ids(out) == {"train": ["good"]}
    dropped = {row["id"]: (row["reason"], row["detail"]) for row in lines(out / "dropped.jsonl")}
    assert dropped == {
        "bad": ("rejected", "by a reader: too long"),
        "other": ("not_accepted", "a reader decided about an earlier response"),
        "open": ("not_accepted", "no reader has decided"),
        "later": ("not_accepted", "no reader has decided"),
    }
    assert counts.read == counts.kept["train"] + counts.dropped.total()
    run(run_folder, tmp_path / "all", "sharegpt")
    assert ids(tmp_path / "all")["train"] == ["good", "other", "open", "later"]
    trained = [row["id"] for _, row in read_rows(run_folder)]
    assert trained == ["good", "other", "open", "later"]
    assert rejected_in(run_folder) == 1
    reviewed(run_folder, bad, Decision.REJECTED, text="an earlier response")
    assert len(list(read_rows(run_folder))) == 5
    assert rejected_in(run_folder) == 0


def test_a_file_has_no_reviews(tmp_path):
    source = write_records(tmp_path / "dataset.jsonl", [record()])
    with pytest.raises(ConfigError, match="has no reviews") as caught:
        run(source, tmp_path / "out", accepted=True)
    assert "run's folder" in (caught.value.hint or "")
    assert not (tmp_path / "out").exists()
