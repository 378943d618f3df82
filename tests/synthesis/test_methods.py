"""Every method: who writes what, what is rejected, and resuming from any turn (*Replay*)."""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace
from zlib import crc32

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from simulation import (
    CLOSES,
    OPENS,
    Notes,
    SimulatedClient,
    WordPredictor,
    context_of,
    text_of,
    written,
)
from tessy.config import Config, ModelRole, role_of
from tessy.data import record
from tessy.data.questions import Question
from tessy.method.trajectory import Failure, Part, Rejection, Role, SampleFailed
from tessy.models.session import ContextFull
from tessy.models.wire import Completion
from tessy.runs.plan import Job
from tessy.synthesis.cooperation import think_alone
from tessy.synthesis.methods import METHODS, attempts, method_of
from tessy.synthesis.methods.judge import JUDGE, rating_in
from tessy.synthesis.sample import Sample
from tessy.verifiers.protocol import Verdict, VerdictOutcome

QUESTION = Question(3, "q", ({"role": "user", "content": "How many?"},), {"answer": "2"})
SCORED = "Score: N"
RATED = '"score": N'


def chance(*what) -> random.Random:
    return random.Random(crc32(repr(what).encode()))


class DrawingClient(SimulatedClient):
    """A server that draws words by the seed of each call."""

    def __init__(self, role: ModelRole, trouble: float = 0.0) -> None:
        super().__init__(lambda text: "")
        self.role = role
        self.trouble = trouble
        self.seeds: list[int] = []

    async def attempt(self, request, *, stream=False):
        prompt = text_of(request)
        self.prompts.append(prompt)
        self.seeds.append(request.seed)
        messages, _, text = prompt.partition(OPENS)
        thinking, answering, _ = text.partition(CLOSES)
        drawn = chance(self.role, messages, thinking, request.seed, answering)
        if answering:
            text = f"the {self.role} says {drawn.randint(0, 2)}"
            if SCORED in messages:
                text = drawn.choice(("Score: 3", "So: 9.5/10. Score: 9.5", "I can't say."))
            if RATED in messages:
                text = drawn.choice(("Score: 2", '{"why": "hard", "score": 9}', "I can't say."))
            return Completion(text, "stop", 4)
        if drawn.random() < self.trouble:
            raise drawn.choice(TROUBLES)
        return self.draws(drawn)

    def draws(self, drawn) -> Completion:
        words = [drawn.choice(WORDS[role_of(self.role)]) for _ in range(drawn.randint(1, 9))]
        ends = drawn.random() < 0.3
        text = " ".join(words) + ("" if ends else " ")
        return Completion(text, "stop" if ends else "length", len(words))


WORDS = {Role.STUDENT: ("well", "so", "hm", "let", "4"), Role.TEACHER: ("12", "3x", "77", "thus")}
TROUBLES = (
    ContextFull("no room"),
    SampleFailed(Failure.REPETITION, "again and again: 'so'"),
)


class Ends2:
    """A verifier that accepts answers that end in 2."""

    name = "ends-2"
    asked = 0

    def check(self, row):
        pass

    async def verify(self, row, answer):
        if row["answer"] == "?":
            return Verdict(VerdictOutcome.ERROR, detail="the reference can't be read")
        assert row["answer"] == "2"
        assert row["prompt"] == "How many?"
        Ends2.asked += 1
        right = answer.endswith("2")
        outcome = VerdictOutcome.RIGHT if right else VerdictOutcome.WRONG
        return Verdict(outcome, float(right), answer)

    async def aclose(self):
        pass


PREDICTOR = WordPredictor(lambda before, word: not word[0].isdigit())


def sample_of(config: Config, *, position=0, entries=(), trouble=0.0, question=QUESTION):
    method = method_of(config)
    clients = {each: DrawingClient(each, trouble) for each in config.models(method.needs(config))}
    verifier = Ends2() if config.verify else None
    context = context_of(clients, PREDICTOR, config, verifier=verifier)
    return Sample(context, Notes(), Job(position, "q", question), written(entries)), clients


