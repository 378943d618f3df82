"""What was sent of a response, and what may be sent now. Pure.

Text goes out before the turn that commits it, so a call that is made again must begin with what
was sent: the same seed at the same server writes the same text, as a rule.
"""

from __future__ import annotations

from collections.abc import Callable

from tessy.method.trajectory import Failure, Outcome, Part, SampleFailed, Turn
from tessy.serving.choices import shown_answer


class LiveText:
    """The text of one response as it is sent: a `Listener` of its sample.

    Args:
        send: Sends more text of a part.
    """

    def __init__(self, send: Callable[[Part, str], None]) -> None:
        self._send = send
        self._part = Part.THINKING
        self._ahead = ""  # sent since the last turn
        self._sent = {part: 0 for part in Part}  # characters

    def arrived(self, text: str) -> None:
        """See `Listener.arrived`."""
        ahead = self._ahead
        if len(text) > len(ahead):
            _check(text, ahead)
            self._pass_on(text[len(ahead) :])
            self._ahead = text
        else:
            _check(ahead, text)

    def committed(self, turn: Turn) -> None:
        """See `Listener.committed`."""
        text = turn.kept
        if turn.part is Part.ANSWER and turn.outcome is Outcome.EMPTY:
            text = shown_answer(turn.discarded)
        ahead = self._ahead
        if len(text) >= len(ahead):
            _check(text, ahead)
            self._pass_on(text[len(ahead) :])
            self._ahead = ""
        else:  # the rest is pending
            _check(ahead, text)
            self._ahead = ahead[len(text) :]
        if turn.part is Part.THINKING and turn.outcome in (Outcome.CLOSED, Outcome.CUT_OFF):
            self._part, self._ahead = Part.ANSWER, ""

    def finish(self, texts: dict[Part, str]) -> None:
        """Send what is missing of the whole response.

        Args:
            texts: Its thinking and its answer.
        """
        for part, text in texts.items():
            self._part = part
            self._pass_on(text[self._sent[part] :])

    def _pass_on(self, text: str) -> None:
        if text:
            self._sent[self._part] += len(text)
            self._send(self._part, text)


def _check(text: str, begin: str) -> None:
    """Make sure that a text begins as it has to."""
    if not text.startswith(begin):
        raise SampleFailed(
            Failure.MODEL_ERROR,
            "a call that was made again wrote other text than what was sent of its first attempt",
        )
