"""Rewrites the style of a thinking that is there: its style spans, side by side.

The predictors cut the teacher's thinking into spans by the rules of cooperation, as if both models
had written it. The student rewrites each style span, from the teacher's text before it, until
what it writes is capability. The capability spans stay as they are.

One long request and many short ones at the same time, instead of a chain: docs/handover.md.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from itertools import groupby

from tessy.boundary.batcher import PredictorBatcher
from tessy.config import SMALLEST_CHUNK, HandOver
from tessy.method import turns
from tessy.method.judging import Judging
from tessy.method.trajectory import Outcome, Part, Role, Span, Trajectory, Turn
from tessy.method.turns import Chunk, Finish
from tessy.method.words import joins_words
from tessy.models.session import ModelSession
from tessy.synthesis.cooperation import write_turn
from tessy.synthesis.sample import Draft

_AT_ONCE = 16
"""Style spans of a sample that are written at the same time."""
_PIECE = 400
"""Characters that are judged at once; a span has about 40."""


async def cut(text: str, batcher: PredictorBatcher, handover: HandOver) -> list[Span]:
    """Cut a thinking into spans of style (the student's) and capability (the teacher's).

    Args:
        text: The thinking, with a word in it.
        batcher: Judges it.
        handover: How long a span has to be.

    Returns:
        Spans that cover the text, except white space at its end.

    Raises:
        PredictorError: The predictor failed.
        Outage: Its server is gone.
    """
    trajectory = Trajectory()
    while trajectory.is_thinking:
        at = len(trajectory.thinking) + len(trajectory.pending)
        finish = Finish.LENGTH if at + _PIECE < len(text) else Finish.ENDED
        chunk = Chunk(text[at : at + _PIECE], finish, 0)
        judging = Judging(trajectory, handover.short(trajectory.role))
        written, final = turns.written(trajectory, chunk), finish is Finish.ENDED
        judgement = await batcher.judge_text(judging, written, final=final)
        trajectory.apply(turns.settle(trajectory, chunk, judgement))
    return trajectory.spans[Part.THINKING]


async def rewrite(draft: Draft, source: Draft) -> None:
    """Write a thinking: that of another draft, with its style in the student's words.

    Args:
        draft: The draft to write; it goes on where an earlier start stopped.
        source: The teacher's thinking.

    Raises:
        SampleFailed: A model's context is full.
        TessyError: The student or the predictor failed.
    """
    trajectory, context = draft.trajectory, draft.context
    if not trajectory.is_thinking:
        return
    thinking = source.trajectory.thinking
    spans = await cut(thinking, context.batcher, context.config.handover)
    groups = [list(group) for _, group in groupby(spans, key=lambda s: (_author(s), s.forced))]
    own = await draft.session(Role.STUDENT)
    todo = list(enumerate(groups))[trajectory.turns :]
    style = [
        (number, group[0].start) for number, group in todo if _author(group[0]) is Role.STUDENT
    ]
    async with aclosing(_restyled(draft, thinking, style)) as restyled:
        for number, group in todo:
            last = number == len(groups) - 1
            if _author(group[0]) is Role.STUDENT:
                await own.catch_up(trajectory)
                turn = _closed(await anext(restyled), thinking[: group[-1].end])
            else:
                turn = _copied(source.trajectory, group, before=trajectory.thinking)
            await draft.commit(turn._replace(outcome=Outcome.CLOSED) if last else turn)


def _author(span: Span) -> Role:
    """Who writes a span; the predictors know no kind for a forced one, so it stays."""
    return Role.TEACHER if span.forced else span.role


def _copied(source: Trajectory, group: Sequence[Span], *, before: str) -> Turn:
    """The turn that takes spans over from the teacher's thinking."""
    start, end = group[0].start, group[-1].end
    text, tokens = source.thinking[start:end], source.thinking_tokens / len(source.thinking)
    if not before or before.endswith("\n"):
        text = text.lstrip(" ")
    elif joins_words(before, text):
        text = f" {text}"
    moved = end - len(text)
    return Turn(
        Role.TEACHER,
        Part.THINKING,
        Outcome.HANDED_OVER,
        kept=text,
        forced=group[0].forced,
        tokens=round(tokens * end) - round(tokens * start),
        tolerated=tuple(
            (max(span.start - moved, 0), span.end - moved) for span in group if span.tolerated
        ),
        copied=True,
    )


