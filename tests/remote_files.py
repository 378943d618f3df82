"""File systems that fail, for tests of what is at a URL."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar

import fsspec
from fsspec.implementations.memory import MemoryFileSystem


class Failing(MemoryFileSystem):
    """Files in memory at `failing://…`, and what goes wrong with them."""

    protocol = "failing"
    store: ClassVar[dict] = {}
    pseudo_dirs: ClassVar[list[str]] = [""]
    cachable = False
    left: ClassVar[dict[str, int]] = {}
    """How many writes of files with a text in their names fail; -1: all."""
    error: ClassVar[Exception] = OSError("the network is gone")
    writes: ClassVar[list[str]] = []

    @classmethod
    def _strip_protocol(cls, path):
        return super()._strip_protocol(path.replace("failing://", "memory://"))

    @classmethod
    def _fail(cls, path: str) -> None:
        for text, count in cls.left.items():
            if text in path and count:
                cls.left[text] = count - 1
                raise cls.error
        cls.writes.append(path)

    def pipe_file(self, path, value, mode="overwrite", **more):
        self._fail(path)
        return super().pipe_file(path, value, mode, **more)

    def put_file(self, lpath, rpath, *args, **more):
        self._fail(rpath)
        return super().put_file(lpath, rpath, *args, **more)


@contextmanager
def failing(error: Exception | None = None, **left: int) -> Iterator[type[Failing]]:
    """`failing://` for a while, empty at first.

    Args:
        error: What is raised.
        **left: How often writes of files fail whose names contain a text; -1 for always.
    """
    fsspec.register_implementation("failing", Failing, clobber=True)
    Failing.store.clear()
    Failing.pseudo_dirs[:] = [""]
    Failing.left, Failing.writes = dict(left), []
    Failing.error = error or OSError("the network is gone")
    yield Failing
    Failing.store.clear()
