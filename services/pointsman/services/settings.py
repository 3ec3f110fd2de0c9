"""Settings, from the environment (POINTSMAN_...) and the command line."""

import os
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AliasChoices, Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

PORT = 8321
AppendFsync = Literal["everysec", "always"]
AccessMode = Literal["auto", "keys", "open"]


def default_home() -> Path:
    """$XDG_DATA_HOME/pointsman, else ~/.local/share/pointsman."""
    base = os.environ.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
    return Path(base) / "pointsman"


class Settings(BaseSettings):
    """Every setting has a default that works on a laptop with nothing else.

    home: where runs and files are kept. redis_url: a Redis to use in place of the embedded one; a Redis
    Cluster as "redis+cluster://host:port,host:port". appendfsync: of the embedded one. artifacts: where
    values above artifact_limit characters are kept, a folder or a URL that fsspec reaches ("s3://bucket").
    access: whether requests without an API key are answered: "auto" on loopback only, "keys" nowhere, "open" everywhere.
    http_allow: "host:port" that http.get may reach although they are not public. capabilities: YAML or
    Python files with capabilities of your own. workflows: a folder with workflows of your own (default:
    "workflows" in home; it need not exist). tools: a folder with registered APIs (default: "tools" in home). policy: what may be
    called by whom (default: "policy.yaml" in home, which need not exist). health_port: where /livez, /readyz and
    /metrics of this process are answered, besides the gateway. grace: seconds that work under way is given at
    SIGTERM. A model is used when OPENAI_API_KEY or OPENAI_BASE_URL is
    set; prices are dollars per million tokens.
    """

    model_config = SettingsConfigDict(
        env_prefix="POINTSMAN_", extra="ignore", populate_by_name=True
    )

    home: Path = Field(default_factory=default_home)
    redis_url: str | None = None
    appendfsync: AppendFsync = "everysec"
    artifacts: str | None = None
    artifact_limit: Annotated[int, Field(ge=1_024)] = 256 * 1024
    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = PORT
    access: AccessMode = "auto"
    allowed_hosts: Annotated[tuple[str, ...], NoDecode] = ()
    capabilities: Annotated[tuple[Path, ...], NoDecode] = ()
    workflows: Path | None = None
    tools: Path | None = None
    experts: Path | None = None
    policy: Path | None = None
    http_allow: Annotated[tuple[str, ...], NoDecode] = ()
    upload_limit: Annotated[int, Field(gt=0)] = 512 << 20
    threads: Annotated[int, Field(ge=0)] = 0
    log_level: str = "warning"
    health_port: Annotated[int, Field(ge=0, le=65535)] | None = None
    grace: Annotated[float, Field(ge=0, le=3600)] = 10.0

    openai_api_key: SecretStr | None = Field(
        default=None, validation_alias=AliasChoices("OPENAI_API_KEY", "openai_api_key")
    )
    openai_base_url: str | None = Field(
        default=None, validation_alias=AliasChoices("OPENAI_BASE_URL", "openai_base_url")
    )
    model: str = "gpt-4o-mini"
    price_in: Annotated[float, Field(ge=0)] = 0.0
    price_out: Annotated[float, Field(ge=0)] = 0.0

    @field_validator("allowed_hosts", "capabilities", "http_allow", mode="before")
    @classmethod
    def _listed(cls, value: object) -> object:
        """A comma-separated list, as an environment variable holds it."""
        if isinstance(value, str):
            return tuple(v.strip() for v in value.split(",") if v.strip())
        return value

    @property
    def artifact_place(self) -> str:
        return self.artifacts or str(self.home / "artifacts")

    @property
    def files(self) -> Path:
        return self.home / "files"

    @property
    def workflow_folder(self) -> Path:
        return self.workflows or self.home / "workflows"

    @property
    def tool_folder(self) -> Path:
        """Where registered APIs and tools lie."""
        return self.tools or self.home / "tools"

    @property
    def expert_folder(self) -> Path:
        """Where experts that were fitted or added lie."""
        return self.experts or self.home / "experts"

    @property
    def policy_file(self) -> Path:
        return self.policy or self.home / "policy.yaml"

    @property
    def redis(self) -> Path:
        return self.home / "redis"

    @property
    def announcement(self) -> Path:
        """Where a running server says how it is reached."""
        return self.home / "server.json"

    @property
    def has_model(self) -> bool:
        return self.openai_api_key is not None or self.openai_base_url is not None
