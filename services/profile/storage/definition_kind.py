"""What of the profile service is drafted and published; how is in `shared.postgres.drafts`."""

from enum import StrEnum


class Kind(StrEnum):
    """The value is the name of its table."""

    SEGMENT = "segment"
    PERSONA = "persona"
    TRAIT = "trait"
