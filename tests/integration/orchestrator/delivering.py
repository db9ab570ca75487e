"""Channels, deliveries and the loops that deliver them, in this process, on a real database."""

import asyncio
import ssl
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_OID, UUID, uuid5

from sqlalchemy import text

from services.orchestrator.domain.address_guard import read_policy
from services.orchestrator.storage import deliveries
from services.orchestrator.storage.deliveries import DeliveryRow
from services.orchestrator.storage.saved import Kind
from services.orchestrator.use_cases.deliver import Deliver, live_channels
from services.orchestrator.use_cases.deliver_channel import Means
from services.orchestrator.use_cases.save_at_once import save_at_once
from services.orchestrator.use_cases.senders import Senders
from shared.contracts.action import Action, action_encoder
from shared.contracts.times import rfc3339
from shared.contracts.topics import Topics
from shared.contracts.touchpoint import Identifier
from shared.postgres import audit
from shared.postgres.transaction import transaction
from tests.integration.orchestrator.stage import COUNTS, Stage
from tests.support.eventually import eventually
from tests.unit.orchestrator.build import uid

SECRET = "whsec_" + "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWY="
ADDRESS = Identifier("email", "ada@example.com")
QUICK = {"tries": 5, "first": "PT1S", "longest": "PT1S", "give_up_after": "PT1H"}


def action_id(name: str) -> UUID:
    return uuid5(NAMESPACE_OID, f"action {name}")


@dataclass
class Delivering:
    """One process's worth of the role `deliver`."""

    stage: Stage
    folder: Path
    unsubscribe_url: str | None = None
    tls: ssl.SSLContext | None = None
    tasks: list[asyncio.Task[None]] = field(default_factory=list)
    stopping: asyncio.Event = field(default_factory=asyncio.Event)

    async def forget_channels(self) -> None:
        """Begin without a saved channel."""
        async with transaction(self.stage.engine) as tx:
            await tx.execute(text("TRUNCATE channel, channel_version"))

    def secret(self, name: str, text: str = SECRET) -> None:
        """Put a secret into the folder of secrets."""
        secrets = self.folder / "secrets"
        secrets.mkdir(exist_ok=True)
        (secrets / name).write_text(text + "\n")

    async def channel(self, key: str, **document: Any) -> None:
        """Save the channel."""
        await save_at_once(
            self.stage.engine, Kind.CHANNEL, key, document,
            may_replace=lambda _: None, who=audit.Who("test", "test"),
        )  # fmt: skip

    async def queue(
        self,
        *names: str,
        channel: str = "email",
        expires_in: timedelta | None = None,
        to: Identifier | None = ADDRESS,
        test: bool = False,
        **content: Any,
    ) -> list[UUID]:
        """Queue an action for each name."""
        now = await self.stage.now()
        expires = None if expires_in is None else now + expires_in
        rows = []
        for name in names:
            id_ = action_id(name)
            action = Action(
                action_id=str(id_), idempotency_key=str(id_), kind="send", profile_id=uid("ada"),
                channel=channel, category="service", to=to, rule="r", decision_id=uid("d"),
                content=content or {"subject": "Hello", "body": f"Hi from {name}"},
                expires_at=None if expires is None else rfc3339(expires),
            )  # fmt: skip
            rows.append(DeliveryRow(id_, channel, uid("ada"), now, expires,
                                    action_encoder.encode(action), test))  # fmt: skip
        async with transaction(self.stage.engine) as tx:
            await deliveries.queue(tx, rows)
        return [row.action_id for row in rows]

    async def withdraw(self, *names: str) -> set[UUID]:
        """Take the actions of these names back."""
        async with transaction(self.stage.engine) as tx:
            return await deliveries.withdraw(tx, [action_id(name) for name in names])

    async def state(self, name: str, kind: str = "send") -> str | None:
        """Where a delivery stands: state and reason."""
        rows = await self.stage.rows(
            "SELECT state, reason FROM delivery WHERE action_id = :id AND kind = :kind",
            id=action_id(name), kind=kind,
        )  # fmt: skip
        return None if not rows else " ".join(part for part in rows[0] if part)

    async def becomes(self, name: str, state: str, kind: str = "send", within: float = 10) -> None:
        """Wait until a delivery stands so."""

        async def stands() -> bool:
            return await self.state(name, kind) == state

        await eventually(stands, within=within, what=f"{name} {state}")

    async def events(self, channel: str = "email") -> list[dict[str, Any]]:
        """The delivery events that were published."""
        return [one.value for one in await self.stage.messages(f"channel.{channel}")]

    async def start(self) -> None:
        """Begin to deliver."""
        channels = live_channels(self.stage.engine)
        await channels.refresh()
        means = Means(
            engine=self.stage.engine,
            topics=Topics(),
            counts=COUNTS,
            senders=Senders(
                read_policy(http=True, networks="127.0.0.0/8"),
                self.folder / "secrets",
                self.unsubscribe,
                tls=self.tls,
            ),
            files=self.folder / "files",
        )
        self.tasks += [
            asyncio.create_task(channels.run(self.stopping)),
            asyncio.create_task(Deliver(means, channels).run(self.stopping)),
        ]

    async def unsubscribe(self, _: Action) -> str | None:
        return self.unsubscribe_url

    async def stop(self) -> None:
        """Finish what was begun."""
        self.stopping.set()
        await asyncio.wait_for(asyncio.gather(*self.tasks), 30)
