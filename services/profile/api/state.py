"""What a handler may take from the application beside the engine."""

from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Depends, FastAPI, Request

from services.profile.domain.absorb import Rules
from services.profile.use_cases.live_definitions import LiveDefinitions
from shared.contracts.topics import Topics
from shared.kafka.messages import PartitionCounts


@dataclass(frozen=True, slots=True)
class ApiState:
    """`rules` say who is who and which source is believed, as the worker's do; `topics` and
    `counts` say where the update of a changed profile goes; `live` says what is in force."""

    rules: Rules
    topics: Topics
    counts: PartitionCounts
    live: LiveDefinitions = field(default_factory=LiveDefinitions)


def give(app: FastAPI, state: ApiState) -> None:
    """Let the handlers of `app` have the state."""
    app.state.profile = state


def _state(request: Request) -> ApiState:
    state: ApiState = request.app.state.profile
    return state


State = Annotated[ApiState, Depends(_state)]
"""A handler's parameter `state: State`."""
