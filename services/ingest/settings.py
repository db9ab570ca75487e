"""What ingest is told by its environment, on top of what every process is told."""

from pydantic import Field

from shared.settings import Settings


class IngestSettings(Settings):
    """The settings of all roles of ingest."""

    allow_unregistered_sources: bool = Field(
        False, description="Whether sources that are not registered may publish on Kafka."
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
