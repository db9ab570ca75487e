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
    suppression_key_file: Path | None = Field(
        None, description="File with the key of erased identifiers; never change it."
    )
    export_hours: float = Field(
        72.0, gt=0, le=8760, description="How long an access document can be downloaded."
    )
    retain_touchpoints: str = Field(
        "",
        max_length=10_000,
        pattern=r"^([^=,]+=[0-9]{1,5}(,|$))*$",
        description="Days by type of touchpoint, by comma; `*`: all others (`Page Viewed=90,*=730`)"
        ". Empty: for ever.",
    )
    retain_anonymous_days: int = Field(
        0, ge=0, le=36_500, description="Profiles of devices alone are erased after; 0: never."
    )
    retain_receipts_days: int = Field(
        3650, ge=1, le=36_500, description="How long finished privacy requests are kept."
    )
    link_threads: int = Field(2, ge=1, le=256, description="Threads of the linker's database.")
