"""How much of a scarce resource is used now, how much is left, and what one of it is worth."""

from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from services.orchestrator.domain.resource import parse_resource
from services.orchestrator.storage import prices, resources, timers
from services.orchestrator.storage.saved import Saved
from shared.contracts.times import rfc3339


async def show_resource(tx: AsyncConnection, row: Saved) -> dict[str, Any]:
    """`used` and `left` of the present `window`, and the `price` in money."""
    resource = parse_resource(row.body, key=row.key, version=row.version)
    start, end = resource.window(await timers.now(tx))
    used = (await resources.used(tx, {(row.key, start)})).get((row.key, start), 0.0)
    priced = (await prices.read(tx)).get(row.key)
    return {
        "window": {"from": rfc3339(start), "to": rfc3339(end)},
        "used": used,
        "left": max(0.0, resource.limit - used),
        "price": 0.0 if priced is None else priced.price,
    }
