"""What the demo prints at its end: four tables about Ada, and what to try next."""

from deploy.demo.concert import Access, Json
from deploy.demo.findings import Findings, Shop, knew
from deploy.demo.story import EMAIL, SILOS
from deploy.demo.table import table

MAX_SHOWN_DECISIONS = 12
_READING_ORDER = ("title", "subject", "body")


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
        "3. What was decided for her, and why (+ chosen, - not chosen, < taken back)",
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
        '{"messageId":"try-1","userId":"u-you","event":"Product Viewed",'
        '"context":{"traits":{"email":"you@example.com"}}}'
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
            f"…{findings.silo_profile(silo)[-12:]}",
            knew(findings, silo),
        ]
        for silo in SILOS
    ]
    return table(["channel", "knew her as", "own profile", "knew of her"], [12, 16, 14, 54], rows)


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
    rows = [_decision_row(findings, one) for one in findings.decisions[-MAX_SHOWN_DECISIONS:]]
    return table(["what happened (UTC)", "outcome", "rules asked", "why"], [21, 12, 22, 44], rows)


def _decision_row(findings: Findings, decision: Json) -> list[str]:
    touchpoint = findings.about(decision["touchpoint_id"])
    happened = "a timer was due"
    if touchpoint is not None:
        at = str(touchpoint["occurred_at"])[:16].replace("T", " ")
        happened = f"{touchpoint['type']}\n{touchpoint['channel']}, {at}"
    asked = [
        f"+ {one['rule']}" if one["passed"] else f"- {one['rule']}: {one['reason']}"
        for one in decision["candidates"]
    ]
    asked += [
        f"< {findings.actions[one['action_id']]['rule']}: taken back"
        for one in decision["retracts"]
    ]
    return [happened, decision["outcome"], "\n".join(asked), decision["sentence"]]


def _actions(findings: Findings) -> str:
    messages = {one["action_id"]: one for one in findings.sent}
    rows = [
        _action_row(action, messages.get(action_id))
        for action_id, action in findings.actions.items()
    ]
    return table(["rule", "state", "message", "content, or why not"], [14, 10, 26, 49], rows)


def _action_row(action: Json, message: Json | None) -> list[str]:
    if message is None:
        due = action["due_at"][:16].replace("T", " ")
        nothing = f"nothing on {action['channel']}"
        return [action["rule"], action["status"], nothing, f"{action['reason']} (due {due} UTC)"]
    to = message.get("to")
    address = f"\nto {to['type']} {to['value']}" if to else ""
    content = message["content"]
    names = [name for name in _READING_ORDER if name in content]
    said = [str(content[name]) for name in (*names, *(content.keys() - names))]
    what = f"{message['kind']} on {message['channel']}{address}"
    return [action["rule"], action["status"], what, "\n".join(said)]
