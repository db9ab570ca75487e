"""What the demo prints at its end: four tables about Ada, and what to try next."""

from collections.abc import Iterator
from typing import Any

from deploy.demo.concert import Access, Json
from deploy.demo.findings import PUBLISHED, Findings, Shop, knew
from deploy.demo.story import EMAIL, SILOS
from deploy.demo.table import table

MAX_SHOWN_DECISIONS = 12


def report(findings: Findings, shop: Shop) -> str:
    """The four tables."""
    orders, cents = shop.orders, shop.revenue_cents
    parts = [
        f"The shop has {len(shop.versions)} customers with {orders} orders "
        f"worth {cents // 100}.{cents % 100:02d} EUR. One of them is Ada.",
        "",
        "1. Five channels knew five customers …",
        "",
        _silos(findings),
        "",
        f"2. … who are one: profile {findings.profile['id']}",
        "",
        _profile(findings),
        "",
        "3. What was decided for her, and why",
        "",
        _decisions(findings),
        "",
        "4. What came of it on the channels (read from Kafka, actions.<channel>)",
        "",
        _actions(findings),
    ]
    return "\n".join(parts)


def next_steps(findings: Findings, access: Access) -> str:
    """Three commands that work as they are printed."""
    bearer = f'-H "Authorization: Bearer $(cat {access.admin_token_file})"'
    decision = findings.decisions[-1]["id"]
    event = (
        '{"messageId":"try-1","userId":"u-1","event":"Product Viewed",'
        '"context":{"traits":{"email":"grace@example.com"}}}'
    )
    return "\n".join(
        [
            "Next: look at Ada, at the reasons of a decision, and publish an event of your own.",
            "",
            f"  curl {bearer} {access.profile_url}/v1/profiles/by/email/{EMAIL}",
            "",
            f"  curl {bearer} {access.orchestrator_url}/v1/decisions/{decision}",
            "",
            f'  curl -u "$(cat {access.source_key_file}):" '
            f"{access.collector_url}/v1/track -d '{event}'",
        ]
    )


def _silos(findings: Findings) -> str:
    rows = [
        [
            silo.title,
            f"{silo.type}\n{silo.value}",
            findings.silo_profile(silo)[-12:],
            knew(findings, silo),
        ]
        for silo in SILOS
    ]
    return table(["channel", "knew her as", "profile …", "knew of her"], [12, 16, 12, 56], rows)


def _profile(findings: Findings) -> str:
    profile = findings.profile
    identifiers = ", ".join(f"{one['type']} {one['value']}" for one in profile["identifiers"])
    computed = profile["computed"]
    revenue = ", ".join(f"{sum_} {currency}" for currency, sum_ in computed["revenue"].items())
    consents = ", ".join(
        f"{one['purpose']} on {one['channel']} {one['status']}" for one in profile["consents"]
    )
    facts = [
        ["identifiers", identifiers],
        ["touchpoints", str(computed["touchpoints"])],
        ["orders", f"{computed['orders']}, worth {revenue}"],
        ["consents", consents or "none"],
    ]
    traits = [
        [name, str(one["value"]), one["source"], _won(one)]
        for name, one in sorted(profile["provenance"].items())
    ]
    return "\n".join(
        [
            table(["fact", "value"], [18, 82], facts),
            "",
            table(["trait", "value", "said by", "why this value"], [18, 28, 12, 36], traits),
        ]
    )


def _won(provenance: Json) -> str:
    rule = str(provenance["rule"]).replace("_", " ")
    others = [f"{one['value']!r} of {one['source']}" for one in provenance["runners_up"]]
    return f"{rule}, over {', '.join(others)}" if others else rule


def _decisions(findings: Findings) -> str:
    shown = findings.decisions[-MAX_SHOWN_DECISIONS:]
    rows = [row for decision in shown for row in _decision_rows(findings, decision)]
    return table(["what happened", "rule", "outcome", "why"], [22, 15, 12, 48], rows)


def _decision_rows(findings: Findings, decision: Json) -> Iterator[list[str]]:
    touchpoint = findings.about(decision["touchpoint_id"])
    happened = "a timer was due"
    if touchpoint is not None:
        happened = f"{touchpoint['type']}\n({touchpoint['channel']}, {_day(touchpoint)})"
    yield [happened, "", decision["outcome"], decision["sentence"]]
    for candidate in decision["candidates"]:
        if not candidate["passed"]:
            yield ["", candidate["rule"], f"no: {candidate['stage']}", _dropped(candidate)]
    for retracted in decision["retracts"]:
        rule = findings.actions[retracted["action_id"]]["rule"]
        yield ["", rule, "taken back", retracted["reason"]]


def _dropped(candidate: Json) -> str:
    detail = candidate.get("detail")
    if detail is None:
        return str(candidate["reason"])
    return f"needs: {detail['condition']}; saw: {_shown(detail['actual'])}"


def _actions(findings: Findings) -> str:
    messages = {one["action_id"]: one for one in findings.sent}
    rows = []
    for action_id, action in findings.actions.items():
        message = messages.get(action_id)
        if message is None:
            where = "nothing came out" if action["status"] not in PUBLISHED else "?"
            text = f"{action['reason']}; it was due at {action['due_at'][:16]}Z"
            rows.append([action["rule"], action["status"], where, text])
            continue
        to = message.get("to")
        address = f"\nto {to['type']} {to['value']}" if to else ""
        rows.append(
            [
                action["rule"],
                action["status"],
                f"{message['kind']} on {message['channel']}{address}",
                "\n".join(str(part) for part in message["content"].values()),
            ]
        )
    return table(["rule", "state", "message", "content, or why not"], [14, 10, 26, 47], rows)


def _day(touchpoint: Json) -> str:
    return str(touchpoint["occurred_at"])[:16].replace("T", " ")


def _shown(value: Any) -> str:
    return "nothing" if value is None else str(value)
