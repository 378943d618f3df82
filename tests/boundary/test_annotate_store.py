"""What an annotation writes, and what it leaves alone."""

from __future__ import annotations

import pytest

from tessy.boundary.training.annotate import AnnotationStore, rejected_file
from tessy.boundary.training.locate import RejectReason
from tessy.boundary.training.segments import Segment, dump
from tessy.errors import ConfigError, RunLocked

DRAWN = [Segment(id=f"s{n}", text=f"so x={n}", question="q") for n in range(3)]


@pytest.mark.parametrize(
    "content",
    [
        b'{"settings": "of another tool"}',  # one line, and no end of it
        b'{"a": 1}\n{"b": 2}\n{"c": 3}',
        b"notes\nmore notes",
        b"[1, 2]\n",
    ],
)
@pytest.mark.parametrize("where", [lambda out: out, rejected_file], ids=["out", "rejected"])
def test_a_file_of_something_else_is_left_as_it_is(tmp_path, content, where):
    out = tmp_path / "segments.jsonl"
    where(out).write_bytes(content)
    with pytest.raises(ConfigError, match="is no segment file"):
        AnnotationStore(out, DRAWN, "weak")
    assert where(out).read_bytes() == content
    assert [path.name for path in tmp_path.iterdir()] == [where(out).name]


def test_a_last_line_that_a_crash_left_unfinished_is_cut_off(tmp_path):
    out = tmp_path / "segments.jsonl"
    with AnnotationStore(out, DRAWN, "weak") as store:
        store.accept(DRAWN[0], ((0, 2),))
        store.accept(DRAWN[1], ((0, 2),))
    whole = out.read_bytes()
    out.write_bytes(whole + whole[:20])
    with AnnotationStore(out, DRAWN, "weak") as store:
        assert [segment.id for segment in store.todo] == ["s2"]
    assert out.read_bytes() == whole


def test_another_annotator_is_asked_for_what_one_could_not_do(tmp_path):
    out = tmp_path / "segments.jsonl"
    with AnnotationStore(out, DRAWN, "weak") as store:
        for segment in DRAWN:
            store.reject(segment, RejectReason.PROSE, "no JSON", "I think")
    with AnnotationStore(out, DRAWN, "weak") as store:
        assert not store.todo
    with AnnotationStore(out, DRAWN, "strong") as store:
        assert store.todo == DRAWN
        assert not store.counts.rejected


def test_two_do_not_write_to_one_file(tmp_path):
    out = tmp_path / "segments.jsonl"
    first = AnnotationStore(out, DRAWN, "weak")
    with pytest.raises(RunLocked, match="another process is writing to it"):
        AnnotationStore(out, DRAWN, "weak")
    first.close()
    with AnnotationStore(out, DRAWN, "weak") as store:
        assert store.todo == DRAWN


def test_a_segment_file_of_others_keeps_its_last_line_without_an_end(tmp_path):
    out = tmp_path / "segments.jsonl"
    rows = [Segment(id=f"other{n}", text="so", question="q") for n in range(2)]
    content = b"".join(map(dump, rows)).rstrip(b"\n")
    out.write_bytes(content)
    with pytest.raises(ConfigError, match="holds other segments"):
        AnnotationStore(out, DRAWN, "weak")
    assert out.read_bytes() == content


def test_a_whole_line_without_an_end_is_kept(tmp_path):
    out = tmp_path / "segments.jsonl"
    with AnnotationStore(out, DRAWN, "weak") as store:
        store.accept(DRAWN[0], ((0, 2),))
    whole = out.read_bytes()
    out.write_bytes(whole.rstrip(b"\n"))
    with AnnotationStore(out, DRAWN, "weak") as store:
        assert [segment.id for segment in store.todo] == ["s1", "s2"]
    assert out.read_bytes() == whole


def test_a_first_line_that_a_crash_left_unfinished_bars_nothing(tmp_path):
    out = tmp_path / "segments.jsonl"
    out.write_bytes(b'{"id":"s0","te')
    rejected_file(out).write_bytes(b'{"id":')
    with AnnotationStore(out, DRAWN, "weak") as store:
        assert store.todo == DRAWN
    assert out.read_bytes() == b""
