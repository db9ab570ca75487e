"""What ingest is told by its environment, on top of what every process is told."""

from pydantic import Field

from shared.settings import Settings


class IngestSettings(Settings):
    """The settings of all roles of ingest."""

    allow_unregistered_sources: bool = Field(
        False, description="Whether sources that are not registered may publish on Kafka."
    )
