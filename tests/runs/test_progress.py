"""The counts of a run, compared with counts worked out by hand, and how they are shown."""

from __future__ import annotations

import asyncio
import io
from collections import Counter
from pathlib import Path

import orjson
import pytest
from rich.console import Console

from tessy.method.trajectory import Failure, Outcome, Part, Role, Trajectory, Turn
from tessy.runs import progress
from tessy.runs.counters import Counters, RunResult
from tessy.runs.progress import (
    Progress,
    Show,
    duration,
    number,
    percent,
    plain_line,
    right_of,
    short_summary,
    summary,
)
from tessy.runs.totals import EndedTotals, TokenTotals


class Clock:
    """A clock that tests set."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def turn(role: Role, tokens: int, discarded: int = 0) -> Turn:
    return Turn(role, Part.THINKING, Outcome.WENT_ON, tokens=tokens, discarded_tokens=discarded)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def counters(clock):
    """Ten samples, two of which ended at an earlier start; this start has run for 20 seconds."""
    made = Counters(
        10, finished=1, failed=Counter({Failure.REFUSED: 1}), ended_before=2, clock=clock
    )
    made.turn(turn(Role.STUDENT, 40, 10))
    made.turn(turn(Role.TEACHER, 100, 20))
    made.turn(turn(Role.TEACHER, 20, 30))  # it discards what was pending as well
    made.requests = 8
    made.end(None)
    made.end(None)
    made.end(None)
    made.end(Failure.REPETITION)
    made.running = 2
    clock.now += 20
    return made


def test_numbers_of_a_run(counters):
    assert counters.ended == 6
    assert counters.finished == 4
    assert counters.seconds == 20
    assert counters.kept == {Role.STUDENT: 30, Role.TEACHER: 70}
    assert counters.teacher_share == 0.7
    assert counters.discarded_share == 60 / 160
    assert counters.tokens_a_request == 12.5
    assert counters.tokens_a_second(Role.STUDENT) == 1.5
    assert counters.tokens_a_second(Role.TEACHER) == 3.5


def test_the_time_to_go_is_at_the_pace_of_this_start(counters, clock):
    assert counters.eta_s == 20  # four ended in 20 s, four are to do
    clock.now += 10
    assert counters.eta_s == 30
    for _ in range(4):
        counters.end(None)
    assert counters.eta_s == 0
    counters.over = True  # or it was stopped: nobody knows when it will go on
    assert counters.eta_s is None
    line = plain_line(counters)
    assert not any(figure in line for figure in ("to go", "share", "discarded"))


def test_numbers_of_nothing(clock):
    counters = Counters(3, finished=2, ended_before=2, clock=clock)
    assert counters.teacher_share is None
    assert counters.discarded_share is None
    assert counters.tokens_a_request is None
    assert counters.eta_s is None
    assert counters.tokens_a_second(Role.STUDENT) == 0
    assert plain_line(counters) == (
        "2 of 3 done, 0 failed, 0 running, student 0 tokens/s, teacher 0 tokens/s, "
        "teacher share –, discarded –, – tokens a request"
    )


def test_two_runs_share_nothing(clock):
    one, other = Counters(1, clock=clock), Counters(1, clock=clock)
    one.turn(turn(Role.STUDENT, 5))
    one.end(Failure.REFUSED)
    assert other.generated[Role.STUDENT] == 0
    assert other.ended == 0


def test_a_rejected_draft_is_discarded_and_not_generated_again(counters):
    draft = Trajectory.replay([turn(Role.STUDENT, 12, 2)])
    counters.turn(turn(Role.STUDENT, 12, 2))
    before = counters.kept[Role.STUDENT], counters.generated[Role.STUDENT]
    counters.reject(draft)
    assert (counters.kept[Role.STUDENT], counters.generated[Role.STUDENT]) == (
        before[0] - 10,
        before[1],
    )


def test_what_several_processes_count_adds_up(counters, clock):
    whole = Counters(10, finished=7, failed=Counter({Failure.REFUSED: 1}), clock=clock)
    counters.faults = {"student": {"TimedOut": 1}}
    counters.bound, counters.paused = "client", 1
    part = orjson.loads(orjson.dumps(counters.as_json()))
    for _ in range(2):  # it may be told again and again
        whole.add_up([part, part], 7, Counter({Failure.REFUSED: 1}))
    assert (whole.bound, whole.paused) == ("client", 2)
    assert whole.finished == 7 + 2 * counters.finished
    assert whole.failed == {Failure.REFUSED: 3, Failure.REPETITION: 2}
    assert whole.running == 4
    assert whole.requests == 16
    assert whole.kept == {role: 2 * kept for role, kept in counters.kept.items()}
    assert whole.faults == {"student": {"TimedOut": 2}}


def test_what_most_processes_wait_for_is_what_the_run_waits_for(clock):
    parts = [
        {**Counters(5, running=running, bound=bound, clock=clock).as_json()}
        for running, bound in ((4, "server"), (4, "client"), (4, "client"), (0, "server"))
    ]
    whole = Counters(20, clock=clock)
    whole.add_up([*parts, parts[-1]], 0, Counter())
    assert whole.bound == "client"
    whole.add_up([], 0, Counter())
    assert whole.bound is None


def test_the_line_says_what_the_run_waits_for(counters):
    counters.bound, counters.paused = "server's cache", 1
    line = plain_line(counters)
    assert "2 running (1 of them paused), " in line
    assert ", bound by the server's cache, " in line
    counters.running = 0
    assert "0 running, " in plain_line(counters), "those that paused have ended, too"
    counters.over = True
    assert "bound" not in plain_line(counters)


def test_a_run_whose_folder_is_deleted_has_no_summary(counters):
    plain = Progress(Show.PLAIN, console())
    plain.without_summary().summarise(result(counters))
    assert said(plain) == ""
    plain.summarise(result(counters))
    assert "data set" in said(plain)


def test_the_line_for_logs(counters):
    assert plain_line(counters) == (
        "6 of 10 done, 2 failed, 2 running, student 2 tokens/s, teacher 4 tokens/s, "
        "teacher share 70.0%, discarded 37.5%, 12.5 tokens a request, 20 s to go"
    )


# --- The summary --------------------------------------------------------------------------------


FAULTS = {"student": {"ServerFailure": 2, "Unreachable": 1}, "teacher": {}}


def result(counters: Counters, folder: str = "runs/first", faults=FAULTS, **more) -> RunResult:
    """The result of a run of ten samples, of which six ended over all starts."""
    fields = {
        "folder": Path(folder),
        "total": 10,
        "ended": ended(4, counters.failed),
        "stopped": False,
        "seconds": 61.0,
        "counters": counters,
        "dataset": Path(folder) / "dataset.jsonl",
    }
    counters.faults = faults
    return RunResult(**{**fields, **more})


def ended(finished: int, failed: Counter[Failure] | None = None, **more) -> EndedTotals:
    """Samples that ended at all starts, with their tokens."""
    tokens = TokenTotals(
        generated={Role.STUDENT: 60, Role.TEACHER: 260},
        discarded={Role.STUDENT: 20, Role.TEACHER: 100},
        requests=16,
    )
    return EndedTotals(finished, failed or Counter(), tokens=tokens, **more)


def shown(renderable, width: int = 120) -> list[str]:
    console = Console(record=True, width=width, file=io.StringIO())
    console.print(renderable)
    return [" ".join(line.split()) for line in console.export_text().splitlines()]


@pytest.mark.parametrize(
    ("verdicts", "aside"),
    [
        ({"right": 3, "wrong": 1}, "75.0%"),
        ({"right": 3, "wrong": 1, "error": 2}, "75.0% (2 not verified, 2 of them verifier errors)"),
    ],
)
def test_answers_that_the_verifier_could_not_check_are_no_wrong_ones(verdicts, aside):
    found = ended(sum(verdicts.values()), verdicts=Counter(verdicts), verifier=True)
    assert right_of(found) == f"3 of 4 verified: {aside}"


def test_one_model_for_both_roles_is_named_once(clock):
    counters = Counters(3, called=dict.fromkeys(Role, "model"), clock=clock)
    assert plain_line(counters).count("model 0 tokens/s") == 1


def test_a_sample_that_ended_just_when_the_run_was_stopped_is_counted_everywhere(counters):
    said = shown(summary(result(counters, ended=ended(5, counters.failed))))
    assert "samples 10 = 5 finished + 2 failed + 3 to do" in said
    assert "this start 160 tokens generated, 5 samples ended" in said


def test_the_summary_says_what_went_into_failed_samples(counters):
    lost = result(counters, ended=ended(4, counters.failed, lost=80))
    assert "lost 80 tokens in failed samples: 20.0% of all" in shown(summary(lost))


def test_the_summary_accounts_for_every_sample(counters):
    assert shown(summary(result(counters))) == [
        "",
        "samples 10 = 4 finished + 2 failed + 4 to do",
        "1 refused",
        "1 repetition",
        "student 40 tokens kept, 20 discarded",
        "teacher 160 tokens kept, 100 discarded",
        "teacher share 80.0%, discarded 37.5%, 12.5 tokens a request",
        "student's server faults met: errors of the server 2, no connection 1",
        "this start 160 tokens generated, 4 samples ended",
        "time of this start 1 min 01 s",
        "data set runs/first/dataset.jsonl",
        "failures runs/first/failures.jsonl",
    ]


def test_the_summary_of_a_run_in_which_nothing_failed(counters):
    lines = shown(summary(result(counters, total=12_345, ended=ended(12_345), faults={})))
    assert "samples 12,345 = 12,345 finished + 0 failed" in lines
    assert not any("failures" in line or "faults" in line for line in lines)


def test_the_summary_of_a_run_that_was_stopped(counters):
    assert "stopped: the same command resumes it" in shown(summary(result(counters, stopped=True)))


@pytest.mark.parametrize("folder", ["runs/[bold]x[/bold]", "runs/[/red]", "runs/[1]:smile:"])
def test_the_name_of_a_folder_is_shown_unchanged(counters, folder):
    lines = shown(summary(result(counters, folder)))
    assert f"data set {folder}/dataset.jsonl" in lines
    assert f"failures {folder}/failures.jsonl" in lines


def test_the_summary_of_a_run_that_had_nothing_left_to_write(clock):
    counters = Counters(3, finished=2, failed=Counter({Failure.REFUSED: 1}), ended_before=3)
    over = ended(2, Counter({Failure.REFUSED: 1}))
    lines = shown(summary(result(counters, total=3, ended=over, faults={})))
    assert lines[:3] == ["nothing was left to write", "", "samples 3 = 2 finished + 1 failed"]
    assert "teacher 160 tokens kept, 100 discarded" in lines
    assert not any("this start" in line for line in lines)


def test_what_was_begun_beyond_a_limit_is_not_of_this_start(clock):
    counters = Counters(3, finished=3, ended_before=3, clock=clock)
    made = result(counters, total=3, ended=ended(3), faults={}, begun_beyond=12, left_out=7)
    lines = shown(summary(made))
    assert made.remaining == 0, "none is missing of what was asked for"
    assert lines[0] == "nothing was left to write"
    assert "12 more samples to do, of questions beyond the limit that were begun" in lines
    assert "7 more lines of the questions left out" in lines


def test_the_summary_of_a_run_that_was_stopped_before_any_sample_ended(clock):
    counters = Counters(3, clock=clock)
    counters.turn(turn(Role.TEACHER, 40))
    lines = shown(summary(result(counters, total=3, ended=EndedTotals(), faults={}, stopped=True)))
    assert "this start 40 tokens generated, 0 samples ended" in lines
    assert not any("kept" in line or "share" in line for line in lines)


def test_the_summary_of_a_run_that_was_written_at_one_start_is_of_the_whole_run(clock):
    counters = Counters(1, clock=clock)
    counters.turn(turn(Role.TEACHER, 40))
    counters.end(None)
    lines = shown(summary(result(counters, total=1, ended=ended(1), faults={})))
    assert not any("this start" in line for line in lines)


def test_a_run_in_which_all_failed_without_a_token_was_not_without_work(clock):
    counters = Counters(2, clock=clock)
    for _ in range(2):
        counters.end(Failure.PREDICTOR_ERROR)
    lines = shown(summary(result(counters, total=2, ended=EndedTotals(0, counters.failed))))
    assert not any("nothing was left" in line for line in lines)


def test_bad_lines_are_no_earlier_start(clock):
    counters = Counters(3, failed=Counter({Failure.BAD_QUESTION: 2}), ended_before=2, clock=clock)
    counters.turn(turn(Role.TEACHER, 40))
    counters.end(None)
    over = ended(1, counters.failed)
    assert not any("this start" in s for s in shown(summary(result(counters, total=3, ended=over))))


def test_while_a_server_is_down_nothing_else_is_said_to_be_the_bound(counters):
    counters.bound = "client"
    assert "bound by the client" in plain_line(counters)
    counters.retrying = {"the teacher": 1}
    assert "bound by" not in plain_line(counters)


def test_the_result_in_one_line(counters):
    line = "samples 10 = 4 finished + 2 failed + 4 to do (1 refused, 1 repetition): runs/first"
    assert short_summary(result(counters)) == line
    assert repr(result(counters)) == f"<RunResult: {line}>", "as a notebook shows it"
    assert (
        short_summary(result(counters, "a\nb", total=4, ended=ended(4)))
        == "samples 4 = 4 finished + 0 failed: a␊b"
    )


# --- Showing the progress -----------------------------------------------------------------------


def console(terminal: bool = False) -> Console:
    return Console(file=io.StringIO(), width=200, force_terminal=terminal)


def said(by: Progress) -> str:
    assert isinstance(by.console.file, io.StringIO)
    return by.console.file.getvalue()


@pytest.mark.parametrize("terminal", [False, True])
async def test_quiet_prints_nothing(counters, terminal):
    quiet = Progress(Show.QUIET, console(terminal), every_s=0)
    quiet.say("a note")
    async with quiet.watching(counters):
        await asyncio.sleep(0)
    quiet.summarise(result(counters))
    assert said(quiet) == ""


async def test_without_a_terminal_it_prints_lines_and_a_last_one_at_the_end(counters):
    plain = Progress(Show.AUTO, console(), every_s=0)
    async with plain.watching(counters):
        for _ in range(20):
            await asyncio.sleep(0)
        assert said(plain).count("6 of 10 done") >= 2
        counters.end(None)
    assert said(plain).splitlines()[-1].startswith("7 of 10 done")
    assert "\x1b" not in said(plain)


async def test_plain_prints_lines_on_a_terminal_too(counters):
    plain = Progress(Show.PLAIN, console(terminal=True))
    async with plain.watching(counters):
        pass
    assert said(plain).count("6 of 10 done") == 1


async def test_a_run_that_breaks_also_prints_the_last_line(counters):
    plain = Progress(Show.PLAIN, console())
    with pytest.raises(RuntimeError, match="broken"):
        async with plain.watching(counters):
            raise RuntimeError("broken")
    assert said(plain).count("6 of 10 done") == 1


async def test_on_a_terminal_it_shows_a_table_that_is_redrawn(counters):
    live = Progress(Show.AUTO, console(terminal=True))
    async with live.watching(counters):
        counters.end(None)
        lines = shown(progress._Panel(counters))
    text = said(live)
    assert "20 s elapsed" in text.splitlines()[-3]
    assert "to go" not in text.splitlines()[-3], "it was left before its end"
    assert "7 of 10" in text
    assert "teacher share 70.0%" in text
    assert "2 running" in text
    assert "7 of 10 2 failed 2 running 20 s elapsed, 12 s to go" in lines[0]


def test_a_table_of_no_samples_at_all(clock):
    assert "0 of 0" in shown(progress._Panel(Counters(0, clock=clock)))[0]


def test_a_note_is_printed_unchanged():
    plain = Progress(Show.PLAIN, console())
    plain.say("[bold]x[/bold] and [/red] in " + "a long line " * 40)
    assert said(plain).startswith("[bold]x[/bold] and [/red] in a long")
    assert said(plain).count("\n") == 1


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "–"),
        (0, "0 s"),
        (0.4, "0 s"),
        (59.4, "59 s"),
        (59.6, "1 min 00 s"),
        (60, "1 min 00 s"),
        (61, "1 min 01 s"),
        (3599, "59 min 59 s"),
        (3599.7, "1 h 00 min"),
        (3600, "1 h 00 min"),
        (7265, "2 h 01 min"),
        (100 * 3600, "100 h 00 min"),
    ],
)
def test_durations(seconds, text):
    assert duration(seconds) == text


def test_shares_and_numbers():
    assert [percent(share) for share in (None, 0, 0.5, 1 / 3, 1)] == [
        *("–", "0.0%", "50.0%", "33.3%", "100.0%"),
    ]
    assert [number(value) for value in (None, 0, 12.34)] == ["–", "0.0", "12.3"]


def test_calls_that_wait_for_a_server_are_told_while_they_wait():
    part = Counters(total=9, running=3)
    part.retrying = {"the teacher": 2}
    whole = Counters(total=9)
    whole.add_up([part.as_json(), part.as_json()], 0, Counter())
    assert "the teacher's server fails or does not answer: 4 calls will be made again" in (
        plain_line(whole)
    )
    ended = {**part.as_json(), "running": 0}
    whole.add_up([part.as_json(), ended], 0, Counter())
    assert whole.retrying == {"the teacher": 2}, "a process that has ended waits for nothing"
    whole.retrying = {"the teacher": 1}
    assert "1 call will be made again" in plain_line(whole)
    whole.over = True
    assert "made again" not in plain_line(whole)


def test_failures_are_printed_as_they_are_written():
    """`print(result.failed)` of the README."""
    made = result(Counters(total=3, failed=Counter({Failure.REPETITION: 2})))
    assert f"{made.failed}" == "{'repetition': 2}"
