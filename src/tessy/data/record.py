r"""The records of finished and failed samples.

The assistant's content is `<think>\n` + thinking + `\n</think>\n\n` + answer, and `spans` covers it
from the first character to the last (*Provenance*); the author of the markers is `format`. Nothing
in a record depends on the clock or the network, so the same seed and the same model outputs give
the same bytes (*Replay*); times and requests are in the journal.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from itertools import pairwise
from typing import Any, NamedTuple

from tessy.data.questions import BadLine, Question
from tessy.method.trajectory import Failure, Outcome, Part, Rejection, Role, Trajectory

THINK_OPEN = "<think>\n"
THINK_CLOSE = "\n</think>\n\n"
MARKERS = ("<think>", "</think>")
"""The markers around the thinking; an answer must not contain them."""
AUTHORS = ("student", "teacher", "format")
"""Roles of spans."""


class RejectedDraft(NamedTuple):
    """A draft that is not the response of its sample.

    Attributes:
        trajectory: Its text.
        rejection: Why it was rejected.
        teacher: The name of its teacher, if there are several.
    """

    trajectory: Trajectory
    rejection: Rejection
    teacher: str | None = None


def finished(
    sample_id: str,
    question: Question,
    trajectory: Trajectory,
    *,
    method: str,
    models: dict[str, str],
    seed: int,
    others: Sequence[RejectedDraft] = (),
    verdict: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """The record of a finished sample.

    Args:
        sample_id: Its id, unique in the run.
        question: The question.
        trajectory: The response; it is done.
        method: The name of the method.
        models: Names of the models by role, and of the predictors; and `teacher_name`, the name of
            the teacher if there are several.
        seed: The run's seed.
        others: The rejected drafts.
        verdict: The verdict on the answer; None without a verifier.
    """
    answer = {"role": "assistant", "content": content(trajectory)}
    return {
        **question.extra,
        "id": sample_id,
        "messages": [*question.messages, answer],
        "spans": spans(trajectory),
        "stats": stats(trajectory, others),
        "method": method,
        "models": models,
        "seed": seed,
        **({"verdict": verdict} if verdict is not None else {}),
    }


def failed(
    sample_id: str,
    question: Question | None,
    trajectory: Trajectory,
    failure: Failure,
    detail: str,
    *,
    line: BadLine | None = None,
    others: Sequence[RejectedDraft] = (),
    teacher: str | None = None,
    verdict: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """The record of a failed sample, with the text until then.

    Args:
        sample_id: Its id, unique in the run.
        question: The question; None if the line is bad.
        trajectory: The text until then.
        failure: The documented reason.
        detail: What happened, in a sentence.
        line: The bad line, if that is the reason.
        others: The rejected drafts.
        teacher: The name of its last teacher, if there are several.
        verdict: The verdict on the last answer, if it failed by that.
    """
    counts = stats(trajectory, others)
    return {
        "id": sample_id,
        "reason": failure.value,
        "detail": detail,
        "where": line.where if line else None,
        "messages": list(question.messages) if question else [],
        "content": "" if line else content(trajectory),
        "spans": [] if line else spans(trajectory),
        "answer": _discarded_answer(trajectory),
        "stats": {**counts, "drafts": 0} if line else counts,
        **({"teacher": teacher} if teacher is not None else {}),
        **({"verdict": verdict} if verdict is not None else {}),
    }


def _discarded_answer(trajectory: Trajectory) -> str:
    answers = [discard.text for discard in trajectory.discards if discard.part is Part.ANSWER]
    return answers[-1] if answers else ""


def content(trajectory: Trajectory) -> str:
    """The assistant's content, without closing marker and answer if the thinking has not ended."""
    if trajectory.part is Part.THINKING:
        return THINK_OPEN + trajectory.thinking
    return THINK_OPEN + trajectory.thinking + THINK_CLOSE + trajectory.answer