def _closed(turn: Turn, before: str) -> Turn:
    """End a rewritten span in a new line if the teacher's did."""
    blank = before[len(before.rstrip()) :]
    if "\n" not in blank or not turn.kept or turn.kept[-1].isspace():
        return turn
    return turn._replace(kept=turn.kept + blank)


async def _restyled(
    draft: Draft, thinking: str, style: Sequence[tuple[int, int]]
) -> AsyncGenerator[Turn]:
    """The student's turns for style spans, in order; several are written at the same time.

    The last one is written first, and alone: it has the server read the whole thinking once, and
    the others find their beginning in its prefix cache.

    Args:
        draft: The draft.
        thinking: The teacher's thinking.
        style: Of each span: its turn and its start.
    """
    if not style:
        return
    model, key = draft.context.models[Role.STUDENT], draft.sample.job.id
    walks = [ModelSession(model, draft.messages, key) for _ in range(2)]
    running: deque[tuple[asyncio.Task[Turn], ModelSession]] = deque()

    async def first() -> Turn:
        task, session = running.popleft()
        try:
            return await task
        finally:
            session.close()

    try:
        for _, start in style:
            await walks[0].catch_up(Trajectory(thinking=thinking[:start]))
        last = await _restyle(draft, walks[0], thinking, style[-1])
        for span in style[:-1]:
            if len(running) == _AT_ONCE:
                yield await first()
            session = await walks[1].branch(Trajectory(thinking=thinking[: span[1]]))
            work = _restyle(draft, session, thinking, span)
            running.append((asyncio.create_task(work), session))
        while running:
            yield await first()
        yield last
    finally:
        for task, session in running:
            task.cancel()
            session.close()
        await asyncio.gather(*(task for task, _ in running), return_exceptions=True)
        for session in walks:
            session.close()


async def _restyle(
    draft: Draft, session: ModelSession, thinking: str, span: tuple[int, int]
) -> Turn:
    """Have the student write one style span.

    Args:
        draft: The draft that it is for.
        session: A session of its own, at the text before it.
        thinking: The teacher's thinking.
        span: Its turn and its start.
    """
    number, start = span
    alone = Draft(
        draft.sample,
        draft.key,
        draft.messages,
        trajectory=Trajectory(thinking=thinking[:start]),
        turn=number,
        sessions={Role.STUDENT: session},
    )
    trajectory, made = alone.trajectory, list[Turn]()
    most = draft.context.config.student.span_tokens
    while trajectory.role is Role.STUDENT and trajectory.is_thinking:
        left = most - trajectory.thinking_tokens
        if left < SMALLEST_CHUNK:
            break
        made.append(await write_turn(alone, left))
    return _joined(made, trajectory)


def _joined(made: Sequence[Turn], trajectory: Trajectory) -> Turn:
    """One turn for all that the student wrote in the place of a span."""
    kept, tolerated = "", list[tuple[int, int]]()
    for turn in made:
        tolerated += [(len(kept) + start, len(kept) + end) for start, end in turn.tolerated]
        kept += turn.kept
    return Turn(
        Role.STUDENT,
        Part.THINKING,
        Outcome.HANDED_OVER,
        kept=kept,
        discarded="".join(turn.discarded for turn in made) + trajectory.pending,
        tokens=sum(turn.tokens for turn in made),
        discarded_tokens=sum(turn.discarded_tokens for turn in made) + trajectory.pending_tokens,
        ids=made[0].ids if len(made) == 1 and not trajectory.pending else None,
        asked=sum(turn.asked for turn in made),
        tolerated=tuple(tolerated),
    )
