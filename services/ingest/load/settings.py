"""What the loader is told by its environment."""

from pydantic import Field

from shared.settings import Settings


class LoadSettings(Settings):
    """Where Kafka is and how its topics are called; the loader needs no database."""

    database_url: str = Field("", repr=False, description="Not used.")
