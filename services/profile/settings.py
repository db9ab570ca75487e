"""What the profile service is told by its environment, on top of what every process is told."""

from pathlib import Path

from pydantic import Field

from shared.settings import Settings


class ProfileSettings(Settings):
    """The settings of all roles of the profile service."""

    consent_key_file: Path | None = Field(
        None,
        description="File with the keys of links to preferences, a line each: the first signs, all"
        " verify. Without it there are no such links.",
    )
    public_url: str = Field(
        "", description="Where customers reach the profile API; else where services do."
    )
    link_max_pairs: int = Field(
        20_000_000, ge=1, description="Pairs of profiles above which the linker refuses a batch."
    )
    link_memory_mb: int = Field(
        512, ge=64, le=1_048_576, description="Memory of the linker's database; more goes to disk."
    )
    link_threads: int = Field(2, ge=1, le=256, description="Threads of the linker's database.")
