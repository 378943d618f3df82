"""Registry."""

from __future__ import annotations

from tessy.verify.protocol import Verifier


def load(spec: str, *, sandbox: bool = True) -> Verifier:
    """Load."""
    raise NotImplementedError(spec)
