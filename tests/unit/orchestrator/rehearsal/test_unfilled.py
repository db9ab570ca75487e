"""Whether a content can be rendered for somebody tells nothing to who sees them masked."""

from datetime import UTC, datetime
from typing import Any

from services.orchestrator.domain.estimates import Estimates
from services.orchestrator.storage.configuration import Stored
from services.orchestrator.storage.draft_kind import Kind
from services.orchestrator.storage.saved import Saved
from services.orchestrator.use_cases.rehearsal.inputs import inputs_of, rulesets
from services.orchestrator.use_cases.rehearsal.unfilled import unfilled
from tests.unit.orchestrator.build import profile_json, rule_json, uid
from tests.unit.orchestrator.test_decide import decided, moment

AT = datetime(2026, 10, 1, tzinfo=UTC)
ORACLE = '{% if profile.email contains "a" %}{{ 1 | divided_by: 0 }}{% endif %}'
WRITTEN = {"subject": "Sale", "body": ORACLE}
TEMPLATE = {"channel": "email", "content": {"en": WRITTEN}}


def reasons(action: dict[str, Any], *, masked: bool) -> list[str | None]:
    """Why the draft of a rule with this action does nothing for people with and without an a."""
    templates = [Saved("oracle", TEMPLATE, 1, AT, "ann")]
    stored = Stored(1, rules=[], policies=[], templates=templates, channels=[], resources=[])
    draft = rule_json(actions=[{"type": "message", "channel": "email", **action}])
    inputs = inputs_of(Kind.RULE, "r", draft, stored, Estimates(), AT)
    _, rules = rulesets(unfilled(inputs) if masked else inputs)
    found = []
    for email in ("ada@example.com", "bob@site.org"):
        profile = profile_json(uid("ada"), traits={"email": email})
        (one,) = decided(rules, moment(profile=profile))
        found.append(None if one.drop is None else one.drop.reason)
    return found


def test_a_content_that_fails_for_some_fails_for_nobody_in_a_masked_rehearsal() -> None:
    for action in ({"content": WRITTEN}, {"template": "oracle"}):
        assert reasons(action, masked=False) == ["content_failed", None]
        assert reasons(action, masked=True) == [None, None]