def settings_of(name, **more) -> Config:
    return Config.model_validate(
        {
            "student": {"model": "http://s/v1", "chunk": 20},
            "teacher": {"model": "http://t/v1", "chunk": 20},
            "method": name,
            "limits": {"thinking_tokens": 60},
            **more,
        }
    )


def write(config: Config, *, entries=(), **more):
    """Write a sample; returns everything visible of it, and what was noted in the journal."""
    made, clients = sample_of(config, entries=entries, **more)

    async def job():
        try:
            await attempts.write(made, method_of(config))
        except SampleFailed as failed:
            return failed.failure, failed.detail
        finally:
            made.close()
        return None, ""

    failure, detail = asyncio.run(job())
    assert all(r.load == 0 for m in made.context.opened.values() for r in m.servers.replicas)
    seen = {
        "failure": (failure, detail),
        "content": record.content(made.trajectory),
        "spans": record.spans(made.trajectory),
        "stats": record.stats(made.trajectory, made.others),
        "trace": record.trace(made.trajectory, made.others),
        "verdict": made.verdict,
    }
    return seen, [*entries, *made.journal.entries], clients, made


def cuts(entries):
    """Where a kill can cut the journal's notes: rejections made together stay together.

    They are noted without waiting, so a checkpoint takes all of them or none.
    """
    return [
        at
        for at in range(len(entries) + 1)
        if not all(isinstance(entry, Rejection) for _, entry in entries[at - 1 : at + 1])
        or at in (0, len(entries))
    ]


def authors(made, part):
    return {span.role for span in made.trajectory.spans[part]}


S, T = Role.STUDENT, Role.TEACHER
EVERY = {**METHODS, JUDGE.name: JUDGE}
WRITERS = {
    "student-only": ({S}, {S}),
    "teacher-only": ({T}, {T}),
    "teacher-think": ({T}, {S}),
    "teacher-answer": ({S}, {T}),
    "teacher-score": ({S}, {S}),
    "teacher-reference": ({S}, {S}),
    "judge": ({T}, {T}),
}


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("seed", range(5))
def test_who_writes_what(name, seed):
    seen, _, models, made = write(settings_of(name, seed=seed))
    if seen["failure"][0] is None:
        assert (authors(made, Part.THINKING), authors(made, Part.ANSWER)) == WRITERS[name]
    assert set(models) == EVERY[name].roles


@pytest.mark.parametrize("answer_by", ["student", "teacher"])
def test_either_model_can_write_tessys_answer(answer_by):
    for seed in range(20):
        seen, _, _, made = write(settings_of("tessy", answer_by=answer_by, seed=seed))
        if seen["failure"][0] is None:
            assert authors(made, Part.ANSWER) == {Role(answer_by)}
            if len(authors(made, Part.THINKING)) == 2:
                return
    pytest.fail("no sample that both wrote")


@given(st.integers(0, 50))
@settings(max_examples=10)
def test_teacher_mix_is_one_to_one(seed):
    writers = []
    for position in range(4):
        seen, _, _, made = write(settings_of("teacher-mix", seed=seed), position=position)
        if seen["failure"][0] is None:
            writers.append((position % 2, authors(made, Part.THINKING)))
    assert all(who == ({S} if odd else {T}) for odd, who in writers)


def test_the_teachers_own_system_prompt_goes_to_the_teacher_and_not_into_the_record():
    config = settings_of("teacher-only", teacher_only_system_prompt="Think like a student.")
    _, _, models, made = write(config)
    assert all(p.startswith("Think like a student.How many?") for p in models[T].prompts)
    assert made.messages == list(QUESTION.messages)


def test_the_student_is_shown_the_teachers_answer():
    for seed in range(20):
        seen, _, models, _ = write(settings_of("teacher-reference", seed=seed))
        if seen["failure"][0] is None:
            break
    (draft,) = seen["trace"]["drafts"]
    assert draft["why"] == "the teacher's reference answer"
    reference = draft["content"].rpartition("</think>\n\n")[2]
    asked = models[S].prompts[-1]
    assert "How many?" in asked
    assert reference in asked
    assert seen["stats"]["teacher_tokens"] == 0
    assert seen["stats"]["teacher_discarded_tokens"] > 0


