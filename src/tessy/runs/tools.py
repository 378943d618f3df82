"""What a process needs to write samples, besides the models: predictors, and a verifier."""

from __future__ import annotations

from tessy.boundary.protocol import Predictor
from tessy.boundary.registry import load_all
from tessy.config import Config
from tessy.methods.method import Method
from tessy.trajectory import Role
from tessy.verify.protocol import Verifier
from tessy.verify.registry import load


def predictors_of(config: Config, method: Method) -> dict[Role, Predictor]:
    """The predictors of a run, by the role whose text they judge; none if nothing is judged.

    Raises:
        TessyError: The leaf that says which can't be used, and why.
    """
    if not method.judged:
        return {}
    return load_all({role: config.predictor_of(role) for role in Role})


def verifier_of(config: Config) -> Verifier | None:
    """The verifier of a run, if it has one.

    Raises:
        TessyError: The leaf that says why it can't be used.
    """
    return load(config.verify, sandbox=config.sandbox) if config.verify else None
