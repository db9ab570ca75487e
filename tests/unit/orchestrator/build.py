"""Small rules, profiles and touchpoints for the orchestrator's tests; everything has a default."""

import json
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import NAMESPACE_OID, UUID, uuid5

from services.orchestrator.domain.contact_policy import ContactPolicy
from services.orchestrator.domain.content import Template
from services.orchestrator.domain.experiments.assignment import Running
from services.orchestrator.domain.policy_document import parse_policy
from services.orchestrator.domain.rule import Rule
from services.orchestrator.domain.rule_document import parse_rule
from services.orchestrator.domain.trigger_index import RuleSet
from shared.contracts.times import rfc3339

NOON = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
GRANTED = [{"purpose": "marketing", "channel": "*", "status": "granted", "at": "2026-01-01"}]


def uid(name: str) -> str:
    """The same id for the same name."""
    return str(uuid5(NAMESPACE_OID, name))


def rule_json(event: str = "Cart Updated", **fields: Any) -> dict[str, Any]:
    """A rule that sends an e-mail at once; a field that is None is left out."""
    document = {
        "category": "service",
        "trigger": {"type": "event", "event": event},
        "actions": [email()],
        **fields,
    }
    return {name: value for name, value in document.items() if value is not None}


def email(**fields: Any) -> dict[str, Any]:
    """A message action with inline content."""
    content = {"body": "Hi {{ profile.first_name }}"}
    return {"type": "message", "channel": "email", "content": content, **fields}


def rule(key: str = "r", event: str = "Cart Updated", *, version: int = 1, **fields: Any) -> Rule:
    return parse_rule(rule_json(event, **fields), key=key, version=version)


def policy(*caps: dict[str, Any], **fields: Any) -> ContactPolicy:
    return parse_policy({"caps": list(caps), **fields}, key="default", version=1)


def ruleset(
    *rules: Rule,
    policies: Iterable[ContactPolicy] = (),
    templates: Iterable[Template] = (),
    experiments: Iterable[Running] = (),
    epoch: int = 1,
) -> RuleSet:
    return RuleSet(
        epoch=epoch,
        rules=rules,
        policies=policies,
        templates=templates,
        experiments=experiments,
    )


def profile_json(profile_id: str, **fields: Any) -> dict[str, Any]:
    """A snapshot as on the topic: a person with an e-mail address who agreed to everything."""
    return {
        "id": profile_id,
        "status": "active",
        "identifiers": [{"type": "email", "value": "ada@b.c"}],
        "identifiers_total": 1,
        "traits": {"first_name": "Ada"},
        "computed": {"touchpoints": 1},
        "consents": GRANTED,
        "created_at": "2026-01-01T00:00:00.000Z",
        "last_seen_at": "2026-11-21T12:00:00.000Z",
        **fields,
    }


def touchpoint_json(
    name: str,
    event: str = "Cart Updated",
    *,
    at: datetime = NOON,
    received: datetime | None = None,
    **fields: Any,
) -> dict[str, Any]:
    """A touchpoint as the cause of an update; `name` makes its id."""
    return {
        "id": uid(name),
        "message_id": name,
        "source": "shop",
        "channel": "web",
        "type": event,
        "kind": "track",
        "occurred_at": rfc3339(at),
        "received_at": rfc3339(received or at + timedelta(seconds=1)),
        "properties": {},
        "context": {},
        "raw": {"topic": "channel.web", "partition": 0, "offset": 0},
        **fields,
    }


def update_json(
    profile_id: str,
    seq: int,
    cause: dict[str, Any],
    *,
    profile: dict[str, Any] | None = None,
    **fields: Any,
) -> bytes:
    """The value of a record on `profile.updates`."""
    snapshot = profile if profile is not None else profile_json(profile_id)
    document = {"profile_id": profile_id, "seq": seq, "cause": cause, "profile": snapshot, **fields}
    return json.dumps(document).encode()


def action_id(rule_key: str, touchpoint: str, index: int = 0) -> UUID:
    """The published formula for the id of an action, written down once more."""
    namespace = UUID("b1d8a7f2-3c94-5e0b-8a67-94e2d35cf018")
    return uuid5(namespace, f"{rule_key}\x00{uid(touchpoint)}\x00{index}")