def test_the_best_candidate_is_kept_and_the_first_of_equals():
    kept = set()
    for seed in range(40):
        config = settings_of("teacher-score", candidates=3, seed=seed)
        seen, _, _, _ = write(config, trouble=0.1)
        if seen["failure"][0] is not None:
            continue
        losers = [d["why"] for d in seen["trace"]["drafts"] if d["why"].startswith("scored")]
        for why in losers:
            score, best = why.removeprefix("scored ").split("; the best ")
            assert float(score) <= float(best)
        kept.add(seen["stats"]["drafts"])
        whys = {d["why"] for d in seen["trace"]["drafts"]}
        assert any(why == "the teacher's judgement" for why in whys)
    assert len(kept) > 1, "candidates that failed should have happened"


def test_without_a_score_the_sample_fails(monkeypatch):
    config = settings_of(
        "teacher-score",
        candidates=2,
        prompts={"score": "{question} {answer} How good, in words?"},
    )
    reasons = {write(config.model_copy(update={"seed": n}))[0]["failure"][0] for n in range(12)}
    assert Failure.UNSCORED in reasons
    assert None not in reasons


def test_a_judge_is_shown_the_rubric_and_fails_without_a_score():
    reasons = set()
    for seed in range(20):
        config = settings_of("judge", prompts={"judge": "Is it hard? {question}"}, seed=seed)
        seen, _, models, made = write(config)
        reasons.add(seen["failure"][0])
        if seen["failure"][0] is None:
            assert rating_in(made.trajectory.answer) in (2, 9)
        assert models[T].prompts[0].startswith("Is it hard? How many?\n\nAnswer with a JSON")
        assert made.messages == list(QUESTION.messages)
    assert {None, Failure.UNSCORED} <= reasons


def test_a_judge_is_shown_all_of_a_conversation():
    messages = ({"role": "system", "content": "Be {brief}."}, {"role": "user", "content": "Why?"})
    _, _, models, _ = write(settings_of("judge"), question=Question(0, "q", messages))
    assert "system: Be {brief}.\n\nuser: Why?\n\nAnswer" in models[T].prompts[0]


@pytest.mark.parametrize(
    ("text", "score"),
    [
        ('{"why": "a score: 3 would be low", "score": 7}', 7),
        ('{"score": 7, "why": "not a score: 3"}', 7),
        ('Here: {"why": "{}", "score": 7.5}\n', 7.5),
        ('{"score": 0}', 0),
        ('{"score": 11}', None),
        ('{"score": -1}', None),
        ('{"score": true}', None),
        ('{"score": "7"}', 7),
        ("Score: 7", 7),
        ("7", 7),
        ("{7}", 7),
        ("[7]", 7),
        ("{a} then Score: 8", 8),
        ("I like it.", None),
        ("", None),
    ],
)
def test_the_score_in_a_judges_answer(text, score):
    assert rating_in(text) == score


def test_the_rubric_is_part_of_what_a_judge_writes_and_of_nothing_else():
    """Runs of other methods resume whatever the rubric that comes with a later version."""
    plain, other = settings_of("tessy"), settings_of("tessy", prompts={"judge": "{question}?"})
    assert plain.identity() == other.identity()
    assert "judge" not in plain.identity()["prompts"]
    judged = settings_of("judge", prompts={"judge": "{question}?"})
    assert judged.identity()["prompts"]["judge"] == "{question}?"


def test_a_verifier_scores_candidates_without_a_teacher_and_each_once():
    config = settings_of("teacher-score", candidates=6, verify="exact")
    for seed in range(10):
        Ends2.asked = 0
        seen, _, models, _ = write(config.model_copy(update={"seed": seed}))
        assert Ends2.asked <= 6
        assert set(models) == {S}
        if seen["failure"][0] is None:
            assert seen["content"].endswith("2")
            assert seen["verdict"].passed


