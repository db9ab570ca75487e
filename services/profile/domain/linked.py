"""What groups a profile belongs to, and which static lists it is on, as its standing has it."""

from typing import NamedTuple

from services.profile.domain.groups import GroupKind
from services.profile.domain.standing import Standing


class LinkedTo(NamedTuple):
    """The ids of a profile's household and accounts, the one linked last first, and the keys of
    its static lists."""

    household: str | None
    accounts: tuple[str, ...]
    lists: tuple[str, ...]

    @property
    def groups(self) -> frozenset[str]:
        """The ids of all groups."""
        return frozenset([*self.accounts, *([self.household] if self.household else [])])

    def group(self, kind: GroupKind) -> str | None:
        """The household, or the account linked last."""
        if kind == "household":
            return self.household
        return self.accounts[0] if self.accounts else None


NOTHING = LinkedTo(None, (), ())


def linked_to(standing: Standing | None) -> LinkedTo:
    """The groups and lists that a standing has."""
    if standing is None or not (standing.household or standing.accounts or standing.lists):
        return NOTHING
    return LinkedTo(standing.household, tuple(standing.accounts), tuple(standing.lists))
