"""What the orchestrator is told by its environment, on top of what every process is told."""

from pathlib import Path

from pydantic import Field

from shared.settings import Settings


class OrchestratorSettings(Settings):
    """The settings of all roles of the orchestrator."""

    secrets_folder: Path | None = Field(
        None, description="Folder with the secrets of channels: files that their `…_ref` name."
    )
    files_folder: Path | None = Field(
        None, description="Folder under which channels write their files; else `files` in the home."
    )
    outgoing_http: bool = Field(
        False, description="Whether webhooks may be called over http, without TLS."
    )
    outgoing_networks: str = Field(
        "",
        max_length=10_000,
        description="Networks beyond the public internet that connectors may reach, on any port,"
        " by comma (`10.1.0.0/16,fd00:1::/64`).",
    )
    decide_profile_ms: int = Field(
        30,
        ge=1,
        le=10_000,
        description="How long POST /v1/decide waits for a profile before it answers without.",
    )
