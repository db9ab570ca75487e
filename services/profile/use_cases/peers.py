"""What the profile service asks of the other services for a privacy request, and nothing else."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from shared.contracts.touchpoint import Identifier


class Page(NamedTuple):
    """A page of what another service holds, as it says it, and the cursor of the next one."""

    items: Sequence[Any]
    next_cursor: str | None


class Peers(Protocol):
    """The other services. Every question may be asked again; all raise Infrastructure when a
    service does not answer, and say nothing of anybody in that."""

    async def forgotten(self, profile_id: str) -> Mapping[str, int] | None:
        """What the orchestrator erased of a profile, by store; None while it has not."""

    async def forget_failed(self, identifiers: Sequence[Identifier]) -> Mapping[str, int]:
        """Let ingest erase what names the identifiers; how many rows, by store."""

    async def failed_events(self, identifiers: Sequence[Identifier]) -> Sequence[Any]:
        """The events that ingest could not read and that name one of the identifiers."""

    async def decisions(self, profile_id: str, cursor: str | None) -> Page:
        """A page of what the orchestrator decided about a profile."""

    async def actions(self, profile_id: str, cursor: str | None) -> Page:
        """A page of what the orchestrator did for a profile."""
