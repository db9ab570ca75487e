"""A load of old receipts beside a live rule writes to nobody; a fresh one still does."""

import itertools
from datetime import timedelta

from shared import clock
from tests.acceptance.concert import Concert, put_and_publish
from tests.support.eventually import eventually

RECEIPTS = 500
KEY = "thank-you"
RULE = {
    "category": "service",
    "trigger": {"type": "event", "event": "Receipt Printed"},
    "actions": [
        {"type": "message", "channel": "app", "content": {"en": {"body": "Thank you"}}},
    ],
}


def receipt(number: int, age: timedelta, **more: object) -> dict[str, object]:
    """A receipt of one of 50 buyers; those with a negative number are of somebody else."""
    buyer = number % 50 if number >= 0 else "of today"
    return {
        "id": f"receipt-{number}",
        "source": "till",
        "type": "Receipt Printed",
        "occurred_at": (clock.now() - age).isoformat(),
        "identifiers": [{"type": "user_id", "value": f"buyer-{buyer}"}],
        **more,
    }


async def test_old_receipts_send_nothing_and_a_fresh_one_does(concert: Concert) -> None:
    async with concert.api("orchestrator-api") as api:
        await put_and_publish(api, f"/v1/rules/{KEY}", RULE)
    topic = concert.topics.actions("app")
    numbers = itertools.count(1)

    async def thanks() -> list[object]:
        return [one["action_id"] for one in await concert.read(topic) if one["rule"] == KEY]

    async def fresh_one_is_thanked() -> list[object]:
        fresh = receipt(-next(numbers), timedelta(0))
        await concert.publish(concert.event("direct_mail", fresh))
        await concert.until_done("direct_mail")
        return await thanks()

    live = await eventually(fresh_one_is_thanked, within=30, what="the rule is live")

    old = [receipt(n, timedelta(days=2 + n)) for n in range(RECEIPTS)]
    loaded = [receipt(RECEIPTS + n, timedelta(0), historical=True) for n in range(RECEIPTS)]
    await concert.publish(*(concert.event("direct_mail", one) for one in old + loaded))
    await concert.until_done("direct_mail")
    assert (await concert.profile("user_id", "buyer-7"))["computed"]["touchpoints"] == 20
    assert await thanks() == live