@pytest.mark.parametrize("name", EVERY)
def test_only_what_the_verifier_accepts_is_kept(name):
    failures = set()
    for seed in range(60):
        config = settings_of(name, verify="exact", attempts=2, candidates=2, seed=seed)
        seen, _, _, _ = write(config)
        failures.add(seen["failure"][0])
        if seen["failure"][0] is None:
            assert seen["content"].endswith("2")
    assert Failure.REJECTED in failures
    assert None in failures


def test_a_model_that_hands_over_after_so_many_tokens_leaves_no_part_of_a_word():
    """Its last word is incomplete: what follows would be attributed to the wrong author."""

    class Teacher(DrawingClient):
        def draws(self, drawn):
            return Completion("12 77 12 7", "length", 4)

    class Student(DrawingClient):
        def draws(self, drawn):
            return Completion("well so", "stop", 2)

    async def write_both():
        config = settings_of("tessy")
        clients = {T: Teacher(T), S: Student(S)}
        draft = Sample(
            context_of(clients, PREDICTOR, config), Notes(), Job(0, "q", QUESTION)
        ).draft()
        for _ in range(2):  # the second time as after a crash
            await think_alone(draft, T, until=8)
        await think_alone(draft, S)
        return draft.trajectory

    made = asyncio.run(write_both())
    text = made.thinking
    assert text == "12 77 12 712 77 12 well so"
    assert [(s.role, text[s.start : s.end]) for s in made.spans[Part.THINKING]] == [
        (T, "12 77 12 712 77 12"),
        (S, " well so"),
    ]
    assert [discard.text for discard in made.discards] == [" 7", "well so"]


@pytest.mark.parametrize("name", EVERY)
def test_replay_each_call_of_a_sample_has_a_seed_of_its_own(name):
    for seed in range(5):
        config = settings_of(name, seed=seed, verify="exact", attempts=2, candidates=2)
        once, again = (
            [seed for client in write(config)[2].values() for seed in client.seeds]
            for _ in range(2)
        )
        assert once == again
        assert len(set(once)) == len(once) > 1


def test_a_rejected_attempt_is_recorded_with_its_reason_and_the_next_has_other_seeds():
    for seed in range(30):
        config = settings_of("student-only", verify="exact", attempts=3, seed=seed)
        seen, _, _, _ = write(config)
        if seen["stats"]["drafts"] == 3 and seen["failure"][0] is None:
            break
    contents = {seen["content"], *(draft["content"] for draft in seen["trace"]["drafts"])}
    assert len(contents) == 3
    assert all(draft["reason"] in (*Failure,) for draft in seen["trace"]["drafts"])


def test_the_last_attempt_can_be_kept_with_its_verdict():
    config = settings_of("student-only", verify="exact", on_wrong="keep")
    for seed in range(20):
        seen, _, _, _ = write(config.model_copy(update={"seed": seed}))
        if seen["failure"][0] is None and not seen["verdict"].passed:
            return
    pytest.fail("no wrong answer was kept")


@pytest.mark.parametrize(
    ("on_wrong", "failure"),
    [
        ("fail", Failure.VERIFIER_ERROR),
        ("keep", None),
        ("keep_judged", Failure.VERIFIER_ERROR),
    ],
)
def test_on_wrong_decides_about_an_answer_that_could_not_be_checked(on_wrong, failure):
    config = settings_of("student-only", verify="exact", on_wrong=on_wrong, attempts=2)
    unreadable = replace(QUESTION, extra={"answer": "?"})
    tried = [write(config.model_copy(update={"seed": n}), question=unreadable) for n in range(9)]
    whole = [seen for seen, *_ in tried if seen["verdict"]]  # some fail by themselves
    assert whole
    for seen in whole:
        assert seen["failure"][0] is failure
        assert seen["failure"][1] == ("the reference can't be read" if failure else "")
        assert seen["verdict"].outcome is VerdictOutcome.ERROR


