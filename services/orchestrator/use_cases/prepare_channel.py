"""What is done before a channel is saved: its address is checked, what it names is looked for, its
topics are made."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine

from services.orchestrator.connectors.outgoing import Outgoing
from services.orchestrator.connectors.secret_files import SecretFolder, SecretMissing
from services.orchestrator.domain.channel import Channel, default_channels, parse_channel
from services.orchestrator.domain.connector import Smtp, Webhook
from services.orchestrator.storage import saved
from services.orchestrator.use_cases.check_outgoing import check_outgoing
from services.orchestrator.use_cases.open_channels import Open
from shared.errors import Problem
from shared.postgres.transaction import transaction


@dataclass(frozen=True, slots=True)
class Preparing:
    """What a channel is prepared with."""

    outgoing: Outgoing
    secrets: SecretFolder
    open_channels: Open


async def prepare_channel(
    preparing: Preparing, engine: AsyncEngine, key: str, body: Mapping[str, Any]
) -> list[Problem]:
    """Warnings: what the channel names and what is not there yet.

    Raises Unprocessable for a channel that would call what Concert does not connect to.
    """
    channel = parse_channel(body, key=key, version=0)
    warnings = [
        *await check_outgoing(preparing.outgoing, channel.target),
        *await _missing_secret(preparing.secrets, channel),
        *await _missing_fallback(engine, channel),
    ]
    await preparing.open_channels([key])
    return warnings


async def _missing_secret(secrets: SecretFolder, channel: Channel) -> list[Problem]:
    target, path = channel.target, "webhook.secret_ref"
    try:
        if isinstance(target, Webhook):
            await secrets.signing_keys(target.secret_ref)
        elif isinstance(target, Smtp) and target.password_ref is not None:
            path = "smtp.password_ref"
            await secrets.password(target.password_ref, target.host)
    except SecretMissing as missing:
        message = f"{missing}: nothing is sent until it is there"
        return [Problem(path, "secret_missing", message)]
    return []


async def _missing_fallback(engine: AsyncEngine, channel: Channel) -> list[Problem]:
    if channel.fallback is None or channel.fallback in default_channels():
        return []
    async with transaction(engine) as tx:
        if await saved.find(tx, saved.Kind.CHANNEL, channel.fallback) is not None:
            return []
    message = f"there is no channel {channel.fallback}: nothing stands in until it is there"
    return [Problem("fallback", "unknown_channel", message)]
