"""One response, written, and how it ended. Pure.

What the models could not finish is still a response: the text that there is, `finish_reason`
`length`, and the failure's name. A server or a predictor that failed is an error.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tessy.data import record
from tessy.data.messages import REASONING
from tessy.method.trajectory import Failure, Part, Role, Span, Trajectory
from tessy.serving.refusals import ApiError, of_server

_CONTENT = "content"
_FILTERED = "content_filter"
"""The `finish_reason` of a filtered answer, and a word in servers' messages about one."""
_STOPPED = (Failure.EMPTY_ANSWER, Failure.MARKER)
_TOO_LONG = (
    Failure.THINKING_LIMIT,
    Failure.ANSWER_LIMIT,
    Failure.CONTEXT_LIMIT,
    Failure.REPETITION,
    Failure.NO_PROGRESS,
)
_CODES = {
    Failure.REFUSED: "model_refused",
    Failure.MODEL_ERROR: "model_error",
    Failure.PREDICTOR_ERROR: "predictor_error",
    Failure.UNSCORED: "unscored",
}


@dataclass(frozen=True, slots=True)
class WrittenChoice:
    """A response that has ended.

    Attributes:
        index: Its index among the choices.
        id: The sample's id.
        trajectory: Its text.
        stats: Its counts, as in a record.
        prompt_tokens: Tokens of the prompt, as its first writer counts them; 0 if not known.
        cut_tokens: Tokens of an answer that was cut off, which the counts leave out.
        failure: Why it is not finished; None if it is.
        detail: What happened.
    """

    index: int
    id: str
    trajectory: Trajectory
    stats: dict[str, Any] = field(default_factory=dict)
    prompt_tokens: int = 0
    cut_tokens: int = 0
    failure: Failure | None = None
    detail: str = ""

    @property
    def answer(self) -> str:
        """The answer; if it was not kept, what there is of it."""
        if self.trajectory.answer:
            return self.trajectory.answer
        cut = self._cut_answer
        return shown_answer(cut[1]) if cut else ""

    @property
    def texts(self) -> dict[Part, str]:
        """Thinking and answer."""
        return {Part.THINKING: self.trajectory.thinking, Part.ANSWER: self.answer}

    @property
    def whole(self) -> str:
        """All as one text, as in a record."""
        text = record.THINK_OPEN + self.trajectory.thinking
        if self.trajectory.part is Part.THINKING:
            return text
        return text + record.THINK_CLOSE + self.answer

    @property
    def finish(self) -> str:
        """OpenAI's `finish_reason`."""
        if self.failure is None or self.failure in _STOPPED:
            return "stop"
        return _FILTERED if self.failure is Failure.REFUSED else "length"

    def error(self) -> ApiError | None:
        """The error that is to be told instead; None if there is a response."""
        failure, detail = self.failure, self.detail
        if failure is None or failure in _STOPPED:
            return None
        if failure is Failure.BAD_PROMPT:
            return ApiError(400, detail, param="messages", code="invalid_value")
        if failure is Failure.CONTEXT_LIMIT and not self.trajectory.thinking:
            return ApiError(400, detail, param="messages", code="context_length_exceeded")
        if failure in _TOO_LONG or (failure is Failure.REFUSED and _FILTERED in detail):
            return None
        return of_server(502, detail, _CODES.get(failure, failure.value))

    def authors(self) -> list[dict[str, Any]]:
        """Who wrote what of thinking and answer: half-open offsets into each, without gaps."""
        names = {Part.THINKING: REASONING, Part.ANSWER: _CONTENT}
        return [
            {"part": name, **span._asdict()}
            for part, name in names.items()
            for span in self._spans(part)
        ]

    def whole_authors(self) -> list[dict[str, Any]]:
        """The same for all as one text, as in a record."""
        found = record.spans(self.trajectory)
        end = found[-1]["end"] if found else 0
        if cut := len(self.whole) - end:
            role = self._spans(Part.ANSWER)[-1].role
            marks = {"forced": False, "tolerated": False}
            found.append({"role": role.value, "start": end, "end": end + cut, **marks})
        return found

    def _spans(self, part: Part) -> list[Span]:
        spans = self.trajectory.spans[part]
        if part is Part.ANSWER and not spans and (cut := self._cut_answer) and self.answer:
            return [Span(cut[0], 0, len(self.answer))]
        return spans

    @property
    def _cut_answer(self) -> tuple[Role, str] | None:
        """Author and text of an answer that was not kept."""
        discards = self.trajectory.discards
        last = discards[-1] if discards else None
        return (last.role, last.text) if last and last.part is Part.ANSWER else None


def shown_answer(discarded: str) -> str:
    """What is shown of an answer that was not kept: the text before a marker."""
    ends = [at for marker in record.MARKERS if (at := discarded.find(marker)) >= 0]
    return discarded[: min(ends, default=len(discarded))].strip()
