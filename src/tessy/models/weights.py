"""GGUF files of models: shipped (`lab:`), local (`gguf:`), or downloaded (`hf:`)."""

from __future__ import annotations

from pathlib import Path

from tessy import lab
from tessy.data.fetched import local_file
from tessy.data.remote import is_url
from tessy.display import Say
from tessy.errors import LocalModelError, meant
from tessy.models.address import Address, Scheme


def fetch(address: Address, say: Say = lambda _: None) -> Path:
    """The GGUF file of a model that is not a server, downloaded if necessary.

    Args:
        address: A `lab:`, `gguf:` or `hf:` address.
        say: Called with lines about progress.

    Raises:
        LocalModelError: There is no such file, it can't be downloaded, or it is not a GGUF file.
    """
    match address.scheme:
        case Scheme.LAB:
            return lab.folder(address.place) / "model.gguf"
        case Scheme.GGUF:
            return _checked(Path(local_file(address.place)).expanduser())
        case Scheme.HUB:
            return _checked(_download(address.place, say))
    raise ValueError(f"{address} is a server")


def refuse_missing(address: Address) -> None:
    """Refuse a `gguf:` address of a file that is not there, or is none; nothing is downloaded.

    Raises:
        LocalModelError: The message names the file.
    """
    if address.scheme is Scheme.GGUF and not is_url(address.place):
        _checked(Path(address.place).expanduser())


def _download(place: str, say: Say) -> Path:
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError

    owner, repository, file = place.split("/", 2)
    say(f"fetching {file} of {owner}/{repository} from Hugging Face")
    try:
        return Path(hf_hub_download(f"{owner}/{repository}", file))
    except (HfHubHTTPError, OSError, ValueError) as error:
        raise LocalModelError(f"hf:{place} can't be fetched: {error}") from None


def _checked(path: Path) -> Path:
    if path.is_dir():
        files = sorted(each.name for each in path.glob("*.gguf"))
        hint = f"gguf:{path / files[0]}" if files else "tessy sft --export gguf writes such a file"
        raise LocalModelError(f"{path} is a folder, and gguf: takes a file", hint=hint)
    if not path.is_file():
        near = meant(path.name, (each.name for each in path.parent.glob("*.gguf")))
        hint = f"{near}gguf: takes the path of a GGUF file"
        raise LocalModelError(f"{path}: no such file", hint=hint)
    with path.open("rb") as file:
        if file.read(4) != b"GGUF":
            raise LocalModelError(f"{path} is not a GGUF file")
    return path
