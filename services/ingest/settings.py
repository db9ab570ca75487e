"""What ingest is told by its environment, on top of what every process is told."""

from pydantic import Field

from shared.settings import Settings


class IngestSettings(Settings):
    """The settings of all roles of ingest."""

    allow_unregistered_sources: bool = Field(
        False, description="Whether sources that are not registered may publish on Kafka."
    )
    failed_event_days: int = Field(
        30, ge=1, le=3650, description="How long failed events are kept after their last failure."
    )
    replay_trigger_hours: float = Field(
        24.0, gt=0, le=8760, description="Replayed events received longer ago trigger nothing."
    )
    collector_origins: str = Field(
        "*",
        max_length=10_000,
        description="Origins whose pages may publish, by comma; `*`: all, empty: none (CORS).",
    )

    @property
    def origins(self) -> tuple[str, ...]:
        """`collector_origins` one by one."""
        return tuple(one.strip() for one in self.collector_origins.split(",") if one.strip())