def test_wrong_answers_are_kept_by_keep_judged():
    config = settings_of("student-only", verify="exact", on_wrong="keep_judged")
    outcomes = {
        seen["verdict"].outcome
        for seen, *_ in (write(config.model_copy(update={"seed": n})) for n in range(20))
        if seen["failure"][0] is None
    }
    assert outcomes == {VerdictOutcome.RIGHT, VerdictOutcome.WRONG}


@given(
    st.sampled_from(sorted(EVERY)),
    st.integers(0, 2**30),
    st.integers(1, 3),
    st.booleans(),
    st.sampled_from([0.0, 0.1]),
    st.data(),
)
@settings(max_examples=150, deadline=None)
def test_replay_a_sample_of_any_method_resumes_from_any_turn(
    name, seed, tries, verified, trouble, data
):
    """Cut after any turn, as by `kill -9`, and resumed, a sample ends as if never interrupted."""
    config = settings_of(
        name,
        seed=seed,
        attempts=tries,
        candidates=3,
        **({"verify": "exact"} if verified else {}),
    )
    whole, turns, _, _ = write(config, trouble=trouble)
    cut = data.draw(st.sampled_from(cuts(turns)))
    again, resumed, _, _ = write(config, entries=turns[:cut], trouble=trouble)
    assert again == whole
    assert resumed == turns


def test_replay_a_sample_that_was_stopped_before_its_failure_was_written_fails_again(monkeypatch):
    """Its last turn made the text repeat itself, so no more calls are made."""

    def draws(self, drawn):
        return Completion("well so hm ", "length", 3)

    monkeypatch.setattr(DrawingClient, "draws", draws)
    config = settings_of("student-only")
    whole, turns, _, _ = write(config)
    assert whole["failure"][0] is Failure.REPETITION
    again, resumed, _, _ = write(config, entries=turns)
    assert again == whole
    assert resumed == turns


@pytest.mark.parametrize("name", ["teacher-reference", "teacher-score", "tessy"])
def test_replay_a_failed_attempt_is_skipped_with_all_its_drafts(name):
    """Cut anywhere, a sample whose first attempt failed keeps all of that attempt's drafts."""
    given_up = 0
    for seed in range(60):
        config = settings_of(name, seed=seed, attempts=2, candidates=2, verify="exact")
        whole, turns, _, _ = write(config, trouble=0.1)
        if not any(key.attempt for key, _ in turns):
            continue
        given_up += 1
        for cut in cuts(turns):
            assert write(config, entries=turns[:cut], trouble=0.1)[0] == whole
    assert given_up > 3


def test_a_failed_attempt_is_not_verified_again():
    """A verifier may change its verdict, but what it rejected stays rejected."""
    for seed in range(40):
        config = settings_of("student-only", seed=seed, attempts=3, verify="exact")
        whole, turns, _, _ = write(config)
        if whole["stats"]["drafts"] == 3:
            break
    before = Ends2.asked
    assert write(config, entries=turns)[0] == whole
    assert Ends2.asked == before + 1


@given(st.sampled_from(sorted(EVERY)), st.integers(0, 2**30), st.integers(1, 3))
@example("teacher-score", 5667, 1)  # every candidate fails
@settings(max_examples=60, deadline=None)
def test_every_token_is_kept_or_discarded(name, seed, tries):
    config = settings_of(name, seed=seed, attempts=tries, verify="exact", candidates=2)
    seen, _, _, made = write(config, trouble=0.05)
    stats, counters = seen["stats"], made.context.counters
    for role in Role:
        assert stats[f"{role}_tokens"] == counters.kept[role]
        assert stats[f"{role}_discarded_tokens"] == counters.discarded[role]


def test_a_method_holds_a_lease_of_the_models_that_it_uses_and_of_no_other():
    """Teacher-Mix opens both models, but only one writes a sample."""
    for position, (used, idle) in enumerate(((T, S), (S, T))):
        _, _, clients, made = write(settings_of("teacher-mix"), position=position)
        assert clients[used].prompts
        assert not clients[idle].prompts
        assert set(made.drafts[0].sessions) == {used}
