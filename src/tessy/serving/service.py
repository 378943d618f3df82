"""Writes what a request asks for: each choice is a sample, with settings of its own."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace

from tessy.data.questions import Question
from tessy.errors import ConfigError, JournalError, Outage, TessyError
from tessy.method.trajectory import DraftKey, Failure, Part, Turn
from tessy.models.session import Model
from tessy.runs.plan import Job
from tessy.runs.written import Ending, Entry
from tessy.serving.admission import Admission
from tessy.serving.choices import WrittenChoice
from tessy.serving.metrics import ServerMetrics
from tessy.serving.names import ServedModel, named
from tessy.serving.refusals import of_server, refused
from tessy.serving.requests import AskedChoice, ServedRequest, keeps_to
from tessy.serving.served_run import ServedRun
from tessy.synthesis.context import RunContext
from tessy.synthesis.conversations import check_messages
from tessy.synthesis.sample import Listener, Sample
from tessy.synthesis.scheduler import ending_of, write_sample

_CHARACTERS_A_TOKEN = 32
"""No text has so many in the mean. One that is longer than the context by that is not rendered."""


class _Recorder:
    """The journal of a sample: keeps how it ended, and passes all on to the run's, if any.

    In a run, samples have the positions in which they end, so that none is missing.
    """

    def __init__(self, run: ServedRun | None) -> None:
        self.ending: Ending | None = None
        self.answer_tokens = 0
        self._run = run

    def note(
        self, sample_id: str, key: DraftKey, entry: Entry, seconds: float, requests: int
    ) -> None:
        """See `SampleJournal.note`."""
        if isinstance(entry, Turn) and entry.part is Part.ANSWER:
            self.answer_tokens = entry.tokens
        if self._run is not None:
            self._run.journal.note(sample_id, key, entry, seconds, requests)

    async def end(self, ending: Ending) -> None:
        """See `SampleJournal.end`."""
        self.ending = ending
        if self._run is not None:
            await self._run.end(ending)


@dataclass(frozen=True, slots=True)
class PreparedRequest:
    """A request whose prompts can be made, with all that its choices need.

    Attributes:
        id: The response's id.
        request: What the client asks for.
        choices: Its choices.
        served: The model that it names.
        context: The server's context, with what is of this request.
    """

    id: str
    request: ServedRequest
    choices: tuple[AskedChoice, ...]
    served: ServedModel
    context: RunContext


class Service:
    """Writes responses.

    Args:
        context: Shared by all samples.
        models: The models that clients can name.
        admission: Admits requests.
        metrics: What is counted.
        run: Where it is noted; None if it is not.
    """

    def __init__(
        self,
        context: RunContext,
        models: Mapping[str, ServedModel],
        admission: Admission,
        metrics: ServerMetrics,
        run: ServedRun | None = None,
    ) -> None:
        self.context = context
        self.models = models
        self.admission = admission
        self.metrics = metrics
        self._run = run
        self._position = 0

    def context_tokens(self, served: ServedModel) -> int:
        """The longest prompt and response that all models of a served one take."""
        needed = served.method.needs(served.config)
        return min(self.context.models[role].context_tokens for role in needed)

    def prepare(self, request: ServedRequest) -> PreparedRequest:
        """Check all that can be checked of a request before any work.

        Raises:
            ApiError: There is no such model, its server takes no schemas, a chat template can't
                show a message, or the conversation is far too long.
        """
        served = named(request.model, self.models)
        if request.form.schema is not None:
            for role in served.answerers:
                if not self.context.models[role].servers.capabilities.schemas:
                    said = f"the {role}, which answers, is on a server that takes no JSON schema"
                    raise refused("response_format", said, code="unsupported_parameter")
        context, tokens = self._context_of(request, served), self.context_tokens(served)
        for messages in request.conversations:
            characters = sum(len(text) for message in messages for text in message.values())
            if characters > _CHARACTERS_A_TOKEN * tokens:
                said = f"{characters:,} characters are more than a context of {tokens:,} tokens"
                raise refused("messages", said, code="context_length_exceeded")
            try:
                check_messages(messages, context.opened, context.config)
            except ConfigError as error:
                raise refused("messages", str(error), code="invalid_value") from None
        made = f"{'chatcmpl' if request.chat else 'cmpl'}-{secrets.token_hex(12)}"
        return PreparedRequest(made, request, tuple(request.choices()), served, context)

    def _context_of(self, request: ServedRequest, served: ServedModel) -> RunContext:
        """The context of a request's samples: its own sampling, seed, limits and method."""
        config, roles = served.config, served.method.needs(served.config)
        if request.seed is not None:
            config = config.model_copy(update={"seed": request.seed})
        models = {
            role: _drawing(model, request.sampling)
            for role, model in self.context.models.items()
            if role in roles
        }
        return replace(self.context, config=config, models=models, form=request.form)

    async def write(
        self,
        prepared: PreparedRequest,
        asked: AskedChoice,
        listener: Listener | None = None,
    ) -> WrittenChoice:
        """Write one choice, when there is a place for it.

        Args:
            prepared: The request.
            asked: The choice.
            listener: Hears the text while it is written.

        Raises:
            ApiError: There is no response: a server, a predictor or the journal failed, or the
                prompt is too long.
        """
        several = len(prepared.choices) > 1
        sample_id = f"{prepared.id}#{asked.index}" if several else prepared.id
        async with self.admission.place():
            recorder = _Recorder(self._run)
            sample = self._sample(prepared, asked, sample_id, recorder, listener)
            await self._write(sample, prepared.served, recorder)
        choice = _written(sample, recorder, asked.index)
        self.metrics.handed_over(choice.stats["hand_overs"])
        if (error := choice.error()) is not None:
            raise error
        schema = prepared.request.form.schema
        broken = keeps_to(schema, choice.answer) if schema and not choice.failure else None
        if broken is not None:
            said = (
                f"the model's server took the schema, and its answer does not keep to it: {broken}"
            )
            raise of_server(502, said, "schema_not_kept")
        return choice

    def _sample(
        self,
        prepared: PreparedRequest,
        asked: AskedChoice,
        sample_id: str,
        recorder: _Recorder,
        listener: Listener | None,
    ) -> Sample:
        position = self._position
        self._position += 1
        question = Question(position, sample_id, asked.messages)
        job = Job(position, sample_id, question, seed_key=asked.seed_key)
        if prepared.served.method.chosen:
            listener = None
        return Sample(prepared.context, recorder, job, listener=listener)

    async def _write(self, sample: Sample, served: ServedModel, recorder: _Recorder) -> None:
        """Write a sample to its end, whatever end that is.

        Raises:
            ApiError: A server is down, or the journal can't be written.
        """
        method, ended = served.method, self.context.counters.end
        try:
            await write_sample(sample, method)
        except asyncio.CancelledError:
            if recorder.ending is None:
                ended(Failure.CANCELLED)
                said = "its client left, or the server was stopped"
                await recorder.end(ending_of(sample, method, Failure.CANCELLED, said))
            raise
        except Outage as error:
            ended(Failure.MODEL_ERROR)
            await recorder.end(ending_of(sample, method, Failure.MODEL_ERROR, str(error)))
            raise of_server(503, str(error), "model_down") from None
        except JournalError as error:
            raise of_server(500, error, "journal_error") from None
        except TessyError as error:
            raise of_server(500, error, "internal_error") from None


def _drawing(model: Model, sampling: Mapping[str, float]) -> Model:
    """A model that draws tokens otherwise."""
    if not sampling:
        return model
    own = model.settings.sampling.model_copy(update=sampling)
    return replace(model, settings=model.settings.model_copy(update={"sampling": own}))


def _written(sample: Sample, recorder: _Recorder, index: int) -> WrittenChoice:
    """What came of a sample."""
    ending, trajectory = recorder.ending, sample.trajectory
    assert ending is not None
    shown = sample.shown
    sessions = [*shown.sessions.values()] if shown else []
    return WrittenChoice(
        index,
        sample.job.id,
        trajectory,
        ending.record["stats"],
        prompt_tokens=sessions[0].opening_tokens or 0 if sessions else 0,
        cut_tokens=0 if trajectory.done else recorder.answer_tokens,
        failure=ending.failure,
        detail=ending.record.get("detail", ""),
    )
