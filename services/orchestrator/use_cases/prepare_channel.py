"""What is done before a channel is saved: its address is checked, its topics are made."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from services.orchestrator.connectors.outgoing import Outgoing
from services.orchestrator.use_cases.check_outgoing import check_outgoing
from services.orchestrator.use_cases.open_channels import Open


@dataclass(frozen=True, slots=True)
class Preparing:
    """What a channel is prepared with."""

    outgoing: Outgoing
    open_channels: Open


async def prepare_channel(preparing: Preparing, key: str, body: Mapping[str, Any]) -> None:
    """Raises Unprocessable for a channel that would call what Concert does not connect to."""
    await check_outgoing(preparing.outgoing, key, body)
    await preparing.open_channels([key])
