"""Settings every process has, read once from the environment (prefix `CONCERT_`) and then frozen.

A service adds its own in `services/<name>/settings.py`. There is no default secret: tokens are
read from files, and the database URL has to be given. Nothing else reads the environment, but for
the crash points of tests.
"""

from pathlib import Path
from typing import Literal, TypeVar

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from shared.errors import Misconfigured

PREFIX = "CONCERT_"


class Settings(BaseSettings):
    """What every process needs. Each field is the environment variable `CONCERT_<FIELD>`."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="ignore")

    kafka: str = Field("127.0.0.1:9092", description="Bootstrap servers, host:port, by comma.")
    database_url: str = Field(repr=False, description="PostgreSQL: postgresql://user@host/db.")
    topic_prefix: str = Field(
        "", pattern=r"^[a-z0-9_.-]{0,64}$", description="Put before every topic and group name."
    )
    mode: Literal["production", "test"] = Field(
        "production", description="`test` allows the clock to be shifted; nothing else does."
    )
    host: str = Field("127.0.0.1", description="Address the HTTP ports listen on.")
    http_port: int = Field(8000, ge=0, le=65535, description="Port of the API; 0: any free one.")
    metrics_port: int = Field(
        9101, ge=0, le=65535, description="Port of /livez, /readyz and /metrics; 0: any free one."
    )
    home: Path = Field(Path(".concert"), description="Folder for data, logs and token files.")
    member: str = Field(
        "", max_length=200, description="Stable name of this process among its kind; else random."
    )
    batch_records: int = Field(1000, ge=1, le=10_000, description="Most records in one batch.")
    topic_replication: int = Field(
        1, ge=1, le=9, description="Replicas of a topic that Concert itself creates."
    )
    ingest_url: str = Field("http://127.0.0.1:8001", description="Where the collector is.")
    profile_url: str = Field("http://127.0.0.1:8002", description="Where the profile API is.")
    orchestrator_url: str = Field(
        "http://127.0.0.1:8003", description="Where the orchestrator API is."
    )
    service_token_file: Path | None = Field(
        None, description="File with the token that services show each other."
    )
    admin_token_file: Path | None = Field(
        None, description="File with the first administrator's token; `migrate` stores its hash."
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        "INFO", description="Least severe line that is written."
    )
    drain_seconds: float = Field(
        10.0, gt=0, le=300, description="How long a stopping process may finish what it began."
    )


S = TypeVar("S", bound=Settings)


def load(settings: type[S]) -> S:
    """Read the environment.

    Raises Misconfigured naming each variable and the rule it breaks; never its value, which may
    be a secret.
    """
    try:
        return settings()
    except ValidationError as error:
        raise Misconfigured(
            [
                f"{PREFIX}{'.'.join(str(part) for part in found['loc']).upper()}: {found['msg']}"
                for found in error.errors(include_url=False, include_input=False)
            ]
        ) from None


def read_secret_file(path: Path) -> str:
    """The one line of a secret file, without white space around it.

    Raises Misconfigured when the file is missing, unreadable or empty.
    """
    try:
        secret = path.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise Misconfigured([f"{path}: {error.strerror}"]) from None
    if not secret:
        raise Misconfigured([f"{path}: the file is empty"])
    return secret