def spans(trajectory: Trajectory) -> list[dict[str, Any]]:
    """Who wrote which characters of the assistant's content: half-open offsets without gaps."""
    found: list[dict[str, Any]] = []
    position = 0

    def add(role: str, length: int, forced: bool = False, tolerated: bool = False) -> None:
        nonlocal position
        end = position + length
        marks = {"forced": forced, "tolerated": tolerated}
        found.append({"role": role, "start": position, "end": end, **marks})
        position = end

    add("format", len(THINK_OPEN))
    for span in trajectory.spans[Part.THINKING]:
        add(span.role.value, span.end - span.start, span.forced, span.tolerated)
    if trajectory.part is Part.ANSWER:
        add("format", len(THINK_CLOSE))
    for span in trajectory.spans[Part.ANSWER]:
        add(span.role.value, span.end - span.start, span.forced)
    return found


def check_spans(content: str, spans: Any) -> list[dict[str, Any]]:
    """Check the spans of a record.

    Raises:
        ValueError: They do not cover the content, or name no author; the message says where.
    """
    if not isinstance(spans, list):
        raise ValueError(
            f"`spans` must be a list of {{role, start, end}}, not {type(spans).__name__}: "
            "rename a column of that name that is not tessy's"
        )
    position = 0
    for number, span in enumerate(spans):
        if not isinstance(span, dict) or span.get("role") not in AUTHORS:
            raise ValueError(
                f"spans[{number}].role must be one of {', '.join(AUTHORS)}: rename a column "
                "`spans` that is not tessy's"
            )
        start, end = span.get("start"), span.get("end")
        if type(start) is not int or start != position or type(end) is not int or end < position:
            raise ValueError(f"spans[{number}] is {start} to {end}, but must start at {position}")
        position = end
    if position != len(content):
        raise ValueError(f"`spans` end at {position}, the response at {len(content)}")
    return spans


def stats(trajectory: Trajectory, others: Sequence[RejectedDraft] = ()) -> dict[str, Any]:
    """The statistics of a sample, derived from its turns; each model counts its own tokens.

    Args:
        trajectory: The trajectory of the draft that represents the sample.
        others: The rejected drafts; their tokens count as discarded, unless they were copied.
    """
    kept, rejected = trajectory.tokens, [other.trajectory for other in others]
    discarded = {
        role: trajectory.discarded[role]
        - trajectory.copied[role]
        + sum(each.generated[role] - each.copied[role] for each in rejected)
        for role in Role
    }
    return {
        "student_tokens": kept[Role.STUDENT],
        "teacher_tokens": kept[Role.TEACHER],
        "thinking_tokens": trajectory.thinking_tokens,
        "answer_tokens": trajectory.answer_tokens,
        "student_discarded_tokens": discarded[Role.STUDENT],
        "teacher_discarded_tokens": discarded[Role.TEACHER],
        "turns": trajectory.turns,
        "hand_overs": _hand_overs(trajectory),
        "thinking_cut_off": trajectory.ended is Outcome.CUT_OFF,
        "drafts": 1 + len(others),
    }


def _hand_overs(trajectory: Trajectory) -> int:
    roles = [span.role for span in trajectory.spans[Part.THINKING]]
    return sum(before is not after for before, after in pairwise(roles))


def trace(trajectory: Trajectory, others: Sequence[RejectedDraft] = ()) -> dict[str, Any]:
    """What the record leaves out: the discarded text with its offsets, and the rejected drafts.

    Also the tokens that each turn asked for, since learned chunk sizes differ from run to run.
    """
    return {**_of_turns(trajectory), "drafts": [_draft(other) for other in others]}


def _of_turns(trajectory: Trajectory) -> dict[str, Any]:
    discards = [asdict(discard) for discard in trajectory.discards]
    return {
        "discards": discards,
        "asked": trajectory.asked,
        "confidence": [list(each) for each in trajectory.confidence],
    }


def _draft(draft: RejectedDraft) -> dict[str, Any]:
    trajectory, (why, failure), teacher = draft
    return {
        "why": why,
        "reason": failure.value if failure else None,
        **({"teacher": teacher} if teacher is not None else {}),
        "content": content(trajectory),
        "spans": spans(trajectory),
        **_of_turns(trajectory),
    }
