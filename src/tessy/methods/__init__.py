"""Methods: ways of writing a sample. One coroutine each, one signature; `METHODS` names them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from tessy.cooperate import Session
from tessy.methods import tessy

Method = Callable[[Session], Awaitable[None]]

METHODS: Mapping[str, Method] = {"tessy": tessy.write}
