"""Writes one draft, from question to answer, with both models or with one alone.

turns        decides what to keep of a chunk, and who writes next; no I/O
reading      decides what to judge of a streamed span, and when; no I/O
session      continues the text: one model in one draft
batcher      finds where the kind of text changes
repetition   detects text that repeats itself
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any

from tessy.boundary.batcher import PredictorBatcher
from tessy.config import SMALLEST_CHUNK, OnLimit
from tessy.data.record import MARKERS
from tessy.errors import ModelError
from tessy.method import turns
from tessy.method.arriving import ArrivingAnswer, ArrivingText, ArrivingThinking
from tessy.method.chunks import SMALLEST
from tessy.method.judgement import Judgement, Passage
from tessy.method.judging import Judging
from tessy.method.reading import Reading
from tessy.method.repetition import RepetitionGuard
from tessy.method.trajectory import Failure, Outcome, Role, SampleFailed, Turn
from tessy.method.turns import Chunk, Finish
from tessy.models.session import ModelSession
from tessy.models.stream import EventStream
from tessy.models.wire import Completion, Request
from tessy.synthesis.sample import Draft

_LONG = 8_000
"""Characters of thinking from which on the prefix cache is looked at, …"""
_LOOK_AT_CACHE = 64
"""… in one of so many requests, which asks for little: a stream that is left does not say how much
of its prompt was cached."""


async def think(draft: Draft) -> None:
    """Write the thinking with both models (Algorithm 1): generate, judge, roll back, hand over.

    Raises:
        SampleFailed: The thinking did not end.
        TessyError: A model or the predictor failed.
    """
    trajectory, guard = draft.trajectory, RepetitionGuard()
    check_rejection(draft)
    if trajectory.is_thinking:
        check_repetition(guard, draft, trajectory.thinking)
    while trajectory.is_thinking and draft.rejection is None:
        if (budget := await tokens_left(draft)) == 0:
            return
        turn = await write_turn(draft, budget)
        if trajectory.idle > 1:
            raise SampleFailed(Failure.NO_PROGRESS, "neither model writes anything")
        check_repetition(guard, draft, turn.kept)


async def write_turn(draft: Draft, budget: int) -> Turn:
    """Have the model whose turn it is go on, judge what it writes, and commit what is kept.

    Args:
        draft: The draft.
        budget: Tokens left for the thinking.

    Raises:
        TessyError: The model or the predictor failed.
    """
    if draft.context.models[draft.trajectory.role].streamed:
        chunk, judgement = await read_span(draft, budget)
    else:
        chunk, judgement = await write_chunk(draft, budget)
    turn = turns.settle(draft.trajectory, chunk, judgement)
    await draft.commit(turn)
    return turn


async def think_alone(draft: Draft, role: Role, *, until: int | None = None) -> None:
    """Let one model write the thinking; nothing is judged or rolled back.

    It writes `span_tokens` at a time, so that a crash loses no more than that.

    Args:
        draft: The draft.
        role: Who writes.
        until: Stop when the model has generated this many tokens of thinking; by default when the
            thinking ends. A last word that is incomplete is then discarded.

    Raises:
        SampleFailed: The thinking did not end.
        ModelError: The model failed.
    """
    trajectory, guard = draft.trajectory, RepetitionGuard()
    check_rejection(draft)
    if trajectory.is_thinking:
        check_repetition(guard, draft, trajectory.thinking)
    while trajectory.is_thinking and draft.rejection is None:
        size = draft.context.config.of(role).span_tokens
        if until is not None:
            if trajectory.generated[role] >= until:
                if trajectory.role is role and trajectory.pending:
                    await draft.commit(turns.hand_over(trajectory))
                return
            size = min(size, max(until - trajectory.generated[role], SMALLEST_CHUNK))
        if (budget := await tokens_left(draft)) == 0:
            return
        trajectory.role = role
        arriving = None
        if draft.listener is not None:
            arriving = partial(ArrivingThinking, trajectory, draft.context.models[role].ends)
        chunk = await ask(draft, role, min(size, budget), arriving=arriving)
        written = len(trajectory.pending) + len(chunk.text)
        turn = turns.settle(trajectory, chunk, Judgement(boundary=None, settled=written))
        await draft.commit(turn)
        if turn.outcome is Outcome.EMPTY:
            raise SampleFailed(Failure.NO_PROGRESS, f"the {role} writes nothing")
        check_repetition(guard, draft, turn.kept)


async def answer(
    draft: Draft, role: Role = Role.STUDENT, *, schema: dict[str, Any] | None = None
) -> None:
    """Let one model write the answer, by default the student (Fig. 9: teacher answers do harm).

    Args:
        draft: The draft.
        role: Who writes.
        schema: A JSON schema of the answer, used if the server takes one.

    Raises:
        SampleFailed: The answer can't be kept.
        ModelError: The model failed.
    """
    check_rejection(draft)
    if draft.trajectory.done or draft.rejection is not None:
        return
    model, stop = draft.context.models[role], draft.form.stop
    arriving = None
    if draft.listener is not None or stop:
        stops = (*stop, *model.format.family.answer_stops)
        arriving = partial(ArrivingAnswer, stops, MARKERS)
    streams = model.servers.capabilities.streams
    most = answer_tokens(draft)
    chunk = await ask(draft, role, most, stream=streams, arriving=arriving, schema=schema)
    if fault := fault_of_answer(chunk, role, most):
        await draft.commit(turns.rejected_answer(chunk, role))
        raise fault
    await draft.commit(turns.answer_turn(chunk, role))


async def read_span(draft: Draft, budget: int) -> tuple[Chunk, Judgement]:
    """Stream a span, and close the stream where the kind of text changes.

    Args:
        draft: The draft.
        budget: Tokens left for the thinking.

    Returns:
        The chunk that was read, and its judgement.

    Raises:
        TessyError: The model or the predictor failed.
    """
    trajectory, context, role = draft.trajectory, draft.context, draft.trajectory.role
    session = await draft.session(role)
    size = min(_span_tokens(draft, session), budget)
    request = await session.request(trajectory, size, draft.seed, stream=True)
    await draft.sample.begin_request()
    partial = context.batcher.judges_partial_words(role)
    short = context.config.handover.short(role)
    call = session.call()
    while True:
        began = time.monotonic()
        reading = Reading(trajectory, session.model.ends, partial_words=partial, short=short)
        try:
            async with call.client.stream(request) as events:
                await read(events, reading, context.batcher)
            break
        except ModelError as error:
            await call.retry_after(error)
    seconds = time.monotonic() - began
    chunk = await session.chunk(request, events.completion(), trajectory)
    context.sizes.called(role, chunk.tokens, seconds)
    if reading.boundary is not None and chunk.finish is Finish.LENGTH:
        return chunk, reading.boundary
    text, final = turns.written(trajectory, chunk), chunk.finish is Finish.ENDED
    return chunk, await context.batcher.judge_text(reading.judging, text, final=final)


def _span_tokens(draft: Draft, session: ModelSession) -> int:
    """The most tokens to ask for in a stream."""
    context, role = draft.context, draft.trajectory.role
    most = context.config.of(role).span_tokens
    if session.counts_cached and len(draft.trajectory.thinking) > _LONG:
        most = min(most, most if draft.sample.requests % _LOOK_AT_CACHE else SMALLEST)
    return min(most, context.sizes.ahead(role) or most)


async def read(events: EventStream, reading: Reading, batcher: PredictorBatcher) -> None:
    """Read a stream up to its boundary, its end marker, or its end.

    Views are judged one after the other. Text that arrives meanwhile waits in the stream, so a slow
    predictor gets the same views as a fast one.

    Raises:
        TessyError: The stream or the predictor failed.
    """
    async for event in events:
        for end in reading.add(event.text):
            question: Passage | None = reading.view(end)
            while question is not None:
                question = reading.take(await batcher.judge(question))
            if reading.boundary is not None:
                return
        if reading.ended or reading.lengthens_word:
            return


async def write_chunk(draft: Draft, budget: int) -> tuple[Chunk, Judgement]:
    """Have the model whose turn it is write a chunk, and judge it.

    Args:
        draft: The draft.
        budget: Tokens left for the thinking.

    Returns:
        The chunk and its judgement.

    Raises:
        TessyError: The model or the predictor failed.
    """
    trajectory, sizes = draft.trajectory, draft.context.sizes
    role = trajectory.role
    began = time.monotonic()
    chunk = await ask(draft, role, min(sizes.next(role), budget))
    sizes.called(role, chunk.tokens, time.monotonic() - began)
    judging = Judging(trajectory, draft.context.config.handover.short(role))
    text, final = turns.written(trajectory, chunk), chunk.finish is Finish.ENDED
    return chunk, await draft.context.batcher.judge_text(judging, text, final=final)


async def ask(
    draft: Draft,
    role: Role,
    max_tokens: int,
    *,
    stream: bool = False,
    schema: dict[str, Any] | None = None,
    arriving: Callable[[], ArrivingText] | None = None,
) -> Chunk:
    """Make one call to a model, and wait for its end.

    Args:
        draft: The draft.
        role: Who writes.
        max_tokens: The maximum number of tokens to write.
        stream: Stream the response; see `Client.complete`.
        schema: A JSON schema of what it writes, used if the server takes one.
        arriving: Reads the text while it is written, for a listener or a stop text.

    Raises:
        SampleFailed: The model's context is full.
        ModelError: The model failed.
    """
    session = await draft.session(role)
    if not draft.trajectory.is_thinking:
        schema = schema or draft.form.schema
    request = await session.request(draft.trajectory, max_tokens, draft.seed, schema=schema)
    await draft.sample.begin_request()
    if arriving is None:
        completion = await session.complete(request, stream=stream)
    else:
        completion = await read_aloud(draft, session, request, arriving)
    return await session.chunk(request, completion, draft.trajectory)


async def read_aloud(
    draft: Draft, session: ModelSession, request: Request, arriving: Callable[[], ArrivingText]
) -> Completion:
    """Make one call, with retries, and tell the draft's listener what is certain of its text.

    Args:
        draft: The draft.
        session: The session of its writer.
        request: The call.
        arriving: Makes what reads the text of an attempt; it may end the call.

    Raises:
        SampleFailed: A later attempt wrote other text than what the listener has heard.
        ModelError: The call failed for good.
    """

    def add(piece: str) -> None:
        certain = text.add(piece)
        if certain and draft.listener is not None:
            draft.listener.arrived(certain)

    call = session.call()
    streams = session.model.servers.capabilities.streams
    while True:
        text = arriving()
        try:
            if not streams:
                completion = await call.client.attempt(request)
                add(completion.text)
                break
            async with call.client.stream(request) as events:
                async for event in events:
                    add(event.text)
                    if text.ended:
                        break
            completion = events.completion()
            break
        except ModelError as error:
            await call.retry_after(error)
    own = text.end()
    return completion if own is None else completion._replace(text=own, finish="stop")


async def tokens_left(draft: Draft) -> int:
    """Tokens left for the thinking; at the limit, 0, and the thinking ends as the settings say.

    Raises:
        SampleFailed: The limit is reached, and the settings say that the sample then fails.
    """
    limits, used = draft.context.config.limits, draft.trajectory.thinking_tokens
    left = limits.thinking_tokens - used
    if (most := draft.form.tokens) is not None:
        if most - used < SMALLEST_CHUNK:
            raise SampleFailed(Failure.THINKING_LIMIT, f"no end within {most} tokens")
        left = min(left, most - used)
    if left >= SMALLEST_CHUNK:
        return left
    if limits.on_thinking_limit is OnLimit.FAIL:
        detail = f"no end within {limits.thinking_tokens} tokens of thinking"
        raise SampleFailed(Failure.THINKING_LIMIT, detail)
    await draft.commit(turns.close_thinking(draft.trajectory))
    return 0


def answer_tokens(draft: Draft) -> int:
    """The most tokens that the answer may have.

    Raises:
        SampleFailed: The thinking has left it none.
    """
    limit, most = draft.context.config.limits.answer_tokens, draft.form.tokens
    if most is None:
        return limit
    if (left := most - draft.trajectory.thinking_tokens) < 1:
        raise SampleFailed(Failure.ANSWER_LIMIT, f"the thinking took all of {most} tokens")
    return min(limit, left)


def check_rejection(draft: Draft) -> None:
    """Fail again if the draft failed at an earlier start.

    Raises:
        SampleFailed: The draft was rejected because it failed.
    """
    if draft.rejection is not None and draft.rejection.failure is not None:
        raise SampleFailed(draft.rejection.failure, draft.rejection.why)


def check_repetition(guard: RepetitionGuard, draft: Draft, text: str) -> None:
    """Pass committed text to the guard.

    Raises:
        SampleFailed: The text repeats itself.
    """
    fragment = guard.feed(text)
    if fragment and draft.rejection is None:
        raise SampleFailed(Failure.REPETITION, f"again and again: {fragment!r}")


def fault_of_answer(chunk: Chunk, role: Role, most: int) -> SampleFailed | None:
    """Why an answer can't be kept; None if it can.

    Args:
        chunk: The answer.
        role: Who wrote it.
        most: The most tokens that it might have; fewer were asked for if the context is shorter.
    """
    if chunk.finish is not Finish.ENDED:
        detail = f"no end within {chunk.tokens} tokens of answer"
        if chunk.asked < most:
            return SampleFailed(Failure.CONTEXT_LIMIT, f"{detail}, which fill the context")
        return SampleFailed(Failure.ANSWER_LIMIT, detail)
    if not chunk.text.strip():
        return SampleFailed(Failure.EMPTY_ANSWER, f"the {role} wrote no answer")
    for marker in MARKERS:
        if marker in chunk.text:
            return SampleFailed(Failure.MARKER, f"the answer contains {marker}")
    if fragment := RepetitionGuard().feed(chunk.text):
        detail = f"again and again in the answer: {fragment!r}"
        return SampleFailed(Failure.REPETITION, detail)
    return None
