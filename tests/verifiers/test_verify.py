"""Reading responses, and verifying many."""

from __future__ import annotations

import asyncio
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tessy.data.record import content, spans
from tessy.errors import DataError
from tessy.method.trajectory import Outcome, Part, Role, Trajectory, Turn
from tessy.verifiers.protocol import Verdict, VerdictOutcome
from tessy.verifiers.registry import load
from tessy.verifiers.responses import Response, answer_of, read_responses
from tessy.verifiers.verify import VerdictCounts, check_all, verify, verify_all
from texts import any_text


def record(number, said, **columns):
    messages = [
        {"role": "user", "content": f"What is {number}?"},
        {"role": "assistant", "content": f"<think>\nWell.\n</think>\n\n{said}"},
    ]
    return {"id": f"q{number}", "messages": messages, **columns}


def written(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path


@given(any_text, any_text.filter(str.strip))
def test_the_answer_of_a_record_is_told_by_its_spans(thinking, answer):
    thinking += "\n</think>\n\n"  # a model may write what looks like a marker
    trajectory = Trajectory()
    for part, text in ((Part.THINKING, thinking), (Part.ANSWER, answer.strip())):
        trajectory = (
            trajectory.apply(Turn(role=Role.STUDENT, part=part, outcome=Outcome.CLOSED, kept=text))
            or trajectory
        )
    assert answer_of(content(trajectory), spans(trajectory)) == answer.strip()


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("<think>\nHm.\n</think>\n\n42", "42"),
        ("<think>Hm.</think>42", "42"),
        ("Hm.</think>42", "42"),
        ("<think>\nHm, </think> is a marker.\n</think>\n\n42", "42"),
        ("<think>\nIt never ends", ""),
        ("42", "42"),
        ("", ""),
    ],
)
def test_the_answer_without_spans(text, answer):
    assert answer_of(text) == answer


@pytest.mark.parametrize(
    "spans", ["PER", [{"role": "format"}], [{"role": "format", "start": "0", "end": 1}], [1], {}]
)
def test_spans_of_another_tool_are_a_column_like_any_other(spans):
    assert answer_of("<think>\nHm.\n</think>\n\n2", spans) == "2"


def test_a_runs_folder_or_a_file(tmp_path):
    rows = [record(n, "2", answer=2) for n in range(3)]
    written(tmp_path / "dataset.jsonl", rows)
    found = list(read_responses(tmp_path))
    assert found == list(read_responses(tmp_path / "dataset.jsonl"))
    assert (found[0].id, found[0].answer) == ("q0", "2")
    assert (found[0].row["prompt"], found[0].row["answer"]) == ("What is 0?", 2)
    assert len(list(read_responses(tmp_path, limit=2))) == 2


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"prompt": "x"}, ":2: there are no `messages`"),
        ({"messages": [{"role": "user", "content": "x"}]}, ":2: messages must end with the assis"),
        ({"messages": [{"role": "assistant", "content": None}]}, "content must be text, not null"),
        ([1], ":2: a response is an object, not list"),
    ],
)
def test_a_row_that_is_no_response_is_named(tmp_path, row, said):
    path = written(tmp_path / "r.jsonl", [record(0, "2"), row])
    with pytest.raises(DataError, match=said):
        check_all(read_responses(path), load("exact:id"))


def test_folders_and_files_that_are_not_there(tmp_path):
    with pytest.raises(DataError, match="without dataset"):
        list(read_responses(tmp_path))
    with pytest.raises(DataError, match="no such file"):
        list(read_responses(tmp_path / "nothing.jsonl"))


def test_all_is_checked_before_any_work(tmp_path):
    rows = [record(n, "2", **({} if n % 3 else {"answer": 2})) for n in range(60)]
    path = written(tmp_path / "r.jsonl", rows)
    with pytest.raises(DataError) as caught:
        check_all(read_responses(path), load("number"))
    assert "40 of 60 can't be verified; nothing was started" in str(caught.value)
    places = "r.jsonl:5 and 37 more: verifier number: no column 'answer'"
    assert places in str(caught.value), "one reason is one line"
    assert len(str(caught.value).splitlines()) == 2
    with pytest.raises(DataError) as caught:
        check_all(read_responses(path), load("number:anser"))
    assert caught.value.hint.startswith("did you mean answer? ")
    empty = written(tmp_path / "e.jsonl", [])
    with pytest.raises(DataError, match="no response"):
        check_all(read_responses(empty), load("number"))


class Slow:
    """Answers late if the question asks for it, and counts how many it has at once."""

    name = "slow"

    def __init__(self):
        self.running = self.most = 0

    def check(self, row):
        pass

    async def verify(self, row, answer):
        self.running += 1
        self.most = max(self.most, self.running)
        for _ in range(row["turns"]):
            await asyncio.sleep(0)
        self.running -= 1
        if row["turns"] == 7:
            raise RuntimeError("seven")
        return Verdict.of(True)

    async def aclose(self):
        pass


@given(st.lists(st.integers(0, 9), max_size=60), st.integers(1, 3))
async def test_verdicts_come_in_order_and_one_that_raises_is_an_error(turns, at_once):
    verifier = Slow()
    responses = [Response(str(n), "", {"turns": t}, "") for n, t in enumerate(turns)]
    found = [pair async for pair in verify_all(responses, verifier, at_once=at_once)]
    assert [response.id for response, _ in found] == [str(n) for n in range(len(turns))]
    for (_, verdict), count in zip(found, turns, strict=True):
        assert verdict.outcome is (VerdictOutcome.ERROR if count == 7 else VerdictOutcome.RIGHT)
    assert verifier.most <= at_once * 8


async def test_one_who_stops_listening_leaves_nothing_running():
    verifier = Slow()
    responses = [Response(str(n), "", {"turns": 9}, "") for n in range(50)]
    stream = verify_all(responses, verifier, at_once=1)
    async for _ in stream:
        break
    await stream.aclose()
    assert len(asyncio.all_tasks()) == 1


def test_a_file_is_verified_by_a_plain_call(tmp_path):
    rows = [record(n, "2", answer=2 + n % 2, family=f"f{n % 2}") for n in range(6)]
    path, out = written(tmp_path / "r.jsonl", rows), tmp_path / "verdicts.jsonl"
    result = verify(path, "number", group="family", limit=5, out=out)
    assert (result.total.count, result.total.right_share) == (5, 0.6)
    assert {name: c.right_share for name, c in result.groups.items()} == {"f0": 1.0, "f1": 0.0}
    assert [json.loads(line)["id"] for line in out.open()] == [f"q{n}" for n in range(5)]


def test_shares_are_of_what_is_known():
    counts = VerdictCounts()
    for _ in range(2):
        assert (counts.right_share, counts.mean_score) == (None, None)
        counts.add(Verdict(VerdictOutcome.ERROR))
    for outcome in VerdictOutcome:
        counts.add(Verdict(outcome, 0.5))
    assert (counts.count, counts.known) == (6, 3)
    assert (counts.right_share, counts.mean_score) == (1 / 3, 0.5)
