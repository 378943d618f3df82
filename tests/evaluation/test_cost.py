"""What a run costs: by hand, and what holds for all figures."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tessy.config import Config, ModelSettings
from tessy.evaluation import cost
from tessy.evaluation.cost import ModelWork, TrajectoryCost, assumed, run_cost, split, waiting
from tessy.evaluation.dry_run import DryRun
from tessy.evaluation.told import hand_over_lines, rows
from tessy.method.trajectory import Role
from tessy.models.doctor import Finding
from tessy.models.pace import ServerPace
from tessy.models.wire import Capabilities
from tessy.report.figures.intervals import Interval

STUDENT, TEACHER = Role.STUDENT, Role.TEACHER
PACES = {STUDENT: ServerPace(0.05, 0.01), TEACHER: ServerPace(0.07, 0.02)}
seconds = st.floats(0.001, 1e4)
counts = st.integers(1, 10**6)
ROUNDING = 1 + 1e-9


@st.composite
def trajectories(draw):
    work = {role: ModelWork(Interval(draw(seconds)), draw(seconds)) for role in Role}
    low, value, high = sorted(draw(st.tuples(seconds, seconds, seconds)))
    interval = draw(st.sampled_from([Interval(value, low, high), Interval(value)]))
    at_once = draw(st.none() | st.floats(1, 500))
    longest = draw(st.floats(value, 1e5))
    return TrajectoryCost(work, Interval(100), Interval(0.1), 1000, interval, longest, at_once)


def test_a_thousand_words_by_hand():
    """110 hand-overs: 55 requests to each; 160 + 110 and 840 + 110 words, 1.6 tokens each."""
    waits, in_all = waiting(assumed(PACES, 1000, Interval(110)), PACES)
    assert waits == pytest.approx(55 * 0.05 + 55 * 0.07)
    assert in_all == pytest.approx(waits + 1.6 * 270 * 0.01 + 1.6 * 950 * 0.02)


def test_doctor_says_what_a_thousand_words_cost():
    findings = [Finding(role, "", pace=pace) for role, pace in PACES.items()]
    first, assumption, _ = hand_over_lines(findings)
    assert first == (
        "in 1,000 words: about 110 hand-overs × 60 ms = 6.6 s of 41.3 s "
        "(16% of the wall time of one trajectory)"
    )
    assert "with 60 to 170, as models differ, 10% to 21%" in assumption
    assert hand_over_lines([findings[0], Finding(TEACHER, "")]) == []
    teacher = Finding(TEACHER, "", capabilities=Capabilities())
    (why,) = hand_over_lines([findings[0], teacher])
    assert why.startswith("what a hand-over costs is not known: the teacher did not stream")
    assert hand_over_lines([Finding(STUDENT, ""), teacher]) == [], "the student's server is down"


def test_a_run_by_hand():
    """Ten trajectories of 4 to 6 s, 4 at once, where the sample had 2 at once."""
    work = {STUDENT: ModelWork(Interval(100, 90, 110), 5), TEACHER: ModelWork(Interval(300), 4)}
    each = TrajectoryCost(work, Interval(100), Interval(0.1), 1, Interval(5, 4, 6), 7, at_once=2)
    found = run_cost(each, 10, 4)
    assert found.tokens[STUDENT] == Interval(1000, 900, 1100)
    assert found.tokens[TEACHER].value == 3000
    assert found.requests == {STUDENT: 50, TEACHER: 40}
    assert (found.least_s, found.most_s) == (10 * 4 / 4, 10 * 6 / 2)
    assert run_cost(each, 1, 4).least_s == 7, "no less than the longest"


@given(trajectories(), counts, counts, counts)
def test_more_samples_cost_no_less(each, samples, more, concurrency):
    less, most = (run_cost(each, n, concurrency) for n in (samples, samples + more))
    assert less.least_s <= most.least_s * ROUNDING
    assert less.most_s is None or less.most_s <= most.most_s * ROUNDING
    for role in Role:
        assert less.tokens[role].value < most.tokens[role].value
        assert less.requests[role] < most.requests[role]


@given(trajectories(), counts, counts, counts)
def test_more_at_once_takes_no_longer_and_the_bounds_are_in_order(each, samples, at_once, more):
    few, many = (run_cost(each, samples, n) for n in (at_once, at_once + more))
    assert many.least_s <= few.least_s * ROUNDING
    for found in (few, many):
        assert found.most_s is None or found.least_s <= found.most_s * ROUNDING


@given(trajectories(), st.integers(0, 1000), st.integers(1, 1000))
def test_costs_of_two_runs_add_up(each, some, others):
    both, first, second = (run_cost(each, n, 8) for n in (some + others, some, others))
    for role in Role:
        added = first.tokens[role].value + second.tokens[role].value
        assert both.tokens[role].value == pytest.approx(added)
    assert both.least_s <= first.least_s + second.least_s + 1e-6


@given(st.floats(0, 1e5), st.floats(0, 300), st.floats(1, 300))
def test_more_hand_overs_cost_more(words, overs, more):
    few, many = (assumed(PACES, words, Interval(n)) for n in (overs, overs + more))
    assert waiting(few, PACES)[0] <= waiting(many, PACES)[0]
    assert few.seconds.value <= many.seconds.value
    kept = sum(work.tokens.value for work in many.work.values()) * (1 - many.discarded.value or 0)
    assert words == 0 or kept == pytest.approx(cost.TOKENS_A_WORD * words)


def found_by(finding, *, concurrency=64, servers="http://a/v1"):
    """A dry run of a teacher alone, 100 responses of 14,602 tokens."""
    config = Config(teacher=ModelSettings(model=servers), concurrency=concurrency)
    work = {TEACHER: ModelWork(Interval(15_000), 30)}
    each = TrajectoryCost(work, Interval(0), Interval(0), 14_602, Interval(9), 9)
    return DryRun(config, 100, {TEACHER: finding}, each, run_cost(each, 100, concurrency), None)


def cache_row(facts, **more):
    return dict(rows(found_by(Finding(TEACHER, "", **facts), **more)))["teacher's cache"]


def test_what_a_cache_holds_is_told_and_fewer_at_once_if_it_is_too_small():
    """Qwen3-8B: 147 KB a token, so 2.2 GB a response."""
    facts = {"kv_bytes": 147_456, "cache_tokens": 464_832}
    assert cache_row(facts, concurrency=31) == (
        "147 KB a token, 2.2 GB a response; its 464,832 tokens hold 31 whole responses"
    )
    assert cache_row(facts).endswith(
        "hold 31 whole responses; so --concurrency 31: beyond it, prefixes are computed again"
    )
    assert "its 929,664 tokens hold 63" in cache_row(facts, servers="http://a/v1,http://b/v1")
    assert cache_row({"cache_tokens": 1000}).endswith("so --concurrency 1: beyond it, prefixes "
                                                      "are computed again")  # fmt: skip
    assert cache_row({}) == "its size is not known: vLLM's log says it"


def test_without_the_pace_of_a_server_no_time_is_told():
    each = assumed({STUDENT: PACES[STUDENT], TEACHER: None})
    assert math.isnan(run_cost(each, 5, 2).least_s)


@given(st.floats(0.001, 1e6), st.floats(0.001, 1e6), st.integers(2, 40))
def test_gpus_are_all_used_and_no_other_split_is_faster(student, teacher, gpus):
    found = split({STUDENT: student, TEACHER: teacher}, gpus)
    assert sum(found.values()) == gpus
    slowest = max(student / found[STUDENT], teacher / found[TEACHER])
    for of_student in range(1, gpus):
        assert slowest <= max(student / of_student, teacher / (gpus - of_student))


def test_a_model_without_work_gets_no_gpu():
    assert split({TEACHER: 3.0}, 4) == {TEACHER: 4}
    assert split({STUDENT: 0.0, TEACHER: 3.0}, 4) == {STUDENT: 0, TEACHER: 4}


def demo(**more):
    limits = {"thinking_tokens": 400, "answer_tokens": 60, **more}
    return Config(limits=limits)


@pytest.mark.parametrize(
    ("config", "contexts", "found"),
    [
        (Config(), {}, (14_602, None)),
        (Config(), {STUDENT: 32_768, TEACHER: None}, (14_602, None)),
        (Config(), {STUDENT: 8192, TEACHER: 4096}, (4096, "the teacher's context")),
        (demo(), {STUDENT: 1024}, (460, "thinking_tokens and answer_tokens")),
        (demo(context_tokens=256), {STUDENT: 1024}, (256, "context_tokens")),
    ],
)
def test_no_longer_response_is_assumed_than_the_run_allows(config, contexts, found):
    assert cost.assumed_length(config, contexts) == found


def test_what_is_assumed_is_said_as_it_is_counted(monkeypatch):
    def said(found):
        return " ".join(text for label, text in rows(found) if label in ("assumed", ""))

    findings = {role: Finding(role, "", pace=pace) for role, pace in PACES.items()}
    config = Config(**{role.value: ModelSettings(model="http://a/v1") for role in Role})
    trajectory = assumed(PACES, 100, limit="context_tokens")
    run = run_cost(trajectory, 3, 2)
    monkeypatch.setattr(cost, "DISCARDED_WORDS", 7)
    basis = said(DryRun(config, 3, findings, trajectory, run, None))
    assert "160 tokens a response (no more by context_tokens, else 14,602)" in basis
    assert " 7 words discarded at each" in basis


def test_the_longer_the_students_spans_have_to_be_the_less_hand_overs_cost():
    found = [assumed(PACES, 1000, minimum=minimum) for minimum in range(1, 9)]
    overs = [each.hand_overs.value for each in found]
    assert overs[0] == cost.HAND_OVERS.value
    assert overs == sorted(overs, reverse=True)
    requests = [sum(work.requests for work in each.work.values()) for each in found]
    assert requests == pytest.approx(overs)
    assert [each.discarded.value for each in found[:3]] == pytest.approx(
        [0.220 / 1.220, 0.12584 / 1.12584, 0.11968 / 1.11968]
    )


def test_no_more_are_written_at_once_than_servers_with_slots_take():
    """The teacher works for 3 of 4 seconds: with 4 slots it is busy with 5.33 trajectories."""
    work = {STUDENT: ModelWork(Interval(0), 10), TEACHER: ModelWork(Interval(0), 30)}
    each = TrajectoryCost(work, Interval(0), Interval(0), 1, Interval(40), 40)
    paces = dict.fromkeys(Role, ServerPace(1, 1))
    room = cost.lanes(each, paces, {STUDENT: 4, TEACHER: 4})
    assert room == pytest.approx(16 / 3)
    assert run_cost(each, 100, 64, room).least_s == pytest.approx(100 * 40 / room)
    assert cost.lanes(each, paces, {STUDENT: 4, TEACHER: None}) == 16
    assert cost.lanes(each, paces, {STUDENT: None, TEACHER: None}) == math.inf
    assert cost.lanes(each, {}, {STUDENT: 4, TEACHER: 6}) == 4
    assert run_cost(each, 100, 3, room).at_once == 3
