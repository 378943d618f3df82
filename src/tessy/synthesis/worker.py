"""A worker: a process that writes samples for another, which keeps the journal (`runs.crew`).

    python -m tessy.synthesis.worker FD

FD is its end of the line. It ends when there is nothing more to write, when it is told to, and at
once when the process that keeps the journal is gone.
"""

from __future__ import annotations

import asyncio
import datetime
import os
import socket
import sys
from dataclasses import replace

from tessy.boundary.batcher import Judge
from tessy.config import Config, Mode
from tessy.event_loop import run_loop
from tessy.method.trajectory import Role, Turn
from tessy.models.open import open_pair
from tessy.models.session import Model
from tessy.runs.journal import Ending
from tessy.runs.plan import Assigned
from tessy.synthesis.methods import method_of
from tessy.synthesis.scheduler import Pool
from tessy.synthesis.talk import Begin, Ended, Failed, Line, NoMore, Stop, Wanted, Written
from tessy.synthesis.tools import predictors_of, verifier_of

FLUSH_S = 0.5
"""Seconds between two reports of turns."""


class FarDesk:
    """The desk of a worker, at the other end of its line: a `runs.pool.Desk`."""

    def __init__(self, line: Line, models: dict[Role, Model]) -> None:
        self._line = line
        self._models = models
        self._given: asyncio.Queue[Assigned | None] = asyncio.Queue()
        self._notes: dict[str, tuple[list[Turn], float, int]] = {}

    def give(self, assigned: Assigned | None) -> None:
        """Hand on a sample that came, or that there is none."""
        self._given.put_nowait(assigned)

    async def next(self) -> Assigned | None:
        """See `Desk.next`."""
        self._line.say(Wanted())
        return await self._given.get()

    def note(self, sample_id: str, turn: Turn, seconds: float, requests: int) -> None:
        """See `Desk.note`."""
        turns = self._notes[sample_id][0] if sample_id in self._notes else []
        self._notes[sample_id] = ([*turns, turn], seconds, requests)

    async def end(self, ending: Ending) -> None:
        """See `Desk.end`."""
        await self.checkpoint()  # its turns come before its end, for the accounts
        self._line.say(Ended(ending))

    async def checkpoint(self) -> None:
        """See `Desk.checkpoint`."""
        notes, self._notes = self._notes, {}
        traffic = {role.value: model.servers.traffic for role, model in self._models.items()}
        requests = sum(each.requests for each in traffic.values())
        faults = {role: each.faults for role, each in traffic.items() if each.faults}
        self._line.say(Written(notes, requests, faults))


async def main(descriptor: int) -> None:
    """Write samples until there are no more."""
    line = await Line.open(socket.socket(fileno=descriptor))
    begin = await line.hear()
    if not isinstance(begin, Begin):
        return
    try:
        await _work(line, begin)
    except Exception as error:
        line.say(Failed(error))
    await line.close()


async def _work(line: Line, begin: Begin) -> None:
    config = Config.model_validate_json(begin.config).model_copy(update={"mode": Mode.CHUNKS})
    date = datetime.date.fromisoformat(begin.date)
    method = method_of(config)
    predictors, roles = predictors_of(config, method), method.needs(config)
    opened = open_pair(config, date=date, roles=roles, judged=method.judged)
    async with verifier_of(config) as verifier, opened as pair, Judge(predictors) as judge:
        models = {role: replace(m, name=begin.names[role.value]) for role, m in pair.models.items()}
        desk = FarDesk(line, models)
        pool = Pool(config, models, begin.streamed, judge, desk, verifier)
        writing = asyncio.create_task(pool.run(FLUSH_S))
        listening = asyncio.create_task(_listen(line, desk, writing))
        try:
            await writing
        except asyncio.CancelledError:
            pass  # told to stop: what is under way has been said
        finally:
            listening.cancel()
            await desk.checkpoint()


async def _listen(line: Line, desk: FarDesk, writing: asyncio.Task[None]) -> None:
    while True:
        match await line.hear():
            case Assigned() as assigned:
                desk.give(assigned)
            case NoMore():
                desk.give(None)
            case Stop():
                writing.cancel()
            case None:
                os._exit(1)  # nobody keeps what would be written


if __name__ == "__main__":
    run_loop(main(int(sys.argv[1])))
