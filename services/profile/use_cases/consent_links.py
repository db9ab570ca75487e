"""Links to the page of preferences and to confirmations: made for a profile, and acted upon.

A link resolves to whatever its profile has become by merges. What is done through one is recorded
like every other change, with the page as its proof.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncEngine

from services.profile.domain.absorb import Rules
from services.profile.domain.consent import consent_key
from services.profile.domain.consent_change import ConsentChange
from services.profile.domain.consent_links import ConsentLink, Kind, read_link, signed
from services.profile.domain.consent_rules import Purpose
from services.profile.domain.instants import instant_of, moment_of
from services.profile.domain.preferences import (
    Pair,
    Preference,
    choose,
    preferences,
    refuses_everything,
)
from services.profile.domain.profile import StoredProfile, identifier_of, keys_by_type
from services.profile.domain.profile import strongest_first as strongest
from services.profile.storage import listing
from services.profile.storage.consent_history import Proof
from services.profile.use_cases.change_consents import Confirm
from services.profile.use_cases.live_definitions import LiveDefinitions
from services.profile.use_cases.read_profile import read_profile
from services.profile.use_cases.record_consents import record_consents
from shared.contracts.consents import EVERY
from shared.contracts.times import rfc3339
from shared.contracts.topics import Topics
from shared.errors import Conflict, PreconditionFailed
from shared.kafka.messages import PartitionCounts
from shared.postgres.audit import Who
from shared.postgres.transaction import transaction

CUSTOMER = Who("customer", "the customer, by a link")
TRIES = 3


@dataclass(frozen=True, slots=True)
class LinkKeys:
    """The keys that sign links (the first) and verify them (all), and where the pages are."""

    keys: tuple[bytes, ...]
    url: str


class Made(NamedTuple):
    """A link, and until when it is good."""

    token: str
    expires_at: datetime


class Opened(NamedTuple):
    """The preferences that a link opens."""

    link: ConsentLink
    stored: StoredProfile
    lines: list[Preference]
    refuses_everything: bool
    identifier: tuple[str, str] | None


class Asked(NamedTuple):
    """What a confirmation is asked of: `state` is `pending`, `confirmed`, or `over` when it was
    asked for anew, refused or has expired since."""

    link: ConsentLink
    purpose: Purpose | None
    state: str


class ConsentLinks:
    """Makes links and acts on them. One for each process of the API."""

    def __init__(
        self,
        engine: AsyncEngine,
        keys: LinkKeys,
        *,
        topics: Topics,
        counts: PartitionCounts,
        rules: Callable[[], Rules],
        live: LiveDefinitions,
    ) -> None:
        self._engine = engine
        self._keys = keys
        self._topics = topics
        self._counts = counts
        self._rules = rules
        self._live = live

    @property
    def url(self) -> str:
        """Where the pages are, without a slash at the end."""
        return self._keys.url.rstrip("/")

    async def to_preferences(
        self, profile_id: UUID, *, seconds: int, purpose: str, channel: str
    ) -> Made:
        """A link to the preferences of a profile. One click refuses `purpose` on `channel`.

        Raises NotFound.
        """
        async with transaction(self._engine) as tx:
            stored = await read_profile(tx, str(profile_id))
            now = await listing.business_time(tx)
        expires = instant_of(now) + seconds * 1000
        link = ConsentLink("preferences", UUID(stored.id).bytes, expires, purpose, channel)
        return Made(signed(link, self._keys.keys), moment_of(expires))

    async def to_confirmation(
        self, profile_id: UUID, *, seconds: int, purpose: str, channel: str
    ) -> Made:
        """A link that confirms the pending grant of a purpose on a channel.

        Raises NotFound, and Conflict when nothing is pending there.
        """
        async with transaction(self._engine) as tx:
            stored = await read_profile(tx, str(profile_id))
            now = await listing.business_time(tx)
        record = stored.state.consents.get(consent_key(purpose, channel))
        if record is None or record.status_at(rfc3339(now)) != "pending" or record.proof is None:
            raise Conflict(f"Nothing is pending for {purpose} on {channel}.")
        expires = instant_of(now) + seconds * 1000
        link = ConsentLink(
            "confirmation",
            UUID(stored.id).bytes,
            expires,
            purpose,
            channel,
            UUID(record.proof).bytes,
        )
        return Made(signed(link, self._keys.keys), moment_of(expires))

    def signed(self, token: str, kind: Kind) -> ConsentLink:
        """What a link is for, whatever its age. Raises BrokenLinkError when nobody signed it."""
        return read_link(token, self._keys.keys, kind=kind, now=0)

    async def open(self, token: str) -> Opened:
        """What a link to the preferences shows. Raises what `read_link` raises, and NotFound."""
        now, link = await self._read(token, "preferences")
        async with transaction(self._engine) as tx:
            stored = await read_profile(tx, link.profile_id)
        rules, held, at = self._rules(), stored.state.consents, rfc3339(now)
        keys = strongest(stored.state, keys_by_type(stored.state.held), rules.identity, 1)
        named = None if not keys else identifier_of(keys[0])
        return Opened(
            link,
            stored,
            preferences(held, rules.consents, at),
            refuses_everything(held, at),
            None if named is None else (named.type, named.value),
        )

    async def choose(
        self,
        token: str,
        *,
        shown: Collection[Pair],
        was: Collection[Pair],
        on: Collection[Pair],
        proof: Proof,
    ) -> None:
        """Record a choice on the page. Raises what `open` raises, ValueError for what is not on the
        page, and Conflict when the profile keeps changing."""
        for _ in range(TRIES):
            now, link = await self._read(token, "preferences")
            async with transaction(self._engine) as tx:
                stored = await read_profile(tx, link.profile_id)
            changes = choose(
                stored.state.consents,
                self._rules().consents,
                shown=shown,
                was=was,
                on=on,
                at=rfc3339(now),
            )
            if not changes:
                return
            try:
                await self._record(stored.id, changes, proof, version=stored.seq)
            except PreconditionFailed:
                continue
            return
        raise Conflict("The preferences keep being changed: try again.")

    async def refuse(self, token: str, proof: Proof, *, everything: bool) -> None:
        """Refuse everything, or what one click on the link refuses. Raises what `open` raises."""
        _, link = await self._read(token, "preferences")
        purpose, channel = (EVERY, EVERY) if everything else (link.purpose, link.channel)
        change = ConsentChange(purpose, channel, "denied")
        await self._record(link.profile_id, [change], proof)

    async def ask(self, token: str) -> Asked:
        """What a confirmation is about. Raises what `read_link` raises, and NotFound."""
        now, link = await self._read(token, "confirmation")
        async with transaction(self._engine) as tx:
            stored = await read_profile(tx, link.profile_id)
        record = stored.state.consents.get(consent_key(link.purpose, link.channel))
        state = "over"
        if record is not None and record.proof == link.proof_id:
            status = record.status_at(rfc3339(now))
            state = {"pending": "pending", "granted": "confirmed"}.get(status, "over")
        return Asked(link, self._rules().consents.purposes.get(link.purpose), state)

    async def confirm(self, token: str, proof: Proof) -> Asked:
        """Confirm, once. Raises what `ask` raises, and Conflict when there is nothing to confirm
        any more."""
        asked = await self.ask(token)
        if asked.state != "pending":
            raise Conflict("There is nothing to confirm any more.")
        link = asked.link
        change = Confirm(consent_key(link.purpose, link.channel), link.proof_id)
        await self._record(link.profile_id, change, proof)
        return asked

    async def _read(self, token: str, kind: Kind) -> tuple[datetime, ConsentLink]:
        self.signed(token, kind)  # before the database is asked for the time
        async with transaction(self._engine) as tx:
            now = await listing.business_time(tx)
        return now, read_link(token, self._keys.keys, kind=kind, now=instant_of(now))

    async def _record(
        self,
        profile_id: str,
        changes: list[ConsentChange] | Confirm,
        proof: Proof,
        *,
        version: int | None = None,
    ) -> None:
        def unchanged(present: int | None) -> None:
            if version is not None and present != version:
                raise PreconditionFailed("the profile has changed")

        async with transaction(self._engine) as tx:
            await record_consents(
                tx,
                UUID(profile_id),
                changes,
                may_replace=unchanged,
                who=CUSTOMER,
                topics=self._topics,
                counts=self._counts,
                rules=self._rules(),
                live=self._live,
                proof=proof,
                reason=proof.source,
            )
