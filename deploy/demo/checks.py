"""Whether what the demo shows is what should have happened; every mistake in one sentence."""

from collections.abc import Iterator

from deploy.demo import crowd
from deploy.demo.configuration import BACK, CART, RECEIPT, TILL, VIP
from deploy.demo.findings import Findings, Shop
from deploy.demo.story import (
    ANSWERED_BY,
    BACK_IN_STOCK,
    BOUGHT,
    EVENTS,
    ORDERS,
    REVENUE,
    SILOS,
    TODAY,
)


def mistakes(findings: Findings, shop: Shop) -> list[str]:
    """What is not as it should be; empty when all is well."""
    return [*_one_profile(findings), *_decided(findings), *_came_out(findings), *_whole(shop)]


def _one_profile(findings: Findings) -> Iterator[str]:
    held = {(one["type"], one["value"]) for one in findings.profile["identifiers"]}
    for silo in SILOS:
        if (silo.type, silo.value) not in held:
            yield f"Ada's profile lacks the {silo.type} that the {silo.title} knows her by"
    before = {findings.silo_profile(silo) for silo in SILOS}
    if len(before) != len(SILOS):
        yield f"the {len(SILOS)} channels had {len(before)} profiles of Ada, not one each"
    computed = findings.profile["computed"]
    if computed["touchpoints"] < len(EVENTS):
        yield f"Ada has {computed['touchpoints']} touchpoints, {len(EVENTS)} were published"
    # Whoever publishes more events of Ada in between sees larger sums, and rightly so.
    untouched = computed["touchpoints"] == len(EVENTS)
    if untouched and (computed["orders"], computed["revenue"]) != (ORDERS, REVENUE):
        yield f"Ada's orders should be {ORDERS} with {REVENUE}, they are {computed}"


def _decided(findings: Findings) -> Iterator[str]:
    for event in TODAY:
        rule = ANSWERED_BY[event.id]
        passed = _passed(findings, str(event.touchpoint_id), rule)
        if passed is None:
            yield f"no decision about {event.type!r} considered the rule {rule}"
        elif passed is (event is BACK_IN_STOCK):
            yield f"the rule {rule} was {'' if passed else 'not '}chosen for {event.type!r}"
    dropped = _candidate(findings, str(BACK_IN_STOCK.touchpoint_id), BACK)
    if dropped is not None and dropped["stage"] != "cap":
        yield f"{BACK} should stop at the contact cap, it stopped at {dropped['stage']}"
    vip = _candidate(findings, str(BOUGHT.touchpoint_id), VIP)
    if vip is None or vip["stage"] != "eligibility":
        yield f"{VIP} should stop at eligibility"
    cart = findings.action_of(CART)
    if cart is None or cart["status"] != "retracted" or "POS Order" not in str(cart["reason"]):
        yield f"the cart reminder should be retracted because of the till, it is {cart}"


def _came_out(findings: Findings) -> Iterator[str]:
    seen = {(one["rule"], one["channel"], one["kind"]) for one in findings.sent}
    for wanted in ((RECEIPT, "email", "send"), (TILL, "pos", "prompt")):
        if wanted not in seen:
            yield f"there is no {wanted[2]} of {wanted[0]} on actions.{wanted[1]}"
    for rule in (CART, BACK):
        if any(one["rule"] == rule for one in findings.sent):
            yield f"{rule} came out, although it should not"


def _whole(shop: Shop) -> Iterator[str]:
    people = 1 + crowd.SIZE
    if len(shop.versions) != people:
        yield f"the shop has {len(shop.versions)} profiles for {people} people"


def _candidate(findings: Findings, touchpoint_id: str, rule: str) -> dict[str, object] | None:
    return next(
        (
            candidate
            for decision in findings.decisions
            if decision["touchpoint_id"] == touchpoint_id
            for candidate in decision["candidates"]
            if candidate["rule"] == rule
        ),
        None,
    )


def _passed(findings: Findings, touchpoint_id: str, rule: str) -> bool | None:
    found = _candidate(findings, touchpoint_id, rule)
    return None if found is None else bool(found["passed"])
