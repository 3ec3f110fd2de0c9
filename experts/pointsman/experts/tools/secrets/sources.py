"""Where a secret is kept: a variable of the environment, or a file. Never in the YAML itself."""

import os
from pathlib import Path

from pydantic import BaseModel, ConfigDict, SecretStr, model_validator

from pointsman.router.errors import ExpertError

LARGEST = 64 << 10
"""Bytes of a file with a secret."""


class NoCredential(ExpertError):
    """A tool needs a credential that is not here. Nothing was sent."""

    code = "expert.no-credential"
    retryable = False
    nothing_done = True


class Source(BaseModel):
    """{env: NAME} or {file: /run/secrets/name}: read anew for every call, so it may be changed while we run."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    env: str | None = None
    file: Path | None = None

    @model_validator(mode="after")
    def _one(self) -> "Source":
        if (self.env is None) == (self.file is None):
            raise ValueError("give either 'env', the name of a variable, or 'file', a path")
        return self

    def read(self) -> SecretStr:
        """Raises NoCredential, which names the place and never the content."""
        if self.env is not None:
            found = os.environ.get(self.env)
            if not found:
                raise NoCredential(f"the variable {self.env} is not set where the worker runs")
            return SecretStr(found)
        assert self.file is not None
        try:
            with self.file.open("rb") as file:
                content = file.read(LARGEST + 1)
        except OSError as error:
            raise NoCredential(f"{self.file} cannot be read: {error.strerror}") from None
        try:
            text = content.decode().strip()
        except UnicodeDecodeError:
            raise NoCredential(f"{self.file} is not a text") from None
        if not text or len(content) > LARGEST:
            raise NoCredential(f"{self.file} holds no secret of a line")
        return SecretStr(text)
