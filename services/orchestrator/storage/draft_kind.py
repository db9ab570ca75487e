"""What of the orchestrator is drafted and published; how is in `shared.postgres.drafts`."""

from enum import StrEnum


class Kind(StrEnum):
    """The value is the name of its table."""

    RULE = "rule"
    CONTACT_POLICY = "contact_policy"
    JOURNEY = "journey"
    EXPERIMENT = "experiment"

    @property
    def words(self) -> str:
        """The kind in a sentence."""
        return self.value.replace("_", " ")
