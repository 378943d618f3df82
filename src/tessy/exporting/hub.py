"""Uploading an exported data set to Hugging Face."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tessy.errors import ConfigError, HubError
from tessy.exporting.hf import DATA

FILES = ("README.md", f"{DATA}/*.parquet")
"""What is uploaded: no list of what was dropped, no counts."""
_NAME = re.compile(r"[\w.-]+/[\w.-]+")


@dataclass(frozen=True, slots=True)
class Hub:
    """A data set on the hub, to be uploaded to.

    Attributes:
        repository: `owner/name`.
        public: Everybody may see it, if it is made anew; an existing one stays what it is.
    """

    repository: str
    public: bool = False

    def check(self) -> None:
        """Make sure, before any work, that an upload may succeed.

        Raises:
            ConfigError: The name is none, or there is no token.
            HubError: The hub can't be reached, or does not take the token.
        """
        from huggingface_hub import get_token

        if not _NAME.fullmatch(self.repository):
            raise ConfigError(f"--push {self.repository!r} is no name", hint="--push OWNER/NAME")
        if get_token() is None:
            raise ConfigError(
                "there is no token for Hugging Face", hint="hf auth login, or set HF_TOKEN"
            )
        self._call("whoami")

    def upload(self, folder: Path) -> str:
        """Make the data set if it is not there, and upload a folder to it in one commit.

        Args:
            folder: An export for `hf`.

        Returns:
            The commit's address.

        Raises:
            HubError: The hub did not take it; the folder stays.
        """
        hint = (
            f"{folder} is there; to upload it: hf upload {self.repository} {folder} "
            "--repo-type dataset --include README.md --include 'data/*'"
        )
        kind = {"repo_id": self.repository, "repo_type": "dataset"}
        self._call("create_repo", **kind, private=not self.public, exist_ok=True, hint=hint)
        done = self._call(
            "upload_folder",
            **kind,
            folder_path=str(folder),
            allow_patterns=list(FILES),
            delete_patterns=[f"{DATA}/*.parquet"],
            commit_message="Data and card, exported with tessy",
            hint=hint,
        )
        return str(done.commit_url)

    def _call(self, method: str, *, hint: str | None = None, **arguments: Any) -> Any:
        from huggingface_hub import HfApi
        from huggingface_hub.errors import HfHubHTTPError

        try:
            return getattr(HfApi(), method)(**arguments)
        except HfHubHTTPError as error:
            said = error.server_message or str(error).splitlines()[0]
            raise HubError(f"Hugging Face refused ({method}): {said}", hint=hint) from None
        except Exception as error:  # its HTTP library's, which is another from version to version
            raise HubError(f"Hugging Face can't be used ({method}): {error}", hint=hint) from error
