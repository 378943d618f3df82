"""`http://HOST:PORT…`: a token classifier on a vLLM server, asked in batches.

    http://host:8000?tokenizer=FOLDER#served-name

The server is vLLM with a token classifier (`vllm serve DIR --runner pooling`). It is asked at
`/pooling` with token ids, so FOLDER must hold the same tokenizer, and `predictor.json` if `tessy
predictor train` made the classifier. More options: `shift=1` (labels are about the next token),
`api_key_env=VARIABLE`.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import orjson
from tokenizers import Tokenizer

from tessy.boundary.classifier import ClassifierPredictor
from tessy.boundary.settings import ClassifierSettings, read_settings
from tessy.boundary.transformers import style_label
from tessy.config import ModelSettings, Timeouts
from tessy.errors import ConfigError, ModelError, Outage, PredictorError
from tessy.models.client import NO_KEY, Client
from tessy.models.replicas import GONE

_OPTIONS = {"tokenizer", "shift", "api_key_env"}
_HINT = "http://host:8000?tokenizer=FOLDER#served-name, of vLLM with a token classifier"
_UNUSABLE = (*NO_KEY, 404)
_TIMEOUTS = Timeouts(total_s=60)
"""A batch takes less than a second."""
_ROUNDED = 0.01
_LEAST = 1e-7
"""Probabilities are at least this, so that their log-odds are finite."""


class ServedNetwork:
    """Asks the pooling endpoint of a server, from a thread without an event loop.

    Args:
        base_url: The address, with `/v1`.
        served_name: The name of the model there; "" if the server has only one.
        style: Which of its two labels is style.
        settings: Time-outs, retries and the variable of the key.

    Raises:
        ConfigError: The variable of the key is not set.
    """

    def __init__(
        self, base_url: str, served_name: str, *, style: int, settings: ModelSettings
    ) -> None:
        self._where = (base_url, served_name)
        self._settings = settings
        self._style = style
        Client(base_url, served_name, settings)  # raises now if there is no key

    def __call__(self, ids: Sequence[Sequence[int]]) -> list[list[float]]:
        """See `Network`.

        Raises:
            PredictorError: The server failed, or its answer has not two labels for each token.
            Outage: The server is gone, or takes no such requests.
        """
        asked = [row for row in ids if row]
        if not asked:
            return [[] for _ in ids]
        answers = iter(asyncio.run(self._ask(asked)))
        return [self._odds(next(answers), len(row)) if row else [] for row in ids]

    async def _ask(self, ids: Sequence[Sequence[int]]) -> list[Any]:
        base_url, name = self._where
        payload = {"input": ids, "task": "token_classify", "use_activation": True}
        if name:
            payload["model"] = name
        with closing(Client(base_url, name, self._settings)) as client:
            try:
                answer = await client.post("/pooling", payload)
            except ModelError as error:
                gone = isinstance(error, GONE) and not await client.is_alive()
                if gone or error.status in _UNUSABLE or 300 <= error.status < 400:
                    said = "start it again, then run the same command: it resumes the run"
                    if error.status in NO_KEY:
                        said = "its key: http://host:8000?tokenizer=FOLDER&api_key_env=VARIABLE"
                    raise Outage(
                        f"the predictor's server {base_url} can't be used: {error}", hint=said
                    ) from None
                raise PredictorError(f"{base_url}: {error}", hint=error.hint) from None
        rows = answer.get("data") if isinstance(answer, dict) else None
        if not isinstance(rows, list) or len(rows) != len(ids):
            raise PredictorError(
                f"{base_url}: its answer is not one row for each of {len(ids)} texts",
                hint=_HINT,
            )
        if any(isinstance(row, dict) and "index" in row for row in rows):
            return self._sorted(rows)
        return rows

    def _sorted(self, rows: list[Any]) -> list[Any]:
        """The rows in the order of the texts."""
        by_index = {row.get("index"): row for row in rows if _is_row(row)}
        if set(by_index) != set(range(len(rows))):
            raise PredictorError(
                f"{self._where[0]}: its answer's indices are not those of {len(rows)} texts",
                hint=_HINT,
            )
        return [by_index[number] for number in range(len(rows))]

    def _odds(self, row: Any, tokens: int) -> list[float]:
        """Log-odds of style from the two probabilities of each token."""
        pairs = row.get("data") if isinstance(row, dict) else None
        fine = isinstance(pairs, list) and len(pairs) == tokens and all(map(_is_pair, pairs))
        if pairs is None or not fine:
            raise PredictorError(
                f"{self._where[0]}: its answer is not two probabilities for each of {tokens} "
                "tokens",
                hint="it must serve a token classifier with two labels, without prefix caching",
            )
        logs = [[math.log(max(p, _LEAST)) for p in pair] for pair in pairs]
        return [pair[self._style] - pair[1 - self._style] for pair in logs]


def _is_row(row: Any) -> bool:
    return isinstance(row, dict) and type(row.get("index")) is int


def _is_pair(pair: Any) -> bool:
    return (
        isinstance(pair, list)
        and len(pair) == 2
        and all(type(p) in (int, float) and -_ROUNDED <= p <= 1 + _ROUNDED for p in pair)
    )


def load(url: str) -> ClassifierPredictor:
    """Load a predictor; nothing is asked of the server yet.

    Args:
        url: The address; see the module.

    Raises:
        ConfigError: The address lacks something.
        ConfigError: The folder has no fast tokenizer, or its settings are not valid.
    """
    parts = urlsplit(url)
    options = {key: values[-1] for key, values in parse_qs(parts.query).items()}
    unknown = set(options) - _OPTIONS
    if not parts.netloc or unknown or options.get("shift", "0") not in ("0", "1"):
        what = f": {', '.join(sorted(unknown))} is no option" if unknown else ""
        raise ConfigError(f"{url} is no predictor{what}", hint=_HINT)
    if not options.get("tokenizer"):
        raise ConfigError(
            f"{url}: which tokenizer has the classifier? The server gets token ids",
            hint=_HINT,
        )
    folder = Path(options["tokenizer"])
    file = folder / "tokenizer.json"
    if not file.is_file():
        raise ConfigError(f"{url}: there is no {file}", hint="name the folder of its tokenizer")
    settings = read_settings(folder) or ClassifierSettings(style=_style(folder))
    if "shift" in options:
        settings = settings.model_copy(update={"shift": int(options["shift"])})
    path = parts.path.rstrip("/").removesuffix("/pooling").removesuffix("/v1")
    network = ServedNetwork(
        f"{parts.scheme}://{parts.netloc}{path}/v1",
        parts.fragment,
        style=settings.style,
        settings=ModelSettings(
            model=url, api_key_env=options.get("api_key_env"), timeouts=_TIMEOUTS
        ),
    )
    return ClassifierPredictor(url, Tokenizer.from_file(str(file)), network, settings)


def _style(folder: Path) -> int:
    """Which label is style, by the `config.json` of the model if it is in the folder; else 1."""
    with suppress(OSError, orjson.JSONDecodeError, KeyError, ValueError, AttributeError):
        labels = orjson.loads((folder / "config.json").read_bytes())["id2label"]
        return style_label(str(folder), {int(index): name for index, name in labels.items()})
    return 1
