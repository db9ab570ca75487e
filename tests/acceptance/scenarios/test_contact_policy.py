"""How often, when and whether: caps, quiet hours, zones, consent, complaints."""

import asyncio
from datetime import timedelta
from zoneinfo import ZoneInfo

from tests.acceptance.scenarios.company import Company, message, task
from tests.support.eventually import eventually

TOKYO = ZoneInfo("Asia/Tokyo")


async def test_6_a_message_at_night_waits_for_the_customers_morning(company: Company) -> None:
    yui = await company.person("yui6", zone="Asia/Tokyo")
    await company.rule("late-6", "Late 6", message("sms", expires_in="P1D"))
    night = await company.until_clock(23, 30, TOKYO)
    await company.did(yui, "Late 6")
    waiting = await company.until_action(yui, status="pending")
    morning = (night + timedelta(days=1)).replace(hour=8, minute=0)
    assert waiting["due_at"].startswith(
        morning.astimezone(ZoneInfo("UTC")).strftime("%Y-%m-%dT%H:%M:00")
    )
    assert (await company.decisions(yui))[0]["outcome"] == "deferred"
    await company.until_clock(8, 0, TOKYO)
    await company.until_action(yui, status="published")
    await company.until_told(yui, "sms")


async def test_7_without_a_zone_the_default_counts_and_is_named(company: Company) -> None:
    nobody = await company.person("nil7", zone=None)
    await company.rule("late-7", "Late 7", message("sms", expires_in="P1D"))
    await company.until_clock(22)
    await company.did(nobody, "Late 7")
    await company.until_action(nobody, status="pending")
    (decision, *_) = await company.decisions(nobody)
    assert decision["zone"] == {"name": "Europe/Paris", "source": "default"}
    assert "Europe/Paris was assumed" in decision["sentence"]


async def test_8_of_three_at_once_the_best_one_wins(company: Company) -> None:
    ada = await company.person("ada8")
    for key, value in (("low-8", 1.0), ("high-8", 9.0), ("middle-8", 5.0)):
        await company.rule(
            key,
            f"Wish {key}",
            message("push"),
            score={"propensity": 0.5, "value": value},
            arbitration={"window": "PT1H"},
        )
    for key in ("low-8", "high-8", "middle-8"):
        await company.did(ada, f"Wish {key}")
        await company.advance(timedelta(minutes=1))
    assert await company.actions(ada) == []
    await company.advance(timedelta(hours=1))
    action = await company.until_action(ada, status="published")
    await company.settled()
    assert action["rule"] == "high-8"
    assert len(await company.actions(ada)) == 1
    for key, total in (("low-8", 0.5), ("middle-8", 2.5)):
        lost = await company.judged(ada, key)
        assert (lost["stage"], lost["reason"]) == ("arbitration", "lower_priority")
        assert lost["score"]["total"] == total


async def test_9_the_third_newsletter_is_capped_and_the_receipt_is_not(company: Company) -> None:
    ada = await company.person("ada9")
    await company.rule("news-9", "News 9", message("email"), topic="newsletter")
    await company.rule("receipt-9", "Order 9", message("email"), category="transactional")
    for _ in range(2):
        await company.did(ada, "News 9")
    await company.did(ada, "Order 9")
    await company.did(ada, "News 9")
    capped = await company.judged(ada, "news-9")
    assert (capped["stage"], capped["detail"]["expected"], capped["detail"]["actual"]) == (
        "cap",
        2,
        3,
    )
    await company.did(ada, "Order 9")
    sent = [one["rule"] for one in await company.actions(ada, status="published")]
    assert sorted(sent) == ["news-9", "news-9", "receipt-9", "receipt-9"]


async def test_10_one_slot_is_given_once(company: Company) -> None:
    """Whoever decides: the worker, and the API for those who ask at the same instant."""
    people = [await company.person(f"slot10x{number}") for number in range(4)]
    await company.rule("push-10", "Seen 10", message("push"), topic="one-slot")
    await company.publish(
        "rules",
        "ask-10",
        {
            "category": "marketing",
            "topic": "one-slot",
            "trigger": {"type": "api"},
            "actions": [message("app")],
        },
    )
    await asyncio.gather(
        *(company.did(who, "Seen 10", wait=False) for who in people),
        *(company.ask(who, "app", f"slot-10-{number}") for who in people for number in range(5)),
    )
    await company.settled()
    for who in people:
        assert len(await company.actions(who)) == 1, who


async def test_11_an_open_complaint_stops_promotions_everywhere(company: Company) -> None:
    segment = {
        "name": "Open complaint",
        "condition": {"attr": "profile.complaint", "op": "eq", "value": "open"},
    }
    for method, path, body in (
        ("PUT", "/v1/segments/open-complaint", segment),
        ("POST", "/v1/segments/open-complaint:publish", {}),
    ):
        answer = await company.call(method, path, body, "profile-api")
        assert not answer.is_error, answer.text
    ada = await company.person("ada11")
    unless = {"suitability": {"not": {"segment": "open-complaint"}}}
    for channel in ("email", "push", "web"):
        await company.rule(
            f"promo-11-{channel}",
            f"Browsed 11 {channel}",
            message(channel),
            engagement_policy=unless,
        )
    await company.rule("status-11", "Complaint 11", message("email"), category="service")
    await company.did(ada, "Complaint 11", "call_centre", traits={"complaint": "open"})
    for channel in ("email", "push", "web"):
        await company.did(ada, f"Browsed 11 {channel}")
        fallen = await company.judged(ada, f"promo-11-{channel}")
        assert (fallen["stage"], fallen["reason"]) == ("suitability", "not_suitable")
    assert [one["rule"] for one in await company.actions(ada)] == ["status-11"]
    await company.did(ada, "Solved 11", "call_centre", traits={"complaint": "closed"})
    await company.did(ada, "Browsed 11 push")
    assert (await company.judged(ada, "promo-11-push"))["passed"]


async def test_12_no_more_calls_empties_the_call_list(company: Company) -> None:
    ada = await company.person("ada12")
    await company.rule("call-12", "Offer 12", task("call_centre"))
    await company.did(ada, "Offer 12")
    assert [one["status"] for one in await company.tasks(ada, status="open")] == ["open"]
    await company.consent(
        ada, {"purpose": "marketing", "channel": "call_centre", "status": "denied"}
    )
    await eventually(
        lambda: company.tasks(ada, status="open"), until=lambda open_: not open_, within=10
    )
    assert [one["status"] for one in await company.tasks(ada)] == ["withdrawn"]
    (reason,) = (await company.taken_back(ada)).values()
    assert reason.startswith("consent_denied")


async def test_17_a_declined_card_is_told_at_night(company: Company) -> None:
    ada = await company.person("ada17")
    await company.rule("card-17", "Card Declined 17", message("sms"), category="service")
    await company.until_clock(23, 15)
    await company.did(ada, "Card Declined 17", "pos", by=["loyalty_id"])
    await company.until_action(ada, status="published")
    await company.until_told(ada, "sms")


async def test_25_a_holdout_hears_no_marketing(company: Company) -> None:
    people = [await company.person(f"held25x{number}") for number in range(8)]
    await company.rule(
        "promo-25", "Browsed 25", message("push"), holdout={"percent": 50, "salt": "25"}
    )
    for who in people:
        await company.did(who, "Browsed 25", wait=False)
    await company.settled()
    stages = {}
    for who in people:
        candidate = await company.judged(who, "promo-25")
        stages[who.name] = candidate["stage"]
        heard = await company.messages(who, "push")
        assert bool(heard) == candidate["passed"], who
    assert set(stages.values()) <= {"holdout", "chosen"}
