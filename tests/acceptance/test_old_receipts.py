"""A load of old receipts beside a live rule writes to nobody; a fresh one still does."""

from datetime import timedelta

from shared import clock
from tests.acceptance.concert import Concert, put_and_publish
from tests.support.eventually import eventually

RECEIPTS = 500
RULE = {
    "category": "service",
    "trigger": {"type": "event", "event": "Receipt Printed"},
    "actions": [
        {"type": "message", "channel": "app", "content": {"en": {"body": "Thank you"}}},
    ],
}


def receipt(number: int, age: timedelta, **more: object) -> dict[str, object]:
    return {
        "id": f"receipt-{number}",
        "source": "till",
        "type": "Receipt Printed",
        "occurred_at": (clock.now() - age).isoformat(),
        "identifiers": [{"type": "user_id", "value": f"buyer-{number % 50}"}],
        **more,
    }


async def test_old_receipts_send_nothing_and_a_fresh_one_does(concert: Concert) -> None:
    async with concert.api("orchestrator-api") as api:
        await put_and_publish(api, "/v1/rules/thank-you", RULE)
    topic = concert.topics.actions("app")
    fresh = receipt(-1, timedelta(0))

    async def rule_is_live() -> list[object]:
        return [one for one in await concert.read(topic) if one["rule"] == "thank-you"]

    await concert.publish(concert.event("direct_mail", fresh))
    (live,) = await eventually(rule_is_live, within=15, what="the live rule acts")

    old = [receipt(n, timedelta(days=2 + n)) for n in range(RECEIPTS)]
    loaded = [receipt(RECEIPTS + n, timedelta(0), historical=True) for n in range(RECEIPTS)]
    await concert.publish(*(concert.event("direct_mail", one) for one in old + loaded))
    await concert.until_done("direct_mail")
    assert (await concert.profile("user_id", "buyer-7"))["computed"]["touchpoints"] == 20
    assert await rule_is_live() == [live]
