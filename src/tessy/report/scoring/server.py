"""A scorer: the student's server, if it returns log-probabilities of a prompt."""

from __future__ import annotations

import datetime
import itertools
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

from tessy.config import Config
from tessy.display import Say
from tessy.errors import ConfigError
from tessy.method.trajectory import Role
from tessy.models.client import Client
from tessy.models.logprobs import LogprobsField, logprobs_field, prompt_logprobs
from tessy.models.open import open_one
from tessy.models.templates import ChatFormat
from tessy.models.tokenizers import Codec
from tessy.report.scoring.scorer import Scorer

_AT_ONCE = 16


class ServerScorer:
    """Asks servers of one model in turn; see `Scorer`."""

    def __init__(
        self,
        clients: Sequence[Client],
        field: LogprobsField,
        codec: Codec,
        format_: ChatFormat,
        longest: int | None,
        at_once: int,
        root: str = "",
    ) -> None:
        name = clients[0].served_name
        self.name = f"{name}, by its server ({field}), in the chat format {format_.name}"
        self.key = ", ".join(filter(None, (name, root, format_.name)))
        self.format, self.codec = format_, codec
        self.longest = longest - 1 if longest else None  # one token is generated
        self.at_once = at_once
        self._field = field
        self._turns = itertools.cycle(clients)

    async def logprobs(self, ids: Sequence[int]) -> list[float | None]:
        """See `Scorer.logprobs`."""
        return await prompt_logprobs(next(self._turns), ids, self._field)


@asynccontextmanager
async def open_server(config: Config, date: datetime.date, say: Say) -> AsyncIterator[Scorer]:
    """Open the student's server as a scorer.

    Args:
        config: Its student is asked.
        date: The run's, for chat templates that name it.
        say: Told what is going on, in a line.

    Raises:
        ConfigError: The server can't score, or no tokenizer is known.
        ModelError: It can't be reached.
    """
    async with AsyncExitStack() as stack:
        opened = await open_one(config, Role.STUDENT, date, stack, say)
        for note in opened.notes:
            say(note)
        field = await logprobs_field(opened.client)
        if field is None:
            raise ConfigError(
                f"{opened.client.base_url} returns no log-probabilities of a prompt, so it can't "
                "score",
                hint="serve the student with vLLM, or give --student-weights FOLDER",
            )
        if opened.codec is None:
            raise ConfigError(
                "scoring needs the student's tokenizer", hint="--student-tokenizer FOLDER-OR-ID"
            )
        clients = [replica.client for replica in opened.servers.replicas if replica.up]
        for client in clients:
            client.served_name = opened.client.served_name
        at_once = config.student.concurrency or _AT_ONCE * len(clients)
        yield ServerScorer(
            clients,
            field,
            opened.codec,
            opened.format,
            opened.abilities.context_tokens,
            at_once,
            opened.abilities.root,
        )
