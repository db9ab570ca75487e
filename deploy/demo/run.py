"""The demo from beginning to end: set up, publish chapter by chapter, look, check, report."""

import asyncio
from collections.abc import Sequence
from datetime import datetime

from deploy.demo import crowd
from deploy.demo.applied import fates, until_applied, until_decided
from deploy.demo.checks import mistakes
from deploy.demo.concert import Access, Concert
from deploy.demo.event import Event
from deploy.demo.findings import find, look_at_shop, what_stands
from deploy.demo.publisher import publish
from deploy.demo.report import next_steps, report
from deploy.demo.set_up import set_up, source_key
from deploy.demo.story import ALONE, CONSENTS, EMAIL, TODAY, TOGETHER
from shared import clock

LIVE_SECONDS = 2.5
"""Configuration is in force on every worker within two seconds."""
CART_MINIMUM = 50


async def run(access: Access) -> int:
    """Run the demo; 0 when everything it shows is as it should be. Raises DemoError."""
    concert = Concert(access)
    try:
        return await _Demo(concert, await source_key_after_set_up(concert)).run()
    finally:
        await concert.close()


async def source_key_after_set_up(concert: Concert) -> str:
    """Set the shop up and wait until that holds everywhere; the web shop's key."""
    made = await set_up(concert)
    key = await source_key(concert)
    if made:
        say(f"set up: {made} sources, templates, policies and rules over HTTP")
        await asyncio.sleep(LIVE_SECONDS)
    else:
        say("set up: sources, templates, contact policy and rules are there already")
    return key


def say(text: str) -> None:
    """One line to the person who watches."""
    print(text, flush=True)


class _Demo:
    """One run; it counts what was new."""

    def __init__(self, concert: Concert, key: str) -> None:
        self._concert = concert
        self._key = key
        self._start: datetime = clock.now()
        self._published = 0
        self._again = 0

    async def run(self) -> int:
        concert = self._concert
        before = await what_stands(concert)
        await self._chapter("five channels and the other customers", [*ALONE, *crowd.past()])
        await self._chapter("Ada logs in, shows her card, is recognised", TOGETHER)
        await self._allow_marketing()
        await self._chapter("carts are left", (*crowd.today(),))
        await until_decided(concert, [one for one in crowd.today() if _reminds(one)], say)
        for event in TODAY:
            await self._chapter(f"Ada: {event.type} ({event.channel})", [event])
            await until_decided(concert, [event], say)
        findings, shop = await find(concert), await look_at_shop(concert)
        say(f"\n{report(findings, shop)}\n")
        wrong = mistakes(findings, shop)
        if self._again == self._published:
            wrong += await self._changed(before)
        for one in wrong:
            say(f"NOT AS IT SHOULD BE: {one}")
        say(f"{next_steps(findings, concert.access)}\n")
        return 1 if wrong else 0

    async def _chapter(self, title: str, events: Sequence[Event]) -> None:
        """Publish, and wait until all of it is applied."""
        before = await fates(self._concert, events)
        begun = clock.monotonic_seconds()
        await publish(self._concert, self._key, self._start, events)
        await until_applied(self._concert, events, before, say)
        self._published += len(events)
        self._again += len(before)
        seconds = clock.monotonic_seconds() - begun
        known = f", {len(before)} of them known already" if before else ""
        count = "1 event" if len(events) == 1 else f"{len(events)} events"
        say(f"{title}: {count} published and applied in {seconds:.1f} s{known}")

    async def _allow_marketing(self) -> None:
        """What Ada and some others agreed to, recorded over HTTP."""
        allowed = [(EMAIL, list(CONSENTS))]
        allowed += [(crowd.email(number), [CONSENTS[0]]) for number in crowd.consenting()]
        for address, consents in allowed:
            profile = await self._concert.profiles.get(f"/v1/profiles/by/email/{address}")
            await self._concert.profiles.put(
                f"/v1/profiles/{profile['id']}/consents", {"consents": consents}
            )
        say(f"{len(allowed)} customers allow marketing messages")

    async def _changed(self, before: dict[str, object]) -> list[str]:
        """What another run changed; it says so when that is nothing."""
        after = await what_stands(self._concert)
        changed = [name for name in before if before[name] != after[name]]
        if not changed:
            say(
                f"This was not the first run: {self._published} events were published again, all "
                "were recognised as duplicates, and nothing changed.\n"
            )
        return [f"publishing everything again changed {name}" for name in changed]


def _reminds(event: Event) -> bool:
    return bool(event.properties["total"] >= CART_MINIMUM)
