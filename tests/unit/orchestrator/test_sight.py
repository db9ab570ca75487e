"""What masking takes from the record of a decision is what the audit log says was shown."""

from typing import Any

import pytest

from services.orchestrator.api.sight import mask_decision, personal_in


def record(*, actual: Any = None, reason: str = "exit") -> dict[str, Any]:
    """A decision with one candidate, which stopped where this was seen, and one retraction."""
    detail = {"expected": "gold", "actual": actual}
    stopped = {"rule": "r", "stage": "eligibility", "reason": "not_eligible", "detail": detail}
    return {
        "id": "d",
        "candidates": [stopped],
        "retracts": [{"action_id": "a", "reason": reason}],
    }


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        (record(), []),
        (record(actual="silver"), ["candidates"]),
        (record(reason="failed: ada@example.com is full"), ["retracts"]),
        (record(actual="silver", reason="failed: ada is away"), ["candidates", "retracts"]),
    ],
)
def test_the_fields_that_masking_changes_are_named(body: dict[str, Any], fields: list[str]) -> None:
    assert personal_in(body) == fields
    masked = mask_decision(body)
    assert personal_in(masked) == []
    assert not any(word in str(masked) for word in ("silver", "ada"))
