"""What a handler may take from the application beside the engine."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Depends, FastAPI, Request

from services.profile.domain.absorb import Rules
from services.profile.use_cases.live_definitions import LiveDefinitions
from shared.contracts.topics import Topics
from shared.kafka.messages import PartitionCounts


@dataclass(frozen=True, slots=True)
class ApiState:
    """`current` gives the rules in force: who is who and which source is believed, as the worker
    has them; `topics` and `counts` say where the update of a changed profile goes; `live` says
    what definitions are in force; `can_erase` whether there is a key for suppressed identifiers."""

    current: Callable[[], Rules]
    topics: Topics
    counts: PartitionCounts
    can_erase: bool = True
    live: LiveDefinitions = field(default_factory=LiveDefinitions)

    @property
    def rules(self) -> Rules:
        """The rules in force. Raises Infrastructure before they were read."""
        return self.current()


def give(app: FastAPI, state: ApiState) -> None:
    """Let the handlers of `app` have the state."""
    app.state.profile = state


async def _state(request: Request) -> ApiState:
    state: ApiState = request.app.state.profile
    return state


State = Annotated[ApiState, Depends(_state)]
"""A handler's parameter `state: State`."""
